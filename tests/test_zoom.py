"""What a box may have wrong has one outcome each, and no call stops a run."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vt_env import (
    Budget,
    ConfigError,
    Picture,
    Sample,
    Scene,
    ToolCall,
    ToolError,
    View,
    token_counter,
)
from vt_env.env import VisionThinkEnv
from vt_env.protocol import PRESETS, make_protocol
from vt_env.regions import Box, Region
from vt_env.tools import NamedParts, Result, Zoom, make_tools

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def scene(tokens: str = "qwen2.5-vl", left: int | None = None) -> Scene:
    picture = Picture(PIXELS)
    return Scene([picture], [picture.shrunk(0.5)], token_counter(tokens), Budget(3, 9, left))


def zoomed(box: list[float], left: int | None = None, **settings: Any) -> Result:
    return Zoom(space="source", **settings).apply(scene(left=left), {"bbox_2d": box})


@pytest.mark.parametrize(
    ("box", "settings", "shown", "notice"),
    [
        ([10, 20, 60, 90], {}, [10, 20, 60, 90], ""),
        ([10.4, 20.5, 60.6, 90], {}, [10, 21, 61, 90], ""),
        ([-50, -9, 60, 90], {}, [0, 0, 60, 90], "cut at the edge"),
        ([300, 200, 999, 999], {}, [300, 200, 400, 300], "cut at the edge"),
        ([60, 90, 10, 20], {"swapped": "swap"}, [10, 20, 60, 90], "put in order"),
        ([10, 10, 20, 20], {"min_side": 32}, [0, 0, 32, 32], "grown to sides of 32"),
        ([10.6, 10, 10.9, 90], {}, [10, 10, 11, 90], ""),
        ([390, 290, 400, 300], {"min_side": 32}, [368, 268, 400, 300], "grown"),
        ([0, 100, 400, 101], {"thin": "grow", "max_aspect": 10}, [0, 81, 400, 121], "grown"),
        ([10, 20, 60, 90], {"pad": 0.1}, [0, 0, 100, 120], ""),
        ([100, 100, 200, 200], {"scale": 1.5}, [75, 75, 225, 225], ""),
    ],
)
def test_what_is_put_right(
    box: list[float], settings: dict[str, Any], shown: list[int], notice: str
) -> None:
    result = zoomed(box, **settings)
    region = result.views[0].region
    assert region is not None
    assert list(region.box.edges) == shown
    assert notice in result.text
    assert bool(notice) == bool(result.text)
    left, top, right, bottom = shown
    assert np.array_equal(result.views[0].array, PIXELS[top:bottom, left:right])


@pytest.mark.parametrize(
    ("box", "settings", "why"),
    [
        ([500, 10, 600, 20], {}, "no pixel"),
        ([10, 10, 10, 10], {}, "no pixel"),
        ([10.6, 10, 10.9, 90], {"small": "error"}, "no pixel"),
        ([400, 0, 500, 50], {}, "no pixel"),
        ([-9e300, -9e300, 9e300, 9e300], {}, "too large to be a place"),
        ([0, 0, float("inf"), 9], {}, "too large to be a place"),
        ([0, 0, float("nan"), 9], {}, "too large to be a place"),
        ([-1, 0, 50, 50], {"outside": "error"}, "reaches beyond"),
        ([60, 90, 10, 20], {}, "ends before it begins"),
        ([10, 10, 30, 50], {"small": "error", "min_side": 31}, "too small: 20x40"),
        ([0, 100, 400, 103], {"max_aspect": 100}, "too thin: 400x3"),
    ],
)
def test_what_is_an_error(box: list[float], settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ToolError, match=why):
        zoomed(box, **settings)


def test_a_view_has_the_size_that_its_settings_say() -> None:
    box = [0.0, 0, 50, 70]
    assert zoomed(box).views[0].size == (50, 70)
    assert zoomed(box, magnify=2).views[0].size == (100, 140)
    assert zoomed(box, size=[672, 336]).views[0].size == (672, 336)
    assert zoomed(box, multiple=28).views[0].size == (56, 56)
    assert zoomed(box, multiple=32, min_pixels=262144).views[0].size == (448, 608)
    width, height = zoomed([0, 0, 400, 300], max_pixels=10_000).views[0].size
    assert width * height <= 10_000


def test_what_is_too_dear_is_refused_or_shrunk() -> None:
    box = [0.0, 0, 280, 280]  # 100 visual tokens
    with pytest.raises(ToolError, match="would cost 100 visual tokens, and 60 are left"):
        zoomed(box, left=60)
    result = zoomed(box, left=60, large="shrink")
    assert token_counter("qwen2.5-vl").count(*result.views[0].size) <= 60
    assert "shrunk to" in result.text
    with pytest.raises(ToolError, match="no view has so few"):
        Zoom(space="source", large="shrink").apply(scene("qwen3-vl", 60), {"bbox_2d": box})


def test_boxes_on_views_of_calls_and_names_of_views() -> None:
    at = scene()
    words = Zoom(space="unit", picture="source", names="words")
    first = words.apply(at, {"bbox_2d": [0.5, 0.5, 1, 1], "source": "original_image"}).views[0]
    at = Scene(at.pictures, [*at.views, first], at.tokens, at.budget)
    second = words.apply(at, {"bbox_2d": [0.5, 0, 1, 0.5], "source": "observation_1"}).views[0]
    assert second.region == Region(0, Box(300, 150, 400, 225), (400, 300))
    with pytest.raises(ToolError, match="have the original_image, observation_1"):
        words.apply(at, {"bbox_2d": [0, 0, 1, 1], "source": "observation_2"})
    with pytest.raises(ToolError, match="no image 0; the images have the numbers from 1 to 2"):
        Zoom(picture="i", first=1).apply(at, {"bbox_2d": [0, 0, 1, 1], "i": 0})
    rotated = View(first.image.rotate(90), "rotated")
    at = Scene(at.pictures, [rotated], at.tokens, at.budget)
    with pytest.raises(ToolError, match="no upright part"):
        Zoom().apply(at, {"bbox_2d": [0, 0, 9, 9]})


def test_a_mixed_space_has_shares_below_one_and_pixels_of_the_view_from_one() -> None:
    zoom = Zoom(space="unit", mixed=True)
    assert zoom.apply(scene(), {"bbox_2d": [0.5, 0.5, 0.99, 0.99]}).views[0].size == (196, 147)
    region = zoom.apply(scene(), {"bbox_2d": [0, 0, 100, 50]}).views[0].region
    assert region is not None
    assert region.box == Box(0, 0, 200, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "percent"}, "Unknown space"),
        ({"outside": "clip"}, "Unknown outside"),
        ({"point": True}, "a point needs a reach"),
        ({"magnify": 0}, "magnify must be"),
        ({"size": [0, 9]}, "size is"),
        ({"multiple": 28, "max_pixels": 9}, "max_pixels must be at least"),
        ({"colour": 1}, "does not take these arguments"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_tools([{"kind": "zoom", **settings}])


def test_named_parts() -> None:
    quarters = NamedParts(parts={"a": (0, 0, 0.5, 0.5), "b": (0.5, 0, 1, 1)})
    result = quarters.apply(scene(), {"items": ["b", "a", "b"]})
    assert [view.size for view in result.views] == [(200, 300), (200, 150)]
    assert quarters.arguments_for(scene(), Region(0, Box(10, 10, 20, 20), (400, 300))) == {
        "items": ["a"]
    }


ZOOMING = [name for name in PRESETS if name not in ("visionthink", "general", "low")]
NUMBERS = st.one_of(
    st.floats(-2000, 2000), st.integers(-2000, 2000), st.sampled_from([0, 1, 1e308, -1e308, 5e-324])
)


@pytest.mark.parametrize("name", ZOOMING)
@given(numbers=st.lists(NUMBERS, min_size=2, max_size=4), which=st.integers(-1, 3))
def test_nothing_that_a_policy_says_stops_a_run(
    name: str, numbers: list[float], which: int
) -> None:
    sample = Sample("a", "What?", ("x",), PIXELS)
    env = VisionThinkEnv([sample], protocol=name, judge="exact", strict=True)
    env.reset()
    grammar, tool = env.task.protocol.grammar, env.task.protocol.tools[0]
    arguments: dict[str, Any] = {}
    for key, schema in tool.parameters["properties"].items():
        kind = schema["type"]
        arguments[key] = {"array": numbers, "integer": which, "string": "original_image"}[kind]
    text = grammar.write(ToolCall(tool.name, arguments))
    observation, _, terminated, truncated, info = env.step(text)
    assert not terminated
    assert not truncated
    assert observation["text"] or observation["images"]
    for view in env.dialogue.views:
        region = view.region
        assert region is not None
        assert region.box.within(Box.of(region.of)) == region.box
    assert info["visual_tokens"] >= sum(env.dialogue.shown_tokens)


def test_single_settings_of_a_presets_tool_can_be_changed() -> None:
    mended = make_protocol("deepeyes", tools=[{"space": "model"}])
    assert isinstance(tool := mended.tools[0], Zoom)
    assert (tool.space, tool.min_side) == ("model", 31)
    with pytest.raises(ConfigError, match="needs a kind"):
        make_protocol("visionthink", tools=[{"space": "model"}])
    with pytest.raises(ConfigError, match="does not; give space='view'"):
        make_protocol("deepeyes", tools=[{"space": "model"}], tokens="internvl")


def test_shares_that_reach_the_edge_are_written_as_pixels_where_both_are_read() -> None:
    mixed = Zoom(space="unit", mixed=True, min_side=1)
    for box in (Box(40, 30, 400, 300), Box(40, 30, 200, 150)):
        asked = mixed.arguments_for(scene(), Region(0, box, (400, 300)))
        assert mixed.apply(scene(), asked).views[0].region == Region(0, box, (400, 300)), asked
