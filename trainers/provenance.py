"""Where a run comes from: versions, machine, GPUs, commit; a line of it for every start.

A run that is interrupted goes on elsewhere, with other versions or another driver. So each start
adds a sealed line to ``starts.jsonl`` in the run's folder, whoever trains and whoever started it.
"""

from __future__ import annotations

import csv
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainers.installed import version_of
from trainers.tracking import JsonLines

STARTS = "starts.jsonl"
COMMAND = "VT_COMMAND"
"""Holds the command line that a user gave, for processes that are started by it."""

_PACKAGES = (
    *("visionthink-gym", "gymnasium", "numpy", "pillow", "mpmath", "rapidocr", "onnxruntime"),
    *("torch", "triton", "transformers", "tokenizers", "safetensors", "peft", "accelerate"),
    *("datasets", "pyarrow", "huggingface-hub", "openrlhf", "verl", "trl", "vllm", "ray"),
    *("deepspeed", "flash-attn", "tensordict", "TransferQueue", "lmms-eval", "openenv", "wandb"),
)
_TOLD = ("name", "memory.total", "driver_version", "uuid")


def versions() -> dict[str, str]:
    """Of Python and of every package that can matter, as far as they are installed."""
    found = {package: version_of(package) for package in _PACKAGES}
    numbers = {package: number for package, number in found.items() if number}
    return {"python": platform.python_version(), **numbers}


def gpus() -> list[dict[str, str]]:
    """This machine's GPUs as the driver has them: name, memory, the driver's version, id."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(_TOLD)}", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [dict(zip(_TOLD, row, strict=False)) for row in rows]


def cuda() -> str | None:
    """The CUDA that torch was built for; ``None`` without either."""
    try:
        import torch  # whoever leads a run has it, and may not have imported it yet
    except ImportError:
        return None
    return torch.version.cuda


Origin = dict[str, Any]
"""What there is to know of a machine, as JSON."""


def origin() -> Origin:
    """This machine, and what is installed on it."""
    return {**machine(), "commit": commit(), "versions": versions()}


def machine() -> Origin:
    """This machine: host, system, processors, memory in bytes, GPUs, and the CUDA of torch."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": gpus(),
        "cuda": cuda(),
    }


def commit() -> str | None:
    """The checkout's commit, marked ``+changes`` if files differ from it; ``None`` outside one."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def command() -> str:
    """The command line that a user gave."""
    return os.environ.get(COMMAND) or shlex.join(sys.orig_argv)


def record_start(
    out: Path,
    step: int,
    fingerprints: Mapping[str, str],
    commits: Mapping[str, str],
    nodes: Sequence[Origin] = (),
) -> None:
    """Add a line about this start to a run's folder.

    Args:
        out: The folder.
        step: Steps done before.
        fingerprints: Of the model (with the commit, for one of the Hub) and of the data.
        commits: Of model and data on the Hub, see :func:`trainers.data.commits`.
        nodes: The machines of a cluster, see :func:`origin`.
    """
    JsonLines(out / STARTS).append({
        "step": step,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "nodes": list(nodes),
        "fingerprints": dict(fingerprints),
        "commits": dict(commits),
    })  # fmt: skip
