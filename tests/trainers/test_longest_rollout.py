"""The room that trainers make for a rollout is enough, whatever a policy asks for."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from dataclasses import replace

from agents.models.loading import load_processor
from agents.tiny import make_vlm, save
from trainers.lengths import longest_rollout
from vt_env import ConfigError, Sample, Tool, ToolCall, make_task
from vt_env.protocol import PRESETS

SIZES = [(64, 48), (640, 480), (30, 900), (1500, 1100)]


def random_call(rng, tool, size):
    """A call for any part, as the tool writes it."""
    name, properties = tool.name, tool.parameters["properties"]
    if "items" in properties:
        return ToolCall(name, {"items": list(tool.parts)})
    if "action" in properties:
        return ToolCall(name, {"action": "resize"})
    width, height = {"unit": (1, 1), "thousand": (1000, 1000)}.get(tool.space, size)
    if tool.space == "view":
        width, height = width // 2, height // 2
    (a, b), (c, d) = (np.sort(rng.uniform(0, side, 2)).tolist() for side in (width, height))
    box = [a, c] if tool.point else [a, c, b, d]
    more = {"img_idx": 0, "target_image": 1, "source": "original_image", "label": "x"}
    return ToolCall(
        name, {**{k: v for k, v in more.items() if k in properties}, tool.argument: box}
    )


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    return load_processor(save(make_vlm(), tmp_path_factory.mktemp("untrained")))


@pytest.mark.parametrize("name", PRESETS)
def test_no_rollout_shows_more_than_there_is_room_for(name, processor):
    rng = np.random.default_rng(0)
    for size in SIZES:
        sample = Sample("s", "?", ("a",), np.zeros((size[1], size[0], 3), np.uint8))
        task = make_task([sample], protocol=name, tokens="qwen2.5-vl")
        (begun,) = task.begin(sample)
        room = longest_rollout(begun, processor, 0)
        for _ in range(20 if task.protocol.tools else 0):
            dialogue = begun.fork()
            while not dialogue.done:
                (tool,) = task.protocol.tools
                calls = [random_call(rng, tool, size) for _ in range(8)]
                many = task.protocol.grammar.several == "all"
                call = replace(calls[0], thought="x", also=tuple(calls[1:] if many else ()))
                dialogue.apply(task.protocol.grammar.write(call))
            assert dialogue.visual_tokens - dialogue.shown_tokens[0] <= room.rest


class Unbounded(Tool):
    """Shows who knows what."""

    name, description, parameters = "look", "Looks.", {"type": "object", "properties": {}}

    def apply(self, scene, arguments):
        return scene.picture.original


def test_a_tool_that_does_not_say_what_it_shows_is_refused_unless_a_budget_bounds_it(processor):
    sample = Sample("s", "?", ("a",), np.zeros((64, 64, 3), np.uint8))
    rules = {"tools": [Unbounded()], "prompt": "zoom", "max_turns": 4, "tokens": "tiny"}
    (free,) = make_task([sample], **rules).begin(sample)
    with pytest.raises(ConfigError, match=r"'look' does not say how much a call can show"):
        longest_rollout(free, processor, 10)
    (bounded,) = make_task([sample], **rules, max_visual_tokens=90).begin(sample)
    assert longest_rollout(bounded, processor, 10).rest > 40
