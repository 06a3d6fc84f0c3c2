"""The OCR agent looks at the words that it read badly, and at no more than it may."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agents import rollout
from agents.ocr import OcrAgent, Word
from agents.ocr.closer import closer
from agents.rollout import Episode
from vt_env import Sample, open_source
from vt_env.pictures import View
from vt_env.protocol import PRESETS
from vt_env.regions import Box, Region
from vt_env.vector import VisionThinkVectorEnv


def seen(size: tuple[int, int], box: Box, picture: int = 0) -> View:
    return View(Image.new("RGB", size), "crop", region=Region(picture, box, (200, 100)))


WHOLE = seen((100, 50), Box(0, 0, 200, 100))
PART = seen((80, 80), Box(80, 20, 120, 60))
ZOOMING = [name for name in PRESETS if name not in ("visionthink", "general", "low")]


def test_what_is_read_closer_stands_in_its_place_in_the_views_own_pixels() -> None:
    words = [
        Word("Totel", 0.5, (42, 12, 50, 18)),
        Word("a line that goes on", 0.99, (30, 20, 90, 26)),
        Word("far", 0.99, (0, 40, 10, 45)),
    ]
    read = [Word("Total", 0.97, (8, 8, 40, 32)), Word("that", 0.9, (0, 40, 80, 64))]
    assert closer(words, WHOLE, read, PART) == [
        Word("Total", 0.97, (42, 12, 50, 18)),
        words[1],  # of which the part shows the middle only
        words[2],
    ]
    assert closer(words, WHOLE, [], PART) == words  # nothing was made out there
    other = seen((80, 80), Box(80, 20, 120, 60), picture=1)
    assert closer(words, WHOLE, read, other) == words  # another picture's


class ByColour:
    """Reads what is blue as ``quick brown``, and what is red: on the first picture badly."""

    first: tuple[int, ...] | None = None

    def read(self, image: np.ndarray) -> list[Word]:
        self.first = self.first or image.shape
        red = ("f0x", 0.6) if image.shape == self.first else ("fox", 0.99)
        words: list[Word] = []
        for (text, sure), colour in ((("quick brown", 0.99), 2), (red, 0)):
            rows, columns = np.nonzero(image[..., colour] > 128)
            if len(rows):
                ends = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                words.append(Word(text, sure, tuple(map(float, ends))))  # type: ignore[arg-type]
        return words


PICTURE = np.zeros((150, 300, 3), np.uint8)
PICTURE[20:40, 20:120, 2] = 255
RED = Box(130, 20, 180, 40)
PICTURE[20:40, 130:180, 0] = 255
QUESTION = 'Which word comes after the words "quick brown"?'


def play(agent: OcrAgent, data: object, **settings: object) -> list[Episode]:
    given = {"tokens": "qwen2.5-vl", "judge": "exact", **settings}
    env = VisionThinkVectorEnv(8, data=data, **given)
    return rollout(env, agent, sample_ids=env.task.source.ids()[:8])


@pytest.mark.parametrize("protocol", [*ZOOMING, "visionthink"])
def test_it_looks_once_in_every_protocol_and_puts_both_readings_together(protocol: str) -> None:
    agent = OcrAgent()
    agent.answerer.reader = ByColour()  # type: ignore[attr-defined]
    data = open_source([Sample("s", QUESTION, ("fox",), PICTURE)])
    (episode,) = play(agent, data, protocol=protocol)
    outcome = episode.outcome
    assert outcome.correct, episode.replies
    (region,) = outcome.regions
    assert RED.within(region.box) == RED
    assert ("resize_image" in episode.replies[0].text) == (protocol == "visionthink")
    assert outcome.calls == 1 + outcome.failed_calls


def test_a_call_for_too_small_a_part_is_made_again_for_a_larger_one() -> None:
    agent = OcrAgent()
    agent.answerer.reader = ByColour()  # type: ignore[attr-defined]
    data = open_source([Sample("s", QUESTION, ("fox",), PICTURE[::2, ::2])])
    (episode,) = play(agent, data, protocol="deepeyes")
    assert (episode.outcome.calls, episode.outcome.failed_calls) == (2, 1)
    assert episode.outcome.correct


def test_on_pages_a_part_brings_what_the_original_brings_for_fewer_tokens() -> None:
    pytest.importorskip("rapidocr")
    data = "pages:n=8,kinds=form+receipt,width=448,small=1"
    part, whole = (
        play(OcrAgent(threads=1), data, protocol=protocol)
        for protocol in ("adaptvision", "visionthink")
    )
    named = [e for e in part if e.outcome.requested and "It stands at" in e.replies[0].text]
    assert named
    for episode in named:  # it had read the value, badly
        assert episode.outcome.found == 1
        assert episode.outcome.correct
        assert episode.outcome.regions[0].share < 0.4
    assert sum(bool(e.outcome.correct) for e in part) >= sum(bool(e.outcome.correct) for e in whole)
    assert sum(e.outcome.visual_tokens for e in part) < sum(e.outcome.visual_tokens for e in whole)
