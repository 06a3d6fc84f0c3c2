"""A trainer that cannot be had: one sentence, with what to install."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from experiments.cli import main
from trainers import TRAINERS, make_trainer
from trainers.installed import require, unmet
from vt_env import ConfigError, MissingExtra

NEEDS = {"torch": "2.6", "transformers": "5.15"}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these packages alone are there."""

    def pretend(**packages: str) -> None:
        def version(name: str) -> str:
            if name not in packages:
                raise PackageNotFoundError(name)
            return packages[name]

        monkeypatch.setattr("trainers.installed.version", version)

    return pretend


def test_a_package_that_is_missing(installed):
    installed(torch="2.13.0+cpu")
    with pytest.raises(MissingExtra) as raised:
        require("local", "train", NEEDS)
    assert str(raised.value) == (
        "the trainer 'local' needs the package 'transformers', which is not installed: "
        'pip install "visionthink-gym[train]"'
    )


@pytest.mark.parametrize("found", ["4.57.1", "5.9", "5.14.99", "5"])
def test_a_package_that_is_too_old(installed, found):
    installed(torch="2.6", transformers=found)
    with pytest.raises(ConfigError) as raised:
        require("local", "train", NEEDS)
    assert str(raised.value) == (
        f"the trainer 'local' works with transformers 5.15 or newer, and {found} is installed: "
        'pip install "visionthink-gym[train]"'
    )


@pytest.mark.parametrize("found", ["5.15", "5.15.0rc1", "5.100.0", "6.0.dev0"])
def test_a_package_that_is_new_enough(installed, found):
    installed(torch="2.13.0+cu130", transformers=found)
    assert require("local", "train", NEEDS) is None


@pytest.mark.parametrize("found", ["0.9.9", "0.11", "1.0", "0.100.0"])
def test_a_package_of_which_one_release_will_do(installed, found):
    installed(openenv=found)
    with pytest.raises(ConfigError) as raised:
        require("openenv", "openenv", {"openenv": "0.10"}, what="server", newer=False)
    assert str(raised.value) == (
        f"the server 'openenv' works with openenv 0.10, and {found} is installed: "
        'pip install "visionthink-gym[openenv]"'
    )
    installed(openenv="0.10.7")
    require("openenv", "openenv", {"openenv": "0.10"}, what="server", newer=False)


def test_the_server_says_what_to_install(installed, capsys, monkeypatch):
    installed()
    for name in [name for name in sys.modules if name.startswith("trainers.openenv")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == (
        "vt serve: the remote environment 'openenv' needs the package 'openenv', which is not "
        'installed: pip install "visionthink-gym[openenv]"\n'
    )


WITHOUT = """
import importlib.metadata as metadata, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
there = metadata.version
def version(name):
    if name in {hidden!r}:
        raise metadata.PackageNotFoundError(name)
    return there(name)
metadata.version = version
from experiments.cli import main
sys.exit(main(["train", "laptop", "trainer={trainer}", "--out", {out!r}]))
"""


@pytest.mark.parametrize(
    ("trainer", "hidden", "message"),
    [
        ("local", ["torch"], "the trainer 'local' needs the package 'torch', which is not"),
        ("auto", ["torch", "vllm"], "the trainer 'local' needs the package 'torch', which is not"),
        ("trl", ["trl"], "the trainer 'trl' needs the package 'trl', which is not installed: pip"),
        ("openrlhf", ["openrlhf"], "the trainer 'openrlhf' needs the package 'openrlhf', which"),
        ("opnrlhf", [], "Unknown trainer 'opnrlhf'. Did you mean 'openrlhf'? Known: local"),
    ],
)
def test_the_command_says_so_and_makes_nothing(tmp_path: Path, trainer, hidden, message):
    out = tmp_path / "out"
    code = WITHOUT.format(hidden=hidden, trainer=trainer, out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith("trainer: ")]
    assert done.returncode == 2, done.stderr
    assert len(said) == 1
    assert message in said[0]
    assert ("pip install" in said[0]) == bool(hidden)
    assert not out.exists()


def test_openrlhf_of_another_release(monkeypatch):
    monkeypatch.setattr("trainers.installed.version_of", lambda name: "0.12.0")
    with pytest.raises(
        ConfigError, match=r"works with OpenRLHF 0\.11, and 0\.12\.0 .* pip install"
    ):
        make_trainer("openrlhf")


def test_a_trainer_of_another_package_that_cannot_be_imported(monkeypatch):
    broken = importlib.metadata.EntryPoint("broken", "no_such_package:Trainer", "vt.trainers")
    monkeypatch.setattr("vt_env.registry.entry_points", lambda group: [broken])
    monkeypatch.setattr(TRAINERS, "_factories", dict(TRAINERS._factories))
    with pytest.raises(
        ConfigError, match="'broken' is registered as no_such_package:Trainer, which cannot be"
    ):
        make_trainer("broken")


def test_an_option_that_a_trainer_does_not_take():
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match="trainer 'local' does not take these arguments"):
        make_trainer("local", gpus=8)


def test_what_a_library_asks_for_is_compared_with_what_is_installed(tmp_path, monkeypatch):
    folder = tmp_path / "trl-1.16.9.dist-info"
    folder.mkdir()
    asked = ["torch==0.1", "numpy", "pillow>=1,<2", "nobody_has_this>=3", "not-here; extra == 'x'",
             "with-vllm; extra == 'vllm'", "not-on-this; sys_platform == 'nowhere'"]  # fmt: skip
    lines = ["Metadata-Version: 2.1", "Name: trl", "Version: 1.16.9"]
    lines += [f"Requires-Dist: {line}" for line in asked]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert unmet("local") == []
    assert unmet("trl") == [
        f"torch==0.1 ({version('torch')} is installed)",
        f"pillow<2,>=1 ({version('pillow')} is installed)",
        "nobody_has_this>=3 (none is installed)",
        "with-vllm (none is installed)",
    ]
