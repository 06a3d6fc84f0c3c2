"""Rollouts inside an engine: the same rewards as everywhere else, and tokens that agree."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf.utils.agent", reason="OpenRLHF is not installed")
torch = pytest.importorskip("torch")

from engines import ScriptedEngine, play, torn_sample  # noqa: E402
from openrlhf.utils.agent import AgentExecutorBase  # noqa: E402

from agents import Reply, answer_turn, request_turn, rollout  # noqa: E402
from agents.judging.usage import Usage  # noqa: E402
from trainers.errors import TrainingError  # noqa: E402
from trainers.metrics import judge_metrics, rollout_metrics  # noqa: E402
from trainers.openrlhf.executor import executor_for  # noqa: E402
from trainers.openrlhf.run import OpenRLHFRun  # noqa: E402
from vt_env import Verdict, group_rewards, make_task  # noqa: E402
from vt_env.rewards import PENALTIES, RewardConfig  # noqa: E402
from vt_env.vector import VisionThinkVectorEnv  # noqa: E402

ASK = request_turn("blurry")
BAD_CALL = "<think>blurry</think><tool_call>clear</tool_call>"
WRONG = "checker"  # a word that the policy has; the first question is about something else


def answers(word: str) -> str:
    return answer_turn(word, "clear")


@pytest.fixture
def executor(recipe, tmp_path):
    """An executor as OpenRLHF makes it, for a recipe with overrides."""

    def make(*overrides: str):
        here = Path.cwd()
        run = OpenRLHFRun(tmp_path, here, recipe("rollout.probes=0", *overrides), max_length=400)
        run.write()
        kind = executor_for(run.folder)
        assert issubclass(kind, AgentExecutorBase)
        return kind()

    return make


def label_of(executor, split: str = "train", index: int = 0) -> dict:
    source = executor.tasks[split].source
    return {"split": split, "id": source.ids()[index], "shown": False}


def truth_of(executor, index: int = 0) -> str:
    return executor.tasks["train"].source[index].references[0]


def transcripts_of(truth: str) -> list[list[str]]:
    """A group with every arm: right, wrong, malformed, cut off, a call that fails."""
    return [
        [answers(truth)],
        [answers(WRONG)],
        [ASK, answers(truth)],
        [ASK, answers(WRONG)],
        [ASK, f"<answer>{truth}</answer>"],
        [BAD_CALL, answers(truth)],
        ["clear"],
        [ASK, ASK],
    ]


class Recorded:
    """An agent that repeats a transcript, for the local trainer's path."""

    name = "recorded"

    def __init__(self, transcripts) -> None:
        self.transcripts = transcripts
        self.rows: dict[str, int] = {}

    def act(self, conversations):
        for conversation in conversations:
            self.rows.setdefault(conversation.rollout, len(self.rows))
        return [Reply(self.transcripts[self.rows[c.rollout]][c.turn]) for c in conversations]


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
@pytest.mark.parametrize("nobody_correct", ["none", "zero"])
def test_the_same_transcripts_get_the_same_rewards_everywhere(executor, penalty, nobody_correct):
    made = executor(
        "rollout.group_size=8",
        f"reward.penalty={penalty}",
        f"reward.nobody_correct={nobody_correct}",
        "reward.token_price=0.07",
    )
    for truth in (truth_of(made), WRONG):
        transcripts = transcripts_of(truth)
        engine = ScriptedEngine(made.processor, transcripts)
        responses = asyncio.run(play(made, engine, label_of(made), 8))
        env = VisionThinkVectorEnv(
            8, group_size=8, data=made.tasks["train"], reward=made.config.reward
        )
        episodes = rollout(env, Recorded(transcripts), sample_ids=[label_of(made)["id"]])
        pure = group_rewards([e.outcome for e in episodes], made.config.reward)
        assert [r["reward"] for r in responses] == [p.total for p in pure]
        assert [r["label"].reward for r in responses] == [e.reward for e in episodes] == pure
        assert [r["scores"] for r in responses] == [float(e.verdict.correct) for e in episodes]
        mine = rollout_metrics([r["label"] for r in responses], 8)
        local = rollout_metrics(episodes, 8)
        assert {k: v for k, v in mine.items() if k != "rollout/tokens"} == {
            k: v for k, v in local.items() if k != "rollout/tokens"
        }


def test_tokens_are_the_engines_and_pictures_stand_behind_them(executor):
    made = executor()
    truth = truth_of(made)
    engine = ScriptedEngine(made.processor, [[ASK, answers(truth)]] * 3 + [[answers(truth)]])
    asked, *_, direct = asyncio.run(play(made, engine, label_of(made), 4))
    first, second = [request for request in engine.requests if request.place == 0]
    assert len(first.images) == 1
    assert len(second.images) == 2
    assert second.images[1].size == (32, 32)
    image = made.processor.image_id
    assert (first.ids.count(image), second.ids.count(image)) == (1, 2)
    assert asked["observation_tokens"].count(image) == 20
    assert direct["observation_tokens"].count(image) == 4
    assert asked["mm_train_inputs"]["image_grid_thw"].tolist() == [[1, 4, 4], [1, 8, 8]]
    assert direct["mm_train_inputs"]["image_grid_thw"].tolist() == [[1, 4, 4]]
    decode = made.processor.tokenizer.decode
    said = [decode(asked["observation_tokens"][a:b]) for a, b in asked["action_ranges"]]
    assert said == [f"{ASK}<|im_end|>", f"{answers(truth)}<|im_end|>"]
    text = decode(asked["observation_tokens"])
    assert text.count("<|im_end|>\n<|im_start|>user\n") == 1
    assert first.sampling.max_tokens == made.config.rollout.max_new_tokens
    assert first.sampling.logit_bias[image] == -100
    assert set(asked["extra_logs"]) == set(direct["extra_logs"])


def test_a_turn_that_is_cut_off_is_flagged(executor):
    made = executor("rollout.max_new_tokens=5")
    engine = ScriptedEngine(made.processor, [[answers(truth_of(made))]] * 4)
    responses = asyncio.run(play(made, engine, label_of(made), 4))
    assert all(r["truncated"] and r["label"].verdict.correct is False for r in responses)
    assert all(b - a == 5 for r in responses for a, b in r["action_ranges"])


def test_a_failed_rollout_leaves_nobody_waiting(executor):
    made = executor()
    truth = truth_of(made)
    transcripts = [[answers(truth)], [RuntimeError("engine")], [ASK, answers(truth)], ["clear"]]
    engine = ScriptedEngine(made.processor, transcripts)

    async def settle(*rollouts):
        return await asyncio.wait_for(asyncio.gather(*rollouts), 10)

    one, failed, two, three = asyncio.run(play(made, engine, label_of(made), 4, settle=settle))
    assert failed["label"].reward.total is None
    assert [r["extra_logs"]["rollout/failed"] for r in (one, failed, two, three)] == [0, 1, 0, 0]
    ((begin, end),) = failed["action_ranges"]
    assert (end - begin, len(failed["observation_tokens"])) == (1, end)
    left = group_rewards([r["label"].outcome for r in (one, two, three)], made.config.reward)
    assert [r["reward"] for r in (one, two, three)] == [p.total for p in left]
    assert len(made.groups) == 0


def test_equal_prompts_in_flight_do_not_mix(executor):
    made = executor("reward.penalty=paper")
    truth = truth_of(made)
    easy = [[answers(truth)]] * 2 + [[ASK, answers(truth)]] * 2
    hard = [[ASK, answers(truth)]] * 4

    async def both():
        label = label_of(made)
        return await asyncio.gather(
            play(made, ScriptedEngine(made.processor, easy), label, 4),
            play(made, ScriptedEngine(made.processor, hard), dict(label), 4),
        )

    first, second = asyncio.run(both())
    weight = made.config.reward.penalty_weight
    assert [r["label"].reward.penalty for r in first] == [0.0, 0.0, weight, weight]
    assert [r["label"].reward.penalty for r in second] == [0.0] * 4


def test_an_evaluation_has_its_own_number_and_no_penalty(executor):
    made = executor("reward.penalty=every_request", "reward.token_price=0.5")
    source = made.tasks["validation"].source
    engine = ScriptedEngine(made.processor, [[ASK, answers(source[1].references[0])]])
    label = {**label_of(made, "validation", 1), "shown": True}
    (response,) = asyncio.run(play(made, engine, label, 1))
    assert response["reward"] == 1.5
    assert response["scores"] == 1.0
    assert [view.size for view in response["label"].views] == [(16, 16), (32, 32)]


def test_a_group_that_is_not_whole_stops_the_run(executor):
    made = executor()
    engine = ScriptedEngine(made.processor, [["clear"]] * 3)
    with pytest.raises(TrainingError, match="3 of 4 rollouts"):
        asyncio.run(play(made, engine, label_of(made), 3))


class Forgetful:
    """A judge that cannot decide about some answers."""

    name = "forgetful"

    def score(self, queries):
        known = {"red": True, "blue": False}
        return [Verdict(known.get(q.answer), self.name, "") for q in queries]


def test_unscored_is_not_wrong(executor):
    made = executor("reward.penalty=none")
    made.tasks["train"] = replace(made.tasks["train"], judge=Forgetful())
    transcripts = [[answers(word)] for word in ("red", "blue", "green", "red")]
    engine = ScriptedEngine(made.processor, transcripts)
    responses = asyncio.run(play(made, engine, label_of(made), 4))
    assert [r["label"].reward.total for r in responses] == [1.5, 0.5, None, 1.5]
    assert responses[2]["reward"] == pytest.approx(3.5 / 3)  # its siblings' mean stays their mean
    assert [r["extra_logs"]["env/unscored"] for r in responses] == [0, 0, 1, 0]


def test_what_judging_took_is_left_for_the_driver(executor, caplog):
    made = executor("reward.penalty=none")
    assert made.run.judge_usage() == []
    judge = Forgetful()
    judge.usage = Usage(queries=4, answered=1, tokens_in=300)
    made.tasks["train"] = replace(made.tasks["train"], judge=judge)
    for _ in range(2):
        engine = ScriptedEngine(made.processor, [[answers("red")]] * 4)
        asyncio.run(play(made, engine, label_of(made), 4))
    assert made.run.judge_usage() == [judge.usage]  # the latest of each engine
    assert judge_metrics(made.run.judge_usage())["judge/tokens_in"] == 300
    (file,) = (made.run.folder / "judging").iterdir()
    file.write_text(file.read_text().replace("300", "301"))
    assert made.run.judge_usage() == []
    assert "not what was written; what judges took is told without it" in caplog.text


def test_a_refused_picture_is_unscored_and_asks_no_engine(executor):
    made = executor()
    made.tasks["train"] = make_task([torn_sample("broken")], prompt="tiny", tokens="tiny")
    label = {"split": "train", "id": "broken", "shown": False}
    responses = asyncio.run(play(made, ScriptedEngine(made.processor, []), label, 4))
    assert [r["extra_logs"]["rollout/failed"] for r in responses] == [1] * 4
    image = made.processor.image_id
    for response in responses:
        assert "sample 'broken'" in response["label"].verdict.reason
        assert response["observation_tokens"].count(image) == 1
        assert response["mm_train_inputs"]["image_grid_thw"].tolist() == [[1, 2, 2]]
    assert len(made.groups) == 0


def test_probes_are_made_to_begin_with_their_arm(executor):
    made = executor("rollout.probes=1")
    rest = ["red</answer>", "clear</tool_call>"]
    engine = ScriptedEngine(made.processor, [[rest[0]], [rest[1], "clear"], ["clear"], ["clear"]])
    responses = asyncio.run(play(made, engine, label_of(made), 4))
    first = [r["label"].replies[0] for r in responses]
    assert first[0].text == "<think>clear</think><answer>red</answer>"
    assert first[1].text.startswith("<think>blurry</think><tool_call>")
    assert [reply.forced for reply in first] == [4, 4, 0, 0]
    assert engine.requests[0].sampling.max_tokens == made.config.rollout.max_new_tokens - 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda output, p: output.prompt_token_ids.append(7), "size pictures alike"),
        (
            lambda output, p: output.outputs[0].token_ids.insert(0, p.image_id),
            "forbidden",
        ),
        (lambda output, p: output.outputs[0].token_ids.clear(), "said nothing"),
    ],
)
def test_tokens_that_do_not_agree_stop_the_run(executor, change, message):
    made = executor()
    scripted = ScriptedEngine(made.processor, [["clear"]] * 4)

    async def generate(*args, **settings):
        output = await scripted.generate(*args, **settings)
        change(output, made.processor)
        return output

    engine = SimpleNamespace(generate=generate)
    with pytest.raises(TrainingError, match=message):
        asyncio.run(play(made, engine, label_of(made), 4))


def test_no_room_for_a_turn_stops_the_run(executor):
    made = executor()
    engine = ScriptedEngine(made.processor, [[ASK, "clear"]] * 4)
    with pytest.raises(TrainingError, match="raise the trainer's max_length"):
        asyncio.run(play(made, engine, label_of(made), 4, max_length=40))


def test_an_evaluations_reward_is_the_papers_without_penalty():
    assert RewardConfig(penalty="none").format_weight == 0.5
