"""What an onlooker sees of an episode: a fixed canvas, or a transcript."""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vt_env.actions import Answer, Malformed
from vt_env.dialogue import Dialogue
from vt_env.prompts import block_text
from vt_env.rewards import Reward

CANVAS = (960, 540)
_LEFT = 480
_MARGIN = 16
_INK = {
    "paper": (250, 250, 248),
    "frame": (222, 222, 218),
    "text": (28, 28, 30),
    "quiet": (110, 110, 115),
    "policy": (0, 90, 160),
    "good": (0, 120, 80),
    "bad": (180, 60, 20),
}
_FONT = ImageFont.load_default(14)
_LINE = 18
_COLUMNS = 62

Line = tuple[str, str]
"""A line of text and the name of its ink."""


def transcript(dialogue: Dialogue, reward: Reward | None = None) -> str:
    """The conversation as plain text."""
    sizes = iter(view.size for view in dialogue.views)
    lines: list[str] = []
    for message in dialogue.messages[1:]:
        marks = [b for b in message["content"] if b["type"] == "image"]
        for width, height in (next(sizes) for _ in marks):
            tokens = dialogue.protocol.tokens.count(width, height)
            lines.append(f"[image {width} x {height}, {tokens} visual tokens]")
        who = "policy" if message["role"] == "assistant" else "environment"
        lines.append(f"{who}> {printable(block_text(message['content']))}")
    lines.extend(text for text, _ in _verdict_lines(dialogue, reward))
    return "\n".join(lines)


def draw(dialogue: Dialogue, reward: Reward | None = None) -> NDArray[np.uint8]:
    """The view, the talk and the reward on one canvas: uint8 [540, 960, 3]."""
    canvas = Image.new("RGB", CANVAS, _INK["paper"])
    pen = ImageDraw.Draw(canvas)
    _draw_view(canvas, pen, dialogue)
    _draw_lines(pen, _talk(dialogue), _verdict_lines(dialogue, reward))
    return np.array(canvas)


def printable(text: str) -> str:
    """The text without lone surrogates and control characters, which no screen can show."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in clean)


def _draw_view(canvas: Image.Image, pen: ImageDraw.ImageDraw, dialogue: Dialogue) -> None:
    """The view shown last, at its size relative to the original, in a frame of the original's."""
    view = dialogue.views[-1]
    full_width, full_height = dialogue.picture.size
    room = (_LEFT - 2 * _MARGIN, CANVAS[1] - 3 * _MARGIN - 2 * _LINE)
    scale = min(room[0] / full_width, room[1] / full_height)
    frame = (max(1, int(full_width * scale)), max(1, int(full_height * scale)))
    shown = (max(1, int(view.size[0] * scale)), max(1, int(view.size[1] * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    pen.rectangle(
        (_MARGIN - 1, _MARGIN - 1, _MARGIN + frame[0], _MARGIN + frame[1]), outline=_INK["frame"]
    )
    canvas.paste(view.image.resize(shown, method), (_MARGIN, _MARGIN))
    width, height = view.size
    caption = (
        f"image {len(dialogue.views)}: {width} x {height} of {full_width} x {full_height}",
        f"visual tokens: {dialogue.visual_tokens} of {dialogue.full_tokens} "
        f"({dialogue.visual_tokens / dialogue.full_tokens:.2f})",
    )
    for index, text in enumerate(caption):
        top = CANVAS[1] - _MARGIN - (2 - index) * _LINE
        pen.text((_MARGIN, top), text, _INK["quiet"], _FONT)


def _talk(dialogue: Dialogue) -> list[Line]:
    lines = _wrap(f"Q: {dialogue.sample.question}", "text")
    for action in dialogue.actions:
        lines.append(("", "text"))
        if isinstance(action, Malformed):
            lines += _wrap(f"not understood: {action.reason}", "bad")
            continue
        lines += _wrap(f"thinks: {action.thought}", "quiet") if action.thought else []
        if isinstance(action, Answer):
            lines += _wrap(f"answers: {action.text}", "policy")
        else:
            lines += _wrap(f"calls: {action.name}({dict(action.arguments)})", "policy")
    return lines


def _verdict_lines(dialogue: Dialogue, reward: Reward | None) -> list[Line]:
    if reward is None:
        return []
    references = _wrap(f"accepted: {' | '.join(dialogue.sample.references)}", "text")
    return [*references, *_wrap(str(reward), "good" if reward.accuracy else "bad")]


def _draw_lines(pen: ImageDraw.ImageDraw, talk: list[Line], verdict: list[Line]) -> None:
    """The talk from the top, its newest lines if there is no room for all; the verdict below."""
    room = (CANVAS[1] - 2 * _MARGIN) // _LINE - len(verdict) - 1
    if len(talk) > room:
        talk = [talk[0], ("…", "quiet"), *talk[len(talk) - room + 2 :]]
    tops = [_MARGIN + _LINE * i for i in range(len(talk))]
    bottom = CANVAS[1] - _MARGIN - _LINE * len(verdict)
    tops += [bottom + _LINE * i for i in range(len(verdict))]
    for top, (text, ink) in zip(tops, [*talk, *verdict], strict=True):
        pen.text((_LEFT + _MARGIN, top), text, _INK[ink], _FONT)


def _wrap(text: str, ink: str) -> list[Line]:
    """Lines of at most 62 columns; of a very long text, its start."""
    short = textwrap.shorten(printable(text[:2000]), 480, placeholder=" …")
    return [(line, ink) for line in textwrap.wrap(short, _COLUMNS)] or [("", ink)]
