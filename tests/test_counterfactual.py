"""A tool that shows something else than it was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents import request_turn
from vt_env import ConfigError, Sample
from vt_env.dialogue import Dialogue
from vt_env.pictures import Picture
from vt_env.protocol import make_protocol
from vt_env.regions import Box, Region
from vt_env.tools import Tool
from vt_env.tools.counterfactual import SHOWS, Counterfactual, _elsewhere

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
ASKED = Box(40, 60, 120, 140)
ANSWER = [200, 100, 260, 180]


def played(shows: str | None, box: list[int] | None = ANSWER) -> Dialogue:
    """One call for a region, which shows something else."""
    protocol = make_protocol("qwen3-vl", strict=True)
    if shows:
        tools = tuple(Counterfactual(tool, shows) for tool in protocol.tools)
        protocol = replace(protocol, tools=tools)
    metadata = {} if box is None else {"answer_box": box}
    sample = Sample("a", "What is here?", ("x",), PIXELS, metadata=metadata)
    dialogue = Dialogue(protocol, sample, Picture(PIXELS))
    dialogue.apply(dialogue.ask(Region(0, ASKED, (400, 300))))
    return dialogue


@pytest.mark.parametrize("shows", SHOWS)
def test_the_policy_reads_the_same_words(shows: str) -> None:
    real, other = played(None), played(shows)
    assert other.messages == real.messages or shows == "oracle-crop"  # which has its own size
    assert other.views[-1].region == real.views[-1].region
    assert other.views[-1].method == shows
    assert not np.array_equal(other.views[-1].array, real.views[-1].array)
    if shows != "oracle-crop":
        assert other.shown_tokens == real.shown_tokens


def test_what_is_shown() -> None:
    assert len(np.unique(played("blank").views[-1].array)) == 1
    same = played("same-view")
    first, shown = same.views[0], same.views[-1]
    assert np.array_equal(shown.array, np.asarray(first.image.resize(shown.size, 1)))
    assert np.array_equal(
        played("random-crop").views[-1].array, played("random-crop").views[-1].array
    )
    real = make_protocol("qwen3-vl")
    sample = Sample("a", "What is here?", ("x",), PIXELS)
    there = Dialogue(real, sample, Picture(PIXELS))
    there.apply(there.ask(Region(0, Box(*map(float, ANSWER)), (400, 300))))
    assert np.array_equal(played("oracle-crop").views[-1].array, there.views[-1].array)


@pytest.mark.parametrize("side", [0.05, 0.25, 0.45, 0.7, 0.95])
def test_elsewhere_is_beside_what_was_asked_for_where_there_is_room(side: float) -> None:
    """Of a box of half a picture's sides, the view elsewhere showed a third all the same."""
    rng, width, height = np.random.default_rng(0), 400, 300
    w, h = round(width * side), round(height * side)
    for _ in range(50):
        left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        asked = Box(left, top, left + w, top + h)
        found = _elsewhere(Region(0, asked, (width, height)))
        assert found == _elsewhere(Region(0, asked, (width, height)))
        assert (found.width, found.height) == (w, h)
        assert min(found.left, found.top, width - found.right, height - found.bottom) >= 0
        room = max(left, width - left - w) >= w or max(top, height - top - h) >= h
        assert (found.within(asked).area == 0) == room


def test_a_view_tells_how_much_of_what_was_asked_for_it_shows() -> None:
    assert played("random-crop").views[-1].overlap == 0
    assert played("blank").views[-1].overlap is None
    everything = Region(0, Box(0, 0, 400, 300), (400, 300))
    assert _elsewhere(everything) == everything.box


def test_the_place_of_the_answer_must_be_known_only_where_it_is_shown() -> None:
    with pytest.raises(ConfigError, match="answer_box"):
        played("oracle-crop", None)
    assert played("blank", None).calls == 1


def test_a_call_that_fails_fails_as_ever() -> None:
    protocol = make_protocol("qwen3-vl")
    tools = tuple(Counterfactual(tool, "blank") for tool in protocol.tools)
    sample = Sample("a", "What is here?", ("x",), PIXELS)
    told = []
    for each in (protocol, replace(protocol, tools=tools)):
        dialogue = Dialogue(each, sample, Picture(PIXELS))
        dialogue.apply(
            '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [5, 5, 5, 5], '
            '"img_idx": 0}}</tool_call>'
        )
        told.append((dialogue.messages, dialogue.failed))
    assert told[0] == told[1]
    assert told[0][1] == 1


def test_a_tool_that_shows_no_parts_is_answered_by_the_part_itself() -> None:
    protocol = make_protocol("visionthink", strict=True)
    tools = tuple(Counterfactual(tool, "oracle-crop") for tool in protocol.tools)
    sample = Sample("a", "What is here?", ("x",), PIXELS, metadata={"answer_box": ANSWER})
    dialogue = Dialogue(replace(protocol, tools=tools), sample, Picture(PIXELS))
    dialogue.apply(request_turn("small"))
    left, top, right, bottom = ANSWER
    assert np.array_equal(dialogue.views[-1].array, PIXELS[top:bottom, left:right])


def test_unknown_views_are_refused() -> None:
    (tool, *_) = make_protocol("qwen3-vl").tools
    with pytest.raises(ConfigError, match="Did you mean 'blank'"):
        Counterfactual(tool, "blanc")


def test_every_question_to_a_tool_is_put_to_the_one_that_is_called() -> None:
    """What a tool may be asked is forwarded, whatever is added to it."""
    asked = {name for name, value in vars(Tool).items() if callable(value) and name[0] != "_"}
    assert asked <= vars(Counterfactual).keys()
