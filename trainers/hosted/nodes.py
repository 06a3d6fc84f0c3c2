"""All machines of a Ray cluster, each asked by a task of its own."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from trainers.provenance import Origin, origin

T = TypeVar("T")
_PATIENCE = 120.0
"""Seconds that all nodes have together."""


def on_every_node(
    function: Callable[..., T], *arguments: object
) -> list[tuple[Mapping[str, Any], T]]:
    """What a function gives on every node that is alive; this process is in the cluster.

    Returns:
        Each node as Ray describes it, and what it gave.

    Raises:
        ray.exceptions.RayError: If it fails on one of them, or one does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task, alive = ray.remote(num_cpus=0)(function), [n for n in ray.nodes() if n["Alive"]]
    asked = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*arguments)
        for node in alive
    ]
    return list(zip(alive, ray.get(asked, timeout=_PATIENCE), strict=True))


def origins() -> list[Origin]:
    """Machine, versions and Ray's resources of every node; a run does not end for a lack of it."""
    try:
        return [{**said, "resources": node["Resources"]} for node, said in on_every_node(origin)]
    except Exception as error:  # of no one type: it is Ray's
        return [{"error": f"{type(error).__name__}: {error}"}]


def origins_of_running() -> list[Origin]:
    """The same for a cluster that runs already; nothing, if none does: this machine is all."""
    try:
        import ray

        ray.init(address="auto", log_to_driver=False, logging_level="error")
    except (ImportError, ConnectionError):
        return []
    try:
        return origins()
    finally:
        ray.shutdown()
