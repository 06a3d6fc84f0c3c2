"""The batched environment: groups, one decode, one judgement, nothing wasted."""

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from vt_env import (
    ActionError,
    ConfigError,
    DataError,
    Query,
    Sample,
    ToolCall,
    Verdict,
    make_judge,
    make_task,
)
from vt_env.judges.auto import AutoJudge
from vt_env.pictures import Picture
from vt_env.vector import VisionThinkVectorEnv

ASK = ToolCall("resize_image", {"action": "resize"})


def answer(text: str) -> str:
    return f"<think>I see it</think>\n<answer>{text}</answer>"


class Recorder:
    """An exact judge that remembers what it was asked."""

    name = "recorder"

    def __init__(self) -> None:
        self.batches: list[list[Query]] = []

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        self.batches.append(list(queries))
        return [
            Verdict(None, self.name, "lost")
            if q.answer == "unscored"
            else Verdict(q.answer in q.references, self.name, "compared")
            for q in queries
        ]


@pytest.fixture
def judge() -> Recorder:
    return Recorder()


@pytest.fixture
def env(samples: list[Sample], judge: Recorder) -> VisionThinkVectorEnv:
    return VisionThinkVectorEnv(
        8,
        group_size=4,
        data=samples,
        judge=judge,
        reward={"penalty": "paper"},
        order="sequential",
        first_look="lanczos",
    )


def test_made_by_gymnasium() -> None:
    env = gym.make_vec("vt_env:VisionThink-v0", num_envs=6, group_size=3)
    assert isinstance(env.unwrapped, VisionThinkVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    observations, info = env.reset(seed=0)
    assert observations in env.observation_space
    assert info["sample_id"][0] == info["sample_id"][2]
    assert env.step([answer("x")] * 6)[2].all()


def test_a_groups_reward_comes_in_one_piece(env: VisionThinkVectorEnv) -> None:
    _, info = env.reset()
    assert info["active"].all()
    actions = [answer("one"), ASK, ASK, ASK, *[answer("two")] * 4]
    observations, rewards, terminated, _, info = env.step(actions)
    # The second group is over; of the first, one row waits for its siblings.
    assert list(terminated) == [False] * 4 + [True] * 4
    assert list(info["active"]) == [False, True, True, True] + [False] * 4
    assert list(rewards) == [0.0] * 4 + [1.5] * 4
    assert observations["text"][0] == ""
    actions = ["never read", *[answer("one")] * 3, *["never read"] * 4]
    _, rewards, terminated, _, info = env.step(actions)
    # r = 1/4 >= 0.2: requests pay.
    assert rewards[:4] == pytest.approx([1.5, 1.4, 1.4, 1.4])
    assert terminated.all()
    assert [bool(m) for m in info["_verdict"]] == [True] * 4 + [False] * 4
    assert info["reward_terms"][1].penalty == 0.1
    assert list(rewards[4:]) == [0.0] * 4
    with pytest.raises(gym.error.ResetNeeded):
        env.step(actions)


def test_one_judgement_a_batch_and_none_twice(env: VisionThinkVectorEnv, judge: Recorder) -> None:
    env.reset()
    env.step([answer("one")] * 3 + [answer("uno")] + [answer("two")] * 4)
    assert [[q.answer for q in batch] for batch in judge.batches] == [["one", "uno", "two"]]


def test_rows_without_an_answer_are_wrong_without_a_judge(
    env: VisionThinkVectorEnv, judge: Recorder
) -> None:
    env.reset()
    _, rewards, terminated, _, info = env.step(["", *["nonsense"] * 7])
    assert terminated.all()
    assert not judge.batches
    assert list(rewards) == [0.0] * 8
    assert all(v.correct is False for v in info["verdict"])


def test_unscored_rows_neither_count_nor_are_rewarded(env: VisionThinkVectorEnv) -> None:
    env.reset()
    env.step([answer("unscored"), ASK, ASK, answer("one"), *[answer("two")] * 4])
    _, rewards, _, _, info = env.step([answer("one")] * 8)
    assert np.isnan(rewards[0])
    assert info["reward_terms"][0].total is None
    assert rewards[1:4] == pytest.approx([1.4, 1.4, 1.5])


def test_a_picture_is_decoded_and_shrunk_once_a_group(
    env: VisionThinkVectorEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Picture] = []
    decode = Picture._decode

    def counting(picture: Picture) -> object:
        decoded.append(picture)
        return decode(picture)

    monkeypatch.setattr(Picture, "_decode", counting)
    observations, _ = env.reset()
    env.step([ASK] * 8)
    assert len(decoded) == 2
    images = observations["image"]
    assert images[0] is images[3]
    assert images[0] is not images[4]
    with pytest.raises(ValueError, match="read-only"):
        images[0][0, 0, 0] = 1


def test_resetting_some_groups(env: VisionThinkVectorEnv) -> None:
    env.reset()
    env.step([ASK] * 4 + [answer("two")] * 4)
    mask = np.arange(8) >= 4
    observations, info = env.reset(options={"reset_mask": mask})
    assert list(info["_sample_id"]) == list(mask)
    assert info["sample_id"][4] == "s3"
    assert info["active"].all()
    assert "<tool_response>" in observations["text"][0]  # the first group goes on
    _, info = env.reset(options={"reset_mask": mask, "sample_ids": ["s1"]})
    assert info["sample_id"][7] == "s1"


def test_a_group_that_was_never_begun_rests(env: VisionThinkVectorEnv) -> None:
    observations, info = env.reset(options={"reset_mask": np.arange(8) < 4})
    assert list(info["active"]) == [True] * 4 + [False] * 4
    assert observations in env.observation_space
    _, _, terminated, _, info = env.step([answer("one")] * 8)
    assert not info["_verdict"][4:].any()
    assert terminated.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": [True] * 8}, "Unknown reset option"),
        ({"reset_mask": [1] * 8}, "must be bool"),
        ({"reset_mask": [True] * 3}, "must be bool"),
        ({"reset_mask": [True, *[False] * 7]}, "splits a group"),
        ({"sample_ids": ["s1"]}, "expected 2 sample_ids"),
    ],
)
def test_wrong_reset_options(
    env: VisionThinkVectorEnv, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        env.reset(options=options)


def test_a_failed_reset_changes_nothing(env: VisionThinkVectorEnv) -> None:
    _, before = env.reset()
    with pytest.raises(DataError, match="s7"):
        env.reset(options={"sample_ids": ["s3", "s7"]})
    assert env.dialogue(0).sample.id == before["sample_id"][0]


def test_wrong_actions_change_nothing(env: VisionThinkVectorEnv) -> None:
    env.reset()
    with pytest.raises(ActionError, match="expected 8 actions"):
        env.step([ASK])
    with pytest.raises(ActionError, match="got float"):
        env.step([ASK] * 7 + [0.5])  # type: ignore[list-item]
    assert all(env.dialogue(row).turn == 0 for row in range(8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 6, "group_size": 4}, "multiple of group_size"),
        ({"num_envs": 0}, "at least 1"),
        ({"group_size": 1, "reward": {"penalty": "paper"}}, "group_size must be at least 2"),
        ({"order": "shuffled"}, "Unknown order"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VisionThinkVectorEnv(**{"num_envs": 4, **settings})  # type: ignore[arg-type]


def test_a_price_needs_no_group() -> None:
    env = VisionThinkVectorEnv(2, group_size=1, data="generated:n=9", reward={"token_price": 0.2})
    env.reset(seed=0)
    env.step([answer("none of them"), ASK])
    *_, info = env.step([answer("none of them")] * 2)
    assert info["reward_terms"][1].cost == pytest.approx(0.2 * 1.25)


def test_the_same_turns_give_the_same_rewards_as_alone(samples: list[Sample]) -> None:
    """Rewards without a group term do not depend on which environment is used."""
    alone = gym.make("vt_env:VisionThink-v0", data=samples, judge="exact")
    together = gym.make_vec("vt_env:VisionThink-v0", num_envs=4, group_size=1, data=samples,
                            judge="exact")  # fmt: skip
    turns = [answer("one"), answer("two"), "nonsense", "<answer>four</answer>"]
    together.reset(options={"sample_ids": ["s1", "s2", "s3", "s4"]})
    rewards = together.step(turns)[1]
    for index, turn in enumerate(turns):
        alone.reset(options={"index": index})
        assert alone.step(turn)[1] == rewards[index]


def test_closing_an_environment_closes_the_judge_that_it_made(samples, monkeypatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(AutoJudge, "close", lambda self: closed.append(self))
    VisionThinkVectorEnv(2, data=samples, judge="auto").close()
    gym.make("vt_env:VisionThink-v0", data=samples, judge="noisy:auto").close()
    assert len(closed) == 2
    ready = make_judge("auto")
    VisionThinkVectorEnv(2, data=samples, judge=ready).close()
    task = make_task(samples)
    VisionThinkVectorEnv(2, data=task).close()
    assert len(closed) == 2
    task.close()
    assert len(closed) == 3
