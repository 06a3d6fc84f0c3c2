"""Agents that choose one of a few actions: spaces, pictures of any size, clear outcomes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from vt_env import ActionError, ConfigError, DataError, JudgeError, Query, Sample, ToolCall, Verdict
from vt_env.discrete import CHOICES, DiscreteActions, features, letterbox
from vt_env.protocol import PRESETS, make_protocol

WORDS = ("one", "two", "three", "four")
REQUEST = len(WORDS)
PARTS = [name for name in PRESETS if any(t.shows_parts for t in make_protocol(name).tools)]


def picture(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make(samples: Sequence[Sample], candidates=WORDS, **settings) -> DiscreteActions:
    made = gym.make(
        "vt_env:VisionThinkDiscrete-v0", candidates=candidates, data=samples,
        disable_env_checker=True, **settings,
    )  # fmt: skip
    inner = made
    while not isinstance(inner, DiscreteActions):
        inner = inner.env
    return inner


def mcq(sample_id: str, choices: Sequence[str], reference: str = "B") -> Sample:
    return Sample(
        sample_id, "Which one?", (reference,), picture(), answer_type="mcq", choices=tuple(choices)
    )


# --------------------------------------------------------------------------- as Gymnasium has it


@pytest.mark.parametrize("protocol", ["visionthink", "general", "low", "qwen3-vl"])
def test_gymnasiums_checker_finds_nothing(samples, protocol):
    env = DiscreteActions(
        gym.make("vt_env:VisionThink-v0", data=samples, protocol=protocol, render_mode="ansi"),
        WORDS,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(env)


def test_made_by_name_and_in_vectors(samples):
    env = gym.make("vt_env:VisionThinkDiscrete-v0", candidates=WORDS, data=samples)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.action_space == gym.spaces.Discrete(5)
    several = gym.make_vec(
        "vt_env:VisionThinkDiscrete-v0", num_envs=3, candidates=WORDS, data=samples, side=20
    )
    seen, info = several.reset(seed=0)
    assert seen["image"].shape == (3, 20, 20, 3)
    assert info["action_mask"].tolist() == [[1] * 5] * 3
    for _ in range(5):
        seen, *_ = several.step(several.action_space.sample())
        assert seen in several.observation_space
    by_wrappers = gym.make_vec(
        "vt_env:VisionThink-v0", num_envs=2, vectorization_mode="sync", data=samples,
        wrappers=[lambda env: DiscreteActions(env, WORDS, side=8)],
    )  # fmt: skip
    assert by_wrappers.reset(seed=0)[0]["image"].shape == (2, 8, 8, 3)


@pytest.mark.parametrize("action", [-1, -5, 5, 99, 0.0, "0", None, np.float32(1), np.int64(-1)])
def test_actions_outside_the_space_are_refused(samples, action):
    """Counted from the end, -1 was the last candidate."""
    env = DiscreteActions(gym.make("vt_env:VisionThink-v0", data=samples), WORDS)
    env.reset(seed=0)
    with pytest.raises(ActionError, match="a whole number from 0 to 4"):
        env.step(action)
    assert env.base.dialogue.turn == 0
    for said in (3, np.int64(3), np.array(3), np.uint8(3)):
        assert env.turn(said) == env.turn(3)


def test_it_can_be_made_again_from_its_spec(samples):
    env = DiscreteActions(gym.make("vt_env:VisionThink-v0", data=samples), WORDS, side=10)
    again = gym.make(env.spec)
    assert again.reset(seed=1)[0]["image"].shape == (10, 10, 3)


# ---------------------------------------------------------------------------- what actions come to


def test_answers_and_requests_are_those_of_the_environment(samples):
    env = make(samples)
    first, info = env.reset(options={"sample_id": "s2"})
    assert first["turn"] == [0]
    second, reward, terminated, truncated, info = env.step(REQUEST)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["action"] == ToolCall("resize_image", {"action": "resize"})
    assert second["turn"] == [0.5]
    assert info["action_mask"].tolist() == [1, 1, 1, 1, 0]
    assert not (first["image"] == second["image"]).all()
    assert (first["question"] == second["question"]).all()
    _, reward, terminated, _, info = env.step(1)
    assert (reward, terminated) == (1.5, True)
    assert info["outcome"].requested


def test_asking_twice_ends_the_episode_with_nothing(samples):
    env = make(samples)
    env.reset(seed=0)
    env.step(REQUEST)
    assert env.action_masks().tolist() == [True] * 4 + [False]
    _, reward, terminated, truncated, info = env.step(REQUEST)
    assert (reward, terminated, truncated) == (0.0, True, False)  # else PPO would bootstrap
    assert info["verdict"].reason == "no answer: a call in the last turn"


@pytest.mark.parametrize(("protocol", "side"), [("general", 64), ("low", 32)])
def test_without_a_tool_there_is_no_request(protocol, side):
    sample = Sample("s", "What is it?", ("one",), picture(64, 64))
    env = make([sample], protocol=protocol)
    assert env.action_space == gym.spaces.Discrete(4)
    _, info = env.reset(seed=0)
    assert info["scale"] == 64 / side
    assert info["action_mask"].tolist() == [1] * 4
    assert env.step(0)[1] == 1.5


@pytest.mark.parametrize("protocol", PARTS)
def test_cells_are_parts_in_the_words_of_every_protocol(protocol):
    env = make(
        [Sample("s", "What is it?", ("one",), picture(640, 480))],
        protocol=protocol, over_budget="wrong",
    )  # fmt: skip
    assert env.action_space == gym.spaces.Discrete(4 + 4)
    for number, corner in enumerate([(0, 0), (320, 0), (0, 240), (320, 240)]):
        seen, info = env.reset(seed=0)
        assert seen["region"].tolist() == [0, 0, 1, 1]
        assert info["action_mask"].tolist() == [1] * 8
        cell = env.cell(number).box
        assert cell.pixels == (*corner, corner[0] + 320, corner[1] + 240)
        seen, _, terminated, _, info = env.step(len(WORDS) + number)
        assert not terminated
        box = info["regions"][-1].box
        assert cell.within(box) == cell  # some tools show a little of what is around it
        assert box.area < 640 * 480
        assert seen["region"].tolist() == pytest.approx([e / s for e, s in zip(
            box.edges, (640, 480) * 2, strict=True)])  # fmt: skip
        assert info["action_mask"].tolist() == [1] * 4 + [env.base.dialogue.can_request] * 4
        _, reward, terminated, _, info = env.step(0)
        assert (reward, terminated, info["outcome"].requested) == (1.5, True, True)


def test_a_cell_without_a_pixel_says_nothing():
    env = make([Sample("s", "What is it?", ("one",), picture(1, 40))], protocol="pixel-reasoner")
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1] * 4 + [1, 0, 1, 0]
    _, reward, terminated, _, info = env.step(5)
    assert (reward, terminated) == (0, True)
    assert "the turn is empty" in info["verdict"].reason


def test_a_cell_over_the_budget_ends_the_episode_with_nothing():
    env = make(
        [Sample("s", "What is it?", ("one",), picture(640, 480))],
        protocol="deepeyes", max_pictures=2, grid=1,
    )  # fmt: skip
    env.reset(seed=0)
    seen, _, terminated, _, info = env.step(4)
    assert (terminated, info["action_mask"].tolist()) == (False, [1] * 4 + [0])
    assert seen["turn"] == pytest.approx(0.2)
    _, reward, terminated, truncated, info = env.step(4)
    assert (reward, terminated, truncated) == (0.0, True, False)  # else PPO would bootstrap
    assert info["outcome"].truncated


def test_several_candidates_may_be_right_and_none_may_be():
    either = Sample("either", "What pattern?", ("checker", "checkerboard"), picture())
    neither = Sample("neither", "What pattern?", ("plaid",), picture())
    env = make([either, neither], ["checker", "stripes", "checkerboard"])
    assert env.accepted() == {"either": (0, 2), "neither": ()}
    assert env.accepted(limit=1) == {"either": (0, 2)}
    rewards = []
    for action in range(3):
        env.reset(options={"sample_id": "either"})
        rewards.append(env.step(action)[1])
        env.reset(options={"sample_id": "neither"})
        assert env.step(action)[1] == 0.5  # wrong, and well formed
    assert rewards == [1.5, 0.5, 1.5]


def test_the_samples_own_choices():
    samples = [
        mcq("a", ["a cat", "a dog"]),
        mcq("b", ["red", "green", "blue"], "green"),
    ]
    env = make(samples, CHOICES)
    assert env.action_space == gym.spaces.Discrete(4)
    observation, info = env.reset(options={"sample_id": "a"})
    assert info["action_mask"].tolist() == [1, 1, 0, 1]
    choices = observation["choices"].reshape(3, 64)
    assert (choices[0] == features("a cat", 64)).all()
    assert not choices[2].any()
    assert env.step(1)[1] == 1.5  # a reference may be a letter or a text
    env.reset(options={"sample_id": "b"})
    assert env.step(1)[1] == 1.5
    env.reset(options={"sample_id": "a"})
    _, reward, terminated, _, info = env.step(2)  # a third choice, which it does not have
    assert (reward, terminated) == (0.0, True)
    assert "the turn is empty" in info["verdict"].reason


class Forgetful:
    name = "forgetful"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        return [Verdict(None, self.name, "the server is away") for _ in queries]


def test_an_unscored_answer_is_no_number_to_learn_from(samples):
    env = make(samples, judge=Forgetful())
    env.reset(seed=0)
    with pytest.raises(JudgeError, match=r"'s\d' is unscored \(the server is away\)"):
        env.step(0)
    env = make(samples, judge=Forgetful(), unscored="nan")
    env.reset(seed=0)
    assert np.isnan(env.step(0)[1])


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (["one"], "at least two are needed to choose from, got 1"),
        (["one", "two", " one "], "'one' stands there twice"),
        (["one", " "], "number 1, ' ', cannot be said"),
        (["one", "two</answer>"], "number 1, .* cannot be said"),
        (["one", "<|im_end|>"], "number 1, .* cannot be said"),
        ("letters", "candidates are a list of texts, or 'choices'; got 'letters'"),
    ],
)
def test_candidates_are_checked(samples, candidates, message):
    with pytest.raises(ConfigError, match=message):
        make(samples, candidates)


def test_settings_are_checked(samples):
    with pytest.raises(ConfigError, match="side, words and grid must be at least 1"):
        make(samples, side=0)
    with pytest.raises(ConfigError, match="must be at least 1, got 64, 64 and 0"):
        make(samples, grid=0)
    with pytest.raises(ConfigError, match="set over_budget='wrong', or unscored='nan'"):
        make(samples, protocol="mini-o3")
    assert make(samples, protocol="mini-o3", unscored="nan").cells == 4
    with pytest.raises(ConfigError, match="Did you mean 'error'"):
        make(samples, unscored="eror")
    with pytest.raises(DataError, match=r"'s1': choices: at least two .* got 0; give a list"):
        make(samples, CHOICES)
    with pytest.raises(ConfigError, match="expected VisionThink-v0 inside, got CartPole"):
        DiscreteActions(gym.make("CartPole-v1"), WORDS)


# ------------------------------------------------------------------------------ what is observed


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(1, 40))
def test_any_picture_fits_on_the_canvas(width, height, side):
    pixels = np.full((height, width, 3), 200, np.uint8)
    canvas, scale = letterbox(pixels, side)
    assert canvas.shape == (side, side, 3)
    assert scale == side / max(width, height)
    covered = canvas[..., 0] > 0
    rows, columns = covered.any(1), covered.any(0)
    assert (canvas[covered] == 200).all()
    assert max(rows.sum(), columns.sum()) == side
    assert rows.sum() == max(1, round(height * scale))
    assert columns.sum() == max(1, round(width * scale))
    assert abs(int(rows.argmax()) - int(rows[::-1].argmax())) <= 1  # in the middle


def test_enlarging_repeats_pixels():
    pixels = picture(2, 2)
    canvas, scale = letterbox(pixels, 6)
    assert scale == 3
    assert (canvas == pixels.repeat(3, 0).repeat(3, 1)).all()


def test_observations_share_no_memory(samples):
    env = make(samples, side=48)
    first, _ = env.reset(options={"sample_id": "s1"})
    before = {key: value.copy() for key, value in first.items()}
    env.step(REQUEST)
    assert all((first[key] == before[key]).all() for key in first)


@given(st.text(max_size=60), st.integers(1, 80))
def test_a_text_is_a_vector(text, words):
    vector = features(text, words)
    assert vector.shape == (words,)
    assert vector.dtype == np.float32
    assert (features(text.upper().lower(), words) == features(text.lower(), words)).all()
    assert np.isclose(np.linalg.norm(vector), 1) or not vector.any()


def test_a_texts_vector_is_the_same_in_every_process():
    vector = features("What colour is the shape?", 8)
    assert np.allclose(vector * np.sqrt(5), [1, 0, -1, 0, 0, -1, -1, 1], atol=1e-5)
    assert (features("what COLOUR is the shape", 8) == vector).all()
    assert not (features("What pattern is it?", 8) == vector).all()


def test_a_turn_is_well_formed(samples):
    env = make(samples)
    env.reset(seed=0)
    assert env.turn(1) == "<think></think>\n<answer>two</answer>"
