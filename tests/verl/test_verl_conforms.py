"""The recorded transcripts through verl's worker, its batch and its advantages.

See docs/architecture.md. Only the engine is not verl's: a script speaks in its place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("verl.experimental.agent_loop", reason="verl is not installed")

from verl_runs import run_of
from verl_worker import learn, play

sys.path.append(str(Path(__file__).parents[1] / "conformance"))
from conformance_adapters import by_group, overrides_of, speaking

from agents.models.loading import load_processor
from trainers.conformance import (
    Case,
    Rollout,
    Script,
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
    stretches,
)
from trainers.verl.hooks import host
from trainers.verl.run import VerlRun


class Verl:
    """All groups of a case in one batch.

    Args:
        model: An untrained policy.
        folder: Of the runs.
    """

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.folder = folder
        self.processor = load_processor(model)
        self.runs: dict[str, VerlRun] = {}

    def play(self, case: Case) -> list:
        size = len(case.groups[0].transcripts)
        if case.name not in self.runs:
            settings = [f"rollout.group_size={size}", "rollout.max_new_tokens=120"]
            settings += overrides_of(case)
            room = {"max_length": 800, "max_prompt": 300, "max_rest": 500}
            self.runs[case.name] = run_of(self.model, self.folder / case.name, *settings, **room)
            self.runs[case.name].write()
        run = self.runs[case.name]
        host(run.folder).tasks["train"] = case.task()
        ids = [group.sample.id for group in case.groups]
        made, _ = play(run, self.processor, Script(case).turn, ids, size)
        learnt = learn(run, made)
        return by_group(case, [self._told(learnt, row) for row in range(len(learnt))])

    def _told(self, made, row: int) -> Rollout:
        batch, facts = made.batch, made.non_tensor_batch
        mask = batch["response_mask"][row].bool()
        there = batch["attention_mask"][row].bool()
        tokens = batch["input_ids"][row]
        trained = tokens.new_zeros(len(tokens)).bool()
        trained[-len(mask) :] = mask
        grids = facts["multi_modal_inputs"][row]["image_grid_thw"]
        features = int(grids.prod(-1).sum()) // self.processor.counter.merge**2
        assert features == int((tokens == self.processor.image_id).sum())
        advantages = batch["advantages"][row][mask]
        assert not batch["advantages"][row][~mask].any()
        assert mask.any() == facts["scored"][row]
        return Rollout(
            reward=batch["rm_scores"][row].sum().item() if mask.any() else None,
            penalty=facts["penalty"][row],
            advantage=advantages[0].item() if len(advantages) else None,
            requested=facts["requested"][row],
            visual_tokens=features,
            stretches=stretches(
                tokens[there].tolist(), trained[there].tolist(), self.processor.tokenizer.decode
            ),
        )


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    model = speaking(tmp_path_factory.mktemp("speaking"))
    return Verl(model, tmp_path_factory.mktemp("runs"))


SEVERAL_VIEWS = ["crops", "pictures", "budget"]


def test_rewards(adapter):
    check_rewards(adapter)


def test_groups_in_one_batch(adapter):
    check_groups(adapter, ["paper", "rate", "price", *SEVERAL_VIEWS])


def test_masks_and_pictures(adapter):
    check_masks(adapter, ["paper", "general", "low", *SEVERAL_VIEWS], turn_end="<|im_end|>")
    check_visual_tokens(adapter, ["none", "general", "low", *SEVERAL_VIEWS])
