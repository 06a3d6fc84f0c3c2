"""The files for those who work on the project agree with it."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from installing import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_only_read_and_pin_their_actions(file) -> None:
    workflow = yaml.safe_load(file.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in used)


def commands(job: dict[str, Any]) -> Iterator[str]:
    """What a job runs, once for every value of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for run in (step["run"] for step in job["steps"] if "run" in step):
        for values in itertools.product(*matrix.values()):
            command = run
            for name, value in zip(matrix, values, strict=True):
                command = command.replace(f"${{{{ matrix.{name} }}}}", value)
            yield command


def test_workflows_run_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    jobs = [job for f in WORKFLOWS for job in yaml.safe_load(f.read_text("utf-8"))["jobs"].values()]
    asked = {c.split()[1] for job in jobs for c in commands(job) if c.startswith("make ")}
    tiers = {
        "check",
        "test",
        "check-docs",
        "test-openrlhf",
        "test-newest",
        "mutation",
        "fuzz",
        "soak",
    }
    assert tiers | {"release", "locks"} <= asked
    assert asked <= targets


def test_what_the_makefile_names_is_there() -> None:
    text = (REPOSITORY / "Makefile").read_text("utf-8").replace("\\\n", " ")
    named = re.findall(r"(?<=[\s=])(?:tests|benchmarks|scripts)/[\w/.-]+", text)
    assert len(named) > 20
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_python_that_is_claimed_is_tested() -> None:
    matrix = yaml.safe_load((WORKFLOWS[0]).read_text("utf-8"))["jobs"]["tests"]["strategy"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["matrix"]["python"] == claimed


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_every_extra_is_in_the_installation_page() -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text("utf-8")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w-]+)`", rows)) == set(PROJECT["optional-dependencies"]) - {"dev"}


@pytest.mark.parametrize("name", ["cpu", "openrlhf"])
def test_images_copy_what_they_build_and_run_as_no_root(name: str) -> None:
    text = (REPOSITORY / "docker" / f"{name}.Dockerfile").read_text("utf-8")
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users[-1] == "1000"
    ignored = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{part}" for part in ("vt_env", "agents", "trainers", "experiments", "setup.py")} <= {
        *ignored
    }
    constraints = re.findall(r"[\w-]*constraints[\w-]*\.txt", text)
    assert all((REPOSITORY / file).is_file() for file in constraints)
