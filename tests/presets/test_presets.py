"""Every preset plays recorded transcripts: what is said, shown, counted and rewarded.

``python tests/presets/test_presets.py`` writes the record anew; read the difference before you
keep it. The answer is judged as exact text, and the picture has a red mark at a known place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vt_env import Sample
from vt_env.actions import Malformed
from vt_env.env import VisionThinkEnv
from vt_env.protocol import PRESETS, make_protocol

RECORD = Path(__file__).parent / "recorded.json"
MARK = (320, 240, 400, 360)
RIGHT, PLAIN = "<think>I see it.</think>\n<answer>red</answer>", "red"


def sample() -> Sample:
    """A grey picture of 640 x 480 pixels with a red mark, and a second, smaller one."""
    pixels = np.full((480, 640, 3), 200, np.uint8)
    left, top, right, bottom = MARK
    pixels[top:bottom, left:right] = (255, 0, 0)
    return Sample("mark", "What colour is the mark?", ("red",), pixels)


def tool_call(name: str, **arguments: Any) -> str:
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<think>Closer.</think>\n<tool_call>{call}</tool_call>"


def grounding(source: str, *box: float) -> str:
    call = json.dumps({"bbox_2d": box, "source": source})
    return f"<think>Closer.</think>\n<grounding>{call}</grounding>"


def zoom(*box: float, **more: Any) -> str:
    return tool_call("image_zoom_in_tool", bbox_2d=box, **more)


def crop(image: int, *box: float) -> str:
    return tool_call("crop_image_normalized", bbox_2d=box, target_image=image)


def point(x: float, y: float) -> str:
    return tool_call("search_coordinate", coordinate=[x, y])


REGION = tool_call("request_local_region", bbox_2d=[160, 120, 200, 180])
ASK = tool_call("resize_image", action="resize")
SCRIPTS: dict[str, list[list[str]]] = {
    "visionthink": [[RIGHT], [ASK, RIGHT], [ASK, ASK]],
    "general": [[RIGHT], [ASK]],
    "low": [[RIGHT], ["red"]],
    "adaptvision": [
        [RIGHT],
        [REGION, RIGHT],
        [REGION, REGION],
        [REGION + REGION, RIGHT],
        [tool_call("request_local_region", bbox_2d=[900, 0, 950, 9]), RIGHT],
        [tool_call("request_local_region", bbox_2d=[0, 0, 320, 1]), RIGHT],
    ],
    "deepeyes": [
        [zoom(*MARK, label="mark"), zoom(300, 200, 500, 400), RIGHT],
        [zoom(0, 0, 30, 30), zoom(0, 0, 640, 5), zoom(600, 400, 900, 900), RIGHT],
        [zoom(0, 0, 9, 9) + zoom(*MARK), RIGHT],
        [zoom(*MARK)] * 12,
    ],
    "chain-of-focus": [
        [zoom(*MARK), RIGHT],
        [zoom(*MARK) + zoom(0, 0, 64, 64).partition("\n")[2], RIGHT],
        [zoom(600, 400, 900, 900), RIGHT],
        [zoom(*MARK)] * 4,
    ],
    "mini-o3": [
        [
            grounding("original_image", 0.5, 0.5, 0.75, 1),
            grounding("observation_1", 0, 0, 0.5, 0.5),
            RIGHT,
        ],
        [grounding("observation_1", 0, 0, 1, 1), grounding("original_image", -1, 0, 2, 1), RIGHT],
        [grounding("original_image", 0, 0, 0.5, 0.5)] * 12,
    ],
    "pixel-reasoner": [
        [crop(1, 0.5, 0.5, 0.625, 0.75), crop(2, 0.25, 0.25, 0.5, 0.5), RIGHT],
        [crop(1, 320, 240, 400, 360), crop(3, 0, 0, 0.5, 0.5), RIGHT],
        [crop(1, 0.5, 0.5, 0.6, 0.6)] * 4,
    ],
    "awares": [[PLAIN], ["GET_CROPS: ['4', '8']", PLAIN], ["GET_CROPS: ['9']", PLAIN]],
    "vigorl": [[point(360, 300), RIGHT], [point(0, 0), point(9999, 0), RIGHT], [point(1, 1)] * 5],
    "qwen3-vl": [
        [zoom(500, 500, 625, 750, label="mark", img_idx=0), RIGHT],
        [
            zoom(500, 500, 625, 750, label="mark", img_idx=0),
            zoom(100, 100, 105, 105, label="dot", img_idx=1),
            RIGHT,
        ],
        [zoom(0, 0, 1000, 1000, label="x", img_idx=7), zoom(0, 0, 1200, 500, img_idx=0), RIGHT],
    ],
    "zoom": [
        [RIGHT],
        [zoom(500, 500, 625, 750, label="mark"), RIGHT],
        [zoom(0, 0, 10, 10, label="dot"), RIGHT],
        [zoom(500, 500, 625, 750, label="mark")] * 2,
        [zoom(500, 500, 625, 750), RIGHT],
    ],
}
TOKENS = {"qwen3-vl": "qwen3-vl"}


def play(name: str, stage: str) -> list[dict[str, Any]]:
    """What comes of each of a preset's scripts."""
    protocol = make_protocol(name, tokens=TOKENS.get(name, "qwen2.5-vl"), stage=stage, strict=True)
    env = VisionThinkEnv([sample()], protocol=protocol, judge="exact")
    return [episode(env, turns) for turns in SCRIPTS[name]]


def episode(env: VisionThinkEnv, turns: list[str]) -> dict[str, Any]:
    _, info = env.reset()
    steps: list[dict[str, Any]] = []
    for turn in turns:
        observation, reward, terminated, truncated, info = env.step(turn)
        action, new = info["action"], env.dialogue.new_views
        steps.append(
            {
                "turn": turn,
                "read": action.reason if isinstance(action, Malformed) else type(action).__name__,
                "text": observation["text"],
                "views": [[*v.size, *(v.region.box.edges if v.region else ())] for v in new],
                "red": [round(float((image[..., 1] < 100).mean()), 2) for image in
                        (observation["images"] if new else ())],
                "futile": info["futile_request"],
                "ends": "terminated" if terminated else "truncated" if truncated else "",
                "reward": None if np.isnan(reward) else reward,
            }
        )  # fmt: skip
        if terminated or truncated:
            break
    outcome = info["outcome"]
    return {
        "first": list(env.dialogue.views[0].size),
        "steps": steps,
        "flaws": env.dialogue.flaws,
        "calls": [outcome.calls, outcome.failed_calls, outcome.repeated_calls],
        "tokens": list(outcome.tokens_by_turn),
        "full": outcome.full_tokens,
    }


def record() -> dict[str, Any]:
    return {
        f"{name}, {stage}": {"prompt": make_protocol(name).system, "episodes": play(name, stage)}
        for name in PRESETS
        for stage in ("training", "evaluation")
    }


@pytest.mark.parametrize("stage", ["training", "evaluation"])
@pytest.mark.parametrize("name", PRESETS)
def test_what_was_recorded_happens(name: str, stage: str) -> None:
    recorded = json.loads(RECORD.read_text("utf-8"))[f"{name}, {stage}"]
    assert make_protocol(name).system == recorded["prompt"]
    assert json.loads(json.dumps(play(name, stage))) == recorded["episodes"]


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in ("general", "low", "visionthink")])
def test_every_crop_of_the_mark_shows_it(name: str) -> None:
    """The first call of the first script that asks is for the mark, in the preset's own numbers."""
    calls = [play(name, "training")[i]["steps"][0] for i, s in enumerate(SCRIPTS[name]) if s[1:]]
    left, top, right, bottom = calls[0]["views"][0][2:]
    assert left <= MARK[0] + 1
    assert top <= MARK[1] + 1
    assert right >= MARK[2] - 1
    assert bottom >= MARK[3] - 1


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n", "utf-8")
