"""No call of a policy's and no tool of a user's ends a run, and a step changes all rows or none."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from vt_env import (
    Budget,
    Picture,
    PictureError,
    PictureRules,
    Sample,
    Scene,
    Tool,
    ToolCall,
    ToolError,
    View,
    token_counter,
)
from vt_env import calls as calls_module
from vt_env.actions import Malformed
from vt_env.env import VisionThinkEnv
from vt_env.errors import JudgeError
from vt_env.grammars import parse
from vt_env.judges import Query, Verdict
from vt_env.sources import Source, open_source
from vt_env.tools import ResizeImage
from vt_env.vector import VisionThinkVectorEnv

ANY: Mapping[str, Any] = {
    "type": "object",
    "properties": {"box": {"type": "array", "items": {"type": "number"}}},
    "required": ["box"],
}
ASK = ToolCall("resize_image", {"action": "resize"})


def answer(text: str) -> str:
    return f"<think>I see it</think>\n<answer>{text}</answer>"


class Crop(Tool):
    """In pixels, and as careless as a first draft: it checks nothing."""

    name = "crop"
    description = "Shows a part."
    parameters: ClassVar[Mapping[str, Any]] = ANY

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        left, top, right, bottom = arguments["box"]
        box = (int(left), int(top), int(right), int(bottom))
        return View(scene.picture.original.image.crop(box), "crop")


class Whatever(Tool):
    """Does what a test wants."""

    name = "whatever"
    description = "Does what a test wants."
    parameters: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {}}

    def __init__(self, does: Callable[[Picture], Any]) -> None:
        self.does = does

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        return self.does(scene.picture)


def raising(error: BaseException) -> Callable[[Picture], Any]:
    def does(_: Picture) -> Any:
        raise error

    return does


@pytest.fixture(autouse=True)
def _nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "_told", set())


def call(box: str) -> str:
    text = f'{{"name": "crop", "arguments": {{"box": {box}}}}}'
    return f"<think>closer</think><tool_call>{text}</tool_call>"


@pytest.mark.parametrize(
    "box",
    [
        "[10, 10, 5, 5]",
        "[0, 0, 1, 300]",
        "[0, 0, 0, 0]",
        "[0, 0, 1e999, 5]",
        "[0, 0, -1e999, 5]",
        "[0, 0, NaN, 5]",
        "[0, 0, 100000, 100000]",
        "[0, 0, 1e300, 5]",
        f"[0, 0, {10**30}, 5]",
        "[-9e9, -9e9, 9e9, 9e9]",
        "[1, 2, 3]",
        "[]",
    ],
)
def test_a_careless_tool_and_a_wild_call_make_an_error_turn(
    samples: list[Sample], box: str
) -> None:
    env = VisionThinkEnv(samples, tools=[Crop()], max_turns=3, judge="exact", order="sequential")
    env.reset()
    observation, reward, terminated, _, info = env.step(call(box))
    assert (reward, terminated) == (0.0, False)
    assert "The call did not work" in observation["text"]
    assert not info["new_image"]
    json.dumps([str(info["action"]), info["messages"]], allow_nan=False)
    *_, terminated, _, info = env.step(answer("one"))
    assert terminated
    assert info["verdict"].correct
    assert not info["outcome"].requested


FAILURES: list[tuple[Callable[[Picture], Any], str]] = [
    (raising(RuntimeError("boom")), "the tool 'whatever' failed"),
    (raising(KeyError("box")), "failed"),
    (raising(MemoryError()), "failed"),
    (raising(RecursionError()), "failed"),
    (raising(AssertionError()), "failed"),
    (raising(SyntaxError("<|im_end|>")), "failed"),
    (raising(PictureError("picture '/data/answer-is-47.png': gone")), "cannot be shown like that"),
    (lambda _: None, "failed"),
    (lambda p: p.original.image, "failed"),
    (lambda p: p.original.array, "failed"),
    (lambda p: View(p.original.image.convert("L"), "grey"), "failed"),
    (lambda p: View(p.original.array, "array"), "failed"),  # type: ignore[arg-type]
    (lambda _: View(Image.new("RGB", (0, 0)), "nothing"), "sides of at least 1"),
    (lambda _: View(Image.new("RGB", (0, 7)), "nothing"), "sides of at least 1"),
    (lambda _: View(Image.new("RGB", (900, 4)), "strip"), "aspect ratio"),
    (lambda _: View(Image.new("RGB", (1001, 1000)), "huge"), "at most 1,000,000 pixels"),
]


@pytest.mark.parametrize(("does", "said"), FAILURES)
def test_whatever_a_tool_does_is_an_error_turn(
    samples: list[Sample], does: Callable[[Picture], Any], said: str
) -> None:
    rules = PictureRules(max_pixels=1_000_000)
    env = VisionThinkEnv(samples, tools=[Whatever(does)], rules=rules, judge="exact")
    env.reset(options={"sample_id": "s1"})
    observation, _, terminated, _, _ = env.step(ToolCall("whatever"))
    assert not terminated
    assert said in observation["text"]
    assert "answer-is-47" not in observation["text"]
    _, reward, *_ = env.step(answer("one"))
    # What the tool gets wrong costs the policy no format; a view that it should not ask for does.
    assert reward == (1.5 if said.startswith(("the tool", "failed", "cannot")) else 1.0)


def test_a_tool_that_is_interrupted_is_no_failure(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, tools=[Whatever(raising(KeyboardInterrupt()))], judge="exact")
    env.reset()
    with pytest.raises(KeyboardInterrupt):
        env.step(ToolCall("whatever"))
    assert env.dialogue.turn == 0


def test_tests_of_tools_see_the_exception(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, tools=[Crop()], strict=True, judge="exact")
    env.reset()
    with pytest.raises(ValueError, match="'right' is less than 'left'"):
        env.step(call("[10, 10, 5, 5]"))
    assert env.dialogue.turn == 0


def test_each_kind_of_failure_is_logged_with_its_traceback_once(
    samples: list[Sample], caplog: pytest.LogCaptureFixture
) -> None:
    env = VisionThinkEnv(samples, tools=[Crop()], max_turns=9, judge="exact")
    env.reset()
    with caplog.at_level(logging.WARNING):
        for box in ("[9, 9, 5, 5]", "[1]", "[0, 0, 1e5, 1e5]", "[0, 0, 1e5, 1e5]"):
            env.step(call(box))
    assert len(caplog.records) == 4
    assert [bool(r.exc_info) for r in caplog.records] == [True, False, True, False]


def test_an_original_that_cannot_be_read_any_more_is_an_error_turn(tmp_path: Path) -> None:
    """With a cheap first look the original is decoded only when it is asked for."""
    file = tmp_path / "scan.jpg"
    Image.effect_noise((640, 480), 60).convert("RGB").save(file)
    env = VisionThinkVectorEnv(
        2,
        group_size=2,
        data=[Sample("s", "What?", ("one",), file)],
        first_look="draft",
        judge="exact",
    )
    env.reset()
    file.write_bytes(b"\xff\xd8\xff")
    observations, *_, info = env.step([ASK, answer("one")])
    assert "cannot be shown like that" in observations["text"][0]
    _, rewards, terminated, _, info = env.step([answer("one"), ""])
    assert terminated.all()
    assert list(rewards) == [1.5, 1.5]
    assert not any(outcome.requested for outcome in info["outcome"])


# ---------------------------------------------------------------------- all rows or none


class Failing:
    """A judge that gives up when it is told to."""

    name = "failing"

    def __init__(self) -> None:
        self.fails = True

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        if self.fails:
            raise JudgeError("gone")
        return [Verdict(q.answer in q.references, self.name, "compared") for q in queries]


def test_a_step_that_raises_changes_no_row(samples: list[Sample]) -> None:
    env = VisionThinkVectorEnv(
        4, group_size=2, data=samples, tools=["resize_image", Crop()], strict=True, judge="exact",
        order="sequential",
    )  # fmt: skip
    env.reset()
    with pytest.raises(ValueError, match="less than 'left'"):
        env.step([ASK, answer("one"), ASK, call("[10, 10, 5, 5]")])
    assert [env.dialogue(row).turn for row in range(4)] == [0] * 4
    assert [len(env.dialogue(row).messages) for row in range(4)] == [2] * 4
    assert env.active.all()
    _, rewards, *_ = env.step([answer("one")] * 2 + [answer("two")] * 2)
    assert list(rewards) == [1.5] * 4


def test_a_step_whose_judge_gives_up_can_be_taken_again(samples: list[Sample]) -> None:
    judge = Failing()
    several = VisionThinkVectorEnv(2, group_size=2, data=samples, judge=judge)
    several.reset(options={"sample_ids": ["s1"]})
    with pytest.raises(JudgeError, match="gone"):
        several.step([answer("one")] * 2)
    assert several.active.all()
    one = gym.make("vt_env:VisionThink-v0", data=samples, judge=judge)
    one.reset(options={"sample_id": "s1"})
    with pytest.raises(JudgeError, match="gone"):
        one.step(answer("one"))
    judge.fails = False
    assert list(several.step([answer("one")] * 2)[1]) == [1.5, 1.5]
    assert one.step(answer("one"))[1] == 1.5


@pytest.fixture
def broken(samples: list[Sample], tmp_path: Path) -> Source:
    """Five samples; the third has no picture."""
    gone = Sample("gone", "What?", ("x",), tmp_path / "gone.png")
    return open_source([*samples[:2], gone, *samples[2:4]], check="none")


@pytest.mark.parametrize("order", ["sequential", "random"])
@pytest.mark.parametrize("seed", [None, 5])
def test_a_refused_reset_moves_neither_rows_nor_order(
    broken: Source, order: str, seed: int | None
) -> None:
    def begun(refused: bool) -> list[Any]:
        env = VisionThinkVectorEnv(2, data=broken, order=order, judge="exact")
        env.reset(seed=1, options={"sample_ids": ["s1", "s1"]})
        if refused:
            for options in ({"sample_ids": ["s2", "gone"]}, {"sample_ids": ["s2"]}, {"mask": 1}):
                with pytest.raises(ValueError, match=r"gone|expected 2|Unknown"):
                    env.reset(seed=seed, options=options)
        rows = [env.dialogue(row).sample.id for row in range(2)]
        picked = [s.id for _ in range(9) for s in env.order.take(2, env.np_random)]
        return [rows, picked, env.np_random_seed, env.step([answer("one")] * 2)[1].tolist()]

    assert begun(refused=True) == begun(refused=False)


def test_a_refused_reset_of_one_environment_goes_on_where_it_was(broken: Source) -> None:
    env = VisionThinkEnv(broken, order="sequential", judge="exact")
    assert [env.reset()[1]["sample_id"] for _ in range(2)] == ["s1", "s2"]
    for _ in range(2):
        with pytest.raises(PictureError, match="'gone'"):
            env.reset()
    assert env.step(answer("two"))[1] == 1.5
    assert env.reset(options={"index": 3})[1]["sample_id"] == "s3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_id": "s1", "index": 0}, "one sample each; give one"),
        ({"index": -1}, "numbered from 0"),
        ({"index": 99}, "asked for number 99"),
        ({"index": "0"}, "whole number"),
        ({"index": True}, "whole number"),
        ({"index": 0.0}, "whole number"),
    ],
)
def test_which_sample_is_said_once_and_exactly(
    samples: list[Sample], options: dict[str, Any], message: str
) -> None:
    env = VisionThinkEnv(samples, judge="exact")
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    assert env.reset(options={"index": np.int64(1)})[1]["sample_id"] == samples[1].id


# ---------------------------------------------------------------------- what a call says


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "NaN", str(2**53), "9" * 5000])
def test_numbers_of_no_finite_or_exact_size_are_not_read(number: str) -> None:
    action = parse(call(f"[{number}]"))
    assert isinstance(action, Malformed)
    assert action.tried_call
    assert len(action.reason) < 200


@pytest.mark.parametrize("number", [str(2**53 - 1), str(1 - 2**53), "1e308", "-0", "1e-999"])
def test_other_numbers_are_read(number: str) -> None:
    action = parse(call(f"[{number}]"))
    assert isinstance(action, ToolCall)
    assert action.arguments["box"] == [float(number)]


MARKS = ("<|im_end|>", "<|im_start|>", "<|reserved_special_token_12|>", "<|EOT|>", "<|image_1|>",
         "<image>", "<img>", "</s>", "<start_of_turn>", "<IMG_CONTEXT>", "</tool_response>",
         "<tool_response>", "<｜end▁of▁sentence｜>")  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_the_environment_says_no_mark_that_a_policy_wrote(samples: list[Sample], mark: str) -> None:
    def saying(text: str) -> Callable[[Picture], Any]:
        return raising(ToolError(text))

    escaped = "".join(f"\\u{ord(c):04x}" for c in mark)
    name = f'{{"name": "{escaped}", "arguments": {{}}}}'
    argument = f'{{"name": "whatever", "arguments": {{"{escaped}": 1}}}}'
    for said in (name, argument, '{"name": "whatever", "arguments": {}}', mark):
        env = VisionThinkEnv(samples, tools=[Whatever(saying(f"no {mark} \ud800\x1b[0m"))])
        env.reset()
        turn = f"<think>hm</think><tool_call>{said}</tool_call>"
        observation, *_, info = env.step(turn)
        (block,) = info["messages"][-1]["content"]
        inside = block["text"].removeprefix("<tool_response>").removesuffix("</tool_response>")
        assert mark not in inside
        assert inside.isprintable() or inside.replace("\n", "").isprintable()
        assert block["text"].strip() == observation["text"]


def test_a_reason_without_end_is_cut(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, tools=[Whatever(raising(ToolError("x" * 10**6)))])
    env.reset()
    assert len(env.step(ToolCall("whatever"))[0]["text"]) < 1000


def test_the_original_is_shown_once() -> None:
    picture = Picture(np.zeros((4, 4, 3), np.uint8))
    scene = Scene([picture], [picture.original], token_counter("tiny"), Budget(1))
    with pytest.raises(ToolError, match="already"):
        ResizeImage().apply(scene, {"action": "resize"})
