"""What is distributed, and how it looks on a package index."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from installing import REPOSITORY
from packaging.requirements import Requirement

import vt_env

sys.path.insert(0, str(REPOSITORY / "scripts"))
sys.path.insert(0, str(REPOSITORY))
from contents import sdist_faults, wheel_faults

from setup import description

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]


def files(folder: Path) -> set[str]:
    """The paths of a folder's files, without what a build makes."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not {"build", "visionthink_gym.egg-info", "__pycache__"} & set(path.parts)
    }


def test_the_wheel_is_the_four_packages(wheel: Path, checkout: Path) -> None:
    assert wheel_faults(wheel, files(checkout)) == []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert sum(name.endswith("/py.typed") for name in names) == 4


def test_a_file_that_is_missing_or_too_much_is_named(wheel: Path, checkout: Path) -> None:
    with_more = files(checkout) | {"agents/more.py"}
    assert wheel_faults(wheel, with_more) == ["wheel: agents/more.py is missing"]
    with_less = files(checkout) - {"agents/base.py"}
    assert wheel_faults(wheel, with_less) == ["wheel: agents/base.py does not belong there"]


@pytest.mark.slow
def test_the_sdist_is_the_repository(checkout: Path, tmp_path: Path) -> None:
    for name in ("tests/test_one.py", "tests/data/one.json", ".github/one.yml"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    build = "from setuptools import build_meta; import sys; build_meta.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=checkout, check=True, capture_output=True,
    )  # fmt: skip
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert sdist_faults(sdist, files(checkout)) == []


def test_the_description_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    text = str(metadata.get_payload())
    assert "VisionThink" in text
    assert [to for to in re.findall(r"\]\(([^)]*)\)", text) if not to.startswith("https://")] == []
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Author"] or metadata["Author-email"]


def test_links_lead_to_the_versions_files_once_there_is_an_address() -> None:
    project = {"version": "1.2.0", "urls": {"Repository": "https://example.org/gym"}}
    readme = "![A plot](docs/a.png) [pages](docs/b.md#c) [out](https://x.org/y) [here](#start)"
    assert description(readme, project) == (
        "![A plot](https://example.org/gym/raw/v1.2.0/docs/a.png) "
        "[pages](https://example.org/gym/blob/v1.2.0/docs/b.md#c) [out](https://x.org/y) "
        "[here](#start)"
    )


def test_the_version_is_stated_once() -> None:
    done = subprocess.run(
        ["git", "grep", "-n", "-F", f'version = "{PROJECT["version"]}"'],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} <= {"pyproject.toml"}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", vt_env.__version__)


@pytest.mark.parametrize("extra", ["openrlhf", "verl", "vllm"])
def test_locks_are_what_the_extras_ask_for(extra: str) -> None:
    text = (REPOSITORY / f"constraints-{extra}-gpu.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    asked = [*map(Requirement, PROJECT["dependencies"])]
    extras = [extra]
    for name in extras:  # grows
        for needed in map(Requirement, PROJECT["optional-dependencies"][name]):
            if needed.name == PROJECT["name"]:
                extras += sorted(needed.extras)
            else:
                asked.append(needed)
    assert len(asked) > len(PROJECT["dependencies"])
    for needed in asked:
        version = pinned[needed.name.lower()]
        assert needed.specifier.contains(version), f"{needed} is locked at {version}"
