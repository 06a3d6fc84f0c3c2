"""Stage 3: every node of the Ray cluster, asked by one task each."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers.config import TrainConfig
from trainers.data import lacking_weights
from trainers.hosted.nodes import on_every_node
from trainers.hosted.run import taken_by
from trainers.installed import version_of
from trainers.preflight.findings import Finding, tried
from trainers.preflight.known import Known, keys_set
from trainers.preflight.sizes import Machines, disk, machines_of
from trainers.provenance import commit, cuda, gpus
from vt_env.sources.opening import parse_spec

_PACKAGES = (
    *("visionthink-gym", "torch", "triton", "transformers", "ray", "vllm", "deepspeed", "openrlhf"),
    *("verl", "tensordict", "TransferQueue", "flash-attn"),
)
_CPUS = {"openrlhf": 1, "verl": 3}
"""CPUs that a library wants Ray to have beside each GPU, in the bundles that it asks for."""

Node = dict[str, Any]


def node_report(out: str, mark: str, places: Sequence[str], model: str, judge: str) -> Node:
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
        "versions": {
            "python": platform.python_version(),
            **{package: version_of(package) for package in _PACKAGES},
            "CUDA": cuda(),
            "commit": commit(),
        },
        "gpus": gpus(),
        "cpus": os.cpu_count(),
        "mark": Path(mark).is_file(),
        "places": all(Path(place).exists() for place in places),
        "free": shutil.disk_usage(place).free,
        "model": not lacking_weights(model),
        "keys": keys_set(),
        "judge": _reached(judge),
    }


def look_at_cluster(known: Known) -> Iterator[Finding]:
    """What every node says, and whether they agree."""
    machines = machines_of(known.config)
    if not machines.engines:
        yield Finding(3, "cluster", "skipped", f"trainer={known.config.trainer} needs none")
        return
    nodes: list[Node] = []
    yield tried(3, "nodes", lambda: _ask(known, nodes))
    if not nodes:
        return
    yield _gpus(nodes, machines)
    yield _cpus(nodes, machines, known.config.trainer)
    yield _versions(nodes)
    yield _keys(nodes, known.keys)
    yield _everywhere(nodes, "mark", "the run's folder",
                      "choose --out on a disk that all nodes see")  # fmt: skip
    yield _everywhere(nodes, "places", "the working folder and the data",
                      f"every node needs {', '.join(places_of(known.config))}")  # fmt: skip
    yield _everywhere(nodes, "model", "the model, weights included",
                      "download it on every node, or share HF_HOME")  # fmt: skip
    yield _everywhere(nodes, "judge", "the judge's server", "open its port to every node")
    if known.shape is not None:
        needed = disk(known.shape, known.config.checkpoint.keep) - taken_by(known.out)
        least = min(node["free"] for node in nodes)
        yield Finding(3, "disk of the nodes", "ok" if least > needed else "no",
                      f"{least / 1e9:.0f} GB are free where there is least")  # fmt: skip


def _ask(known: Known, nodes: list[Node]) -> str:
    """Ask every node that is alive; the answers are added to ``nodes``, with Ray's resources."""
    import ray  # pyright: ignore[reportMissingImports]

    began = not ray.is_initialized()
    if began:
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, logging_level="error")
    try:
        known.out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=known.out.absolute().parent, prefix=".vt-") as mark:
            answers = on_every_node(
                node_report, str(known.out.absolute()), mark.name, places_of(known.config),
                known.config.model.path, known.config.environment.judge,
            )  # fmt: skip
        for node, said in answers:
            counted = {name: node["Resources"].get(name, 0) for name in ("GPU", "CPU")}
            nodes.append({**said, "ray": counted})
    finally:
        if began:
            ray.shutdown()
    return ", ".join(
        f"{node['host']}: {len(node['gpus'])} GPUs, {node['cpus']} CPUs" for node in nodes
    )


def _gpus(nodes: Sequence[Node], machines: Machines) -> Finding:
    """Whether Ray has the GPUs that are asked for, as many in a node as are to learn there."""
    each = machines.learners // machines.nodes
    found = sum(node["ray"]["GPU"] for node in nodes)
    fit = [node for node in nodes if node["ray"]["GPU"] >= each]
    says = (
        f"Ray has {found:g} GPUs on {len(nodes)} nodes ({_by_host(nodes, 'GPU')}); "
        f"{machines.gpus} are needed, of which {each} learn on each of {machines.nodes} nodes"
    )
    if found < machines.gpus or len(fit) < machines.nodes:
        return Finding(3, "GPUs", "no", says, "add nodes: ray start --address=HEAD:6379")
    if hidden := [node["host"] for node in nodes if node["ray"]["GPU"] != len(node["gpus"])]:
        says += f"; the driver tells another number on {', '.join(hidden)}"
        return Finding(
            3, "GPUs", "look", says, "see CUDA_VISIBLE_DEVICES, and ray start --num-gpus"
        )
    return Finding(3, "GPUs", "ok", says)


def _cpus(nodes: Sequence[Node], machines: Machines, trainer: str) -> Finding:
    """Whether Ray has as many CPUs beside the GPUs as the library asks it for."""
    each = _CPUS.get(trainer, 1)
    short = [n for n in nodes if n["ray"]["CPU"] < each * min(n["ray"]["GPU"], machines.gpus)]
    says = f"{_by_host(nodes, 'CPU')}; {trainer} asks Ray for {each} beside each GPU"
    if short:
        return Finding(3, "CPUs", "no", says, "take machines with more, or ray start --num-cpus")
    return Finding(3, "CPUs", "ok", says)


def _by_host(nodes: Sequence[Node], what: str) -> str:
    return ", ".join(f"{node['host']} {node['ray'][what]:g}" for node in nodes)


def _versions(nodes: Sequence[Node]) -> Finding:
    said: list[Mapping[str, str | None]] = [node["versions"] for node in nodes]
    differ = [name for name in said[0] if len({versions[name] for versions in said}) > 1]
    if not differ:
        shown = ", ".join(f"{name} {number}" for name, number in said[0].items() if number)
        return Finding(3, "versions", "ok", shown)
    told = "; ".join(
        f"{node['host']}: " + ", ".join(f"{name} {node['versions'][name]}" for name in differ)
        for node in nodes
    )
    return Finding(3, "versions", "no", f"nodes differ: {told:.400}",
                   "install the same versions on every node")  # fmt: skip


def _keys(nodes: Sequence[Node], here: Sequence[str]) -> Finding:
    """Whether every node has the variables that this process has."""
    without = {
        node["host"]: sorted(set(here) ^ set(node["keys"]))
        for node in nodes
        if set(here) != set(node["keys"])
    }
    if without:
        told = "; ".join(f"{host}: {', '.join(keys)}" for host, keys in without.items())
        return Finding(3, "keys", "no", f"set only there or only here: {told}",
                       "export the same variables on every node before ray start")  # fmt: skip
    return Finding(3, "keys", "ok", ", ".join(here) or "none, here neither")


def places_of(config: TrainConfig) -> list[str]:
    """The folder that relative paths begin in, and the files and folders of data; absolute."""
    specs = map(parse_spec, filter(None, (config.data.train, config.data.validation)))
    data = [Path(path).expanduser().absolute() for _, path, _ in specs if path]
    return [str(Path.cwd()), *dict.fromkeys(str(path) for path in data if path.exists())]


def _everywhere(nodes: Sequence[Node], what: str, called: str, advice: str) -> Finding:
    """Whether every node sees something; ``None`` of all: there is nothing to see."""
    if all(node[what] is None for node in nodes):
        return Finding(3, called, "skipped", "none is named that could be looked for")
    without = [node["host"] for node in nodes if node[what] is False]
    if without:
        return Finding(3, called, "no", f"not seen by {', '.join(without)}", advice)
    return Finding(3, called, "ok", "every node sees it")


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
