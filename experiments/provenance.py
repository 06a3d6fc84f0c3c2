"""Where a result comes from: enough to make it again."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "visionthink-gym",
    "gymnasium",
    "numpy",
    "pillow",
    "math-verify",
    "rapidocr",
    "onnxruntime",
    "torch",
    "transformers",
    "peft",
    "wandb",
)


def provenance(seed: int, fingerprint: str | None, argv: list[str] | None = None) -> dict[str, Any]:
    """Command, seed, data, versions, commit and time.

    Args:
        seed: The run's seed.
        fingerprint: Hash of the data, see :meth:`vt_env.sources.Source.fingerprint`; ``None`` if it
            is not known.
        argv: The command line; this process's by default.
    """
    return {
        "command": shlex.join(["vt", *(sys.argv[1:] if argv is None else argv)]),
        "seed": seed,
        "data": fingerprint,
        "commit": commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": platform.machine(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The checkout's commit, marked ``+changes`` if files differ from it; ``None`` outside one."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
