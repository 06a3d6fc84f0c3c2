"""The recorded transcripts through TRL's trainer; see docs/architecture.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conformance_adapters import speaking
from scripted import TRL

from trainers.conformance import (
    Case,
    Rollout,
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Path:
    return speaking(tmp_path_factory.mktemp("speaking"))


@pytest.fixture
def adapter(untrained, settings):
    return TRL(untrained, partial(settings, max_completion_length=800))


SEVERAL_VIEWS = ["crops", "pictures", "budget"]


def test_rewards(adapter):
    check_rewards(adapter)


def test_groups_and_advantages(adapter):
    check_groups(adapter, ["paper", "rate", "price", *SEVERAL_VIEWS])


def test_masks_and_pictures(adapter):
    check_masks(adapter, ["paper", "general", "low", *SEVERAL_VIEWS], turn_end="<|im_end|>")
    check_visual_tokens(adapter, ["none", "general", "low", *SEVERAL_VIEWS])


class Processes:
    """Two processes, whose shares end in the middle of a group.

    Args:
        path: An untrained checkpoint.
        folder: For what they tell.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder

    def play(self, case: Case) -> list[list[Rollout]]:
        script = Path(__file__).with_name("one_of_several.py")
        groups = ",".join(group.name for group in case.groups)
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script]
        command = [sys.executable, *launch, self.path, case.name, groups, self.folder]
        there = {"PYTHONPATH": os.pathsep.join(map(str, sys.path)), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env={**os.environ, **there})
        told = [json.loads((self.folder / f"{rank}.json").read_text()) for rank in range(2)]
        rollouts = [Rollout(**rollout) for mine in told for rollout in mine]
        return [rollouts[begin : begin + 8] for begin in range(0, len(rollouts), 8)]


def test_a_group_that_spans_processes(untrained, tmp_path):
    """Three groups of eight: each process plays twelve rollouts, so the second group is shared."""
    groups = ["at-threshold", "unscored", "half-is-enough"]
    check_rewards(Processes(untrained, tmp_path), ["rate"], groups)
