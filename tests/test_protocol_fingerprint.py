"""A protocol's fingerprint: the same in every process, another with whatever decides a rollout."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace

import pytest

from vt_env import PictureRules
from vt_env.prompts import load_prompt
from vt_env.protocol import PRESETS, make_protocol
from vt_env.tools.counterfactual import Counterfactual
from vt_env.tools.shown import ResizeImage


def test_it_is_the_same_in_another_process():
    told = (
        "from vt_env.protocol import PRESETS, make_protocol\n"
        "for name in PRESETS: print(make_protocol(name).fingerprint())"
    )
    made = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    here = [make_protocol(name).fingerprint() for name in PRESETS]
    assert made.stdout.split() == here
    assert len(set(here)) == len(PRESETS)


def test_objects_of_one_kind_are_equal():
    made = [
        make_protocol(tools=[Counterfactual(ResizeImage(), "blank")]).fingerprint()
        for _ in range(2)
    ]
    assert made[0] == made[1]
    other = make_protocol(tools=[Counterfactual(ResizeImage(), "same-view")])
    assert other.fingerprint() != made[0]


class Reworded(ResizeImage):
    """The same tool, told in other words."""

    description = "Shows the image again, larger."


PROMPT = load_prompt("visionthink")


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": replace(PROMPT, system=f"{PROMPT.system} Be brief.")},
        {"tools": [Reworded()]},
        {"tokens": "qwen3-vl"},
        {"tokens": "qwen2.5-vl:max_pixels=1003520"},
        {"rules": PictureRules(shrink_above=1_003_520)},
        {"factor": 0.25},
        {"max_turns": 3},
        {"max_visual_tokens": 4000},
        {"first_look": "tokens:256"},
        {"grammar": {"several": "last"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_it_follows_whatever_decides_a_rollout(other):
    assert make_protocol(**other).fingerprint() != make_protocol().fingerprint()


@dataclass
class Odd:
    """A family that knows no picture below 100 pixels."""

    name: str = "odd"

    def count(self, width: int, height: int) -> int:
        return make_protocol().tokens.count(width, max(height, 1) if width > 99 else 0)


def test_a_family_may_refuse_sizes():
    assert len(make_protocol(tokens=Odd()).fingerprint()) == 64
