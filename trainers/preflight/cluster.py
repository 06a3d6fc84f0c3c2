"""Stage 3: every node of the Ray cluster, asked by one task each."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainers.config import TrainConfig
from trainers.installed import version_of
from trainers.preflight.findings import Finding, tried
from trainers.preflight.known import Known
from trainers.preflight.sizes import disk, machines_of
from trainers.provenance import gpus
from vt_env.sources.opening import parse_spec

_PACKAGES = ("torch", "transformers", "ray", "vllm", "deepspeed", "openrlhf", "verl")
_KEYS = ("OPENAI_API_KEY", "HF_TOKEN", "HF_HOME", "HF_HUB_OFFLINE", "WANDB_API_KEY", "VT_CACHE")


def node_report(
    out: str, mark: str, places: Sequence[str], model: str, judge: str
) -> dict[str, Any]:
    """What a node says of itself; runs on the node.

    Args:
        out: The run's folder.
        mark: A file in it that the head wrote.
        places: Other files and folders that a run reads; absolute.
        model: A checkpoint's folder, or a name on the Hub.
        judge: The judge's spec, whose server is connected to.
    """
    place = next(p for p in (Path(out), *Path(out).parents) if p.exists())
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in _PACKAGES},
        "gpus": gpus(),
        "cpus": os.cpu_count(),
        "mark": Path(mark).is_file(),
        "places": all(Path(place).exists() for place in places),
        "free": shutil.disk_usage(place).free,
        "model": _is_here(model),
        "keys": [key for key in _KEYS if os.environ.get(key)],
        "judge": _reached(judge),
    }


def look_at_cluster(known: Known) -> Iterator[Finding]:
    """What every node says, and whether they agree."""
    machines = machines_of(known.config)
    if not machines.engines:
        yield Finding(3, "cluster", "skipped", f"trainer={known.config.trainer} needs none")
        return
    nodes: list[dict[str, Any]] = []
    yield tried(3, "nodes", lambda: _ask(known, nodes))
    if not nodes:
        return
    found = sum(len(node["gpus"]) for node in nodes)
    says = f"{found} GPUs on {len(nodes)} nodes, {machines.gpus} are needed on {machines.nodes}"
    short = found < machines.gpus or len(nodes) < machines.nodes
    advice = "add nodes: ray start --address=HEAD:6379" if short else ""
    yield Finding(3, "GPUs", "no" if short else "ok", says, advice)
    yield _agree(nodes, "versions", "install the same versions on every node")
    yield _agree(nodes, "keys", "export the same variables on every node before ray start")
    yield _everywhere(nodes, "mark", "the run's folder",
                      "choose --out on a disk that all nodes see")  # fmt: skip
    yield _everywhere(nodes, "places", "the working folder and the data",
                      f"every node needs {', '.join(places_of(known.config))}")  # fmt: skip
    yield _everywhere(nodes, "model", "the model",
                      "download it on every node, or share HF_HOME")  # fmt: skip
    yield _everywhere(nodes, "judge", "the judge's server", "open its port to every node")
    if known.shape is not None:
        needed = disk(known.shape, known.config.checkpoint.keep)
        least = min(node["free"] for node in nodes)
        yield Finding(3, "disk of the nodes", "ok" if least > needed else "no",
                      f"{least / 1e9:.0f} GB are free where there is least")  # fmt: skip


def _ask(known: Known, nodes: list[dict[str, Any]]) -> str:
    """Ask every node that is alive; the answers are added to ``nodes``."""
    import ray  # pyright: ignore[reportMissingImports]
    from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
        NodeAffinitySchedulingStrategy,
    )

    began = not ray.is_initialized()
    if began:
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, logging_level="error")
    try:
        known.out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=known.out.absolute().parent, prefix=".vt-") as mark:
            task = ray.remote(num_cpus=0)(node_report)
            asked = [
                task.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote(
                    str(known.out.absolute()), mark.name, places_of(known.config),
                    known.config.model.path, known.config.environment.judge,
                )
                for node in ray.nodes()
                if node["Alive"]
            ]  # fmt: skip
            nodes += ray.get(asked, timeout=120)
    finally:
        if began:
            ray.shutdown()
    return ", ".join(
        f"{node['host']}: {len(node['gpus'])} GPUs, {node['cpus']} CPUs" for node in nodes
    )


def places_of(config: TrainConfig) -> list[str]:
    """The folder that relative paths begin in, and the files and folders of data; absolute."""
    specs = map(parse_spec, filter(None, (config.data.train, config.data.validation)))
    data = [Path(path).expanduser().absolute() for _, path, _ in specs if path]
    return [str(Path.cwd()), *dict.fromkeys(str(path) for path in data if path.exists())]


def _agree(nodes: list[dict[str, Any]], what: str, advice: str) -> Finding:
    said = {json.dumps(node[what], sort_keys=True) for node in nodes}
    if len(said) == 1:
        value = nodes[0][what]
        shown = value if isinstance(value, list) else [f"{k} {v}" for k, v in value.items() if v]
        return Finding(3, what, "ok", ", ".join(shown) or "none")
    told = "; ".join(f"{node['host']}: {node[what]}" for node in nodes)
    return Finding(3, what, "no", f"nodes differ: {told:.400}", advice)


def _everywhere(nodes: list[dict[str, Any]], what: str, called: str, advice: str) -> Finding:
    without = [node["host"] for node in nodes if node[what] is False]
    if without:
        return Finding(3, called, "no", f"not seen by {', '.join(without)}", advice)
    return Finding(3, called, "ok", "every node sees it")


def _is_here(model: str) -> bool:
    """Whether a checkpoint's folder, or its copy from the Hub, is on this machine."""
    if Path(model).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str)


def _reached(judge: str) -> bool | None:
    """Whether a judge's server takes a connection; ``None`` where it names none."""
    from urllib.parse import urlsplit

    at = judge.find("@http")
    if at < 0:
        return None
    place = urlsplit(judge[at + 1 :].split(",")[0])
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        with socket.create_connection((place.hostname or "", port), timeout=10):
            return True
    except (OSError, ValueError):
        return False
