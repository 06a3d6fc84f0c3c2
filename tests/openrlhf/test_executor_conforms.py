"""The recorded transcripts through OpenRLHF's executor; see docs/architecture.md."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openrlhf.utils.agent", reason="OpenRLHF is not installed")
pytest.importorskip("torch")

from engines import ScriptedEngine, play

sys.path.append(str(Path(__file__).parents[1] / "conformance"))
from conformance_adapters import overrides_of, speaking

from trainers.conformance import (
    Case,
    Rollout,
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
    stretches,
)
from trainers.openrlhf.executor import executor_for
from trainers.openrlhf.run import OpenRLHFRun


class OpenRLHF:
    """The executor, asked for rollouts as OpenRLHF does it; all groups of a case are in flight.

    Args:
        recipe: Makes the recipe.
        model: An untrained policy.
        folder: Of the run.
    """

    def __init__(self, recipe: Any, model: Path, folder: Path) -> None:
        self.recipe = recipe
        self.model = model
        self.folder = folder
        self.executors: dict[str, Any] = {}

    def play(self, case: Case) -> list[list[Rollout]]:
        if case.name not in self.executors:
            self.executors[case.name] = self._executor(case)
        executor = self.executors[case.name]
        executor.tasks["train"] = case.task()
        return asyncio.run(self._play(executor, case))

    def _executor(self, case: Case) -> Any:
        size = len(case.groups[0].transcripts)
        settings = [f"model.path={self.model}", "rollout.probes=0", f"rollout.group_size={size}"]
        settings += ["rollout.max_new_tokens=120", *overrides_of(case)]
        run = OpenRLHFRun(self.folder, Path.cwd(), self.recipe(*settings), max_length=800)
        run.write()
        return executor_for(run.folder)()

    async def _play(self, executor: Any, case: Case) -> list[list[Rollout]]:
        groups = [
            play(
                executor,
                ScriptedEngine(executor.processor, group.transcripts),
                {"split": "train", "id": group.sample.id, "shown": False},
                len(group.transcripts),
            )
            for group in case.groups
        ]
        return [self._told(executor, responses) for responses in await asyncio.gather(*groups)]

    def _told(self, executor: Any, responses: Sequence[dict[str, Any]]) -> list[Rollout]:
        made = []
        for response in responses:
            tokens = response["observation_tokens"]
            trained = [False] * len(tokens)
            for begin, end in response["action_ranges"]:
                trained[begin:end] = [True] * (end - begin)
            episode = response["label"]  # of an unscored one the driver trains on no token
            made.append(
                Rollout(
                    reward=None if episode.reward.total is None else response["reward"],
                    penalty=episode.reward.penalty,
                    requested=bool(response["extra_logs"]["rollout/request_rate"]),
                    visual_tokens=tokens.count(executor.processor.image_id),
                    stretches=stretches(tokens, trained, executor.processor.tokenizer.decode),
                )
            )
        return made


SEVERAL_VIEWS = ["crops", "pictures", "budget"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return speaking(tmp_path_factory.mktemp("speaking"))


@pytest.fixture
def adapter(recipe, model, tmp_path):
    return OpenRLHF(recipe, model, tmp_path)


def test_rewards(adapter):
    check_rewards(adapter)


def test_groups_in_flight_together(adapter):
    check_groups(adapter, ["paper", "rate", "price", *SEVERAL_VIEWS])


def test_masks_and_pictures(adapter):
    check_masks(adapter, ["paper", "general", "low", *SEVERAL_VIEWS], turn_end="<|im_end|>")
    check_visual_tokens(adapter, ["none", "general", "low", *SEVERAL_VIEWS])
