"""What a resume may change is in the settings' types."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import pytest

from experiments.recipe import load_recipe
from trainers.config import TrainConfig
from trainers.runs import same_recipe
from vt_env import ConfigError

LIBRARY = "optimiser.microbatch"


def config(*settings: str) -> TrainConfig:
    return load_recipe("qwen2.5-vl-7b", ["environment.judge=auto", *settings])


def resume(changed: TrainConfig, *applied: str, before: TrainConfig | None = None) -> None:
    same_recipe(json.loads(json.dumps(asdict(before or config()))), changed, *applied)


@pytest.mark.parametrize(
    "setting",
    ["openrlhf.engine_memory=0.4", "openrlhf.eager=true", "openrlhf.offload=true",
     "openrlhf.max_length=9000", "verl.engine_memory=0.4", "optimiser.microbatch=2", "steps=7",
     "evaluation.every=3", "checkpoint.keep=4", "tracking.wandb=off", "name=other"],
)  # fmt: skip
def test_what_an_out_of_memory_asks_for_may_change(setting):
    assert config(setting) != config()
    resume(config(setting), LIBRARY)


@pytest.mark.parametrize(
    "setting",
    ["openrlhf.nodes=3", "openrlhf.zero_stage=2", "openrlhf.correction=token", "seed=5",
     "optimiser.learning_rate=1e-9", "rollout.temperature=0.5", "algorithm.options.kl_coef=0.5",
     "model.freeze_vision=true", "reward.penalty_weight=0.9", "environment.judge=exact"],
)  # fmt: skip
def test_what_shapes_the_learning_may_not(setting):
    name = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"the run that is resumed has {name.rsplit('.', 1)[0]}"):
        resume(config(setting), LIBRARY)


def test_the_optimiser_may_change_where_it_is_applied():
    changed = config("optimiser.learning_rate=1e-9", "optimiser.betas=[0.5,0.6]")
    resume(changed, "optimiser")
    with pytest.raises(ConfigError, match=r"optimiser\.microbatch = "):
        resume(config("optimiser.microbatch=2"))


def test_a_judge_may_move_and_not_be_another():
    def judge(spec: str) -> TrainConfig:
        return config(f'environment.judge="{spec}"')

    before = judge("cascade:openai:M@http://node1:8000/v1")
    resume(judge("cascade:openai:M@http://node2:9000/v1"), before=before)
    with pytest.raises(ConfigError, match=r"environment\.judge"):
        resume(judge("cascade:openai:N@http://node1:8000/v1"), before=before)


def test_every_rule_is_one_that_is_known():
    def rules(record: Any):
        for field in fields(record):
            yield field.metadata.get("resume", "fixed")
            if is_dataclass(value := getattr(record, field.name)):
                yield from rules(value)

    assert {r for r in rules(config()) if isinstance(r, str)} == {"fixed", "free", "applied"}
