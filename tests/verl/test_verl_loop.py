"""The agent loop under verl's worker: who waits for whom, what is masked, what an evaluation is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("verl.experimental.agent_loop", reason="verl is not installed")

from verl_runs import run_of, verls, write_rows
from verl_worker import ScriptedClient, batch_of, learn, play

from agents import answer_turn, request_turn
from agents.rollout import TokenMismatch
from trainers.errors import TrainingError
from trainers.verl.hooks import host
from trainers.verl.played import told
from vt_env import Verdict

ASK = request_turn("blurry")


def answers(word: str) -> str:
    return answer_turn(word, "clear")


class Forgetful:
    """A judge that cannot decide about some answers."""

    name = "forgetful"

    def score(self, queries):
        known = {"red": True, "blue": False}
        return [Verdict(known.get(q.answer), self.name, "") for q in queries]


def said(*transcripts):
    """Gives each rollout that speaks first the next transcript."""
    left, mine = iter(transcripts), {}

    def say(group, request):
        return mine.setdefault(request, list(next(left, []))).pop(0)

    return say


@pytest.fixture
def running(untrained, tmp_path):
    """A run with a judge that forgets; its rollouts, and its first question."""

    def make(*overrides):
        run = run_of(untrained, tmp_path, *overrides)
        run.write()
        rollouts = host(run.folder)
        for split, task in rollouts.tasks.items():
            rollouts.tasks[split] = replace(task, judge=Forgetful())
        return run, rollouts, rollouts.tasks["train"].source.ids()[0]

    return make


def test_unscored_teaches_nothing_and_moves_no_mean(running):
    run, rollouts, first = running("reward.penalty=none")
    say = said(*[[answers(word)] for word in ("red", "blue", "green", "red")])
    made, client = play(run, rollouts.processor, say, [first], 4)
    assert made.batch["rm_scores"].sum(-1).tolist() == pytest.approx([1.5, 0.5, 3.5 / 3, 1.5])
    assert made.batch["response_mask"].any(-1).tolist() == [True, True, False, True]
    assert list(made.non_tensor_batch["scored"]) == [True, True, False, True]
    learnt = learn(run, made).batch["advantages"]
    assert not learnt[2].any()
    assert learnt[0].max() == pytest.approx(0.577, abs=1e-3)  # (1.5 - 3.5 / 3) / sample deviation
    assert client.requests[0]["sampling_params"]["logit_bias"][rollouts.processor.image_id] == -100


def test_a_group_of_which_nobody_is_scored_has_no_reward(running):
    run, rollouts, first = running()
    made, _ = play(run, rollouts.processor, said(*[[answers("green")]] * 4), [first], 4)
    assert made.batch["rm_scores"].sum(-1).isnan().all()
    assert not made.batch["response_mask"].any()
    assert not learn(run, made).batch["advantages"].any()


def test_groups_without_signal_are_dropped_where_the_algorithm_says_so(running):
    for drop in ("true", "false"):
        run, rollouts, first = running(
            f"algorithm.options={{aggregation='token_mean', drop_without_signal={drop}}}"
        )
        host.cache_clear()
        host(run.folder).tasks["train"] = rollouts.tasks["train"]
        made, _ = play(run, rollouts.processor, said(*[[answers("red")]] * 4), [first], 4)
        assert made.batch["response_mask"].any().item() == (drop == "false")


def test_tokens_of_the_environment_have_no_mask_and_no_log_probability(running):
    run, rollouts, first = running()
    made, client = play(run, rollouts.processor, said(*[[ASK, answers("red")]] * 4), [first], 4)
    mask, known = made.batch["response_mask"].bool(), made.batch["rollout_log_probs"]
    assert (known[mask] == -0.5).all()
    assert not known[~mask].any()
    turns = (mask[:, 1:] & ~mask[:, :-1]).sum(-1) + mask[:, 0]
    assert turns.tolist() == [2] * 4
    assert [len(request["image_data"]) for request in client.requests].count(2) == 4
    assert list(made.non_tensor_batch["__num_turns__"]) == [4] * 4
    assert list(made.non_tensor_batch["group"]) == [first] * 4


def test_a_group_that_is_not_whole_stops_the_run(running):
    run, rollouts, first = running()
    with pytest.raises(TrainingError, match="3 of 4 rollouts"):
        play(run, rollouts.processor, said(*[[answers("red")]] * 3), [first], 3)


def test_verl_does_not_learn_on_after_a_loop_that_raised(running):
    """It would pad the batch, and go on without those rollouts."""
    run, rollouts, first = running()
    good, _ = play(run, rollouts.processor, said(*[[answers("red")]] * 4), [first], 4)
    assert learn(run, good).batch["advantages"].isfinite().all()
    wrong = TokenMismatch("other tokens")
    with pytest.raises(TrainingError, match="other tokens"):
        play(run, rollouts.processor, said([wrong], *[[answers("red")]] * 3), [first], 4)
    with pytest.raises(TrainingError, match=r"TrainingError: sample '.*': other tokens"):
        learn(run, good)
    run.begin()
    learn(run, good)


def test_a_sibling_that_fails_leaves_nobody_waiting(running):
    run, rollouts, first = running()
    transcripts = [[answers("red")], [RuntimeError("engine")], [answers("blue")], ["clear"]]
    made, _ = play(run, rollouts.processor, said(*transcripts), [first], 4)
    assert list(made.non_tensor_batch["scored"]) == [True, False, True, True]
    assert made.batch["response_mask"].any(-1).tolist() == [True, False, True, True]
    assert not learn(run, made).batch["advantages"][1].any()
    numbers = told(run.folder, 1)
    assert (numbers["rollout/failed"], numbers["env/unscored"]) == (1, 1)
    assert numbers["env/well_formed"] == 0.75  # "clear" is not


def test_a_refused_picture_costs_its_question(running, monkeypatch):
    run, rollouts, first = running()
    source = rollouts.tasks["train"].source
    torn = replace(source.by_id(first), image=b"no picture any more")
    monkeypatch.setattr(type(source), "by_id", lambda *_: torn)
    made, client = play(run, rollouts.processor, said(), [first], 4)
    assert client.requests == []
    assert list(made.non_tensor_batch["scored"]) == [False] * 4
    assert not made.batch["response_mask"].any()
    assert not made.batch["rollout_log_probs"].any()
    assert told(run.folder, 1)["rollout/failed"] == 4


def test_an_evaluation_has_no_penalty_and_unscored_is_not_0(running):
    import asyncio

    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

    run, rollouts, _ = running("reward.penalty=every_request", "reward.token_price=0.5")
    ids = rollouts.tasks["validation"].source.ids()[:2]
    write_rows(run, "train", ids)
    write_rows(run, "validation", ids)
    config = verls(run)
    say = said([ASK, answers("red")], [answers("green")])
    worker = AgentLoopWorker(config, ScriptedClient(config, rollouts.processor, say))
    made = asyncio.run(worker.generate_sequences(batch_of(config, 1, ids, "validation")))
    one, two = made.batch["rm_scores"].sum(-1).tolist()
    assert one == 1.5
    assert math.isnan(two)
    info_of = made.non_tensor_batch["reward_extra_info"]
    assert [info["accuracy"] for info in info_of] == [1.0, None]
    assert [info["env/unscored"] for info in info_of] == [0.0, 1.0]
    assert told(run.folder, 1) == {}  # a step's numbers are those of training
