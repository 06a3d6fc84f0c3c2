"""The local trainer: what it plays, what it learns from, and that it learns."""

from __future__ import annotations

import io
import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer, says
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainers import TRAINERS, Trainer, make_trainer
from trainers.config import RolloutConfig
from trainers.files import CHECKSUM
from vt_env import ConfigError, DataError, MissingExtra, Sample, Verdict, open_source

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from trainers.algorithms import ALGORITHMS, make_algorithm  # noqa: E402
from trainers.data import SampleOrder  # noqa: E402
from trainers.episodes import is_probe  # noqa: E402
from trainers.local import play  # noqa: E402
from trainers.local.learner import Learner, Lesson  # noqa: E402
from trainers.local.play import Player  # noqa: E402
from trainers.local.policy import Policy  # noqa: E402
from trainers.metrics import rollout_metrics  # noqa: E402
from trainers.models import Validation  # noqa: E402
from trainers.runs import score as score_of  # noqa: E402


def rows(out: Path) -> list[dict]:
    read = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != CHECKSUM} for row in read]


def policy_of(config, *, reference: bool = True, critic: bool = False) -> Policy:
    return Policy(config.model, None, reference=reference, critic=critic)


def learner_of(config) -> Learner:
    algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
    policy = policy_of(config, reference=algorithm.kl_coef > 0, critic=algorithm.needs_critic)
    return Learner(policy, algorithm, config)


def test_trainers_are_found_by_name():
    assert "local" in TRAINERS.names()
    assert isinstance(make_trainer("local"), Trainer)
    with pytest.raises(ConfigError, match="Did you mean 'local'"):
        make_trainer("locl")


# ------------------------------------------------------------------------------ what is played


@settings(deadline=None)
@given(size=st.integers(3, 30), counts=st.lists(st.integers(1, 3), max_size=40))
def test_every_sample_is_played_once_an_epoch_and_once_a_step(size, counts):
    ids = [f"s{i}" for i in range(size)]
    order = SampleOrder(ids, seed=3)
    position, played = 0, []
    for count in counts:
        before = position
        chosen, position = order.take(position, count)
        assert len(set(chosen)) == count
        assert SampleOrder(ids, seed=3).take(before, count) == (chosen, position)
        played += chosen
    assert len(set(played[: size - 2])) == len(played[: size - 2])


def test_probes_are_forced_into_both_arms_and_marked(recipe):
    config = recipe("rollout.probes=1")
    policy = policy_of(config)
    player = Player(config, policy.vlm)
    episodes = player.play(1)
    for begin in range(0, len(episodes), 4):
        direct, request, *free = episodes[begin : begin + 4]
        assert direct.replies[0].text.startswith("<think>clear</think><answer>")
        assert request.replies[0].text.startswith("<think>blurry</think><tool_call>")
        assert [is_probe(e) for e in (direct, request, *free)] == [True, True, False, False]
    batch, _, _ = Lesson(policy, episodes, config).batch()
    assert batch.forced is not None
    assert batch.forced.any(-1).tolist() == [[True, True, False, False]] * 3
    assert not (batch.forced & ~batch.mask).any()
    numbers = rollout_metrics(episodes, 4)
    assert numbers["rollout/probes"] == 6
    assert numbers["env/correct_direct"] is not None


def test_groups_without_signal_are_played_again_with_other_questions(recipe, monkeypatch):
    config = recipe("rollout.rounds=3")
    player = Player(config, policy_of(config).vlm)
    monkeypatch.setattr(play, "has_signal", lambda group: group[0].sample.id[-1] in "02468")
    episodes = player.play(1)
    groups = [episodes[begin : begin + 4] for begin in range(0, len(episodes), 4)]
    asked = [group[0].sample.id for group in groups]
    assert len(groups) in (6, 9)
    assert len(set(asked)) == len(asked)
    assert player.position == len(asked)
    lesson = player.lesson(episodes)
    assert len(lesson) == 12
    kept = [lesson[begin].sample.id for begin in range(0, 12, 4)]
    even = [sample_id for sample_id in asked if sample_id[-1] in "02468"]
    assert kept[: len(even)] == even[:3]


def test_one_round_learns_from_all_it_played(recipe):
    config = recipe()
    player = Player(config, policy_of(config).vlm)
    episodes = player.play(1)
    assert player.lesson(episodes) == episodes
    with pytest.raises(ConfigError, match="rounds"):
        recipe("rollout.rounds=0")


def test_a_step_does_not_depend_on_the_steps_before_it(recipe):
    config = recipe()
    policy = policy_of(config)
    first, second = Player(config, policy.vlm), Player(config, policy.vlm)
    first.play(1)
    second.position = first.position
    texts = [[r.text for e in p.play(2) for r in e.replies] for p in (first, second)]
    assert texts[0] == texts[1]


def five_samples_one_broken() -> list[Sample]:
    """The picture of s2 is cut off in the middle, which is seen only when it is decoded."""
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)).save(
        picture, "png"
    )
    whole, cut = picture.getvalue(), picture.getvalue()[:1000]
    return [
        Sample(f"s{i}", "What shape is it?", ("square",), cut if i == 2 else whole)
        for i in range(5)
    ]


def test_a_refused_picture_is_left_out_of_an_evaluation(recipe):
    validation = Validation(recipe(), policy_of(recipe()).vlm)
    validation.env.task = replace(validation.task, source=open_source(five_samples_one_broken()))
    validation.ids = [f"s{i}" for i in range(5)]
    numbers, shown = validation.run()
    assert (numbers["eval/n"], numbers["eval/refused"]) == (4, 1)
    assert [e.sample.id for e in shown] == ["s0", "s1", "s3", "s4"]


def test_a_refused_picture_makes_room_for_the_next_sample(recipe, caplog):
    config = recipe("rollout.prompts=3")
    policy = policy_of(config)
    samples = five_samples_one_broken()
    player = Player(config, policy.vlm)
    player.env.task = player.task = replace(player.task, source=open_source(samples))
    player.order = SampleOrder(player.task.source.ids(), seed=0)
    played = set()
    with caplog.at_level(logging.WARNING):
        for step in range(1, 5):
            played |= {e.sample.id for e in player.play(step)}
    assert played == {"s0", "s1", "s3", "s4"}
    assert player.refused >= 1
    assert "s2" in caplog.text


def test_a_step_that_needs_every_sample_ends_where_a_picture_is_refused(recipe):
    """It looked for a fifth good sample among four, for ever."""
    config = recipe("rollout.prompts=5")
    player = Player(config, policy_of(config).vlm)
    player.env.task = player.task = replace(
        player.task, source=open_source(five_samples_one_broken())
    )
    player.order = SampleOrder(player.task.source.ids(), seed=0)
    with pytest.raises(DataError, match="too few samples: 1 more are needed, and of 5"):
        player.play(1)


@pytest.mark.parametrize(("count", "taken"), [(4, []), (3, ["a"]), (1, ["a", "b", "c"])])
def test_an_order_gives_what_there_is_and_no_more(count, taken):
    order = SampleOrder(["a", "b", "c"], seed=0)
    with pytest.raises(DataError, match="too few samples"):
        order.take(1, count, taken)
    assert set(order.take(1, 3 - len(taken), taken)[0]) == set("abc") - set(taken)


def test_more_questions_a_step_than_samples_are_refused(recipe):
    config = recipe("data.train=generated:n=2")
    with pytest.raises(DataError, match="only 2 samples"):
        Player(config, policy_of(config).vlm)


def test_an_agent_without_tokens_cannot_be_trained(recipe):
    config = recipe()
    config = replace(config, model=replace(config.model, agent="ocr"))
    with pytest.raises(ConfigError):
        Player(config, policy_of(config).vlm)


# --------------------------------------------------------------------------- what is learnt from


def test_only_generated_tokens_are_trained_on(recipe):
    config = recipe("optimiser.microbatch=3")
    policy = policy_of(config)
    episodes = Player(config, policy.vlm).play(1)
    batch, entropy, drift = Lesson(policy, episodes, config).batch()
    said = [sum(len(r.token_ids) for r in e.replies) for e in episodes]
    assert batch.mask.sum(-1).flatten().tolist() == said
    given_ = [
        math.nan if e.reward.total is None else pytest.approx(e.reward.total) for e in episodes
    ]
    assert batch.rewards.flatten().tolist() == given_
    assert drift < 1e-4, "sampling and training disagree"
    assert entropy > 0
    torch.testing.assert_close(
        torch.where(batch.mask, batch.old_log_probs, 0.0),
        torch.where(batch.mask, batch.ref_log_probs, 0.0),
    )


def test_gradients_do_not_depend_on_how_a_minibatch_is_cut(recipe):
    grads = []
    for size in (1, 5, 100):
        config = recipe(f"optimiser.microbatch={size}", "model.freeze_vision=false")
        learner = learner_of(config)
        episodes = Player(config, learner.policy.vlm).play(1)
        learner.learn(episodes, 1)
        grads.append([p.grad.clone() for p in learner.parameters])
    for other in grads[1:]:
        torch.testing.assert_close(grads[0], other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_vision_tower_stays_as_it_is(recipe, frozen):
    config = recipe(f"model.freeze_vision={str(frozen).lower()}")
    learner = learner_of(config)
    model = learner.policy.vlm.model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    learner.learn(Player(config, learner.policy.vlm).play(1), 1)
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert any("language_model" in name for name in moved)
    assert any("visual" in name for name in moved) != frozen


@pytest.mark.parametrize("name", [n for n in ALGORITHMS.names() if ":" not in n])
def test_every_algorithm_takes_a_step(recipe, name):
    tool = {"dtpo": "adaptvision", "hdpo": "hdpo"}.get(name, "none")
    settings = (f"algorithm.name={name}", f"reward.tool={tool}")
    config = recipe(*settings, "algorithm.options={kl_coef = 0.05}")
    learner = learner_of(config)
    player = Player(config, learner.policy.vlm)
    for step in (1, 2):
        numbers = learner.learn(player.play(step), step)
        assert all(math.isfinite(v) for v in numbers.values())
    assert numbers.get("train/kl", 1.0) > 0  # dapo may drop every group
    assert (learner.policy.critic is not None) == ("train/value_loss" in numbers)


@pytest.mark.parametrize(("place", "estimator"), [("reward", "k1"), ("loss", "k2"), ("loss", "k3")])
def test_the_kl_is_a_loss_or_part_of_the_reward(recipe, place, estimator):
    options = f'{{kl_coef = 0.5, kl_in = "{place}", kl_estimator = "{estimator}"}}'
    config = recipe(f"algorithm.options={options}")
    learner = learner_of(config)
    episodes = Player(config, learner.policy.vlm).play(1)
    kls = [learner.learn(episodes, step)["train/kl"] for step in (1, 2, 3)]
    assert kls[0] == pytest.approx(0, abs=1e-8)
    assert kls[-1] > 0


def test_a_critic_learns(recipe):
    config = recipe("algorithm.name=ppo", "algorithm.options={}", "algorithm.entropy=0.0")
    learner = learner_of(config)
    episodes = Player(config, learner.policy.vlm).play(1)
    losses = [learner.learn(episodes, step)["train/value_loss"] for step in range(1, 9)]
    assert losses[-1] < losses[0]


def test_unscored_rollouts_are_no_lesson(recipe, monkeypatch):
    config = recipe()
    learner = learner_of(config)
    player = Player(config, learner.policy.vlm)
    monkeypatch.setattr(
        type(player.task.judge), "score", lambda self, qs: [Verdict(None, "x", "busy") for _ in qs]
    )
    monkeypatch.setattr(
        "vt_env.dialogue.Dialogue.no_answer", lambda self: Verdict(None, "x", "busy")
    )
    episodes = player.play(1)
    assert all(e.reward.total is None for e in episodes)
    numbers = learner.learn(episodes, 1)
    assert all(math.isfinite(v) for v in numbers.values())
    told = rollout_metrics(episodes, 4)
    assert told["reward/mean"] is None
    assert told["env/unscored"] == 12


def test_bfloat16_keeps_float32_weights(recipe):
    config = recipe("model.dtype=bfloat16")
    learner = learner_of(config)
    with torch.no_grad(), learner.policy.precision():
        episodes = Player(config, learner.policy.vlm).play(1)
    numbers = learner.learn(episodes, 1)
    assert all(math.isfinite(v) for v in numbers.values())
    assert {p.dtype for p in learner.parameters} == {torch.float32}


def test_the_learning_rate_rises(recipe):
    config = recipe("optimiser.warmup_steps=4", "optimiser.learning_rate=1.0")
    learner = learner_of(replace(config, rollout=RolloutConfig(prompts=2, group_size=2)))
    rates = []
    for learner.updates in range(6):
        rates.append(learner._rate(1))
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("decay", "rates"),
    [
        ("none", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.8536, 0.5, 0.1464]),
    ],
)
def test_the_learning_rate_falls(recipe, decay, rates):
    config = recipe("optimiser.learning_rate=1.0", f"optimiser.decay={decay}", "steps=4")
    learner = learner_of(replace(config, rollout=RolloutConfig(prompts=2, group_size=2)))
    assert [learner._rate(step) for step in (1, 2, 3, 4)] == pytest.approx(rates, abs=1e-4)


# --------------------------------------------------------------------------------- what is left


def test_what_a_run_leaves(tmp_path, train):
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers import Qwen2_5_VLForConditionalGeneration as Stock

    seen = []
    result = train(tmp_path / "run", progress=lambda step, metrics: seen.append(step))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert result.steps == 6
    logged = rows(result.log.parent)
    assert [row["step"] for row in logged] == seen
    families = {name.partition("/")[0] for row in logged for name in row} - {"step"}
    assert families == {"train", "rollout", "reward", "env", "eval", "time"}
    assert [row["step"] for row in logged if "eval/accuracy" in row] == [3, 6]
    assert [row["reward/cost"] for row in logged] == [0] * 6
    assert result.evaluation["eval/n"] == 8
    _, info = Stock.from_pretrained(result.checkpoint, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert AutoConfig.from_pretrained(result.checkpoint).model_type == "qwen2_5_vl"
    assert AutoTokenizer.from_pretrained(result.checkpoint).chat_template
    assert AutoImageProcessor.from_pretrained(result.checkpoint).patch_size == 4
    assert result.best is not None
    assert result.best.is_dir()


def test_the_whole_way_can_be_tried_within_one_step(tmp_path, train):
    """The policy is measured before the first step, and saved after it; nothing else changes."""
    few = ("steps=3", "checkpoint.every=0", "checkpoint.keep=9")
    plain = train(tmp_path / "plain", *few)
    early = train(tmp_path / "early", *few, "early=true")

    def told(result, family=""):
        return [
            {k: v for k, v in row.items() if not k.startswith(("time/", family or "time/"))}
            for row in rows(result.log.parent)
        ]

    assert told(early, "before/") == told(plain)
    measured = [{k for k in row if k.startswith("before/")} for row in rows(early.log.parent)]
    assert {"before/n", "before/accuracy"} < measured[0]
    assert measured[1:] == [set(), set()]
    saved = {folder.name for folder in (tmp_path / "early" / "checkpoint").glob("step-*")}
    assert saved == {"step-000001", "step-000003"}


def test_the_log_says_what_judging_took(tmp_path, train):
    with ChatServer(says("wrong")) as server:
        judge = f"openai:m@{server.url},price_in=10,canaries=2"
        result = train(tmp_path / "run", f"environment.judge={judge}", "steps=3")
    taken = rows(result.log.parent)[-1]
    asked = taken["judge/answered"] + taken["judge/canaries"]
    assert 0 <= len(server.requests) - asked <= 2  # a planted answer may still be on its way
    assert taken["judge/queries"] > taken["judge/answered"] > 0
    assert taken["judge/tokens_in"] == 100 * asked
    assert taken["judge/cost"] == pytest.approx(1e-3 * asked)
    assert taken["judge/canary_pass_rate"] == 0
    assert 0 <= taken["judge/hit_rate"] <= 1


def test_the_log_says_what_visual_tokens_cost(recipe):
    config = recipe("reward.penalty=none", "reward.token_price=0.4")
    episodes = Player(config, policy_of(config).vlm).play(1)
    shown = [e.outcome.visual_tokens / e.outcome.full_tokens for e in episodes]
    assert rollout_metrics(episodes, 4)["reward/cost"] == pytest.approx(0.4 * np.mean(shown))


@pytest.mark.parametrize(
    ("changed", "score"),
    [
        (["reward.penalty=rate"], 0.9 - 0.5 * 0.4),
        (["reward.penalty=none"], 0.9),
        (["reward.penalty=none", "reward.token_price=0.2"], 0.9 - 0.2 * 0.65),
    ],
)
def test_the_best_checkpoint_is_chosen_by_what_the_reward_charges(recipe, changed, score):
    evaluation = {"eval/accuracy": 0.9, "eval/request_rate": 0.4, "eval/token_ratio": 0.65}
    assert score_of(evaluation, recipe(*changed)) == pytest.approx(score)


def test_two_runs_of_one_recipe_are_equal_and_leave_torch_alone(tmp_path, train):
    before = torch.get_rng_state()
    for name in ("a", "b"):
        train(tmp_path / name, "steps=2")
    first, second = (
        [{k: v for k, v in r.items() if "time/" not in k} for r in rows(tmp_path / n)] for n in "ab"
    )
    assert first == second
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_no_step_draws_from_torchs_own_generator(tmp_path, train, algorithm):
    """So a checkpoint needs no state of it, and a resumed run goes on bit for bit."""
    states = []
    train(
        tmp_path / "run",
        "steps=3",
        f"algorithm.name={algorithm}",
        progress=lambda *_: states.append(torch.get_rng_state()),
    )
    assert len(states) == 3
    assert all(torch.equal(states[0], state) for state in states)


def test_lora_without_peft_says_what_to_install(recipe, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"visionthink-gym\[lora\]"):
        policy_of(recipe("model.lora_rank=2"))


def test_lora_trains_adapters_alone_and_saves_a_plain_model(tmp_path, recipe, train):
    pytest.importorskip("peft")
    config = recipe("model.lora_rank=4", "algorithm.options={kl_coef = 0.1}")
    learner = learner_of(config)
    policy = learner.policy
    assert policy.reference is policy.vlm
    before = {k: v.clone() for k, v in policy.vlm.model.state_dict().items()}
    player = Player(config, policy.vlm)
    for step in (1, 2):
        numbers = learner.learn(player.play(step), step)
    assert numbers["train/kl"] > 0
    moved = {k for k, v in policy.vlm.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(".lora_" in name for name in moved)
    policy.save(tmp_path / "model")
    plain = policy_of(
        replace(config, model=replace(config.model, lora_rank=0, path=str(tmp_path / "model")))
    )
    episodes = player.play(3)
    scores = [Lesson(p, episodes, config).batch()[0].old_log_probs for p in (policy, plain)]
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-4)


def test_lora_resumes_bit_for_bit(tmp_path, train):
    pytest.importorskip("peft")
    train(tmp_path / "whole", "model.lora_rank=2", "steps=4")
    train(tmp_path / "parts", "model.lora_rank=2", "steps=2", "evaluation.every=9")
    train(tmp_path / "parts", "model.lora_rank=2", "steps=4", resume=True)
    numbers = [rows(tmp_path / name)[-1]["train/grad_norm"] for name in ("whole", "parts")]
    assert numbers[0] == numbers[1]


@pytest.mark.slow
def test_a_short_run_improves_the_reward(tmp_path, train):
    train(
        tmp_path / "run",
        "steps=25",
        "rollout.prompts=12",
        "rollout.group_size=8",
        "optimiser.minibatches=4",
        "optimiser.microbatch=96",
        "optimiser.learning_rate=1e-3",
        "algorithm.entropy=0.0",
        "evaluation.every=0",
        "checkpoint.every=0",
        "data.validation=generated:n=64,split=validation",
    )
    rewards = [row["reward/mean"] for row in rows(tmp_path / "run")]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.1
