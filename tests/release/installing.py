"""This project as users install it: a wheel, or an editable checkout, in an environment of its own.

Nothing is downloaded: what the project needs is taken from the environment of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """An environment with this project.

    Attributes:
        folder: The environment.
        site: Its ``site-packages``.
    """

    folder: Path
    site: Path

    def run(
        self, *command: str, cwd: Path, path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder; ``path`` becomes ``PYTHONPATH``."""
        program, *arguments = command
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, code: str, *, cwd: Path, path: Path | None = None) -> str:
        """What a program in a file of ``cwd`` prints.

        Raises:
            AssertionError: If it fails.
        """
        (cwd / "program.py").write_text(code, "utf-8")
        done = self.run("python", "program.py", cwd=cwd, path=path)
        assert done.returncode == 0, done.stderr
        return done.stdout


def environment(folder: Path) -> Installed:
    """A new one, in which the packages of the tests' environment can be imported."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return Installed(folder, site)


def pip_install(installed: Installed, *what: str) -> None:
    """Install into an environment, without what it depends on and without an index."""
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(installed.folder / "bin" / "python"),
         "--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps",
         "--no-build-isolation", "--ignore-installed", *what],
        check=True,
    )  # fmt: skip


def other_distribution(site: Path, package: str) -> None:
    """Another distribution that brings a package of a name of ours, as pip leaves it."""
    (site / package / "__init__.py").write_text("class Runner: ...\n", "utf-8")
    info = site / "other_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-agents\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n")
