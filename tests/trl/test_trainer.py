"""Recipes through TRL, and its trainer by itself."""

from __future__ import annotations

import io
import json
import math
import shutil

import pytest
from families import picture
from PIL import Image
from scripted import generated

from agents import make_agent
from agents.tiny.warmup import WarmupConfig, warm_up
from experiments.recipe import load_recipe
from trainers import TrainingError, make_trainer
from trainers.installed import require_release
from trainers.local import LocalTrainer
from trainers.metrics import rollout_metrics
from trainers.tracking import LOG, JsonLines
from trainers.trl import adapt, grpo_trainer
from trainers.trl.settings import checked
from vt_env import ConfigError, PictureError, Sample, make_task

SMALL = (
    "trainer=trl",
    "data.train=generated:n=64,split=train",
    "data.validation=generated:n=8,split=validation",
    "steps=4",
    "rollout.prompts=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=14",
    "rollout.probes=0",
    "algorithm.options.kl_coef=0.3",
    "optimiser.minibatches=2",
    "optimiser.microbatch=3",
    "optimiser.decay=none",
    "optimiser.warmup_steps=0",
    "evaluation.every=2",
    "checkpoint.every=2",
    "tracking.wandb=off",
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A policy that has half learnt the format, so that its rewards differ."""
    folder = tmp_path_factory.mktemp("tiny")
    warm_up(
        WarmupConfig(reading=0, vision_steps=20, vision_batch=8, steps=60, batch=8), folder, seed=1
    )
    return folder


@pytest.fixture
def recipe(tiny):
    def make(*overrides):
        return load_recipe("laptop", [f"model.path={tiny}", *SMALL, *overrides])

    return make


def lines(out):
    """The log without what differs between equal runs."""
    return [
        {k: v for k, v in row.items() if not k.startswith("time/")}
        for row in JsonLines(out / LOG).rows()
    ]


def test_a_run_and_its_resume(recipe, tmp_path, monkeypatch):
    """Two updates a step, each of two microbatches; a resumed run goes on bit for bit."""
    seen = []
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    result = make_trainer("trl").train(recipe(), whole, progress=lambda s, m: seen.append(s))
    assert seen == [1, 2, 3, 4]
    make_trainer("trl").train(recipe("steps=2"), halved)
    again = make_trainer("trl").train(recipe(), halved, resume=True)
    assert lines(halved) == lines(whole)
    assert again.evaluation == result.evaluation
    assert not (whole / "trl").exists()
    smaller = tmp_path / "smaller"  # as after running out of memory
    shutil.copytree(whole, smaller)
    shutil.rmtree(smaller / "checkpoint" / "step-000004")
    make_trainer("trl").train(recipe("optimiser.microbatch=1"), smaller, resume=True)
    _, _, mine, last = lines(smaller)
    assert last["step"] == 4
    for name, value in lines(whole)[2].items():  # the same rollouts, and the same update
        if name.startswith(("reward/", "rollout/", "env/")):
            assert mine[name] == value, name
    assert mine["train/grad_norm"] == pytest.approx(lines(whole)[2]["train/grad_norm"], rel=1e-3)
    rows = list(JsonLines(whole / LOG).rows())
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["train/learning_rate"] > 0 for row in rows] == [True] * 4
    assert all(row["train/kl"] >= 0 and row["time/step"] > 0 for row in rows)
    assert [("eval/accuracy" in row) for row in rows] == [False, True, False, True]
    assert (whole / "checkpoint" / "step-000004" / "state.json").exists()
    agent = make_agent(f"tiny:{result.checkpoint}")
    assert agent.vlm.tokenizer.chat_template
    with pytest.raises(ConfigError, match="holds unfinished results of vt train already"):
        make_trainer("trl").train(recipe(), whole)
    for changed, message in (
        ("rollout.prompts=6", r"rollout\.prompts = 3, the recipe says 6"),
        ("optimiser.learning_rate=1e-7", r"optimiser\.learning_rate = "),
    ):
        with pytest.raises(ConfigError, match=message):
            make_trainer("trl").train(recipe(changed), whole, resume=True)
    state = json.loads((whole / "checkpoint" / "step-000004" / "state.json").read_text())
    for name in ("model", "train"):
        found = {**state["fingerprints"], name: "another"}
        monkeypatch.setattr("trainers.trl.run.fingerprints", lambda *_, found=found: found)
        with pytest.raises(ConfigError, match="is not what the run began with"):
            make_trainer("trl").train(recipe(), whole, resume=True)


def test_the_whole_way_can_be_tried_within_one_step(recipe, tmp_path):
    """The policy is measured before the first step, and saved after it; a resume does neither."""
    settings = ("early=true", "checkpoint.every=0", "checkpoint.keep=9")
    make_trainer("trl").train(recipe(*settings, "steps=2"), tmp_path)
    make_trainer("trl").train(recipe(*settings, "steps=3"), tmp_path, resume=True)
    first, *later = lines(tmp_path)
    assert first["before/n"] == 8
    assert not any(name.startswith("before/") for row in later for name in row)
    saved = {folder.name for folder in (tmp_path / "checkpoint").glob("step-*")}
    assert saved == {"step-000001", "step-000002", "step-000003"}


def test_the_log_is_the_local_trainers(recipe, tmp_path):
    """The same names, and at the first step the same samples; generation draws other numbers."""
    few = ("steps=1", "rollout.prompts=8", "optimiser.microbatch=4")
    make_trainer("trl").train(recipe(*few), tmp_path / "trl")
    LocalTrainer().train(recipe(*few, "trainer=local"), tmp_path / "local")
    (theirs,), (ours,) = (lines(tmp_path / name) for name in ("trl", "local"))
    assert {k for k in theirs if not k.startswith("train/")} == {
        k for k in ours if not k.startswith("train/")
    }
    assert {k for k in theirs if k.startswith("train/")} <= set(ours)
    kinds = {k for k in ours if k.startswith("rollout/request_rate/")}
    assert kinds
    assert ours["rollout/tokens"] == pytest.approx(theirs["rollout/tokens"], rel=0.4)


def test_another_release(monkeypatch):
    monkeypatch.setattr("trainers.installed.version", lambda name: "1.17.0")
    with pytest.raises(ConfigError, match=r"works with TRL 1\.16, and 1\.17\.0 .* pip install"):
        require_release("trl")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rollout.probes=1", "cannot do this: force the first words of a turn; set"),
        ("rollout.rounds=2", r"set rollout\.rounds=1"),
        ("algorithm.name=ppo", "the algorithm 'ppo'; it has dapo, dr_grpo, grpo, gspo"),
        ("algorithm.options.kl_estimator=k2", "another KL than k3 in the loss"),
        ("algorithm.options.drop_without_signal=true", "leave out groups without signal"),
        ("algorithm.entropy=0.1", "an entropy bonus"),
        ("model.lora_rank=4", "LoRA by a recipe"),
        ("model.device=cuda:3", r"model\.device is one of auto, cpu, cuda"),
        ("optimiser.microbatch=4", "12 episodes a step in 2 minibatches of microbatches of 4"),
    ],
)
def test_what_it_cannot_do_is_refused(recipe, tmp_path, setting, message):
    with pytest.raises(ConfigError, match=message):
        make_trainer("trl").train(recipe(setting), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=message):
        checked(recipe(setting))


def test_its_trainer_by_itself(tiny, settings, tmp_path):
    task = make_task("generated:n=16,split=train", prompt="tiny")
    chosen = settings(8, 4, max_steps=2, generation_kwargs={"max_new_tokens": 14})
    grpo_trainer(tiny, task, chosen, out=tmp_path / "out").train()
    rows = list(JsonLines(tmp_path / "out" / LOG).rows())
    assert [row["step"] for row in rows] == [1, 2]
    assert {"reward/mean", "env/accuracy", "env/visual_tokens", "time/step"} <= rows[0].keys()
    assert any(name.startswith("rollout/request_rate/") for name in rows[0])
    with pytest.raises(ConfigError, match="holds a run already; choose another folder"):
        grpo_trainer(tiny, task, chosen, out=tmp_path / "out")
    assert chosen.max_tool_calling_iterations == 1
    assert chosen.generation_kwargs["max_new_tokens"] == 14
    assert chosen.generation_kwargs["suppress_tokens"]


def test_a_relative_takes_the_same_arguments(tiny, settings):
    """GMPO is GRPOTrainer with another loss."""
    from trl.experimental.gmpo import GMPOConfig, GMPOTrainer

    adapter = adapt(make_task("generated:n=16,split=train", prompt="tiny"), tiny, group_size=4)
    base = settings(8, 4).to_dict()
    names = ("output_dir", "num_generations", "per_device_train_batch_size", "report_to")
    kept = {name: base[name] for name in names}
    chosen = GMPOConfig(**kept, max_steps=1, use_cpu=True, bf16=False)
    adapter.fit(chosen)
    trainer = GMPOTrainer(str(tiny), args=chosen, **adapter.arguments())
    trainer.train()
    assert math.isfinite(trainer.state.log_history[-1]["train_loss"])


def test_settings_that_contradict_the_environment(tiny, settings):
    task = make_task("generated:n=16,split=train", prompt="tiny")
    with pytest.raises(ConfigError, match=r"max_tool_calling_iterations must be 1 .* got 3"):
        grpo_trainer(tiny, task, settings(8, 4, max_tool_calling_iterations=3))


def speaker(trainer, *turns):
    """Says the same turns in every rollout."""
    tokenizer, left = trainer.processing_class.tokenizer, {}

    def say(environment):
        text = next(left.setdefault(id(environment), iter(turns)))
        return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

    return say


CALL = (
    '<think>blurry</think><tool_call>{"name": "resize_image", "arguments": '
    '{"action": "resize"}}</tool_call>'
)
ANSWER = "<think>clear</think><answer>red</answer>"


def test_a_rollout_that_is_cut_short_stops_the_run(untrained, settings):
    """TRL would take the picture back, and train on a request that nothing came of."""
    task = make_task("generated:n=16,split=train", prompt="tiny")
    trainer = grpo_trainer(untrained, task, settings(8, 4, max_completion_length=20))
    with pytest.raises(TrainingError, match="left no room for another turn; raise max_completion"):
        generated(trainer, speaker(trainer, CALL, ANSWER))


@pytest.mark.parametrize("budget", [{"max_pictures": 1}, {"max_visual_tokens": 10}])
def test_a_call_over_a_budget_ends_the_rollout(untrained, settings, budget):
    """TRL asks for another turn after every call that it is told of, so it is not told of this."""
    task = make_task("generated:n=16,split=train", prompt="tiny", **budget)
    trainer = grpo_trainer(untrained, task, settings(8, 4))
    batch = generated(trainer, speaker(trainer, CALL))
    dialogues = [environment.dialogue for environment in trainer.environments]
    assert [(d.turn, d.truncated, len(d.views)) for d in dialogues] == [(1, True, 1)] * 8
    assert batch["tool_mask"].all()


def test_a_tool_that_fails_in_a_strict_protocol_stops_the_run(untrained, settings, monkeypatch):
    def broken(*_):
        raise ValueError("a fault of ours")

    monkeypatch.setattr("vt_env.tools.ResizeImage.apply", broken)
    task = make_task("generated:n=16,split=train", prompt="tiny", strict=True)
    trainer = grpo_trainer(untrained, task, settings(8, 4))
    with pytest.raises(TrainingError, match="sample 'train-0-000000': a fault of ours"):
        generated(trainer, speaker(trainer, CALL))


def test_an_original_that_is_refused_ends_no_run(untrained, settings, monkeypatch):
    """The policy is told in an error turn, as in every environment, and answers."""
    task = make_task("generated:n=16,split=train", prompt="tiny")
    trainer = grpo_trainer(untrained, task, settings(8, 4))

    def torn(*_):
        raise PictureError("the file is torn")

    monkeypatch.setattr("vt_env.tools.ResizeImage.apply", torn)
    assert generated(trainer, speaker(trainer, CALL, ANSWER))


def torn_sample() -> Sample:
    stream = io.BytesIO()
    Image.fromarray(picture(32, 32)).save(stream, "PNG")
    return Sample("bad", "What?", ("red",), stream.getvalue()[:900])


def test_a_picture_that_is_refused_costs_its_question(untrained, settings):
    """Its rollouts are unscored, whatever the policy says to the blank picture in its place."""
    good = Sample("good", "What?", ("red",), picture(32, 32))
    task = make_task([torn_sample(), good], prompt="tiny", tokens="tiny")
    trainer = grpo_trainer(untrained, task, settings(8, 4))
    scoring = trainer.reward_funcs[0].__self__
    scoring.episodes = []
    batch = generated(trainer, speaker(trainer, ANSWER))
    episodes = scoring.take()
    assert [e.reward.total for e in episodes] == [None] * 4 + [1.5] * 4
    assert "sample 'bad'" in episodes[0].verdict.reason
    assert batch["tool_mask"].any(1).tolist() == [False] * 4 + [True] * 4
    assert rollout_metrics(episodes, 4)["rollout/failed"] == 4


def test_too_many_pictures_that_are_refused_stop_the_run(untrained, settings):
    task = make_task([torn_sample()], prompt="tiny", tokens="tiny")
    adapter = adapt(task, untrained, group_size=4, max_failed=0)
    trainer = adapter.grpo(str(untrained), settings(4, 4))
    with pytest.raises(TrainingError, match=r"sample 'bad': .* too many to go on"):
        generated(trainer, speaker(trainer, ANSWER))


def test_groups_that_are_not_whole(untrained, settings):
    task = make_task("generated:n=16,split=train", prompt="tiny")
    trainer = grpo_trainer(untrained, task, settings(8, 4))
    trainer.reward_funcs[0].__self__.group_size = 8
    with pytest.raises(TrainingError, match="8 rollouts of one sample make a group, but 8 of"):
        generated(trainer, speaker(trainer, ANSWER))


def test_a_batch_in_slices_is_rewarded_as_a_whole(untrained, settings):
    """Two microbatches and two updates of two rollouts each share a generation of one group."""
    task = make_task("generated:n=16,split=train", prompt="tiny")
    chosen = settings(2, 8, steps_per_generation=4)
    trainer = grpo_trainer(untrained, task, chosen)
    batch = generated(trainer, speaker(trainer, ANSWER))
    assert len(batch["advantages"]) == 8
    assert batch["advantages"].tolist() == [0.0] * 8
