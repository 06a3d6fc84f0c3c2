"""One episode at a time, played by what the page sends.

It sends an object with ``do``:

==========  ===================================================================================
``answer``  ``text``: an answer
``look``    the call for the whole picture
``box``     ``box``: left, top, right, bottom of a part, as shares of the picture's sides
``turn``    ``text``: a whole turn with its tags
``agent``   the agent's turn
``new``     another episode; with ``picture`` (base64), ``question`` and ``answers`` of one's own
==========  ===================================================================================

and gets what :meth:`Game.state` says.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agents import Agent, Conversation, answer_turn, request_turn
from experiments.episodes import action_row
from experiments.report.gallery import turn_of
from experiments.report.page import filled
from experiments.report.text import all_shown
from experiments.site import Answer
from vt_env import ConfigError, Sample
from vt_env.env import VisionThinkEnv
from vt_env.prompts import block_text
from vt_env.regions import Box, Region
from vt_env.tools import ToolError

MOST = 32 * 2**20
"""Bytes of what is sent: a picture of one's own."""
_PICTURE = re.compile(r"picture/(\d{1,6})(?:\?\d{1,9})?")
Start = Callable[[Sample | None], VisionThinkEnv]
"""From a question of one's own, or none, to its environment."""


class Game:
    """An episode in progress.

    Args:
        start: Makes an environment.
        agent: Who is watched, if anybody is.
        seed: Of the samples, and of the agent's draws.
        sample_id: The first sample; a random one by default.
    """

    def __init__(
        self, start: Start, agent: Agent | None = None, seed: int = 0, sample_id: str = ""
    ) -> None:
        self.start, self.agent = start, agent
        self._lock = threading.Lock()
        self._rng = np.random.default_rng(seed)
        self._episode = 0
        self._info: dict[str, Any] = {}
        self._shared = self._env = start(None)
        self._env.reset(seed=seed, options={"sample_id": sample_id} if sample_id else {})

    def get(self, path: str) -> Answer | None:
        """The page, the state, or a view."""
        if path == "":
            page = filled("experiments.playing", " 'self'; connect-src 'self'", agent=self.agent)
            return Answer(page.encode(), "text/html; charset=utf-8")
        with self._lock:
            if path == "state":
                return Answer.of(self.state())
            found, views = _PICTURE.fullmatch(path), self._env.dialogue.views
            if found and int(found[1]) < len(views):
                buffer = io.BytesIO()
                views[int(found[1])].image.save(buffer, "PNG")
                return Answer(buffer.getvalue(), "image/png")
        return None

    def post(self, sent: Mapping[str, Any]) -> Answer:
        """Take a turn, or begin another episode; what is wrong changes nothing."""
        with self._lock:
            if sent.get("do") == "new":
                self._begin(sent)
            elif self._env.dialogue.done:
                raise ConfigError("the episode is over; begin another one")
            else:
                *_, self._info = self._env.step(self._turn(sent))
            return Answer.of(self.state())

    def _begin(self, sent: Mapping[str, Any]) -> None:
        env = self.start(_own(sent)) if sent.get("picture") else self._shared
        env.reset()
        if env is not self._env is not self._shared:
            self._env.close()
        self._env, self._info = env, {}
        self._episode += 1

    def _turn(self, sent: Mapping[str, Any]) -> Any:
        does, dialogue = sent.get("do"), self._env.dialogue
        if does == "agent" and self.agent is not None:
            return self.agent.act([Conversation.of(dialogue, self._rng)])[0].action
        if does in ("answer", "turn"):
            text = _text(sent, "text")
            return text if does == "turn" else answer_turn(text, "I answer.")
        if does in ("look", "box"):
            if not dialogue.can_request:
                raise ConfigError("nothing more can be asked for: answer")
            width, height = size = dialogue.picture.size
            box = Box.of(size)
            if does == "box":
                left, top, right, bottom = _shares(sent.get("box"))
                box = Box(left * width, top * height, right * width, bottom * height)
                box = box.whole().at_least(1, 1, Box.of(size))
            try:
                return dialogue.ask(Region(0, box, size), "I look closer.")
            except ToolError as error:
                if does == "box":
                    raise ConfigError(str(error)) from error
                return request_turn("I look closer.")
        raise ConfigError(f"expected answer, look, box, turn, agent or new, got {does!r:.40}")

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        dialogue, info = self._env.dialogue, self._info
        texts = [block_text(m["content"]) for m in dialogue.messages if m["role"] == "assistant"]
        texts += [""] * (len(dialogue.actions) - len(texts))
        verdict = info.get("verdict") if dialogue.done else None
        told = {
            "episode": self._episode,
            "agent": self.agent.name if self.agent else "",
            "question": dialogue.sample.question,
            "said": dialogue.text,
            "views": [self._view(place) for place in range(len(dialogue.views))],
            "turns": [
                turn_of({"text": text, "action": action_row(action)})
                for text, action in zip(texts, dialogue.actions, strict=True)
            ],
            "look": dialogue.can_request,
            "box": dialogue.can_request and self._takes_boxes(),
            "tokens": dialogue.visual_tokens,
            "full": dialogue.full_tokens,
            "done": dialogue.done,
            "flaws": list(dialogue.flaws),
        }
        if verdict is not None:
            word = {True: "correct", False: "wrong", None: "unscored"}[verdict.correct]
            told["verdict"] = [word, f"{word}: {verdict.reason} (judge: {verdict.judge})"]
            if verdict.correct is not None:
                told["accepted"] = " | ".join(dialogue.sample.references)
                told["reward"] = str(info["reward_terms"])
        return all_shown(told)

    def _view(self, place: int) -> dict[str, Any]:
        dialogue = self._env.dialogue
        view = dialogue.views[place]
        made: dict[str, Any] = {
            "size": list(view.size),
            "tokens": dialogue.protocol.tokens.count(*view.size),
        }
        if (region := view.region) and region.share < 0.99:
            (width, height), box = region.of, region.box
            made["of"] = [region.picture, box.left / width, box.top / height,
                          box.width / width, box.height / height, str(box)]  # fmt: skip
        return made

    def _takes_boxes(self) -> bool:
        size = self._env.dialogue.picture.size
        try:
            self._env.dialogue.ask(Region(0, Box.of(size), size))
        except ToolError:
            return False
        return True


def _own(sent: Mapping[str, Any]) -> Sample:
    """A question of one's own."""
    try:
        picture = base64.b64decode(_text(sent, "picture"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("the picture is no base64") from error
    answers = sent.get("answers", "")
    known = [a.strip() for a in answers.split("|")] if isinstance(answers, str) else []
    return Sample(
        "own", _text(sent, "question"), tuple(filter(None, known)) or ("(none)",), picture
    )


def _text(sent: Mapping[str, Any], key: str) -> str:
    text = sent.get(key)
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{key} wants words")
    return text


def _shares(given: Any) -> list[float]:
    """Four shares of sides, the right way round."""
    fits = isinstance(given, list) and len(given) == 4
    if not fits or not all(type(x) in (int, float) and 0 <= x <= 1 for x in given):
        raise ConfigError("box wants left, top, right, bottom, each from 0 to 1")
    return [*map(min, given[:2], given[2:]), *map(max, given[:2], given[2:])]
