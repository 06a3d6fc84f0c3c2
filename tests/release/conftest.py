"""Environments with this project, made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installing import REPOSITORY, Installed, environment, pip_install


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that are in version control, or would be."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not in a git checkout: these tests copy what is in version control")
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the checkout builds."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps",
         "--no-build-isolation", "--no-index", "--wheel-dir", str(out), str(checkout)],
        check=True,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=["wheel", "editable"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """An environment with the project, in both ways of installing it."""
    made = environment(tmp_path_factory.mktemp(request.param) / "env")
    if request.param == "wheel":
        pip_install(made, str(request.getfixturevalue("wheel")))
    else:
        pip_install(made, "--editable", str(request.getfixturevalue("checkout")))
    return made


@pytest.fixture
def from_wheel(wheel: Path, tmp_path: Path) -> Installed:
    """An environment with the wheel, for a test that breaks it."""
    made = environment(tmp_path / "env")
    pip_install(made, str(wheel))
    return made
