"""Tools: the shipped one, and ones a user would write, without touching the environment."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from vt_env import ConfigError, Sample, Scene, Tool, ToolCall, ToolError, View, register_tool
from vt_env.env import VisionThinkEnv
from vt_env.tools import ResizeImage, argument_error, declaration, make_tools


class Crop(Tool):
    """Cuts a box out of the original: the tool of the papers that came after."""

    name = "crop_image"
    description = "Shows a part of the image at its original resolution."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "box": {
                "type": "array",
                "description": "[left, top, right, bottom], each from 0 to 1",
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "minItems": 4,
                "maxItems": 4,
            }
        },
        "required": ["box"],
    }

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        left, top, right, bottom = arguments["box"]
        width, height = scene.picture.size
        box = (int(left * width), int(top * height), int(right * width), int(bottom * height))
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ToolError(f"the box {arguments['box']} is empty")
        return View(scene.picture.original.image.crop(box), "crop")


class Scale(Tool):
    """Shows the image at one of several sizes."""

    name = "scale_image"
    description = "Shows the image with its sides at a share of the original's."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"share": {"type": "number", "enum": [0.25, 0.5, 0.75, 1.0]}},
        "required": ["share"],
    }

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        return scene.picture.shrunk(arguments["share"])


def test_crop_and_several_factors_fit_without_touching_the_core(samples: list[Sample]) -> None:
    env = VisionThinkEnv(
        samples, tools=["resize_image", Crop(), Scale()], factor=0.25, max_turns=4, judge="exact"
    )
    observation, info = env.reset(options={"sample_id": "s1"})
    assert observation["image"].shape == (120, 160, 3)
    system = info["messages"][0]["content"][0]["text"]
    assert all(json.dumps(name) in system for name in ("resize_image", "crop_image", "scale_image"))
    observation, *_, info = env.step(ToolCall("scale_image", {"share": 0.75}))
    assert observation["image"].shape == (360, 480, 3)
    observation, *_, info = env.step(ToolCall("crop_image", {"box": [0.5, 0, 1, 0.5]}))
    assert np.array_equal(observation["image"], np.asarray(samples[0].image)[:240, 320:])
    count = env.task.protocol.tokens.count
    assert info["visual_tokens"] == count(160, 120) + count(480, 360) + count(320, 240)
    assert info["futile_request"]  # fewer tokens than the view before
    _, reward, *_ = env.step("<think>now</think><answer>one</answer>")
    assert reward == 1.5


def test_a_tool_can_refuse(samples: list[Sample]) -> None:
    env = VisionThinkEnv(samples, tools=[Crop()], judge="exact")
    env.reset()
    observation, _, terminated, _, _ = env.step(ToolCall("crop_image", {"box": [1, 0, 1, 1]}))
    assert not terminated
    assert "is empty" in observation["text"]


def test_registered_by_name(samples: list[Sample]) -> None:
    register_tool("crop_for_test", Crop)
    assert isinstance(make_tools(["crop_for_test"])[0], Crop)
    with pytest.raises(ConfigError, match="there is a tool named"):
        register_tool("resize_image", Crop)


def test_the_declaration_is_the_schema() -> None:
    declared = json.loads(declaration(ResizeImage()))
    assert declared["function"]["parameters"] == ResizeImage.parameters
    assert declared["function"]["name"] == "resize_image"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"box": [0, 0, 1, 1]}, None),
        ({"box": [0, 0, 1]}, "must have 4 items, got 3"),
        ({"box": [0, 0, 1, 2]}, "arguments['box'][3] must be between 0 and 1"),
        ({"box": [0, 0, 1, True]}, "type number"),
        ({"box": "all"}, "type array"),
        ({}, "must have 'box'"),
        ({"box": [0, 0, 1, 1], "z": 1}, "may only have 'box'"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], problem: str | None) -> None:
    found = argument_error(Crop.parameters, arguments)
    assert (found is None) == (problem is None)
    assert problem is None or problem in str(found)


def test_schemas_that_are_not_understood_are_refused() -> None:
    class Odd(Crop):
        parameters: ClassVar[Mapping[str, Any]] = {"type": "object", "anyOf": []}

    with pytest.raises(ConfigError, match="anyOf"):
        make_tools([Odd()])
    with pytest.raises(ConfigError, match="a name of its own"):
        make_tools([Crop(), Crop()])
