"""Lock the extras for GPUs: ``constraints-openrlhf-gpu.txt`` and its like.

    python scripts/lock.py            # resolve anew, write the files
    python scripts/lock.py --check    # they still resolve, to themselves; write nothing

Needs uv and packaging (``pip install uv packaging``) and a package index, no GPU: only metadata is
read, nothing is built or installed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
METADATA = REPOSITORY / "scripts" / "gpu-metadata.toml"
PLATFORM = "x86_64-manylinux_2_34"
"""Linux on x86-64 with glibc 2.34 or newer: what vLLM's wheels ask for."""


@dataclass(frozen=True)
class Lock:
    """One file of pinned versions.

    Attributes:
        extra: Of this project.
        pythons: The versions of Python that it is for.
        from_source: Packages that have no wheels.
        tested: Versions that the tests use of what the extra leaves open.
    """

    extra: str
    pythons: Sequence[str]
    from_source: Sequence[str] = ()
    tested: Sequence[str] = ()

    @property
    def path(self) -> Path:
        """Where it is."""
        return REPOSITORY / f"constraints-{self.extra}-gpu.txt"

    @property
    def header(self) -> str:
        """Its first lines."""
        return (
            f"# visionthink-gym[{self.extra}] on Linux x86-64 with an NVIDIA GPU, Python "
            f"{', '.join(self.pythons)}.\n"
            "# Written by `python scripts/lock.py`: resolved from metadata, never run on a GPU.\n"
        )

    def resolve(self, python: str, constraints: Path) -> set[str]:
        """The versions that uv chooses within constraints, as ``name==version``.

        Raises:
            SystemExit: If it finds none; uv has said why.
        """
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header",
            "--no-annotate", "--config-file", str(METADATA), "--python-version", python,
            "--python-platform", PLATFORM, "--only-binary", ":all:", "--extra", self.extra,
        ]  # fmt: skip
        for package in self.from_source:
            command += ["--no-binary", package]
        command += ["--constraint", str(constraints), "--constraint", "-"]
        done = subprocess.run(
            [*command, str(REPOSITORY / "pyproject.toml")],
            input="\n".join(self.tested), stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{self.path.name}: no versions found for Python {python}")
        return pins(done.stdout)


def pins(text: str) -> set[str]:
    """The lines of a file of versions that pin one."""
    return set(re.findall(r"^[^#\s]+", text, re.MULTILINE))


LOCKS = (
    Lock(
        "openrlhf", ("3.11", "3.12"), ("deepspeed", "flash-attn", "transformers-stream-generator")
    ),
    Lock("verl", ("3.11", "3.12", "3.13")),
    Lock("vllm", ("3.11", "3.12", "3.13"), tested=("vllm==0.29.0", "transformers==5.23.0")),
)


def write(lock: Lock) -> None:
    """Resolve for each Python, then again with the lowest version of each package as a bound.

    Raises:
        SystemExit: If two Pythons still get other versions of a package.
    """
    lowest = dict[str, Version]()
    with tempfile.TemporaryDirectory() as folder:
        bounds = Path(folder) / "bounds.txt"
        bounds.touch()
        for pin in sorted(pin for python in lock.pythons for pin in lock.resolve(python, bounds)):
            name, _, version = pin.partition("==")
            lowest[name] = min(Version(version), lowest.get(name, Version(version)))
        bounds.write_text("".join(f"{name}<={v}\n" for name, v in lowest.items()), "utf-8")
        chosen = {pin for python in lock.pythons for pin in lock.resolve(python, bounds)}
    names = Counter(pin.partition("==")[0] for pin in chosen)
    if unlike := sorted(name for name, count in names.items() if count > 1):
        raise SystemExit(f"{lock.path.name}: the versions of {unlike} depend on Python's")
    lines = sorted(chosen, key=str.lower)
    lock.path.write_text(lock.header + "\n".join(lines) + "\n", "utf-8")


def check(lock: Lock) -> None:
    """Make sure that the file is what every Python of its list gets.

    Raises:
        SystemExit: If a version is not there any more, is refused or is not in the file.
    """
    text = lock.path.read_text("utf-8")
    if not text.startswith(lock.header):
        raise SystemExit(f"{lock.path.name}: expected it to begin with\n{lock.header}")
    for python in lock.pythons:
        if loose := sorted(lock.resolve(python, lock.path) - pins(text)):
            raise SystemExit(f"{lock.path.name}: not pinned for Python {python}: {loose}")


def main() -> None:
    """Write or check all files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    checking = parser.parse_args().check
    for lock in LOCKS:
        (check if checking else write)(lock)
        print(f"{lock.path.name}: {'resolves' if checking else 'written'}")


if __name__ == "__main__":
    main()
