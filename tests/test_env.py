"""``VisionThink-v0``: the protocol step by step, and what Gymnasium asks of an environment."""

import math
import subprocess
import sys
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo
from PIL import Image

from vt_env import (
    ActionError,
    ConfigError,
    DataError,
    PictureError,
    Query,
    Sample,
    ToolCall,
    Verdict,
)
from vt_env.env import VisionThinkEnv

ASK = ToolCall("resize_image", {"action": "resize"}, "too small")
BAD_CALL = "<think>hm</think><tool_call>resize!</tool_call>"


def answer(text: str) -> str:
    return f"<think>I see it</think>\n<answer>{text}</answer>"


@pytest.fixture
def env(samples: list[Sample]) -> VisionThinkEnv:
    return VisionThinkEnv(samples, judge="exact", order="sequential")


class NeverScores:
    name = "never"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        return [Verdict(None, self.name, "out of order") for _ in queries]


def test_the_first_view_is_the_papers_half_size(env: VisionThinkEnv, samples: list[Sample]) -> None:
    observation, info = env.reset()
    full = Image.fromarray(np.asarray(samples[0].image))
    half = full.resize((320, 240), Image.Resampling.LANCZOS)
    assert np.array_equal(observation["image"], np.asarray(half))
    assert observation["text"].startswith("What is written in picture 1?")
    assert observation in env.observation_space
    assert info["visual_tokens"] == 11 * 9  # 320 x 240 rounds to 308 x 252: 11 x 9 tokens of 28
    assert info["full_visual_tokens"] == 23 * 17
    assert info["turn"] == 0
    assert info["new_image"]


def test_a_direct_answer_ends_it(env: VisionThinkEnv) -> None:
    env.reset()
    observation, reward, terminated, truncated, info = env.step(answer("ONE"))
    assert (reward, terminated, truncated) == (1.5, True, False)
    assert observation["text"] == ""
    assert not info["new_image"]
    assert info["verdict"].correct is True
    assert info["outcome"].requested is False
    assert info["reward_terms"].total == 1.5


def test_a_request_brings_the_original(env: VisionThinkEnv, samples: list[Sample]) -> None:
    env.reset()
    observation, reward, terminated, _, info = env.step(ASK)
    assert (reward, terminated) == (0.0, False)
    assert np.array_equal(observation["image"], np.asarray(samples[0].image))
    assert "<tool_response>" in observation["text"]
    assert info["action"] == ASK
    assert info["visual_tokens"] == 11 * 9 + 23 * 17
    assert not info["futile_request"]
    assert [m["role"] for m in info["messages"]] == ["system", "user", "assistant", "user"]
    marks = [b for m in info["messages"] for b in m["content"] if b["type"] == "image"]
    assert len(marks) == 2
    _, reward, terminated, _, info = env.step(answer("one"))
    assert (reward, terminated) == (1.5, True)
    assert info["outcome"].requested


def test_text_and_structured_calls_do_the_same(env: VisionThinkEnv) -> None:
    env.reset()
    structured = env.step(ASK)
    env.reset(options={"sample_id": "s1"})
    text = env.step(ASK.text)
    assert np.array_equal(structured[0]["image"], text[0]["image"])
    assert structured[4] == text[4]


def test_a_bad_call_gets_an_error_turn(env: VisionThinkEnv) -> None:
    first, _ = env.reset()
    observation, _, terminated, _, info = env.step(BAD_CALL)
    assert not terminated
    assert "not valid JSON" in observation["text"]
    assert np.array_equal(observation["image"], first["image"])
    assert not info["new_image"]
    _, reward, terminated, _, info = env.step(answer("one"))
    assert (reward, terminated) == (1.0, True)  # right, but not every turn was well formed
    assert not info["outcome"].requested


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (ToolCall("zoom", {"action": "resize"}), "there is no tool 'zoom'"),
        (ToolCall("resize_image", {}), "must have 'action'"),
        (ToolCall("resize_image", {"action": "shrink"}), "must be one of 'resize'"),
        (ToolCall("resize_image", {"action": 1}), "type string"),
        (ToolCall("resize_image", {"action": "resize", "x": 1}), "may only have 'action'"),
    ],
)
def test_calls_that_cannot_be_carried_out(
    env: VisionThinkEnv, call: ToolCall, message: str
) -> None:
    env.reset()
    observation, _, terminated, _, _ = env.step(call)
    assert not terminated
    assert message in observation["text"]


@pytest.mark.parametrize(
    "turn", ["", "47", answer("one") * 2, "<think>cut o", "\ud800", "x" * 10**6]
)
def test_a_turn_that_says_nothing_ends_it_as_wrong(env: VisionThinkEnv, turn: str) -> None:
    env.reset()
    _, reward, terminated, _, info = env.step(turn)
    assert (reward, terminated) == (0.0, True)
    assert info["verdict"].correct is False
    assert info["verdict"].reason.startswith("no answer")
    assert not info["outcome"].well_formed


def test_a_call_in_the_last_turn_is_not_carried_out(env: VisionThinkEnv) -> None:
    env.reset()
    env.step(ASK)
    _, reward, terminated, truncated, info = env.step(ASK)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["outcome"].truncated
    assert "last turn" in info["verdict"].reason
    with pytest.raises(gym.error.ResetNeeded, match="over"):
        env.step(ASK)


def test_more_turns_and_asking_twice(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, judge="exact", max_turns=3)
    env.reset()
    env.step(ASK)
    observation, _, terminated, _, info = env.step(ASK)
    assert not terminated
    assert "already" in observation["text"]
    assert info["visual_tokens"] == 11 * 9 + 23 * 17


def test_the_general_variant(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, protocol="general", judge="exact")
    observation, info = env.reset(options={"sample_id": "s2"})
    assert np.array_equal(observation["image"], np.asarray(samples[1].image))
    assert "tool" not in str(info["messages"])
    assert info["visual_tokens"] == info["full_visual_tokens"]
    assert env.step(answer("two"))[1] == 1.5
    env.reset()
    assert env.step(ASK)[2]  # a call ends it: there is no tool and no second turn


def test_a_request_that_gains_nothing_is_flagged(samples: list[Sample]) -> None:
    sample = Sample("tiny", "What?", ("x",), np.zeros((300, 200, 3), np.uint8))
    env = VisionThinkEnv([sample], tokens="qwen3-vl")
    _, info = env.reset()
    assert (info["visual_tokens"], info["full_visual_tokens"]) == (70, 70)
    assert env.step(ASK)[4]["futile_request"]


def test_unscored_is_nan_and_not_zero(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, judge=NeverScores())
    env.reset()
    _, reward, terminated, _, info = env.step(answer("one"))
    assert math.isnan(reward)
    assert terminated
    assert info["verdict"].correct is None
    assert info["reward_terms"].total is None


def test_weights_and_a_price_on_every_request(samples: list[Sample]) -> None:
    reward = {"accuracy_weight": 2.0, "format_weight": 0.0, "penalty": "every_request"}
    env = VisionThinkEnv(samples, judge="exact", reward=reward)
    env.reset(options={"sample_id": "s1"})
    env.step(ASK)
    assert env.step(answer("one"))[1] == pytest.approx(1.9)


def test_visual_tokens_can_have_a_price(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, judge="exact", reward={"token_price": 0.4})
    env.reset(options={"sample_id": "s1"})
    env.step(ASK)
    _, reward, *_, info = env.step(answer("one"))
    share = info["visual_tokens"] / info["full_visual_tokens"]
    assert share > 1
    assert info["reward_terms"].cost == pytest.approx(0.4 * share)
    assert reward == pytest.approx(1.5 - 0.4 * share)


def test_samples_by_seed_order_and_option(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples)
    drawn = [env.reset(seed=7 if i == 0 else None)[1]["sample_id"] for i in range(12)]
    again = [env.reset(seed=7 if i == 0 else None)[1]["sample_id"] for i in range(12)]
    assert drawn == again
    assert set(drawn) == {"s1", "s2", "s3", "s4"}
    ordered = VisionThinkEnv(samples, order="sequential")
    assert [ordered.reset()[1]["sample_id"] for _ in range(5)] == ["s1", "s2", "s3", "s4", "s1"]
    assert ordered.reset(options={"index": 2})[1]["sample_id"] == "s3"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "visionthin"}, "Did you mean 'visionthink'"),
        ({"judge": "autoo"}, "Did you mean 'auto'"),
        ({"factor": 0.0}, "above 0"),
        ({"factor": 1.5}, "at most 1"),
        ({"max_turns": 0}, "at least 1"),
        ({"max_turns": 1}, "no tool can be called"),
        ({"tools": ["zoomm"]}, "Unknown tool 'zoomm'"),
        ({"prompt": "nowhere.toml"}, "neither one of"),
        ({"prompt": "general"}, r"lacks \$tools"),
        ({"tokens": "qwen9"}, "Unknown"),
        ({"first_look": "bicubic"}, "Unknown"),
        ({"order": "sorted"}, "Unknown order"),
        ({"render_mode": "human"}, "Unknown render_mode"),
        ({"reward": {"penalty": "paper"}}, "compares the rollouts"),
        ({"reward": {"theta": 0.1}}, "Unknown reward setting"),
    ],
)
def test_wrong_settings(samples: list[Sample], settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VisionThinkEnv(samples, **settings)  # type: ignore[arg-type]


def test_wrong_use(env: VisionThinkEnv) -> None:
    with pytest.raises(gym.error.ResetNeeded):
        env.step("x")
    with pytest.raises(ConfigError, match="Did you mean 'sample_id'"):
        env.reset(options={"sampleid": "s1"})
    with pytest.raises(DataError, match="s9"):
        env.reset(options={"sample_id": "s9"})
    env.reset()
    with pytest.raises(ActionError, match="got int"):
        env.step(3)  # type: ignore[arg-type]
    with pytest.raises(ActionError, match="JSON"):
        env.step(ToolCall("resize_image", {"action": object()}))


def test_chat_marks_in_data_cannot_be_read_twice() -> None:
    """A question is put into the template once; placeholders in it stay text."""
    question = "What is $image, $question and $$5?"
    env = VisionThinkEnv([Sample("s", question, ("x",), np.zeros((40, 40, 3), np.uint8))])
    observation, info = env.reset()
    assert observation["text"].startswith(question)
    marks = [b for m in info["messages"] for b in m["content"] if b["type"] == "image"]
    assert len(marks) == 1


# -- Gymnasium ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["generated", "scans"])
def test_check_env_has_nothing_to_say(data: str, request: pytest.FixtureRequest) -> None:
    source = data if data == "generated" else str(request.getfixturevalue("scans"))
    check_env(gym.make("vt_env:VisionThink-v0", data=source).unwrapped)
    check_env(gym.make("vt_env:VisionThink-v0", data=source, protocol="general").unwrapped)


def play_randomly(env: gym.Env, seed: int) -> list[object]:
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen: list[object] = [observation, info]
    for _ in range(6):
        observation, reward, terminated, _, info = env.step(env.action_space.sample())
        seen += [observation, reward, info]
        if terminated:
            observation, info = env.reset()
    return seen


def test_episodes_are_reproducible() -> None:
    first, second = (play_randomly(gym.make("vt_env:VisionThink-v0"), 3) for _ in range(2))
    np.testing.assert_equal(first, second)


def make() -> gym.Env:
    return gym.make("vt_env:VisionThink-v0", data="generated:n=20")


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_gymnasiums_vector_environments(vector: type) -> None:
    options = {} if vector is SyncVectorEnv else {"shared_memory": False}
    envs = vector([make, make], **options)
    observations, infos = envs.reset(seed=5)
    assert len(observations["image"]) == len(observations["text"]) == 2
    assert infos["sample_id"][0] != ""
    _, rewards, terminated, truncated, infos = envs.step(("nonsense", ASK))
    assert list(terminated) == [True, False]
    assert not truncated.any()
    assert rewards[0] == 0
    assert infos["verdict"][0].correct is False
    envs.close()


def test_record_episode_statistics(samples: list[Sample]) -> None:
    env = RecordEpisodeStatistics(VisionThinkEnv(samples, judge="exact", order="sequential"))
    env.reset()
    env.step(ASK)
    info = env.step(answer("one"))[4]
    assert info["episode"]["r"] == 1.5
    assert info["episode"]["l"] == 2


def test_record_video(samples: list[Sample], tmp_path) -> None:  # type: ignore[no-untyped-def]
    env = VisionThinkEnv(samples, render_mode="rgb_array", order="sequential")
    video = RecordVideo(
        env, str(tmp_path / "video"), episode_trigger=lambda _: True, disable_logger=True
    )
    video.reset()
    video.step(ASK)
    video.step(answer("one"))
    video.close()
    assert [f.stat().st_size > 1000 for f in tmp_path.rglob("*.mp4")] == [True]


def test_render(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, judge="exact", render_mode="rgb_array", order="sequential")
    env.reset()
    first = env.render()
    env.step(ASK)
    second = env.render()
    env.step(answer("one \ud800 \x1b[31m 漢字" + "long " * 900))
    third = env.render()
    assert first.shape == second.shape == third.shape == (540, 960, 3)  # type: ignore[union-attr]
    assert not np.array_equal(first, second)  # type: ignore[arg-type]
    env.render_mode = "ansi"
    text = env.render()
    assert isinstance(text, str)
    assert "[image 320 x 240, 99 visual tokens]" in text
    assert "\x1b" not in text
    assert "accepted: one" in text
    text.encode()


def test_import_needs_no_heavy_package() -> None:
    """Importing and playing on generated data needs gymnasium, numpy and pillow only."""
    code = (
        "import sys, gymnasium as gym; env = gym.make('vt_env:VisionThink-v0'); env.reset();"
        "env.step('<think>x</think><answer>red</answer>');"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'rich', 'sympy', 'requests',"
        "'rapidocr', 'onnxruntime', 'cv2'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_error_names_the_sample(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "cut.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    env = VisionThinkEnv([Sample("bad", "What?", ("x",), path)])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(PictureError, match="sample 'bad'") as caught:
        env.reset()
    assert caught.value.sample_id == "bad"
