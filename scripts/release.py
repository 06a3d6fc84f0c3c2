"""Build the distributions and try them as users get them; nothing is uploaded.

    python scripts/release.py --rehearse           # before the version is decided
    python scripts/release.py --python python3.12  # also try the wheel there

Needs build and twine (``pip install build twine``), git and a package index. In order: the checks
of :func:`ready`; wheel and sdist from a clean export of HEAD; ``twine check --strict``; their
contents; the wheel in a new environment of every Python, with ``scripts/smoke.py``; the sdist in a
new environment, with the quick tests that it ships. What passed is left in ``dist/``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from contents import sdist_faults, wheel_faults

REPOSITORY = Path(__file__).resolve().parents[1]


def ready(*, rehearsing: bool) -> list[str]:
    """What stands against a release.

    Args:
        rehearsing: Whether the version's entry and the project's address may still be missing.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    version, faults = project["version"], []
    if changed := said("git", "status", "--porcelain").splitlines():
        faults.append(f"commit or stash first: {len(changed)} files differ, e.g. {changed[0][3:]}")
    if rehearsing:
        return faults
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        faults.append(f"CHANGELOG.md needs the heading '## {version} - YYYY-MM-DD'")
    if re.search(r"^## Unreleased\n+[^#\s]|^## Unreleased\n+### ", changelog, re.MULTILINE):
        faults.append("CHANGELOG.md still has entries under 'Unreleased': move them to the version")
    if said("git", "tag", "--list", f"v{version}"):
        faults.append(f"version {version} was released: there is a tag v{version}")
    if "Repository" not in project.get("urls", {}):
        faults.append("pyproject.toml needs [project.urls] with Repository: RELEASING.md")
    if f'version: "{version}"' not in (REPOSITORY / "CITATION.cff").read_text("utf-8"):
        faults.append(f'CITATION.cff needs version: "{version}"')
    return faults


def build(work: Path) -> tuple[Path, Path]:
    """Wheel and sdist of HEAD.

    Raises:
        SystemExit: If they are not as they should be.
    """
    step("build")
    source, dist = work / "source", work / "dist"
    source.mkdir()
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=REPOSITORY, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x"], cwd=source, input=archive, check=True)
    do(sys.executable, "-m", "build", "--outdir", dist, source)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")

    step("metadata and contents")
    do(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    tracked = set(said("git", "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    if faults := wheel_faults(wheel, tracked) + sdist_faults(sdist, tracked):
        raise SystemExit("\n".join(faults))
    return wheel, sdist


def try_wheel(wheel: Path, python: str, work: Path) -> None:
    """The wheel alone, then with the extra ``cli``, in a new environment."""
    step(f"the wheel with {python}")
    here = new_environment(work / f"wheel-{Path(python).name}", python)
    install(here, wheel)
    do(here, REPOSITORY / "scripts" / "smoke.py", "core", cwd=work)
    install(here, f"{wheel}[cli]")
    do(here, REPOSITORY / "scripts" / "smoke.py", "cli", cwd=work)


def try_sdist(sdist: Path, tests: list[str], work: Path) -> None:
    """The sdist with the extra ``dev`` in a new environment, and its own tests."""
    step("the sdist's tests")
    here = new_environment(work / "sdist", sys.executable)
    shutil.unpack_archive(sdist, work / "unpacked", filter="data")
    (source,) = (work / "unpacked").iterdir()
    install(here, f"{sdist}[dev]")
    do(here, "-m", "pytest", "-n", "auto", "-p", "no:cacheprovider", *tests, cwd=source)


def new_environment(folder: Path, python: str) -> Path:
    """Make one; its Python."""
    do(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def install(python: Path, what: str | Path) -> None:
    """Install with the versions that are tested together."""
    do(python, "-m", "pip", "--disable-pip-version-check", "install", "-q",
       "--constraint", REPOSITORY / "constraints.txt", what)  # fmt: skip


def step(what: str) -> None:
    """Say what is done now."""
    print(f"\n== {what}", flush=True)


def do(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command that must succeed.

    Raises:
        SystemExit: If it does not.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    code = subprocess.run(words, cwd=cwd or REPOSITORY, env=environment, check=False).returncode
    if code:
        raise SystemExit(f"not ready: {' '.join(words)} ended with code {code}")


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.rstrip()


def main() -> None:
    """Check, build, try."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="the version need not be final")
    parser.add_argument("--python", action="append", default=[], help="try the wheel there too")
    parser.add_argument("--tests", default="not slow", help="which of the sdist's tests: pytest -m")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="where they are left")
    arguments = parser.parse_args()
    if faults := ready(rehearsing=arguments.rehearse):
        raise SystemExit("not ready:\n" + "\n".join(faults))
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        work = Path(folder)
        wheel, sdist = build(work)
        for python in [sys.executable, *arguments.python]:
            try_wheel(wheel, python, work)
        try_sdist(sdist, ["-m", arguments.tests], work)
        arguments.out.mkdir(exist_ok=True)
        for file in (wheel, sdist):
            shutil.copy(file, arguments.out)
    print(f"\nready: {arguments.out}; RELEASING.md says what is next")


if __name__ == "__main__":
    main()
