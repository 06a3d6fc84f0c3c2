"""Projects with packages of their own that are named like ours go on working, and so do we."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installing import Installed, other_distribution

NAMES = ("agents", "trainers", "experiments")


def project(folder: Path, *names: str, init: bool = True) -> Path:
    """A user's project with packages of these names, each with a module ``base``."""
    for name in names:
        (folder / name).mkdir(parents=True)
        if init:
            (folder / name / "__init__.py").write_text(f"OWNER = 'user {name}'\n", "utf-8")
        (folder / name / "mine.py").write_text(f"OWNER = 'user {name}.mine'\n", "utf-8")
    return folder


@pytest.mark.parametrize("names", [NAMES, ("trainers",)], ids="-".join)
def test_environments_are_made_and_the_users_packages_stay(
    installed: Installed, tmp_path: Path, names: tuple[str, ...]
) -> None:
    first, *_ = names
    said = installed.python(
        f"""
import importlib, json
import {first}  # before
import gymnasium as gym
env = gym.make("vt_env:VisionThink-v0", judge="conformance")
env.reset(seed=0)
print(json.dumps([importlib.import_module(n).OWNER for n in {names!r}]))  # after
print(json.dumps([importlib.import_module(n + ".mine").OWNER for n in {names!r}]))
""",
        cwd=project(tmp_path, *names),
    )
    packages, modules = map(json.loads, said.splitlines())
    assert packages == [f"user {name}" for name in names]
    assert modules == [f"user {name}.mine" for name in names]


@pytest.mark.slow
def test_ours_can_be_imported_beside_the_users(installed: Installed, tmp_path: Path) -> None:
    said = installed.python(
        """
import pickle
from vt_env.packages import load
import agents
agent = load("agents").make_agent("random:p=0.25")
assert isinstance(agent, load("agents.scripted").Random)
assert type(pickle.loads(pickle.dumps(agent))) is type(agent)
load("trainers").make_trainer("local")
print(agents.OWNER, next(iter(load("experiments.cli").COMMANDS)))
""",
        cwd=project(tmp_path, *NAMES),
    )
    assert said.split() == ["user", "agents", "demo"]


def test_an_agent_made_by_its_plain_name_is_the_one_that_trainers_know(
    installed: Installed, tmp_path: Path
) -> None:
    said = installed.python(
        """
from agents import Agent
from vt_env.packages import load
print(load("trainers.conformance") is not None, load("agents").Agent is Agent)
""",
        cwd=project(tmp_path, "trainers"),
    )
    assert said.split() == ["True", "True"]


@pytest.mark.parametrize(
    ("command", "on_path"),
    [("vt", False), ("vt", True), ("python -m vt_env", False)],
    ids=["vt", "vt with PYTHONPATH", "python -m vt_env"],
)
def test_the_command_works_in_such_a_project(
    installed: Installed, tmp_path: Path, command: str, on_path: bool
) -> None:
    folder = project(tmp_path, *NAMES)
    done = installed.run(
        *command.split(), "eval", "--agent", "oracle", "--data", "generated:n=4", "--shards", "2",
        "--out", "out", cwd=folder, path=folder if on_path else None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out" / "result.json").read_text())["n"] == 4


def test_folders_without_init_are_found_behind_ours(installed: Installed, tmp_path: Path) -> None:
    said = installed.python(
        "import agents.mine, experiments.mine, vt_env.packages\n"
        "print(experiments.mine.OWNER, '|', agents.mine.OWNER)\n"
        "print(vt_env.packages.load('agents').make_agent('oracle'))",
        cwd=project(tmp_path, "agents", "experiments", init=False),
    )
    assert said.startswith("user experiments.mine | user agents.mine\n")


@pytest.mark.parametrize(("taken", "ours"), [("agents", "trainers"), ("trainers", "experiments")])
def test_import_names_the_other_package(
    installed: Installed, tmp_path: Path, taken: str, ours: str
) -> None:
    folder = project(tmp_path, taken)
    done = installed.run("python", "-c", f"import {ours}", cwd=folder)
    *_, last = done.stderr.splitlines()
    assert str(folder / taken) in last
    assert f"vt_env.packages.load('{ours}')" in last


def test_a_package_that_was_written_over_ours_is_named(
    from_wheel: Installed, tmp_path: Path
) -> None:
    other_distribution(from_wheel.site, "agents")
    done = from_wheel.run("vt", "--help", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "other-agents" in done.stderr
    assert "environments of their own" in done.stderr
    from_wheel.python(
        "import gymnasium as gym; gym.make('vt_env:VisionThink-v0').reset()", cwd=tmp_path
    )


def test_a_package_that_ours_was_written_over_is_named(
    from_wheel: Installed, tmp_path: Path
) -> None:
    ours = (from_wheel.site / "agents" / "__init__.py").read_text("utf-8")
    other_distribution(from_wheel.site, "agents")
    (from_wheel.site / "agents" / "__init__.py").write_text(ours, "utf-8")
    done = from_wheel.run("python", "-c", "from agents import Runner", cwd=tmp_path)
    *_, last = done.stderr.splitlines()
    assert "'Runner'" in last
    assert "other-agents" in last
    from_wheel.python("from agents import scripted; print(scripted.Oracle)", cwd=tmp_path)
    assert from_wheel.run("vt", "--help", cwd=tmp_path).returncode == 0


def test_what_starts_processes_that_search_this_folder_first_refuses(
    installed: Installed, tmp_path: Path
) -> None:
    folder = project(tmp_path, "trainers")
    code = """
from vt_env.packages import require_plain_name
require_plain_name("agents", "it")
require_plain_name("trainers", "the trainer 'verl'")
"""
    done = installed.run("python", "-c", code, cwd=folder)
    *_, last = done.stderr.splitlines()
    assert "the trainer 'verl' starts processes that search" in last
    assert str(folder / "trainers" / "__init__.py") in last
