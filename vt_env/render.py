"""What an onlooker sees of an episode: a fixed canvas, or a transcript."""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vt_env.actions import Answer, Malformed
from vt_env.dialogue import Dialogue
from vt_env.pictures import View
from vt_env.prompts import block_text
from vt_env.regions import Region, Size
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
    views = iter(dialogue.views)
    lines: list[str] = []
    for message in dialogue.messages[1:]:
        marks = [b for b in message["content"] if b["type"] == "image"]
        for view in (next(views) for _ in marks):
            tokens = dialogue.protocol.tokens.count(*view.size)
            part = f", {_part(view.region)}" if _is_part(view) else ""
            lines.append(f"[image {view.size[0]} x {view.size[1]}, {tokens} visual tokens{part}]")
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
    """What was shown: a whole picture, or its parts' boxes on it and the last part below."""
    room = (_LEFT - 2 * _MARGIN, CANVAS[1] - 3 * _MARGIN - 2 * _LINE)
    view = dialogue.views[-1]
    if _is_part(view) and view.region is not None:
        half = room[0], (room[1] - _MARGIN) // 2
        _draw_source(canvas, pen, dialogue, view.region.picture, half)
        _draw_part(canvas, pen, view, (_MARGIN, 2 * _MARGIN + half[1]), half)
    else:
        _draw_whole(canvas, pen, dialogue, room)
    for index, text in enumerate(_caption(dialogue)):
        top = CANVAS[1] - _MARGIN - (2 - index) * _LINE
        pen.text((_MARGIN, top), text, _INK["quiet"], _FONT)


def _draw_whole(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, dialogue: Dialogue, room: Size
) -> None:
    """The view shown last, at its size relative to the original, in a frame of the original's."""
    view = dialogue.views[-1]
    full_width, full_height = view.region.of if view.region else dialogue.picture.size
    scale = min(room[0] / full_width, room[1] / full_height)
    frame = (max(1, int(full_width * scale)), max(1, int(full_height * scale)))
    pen.rectangle(
        (_MARGIN - 1, _MARGIN - 1, _MARGIN + frame[0], _MARGIN + frame[1]), outline=_INK["frame"]
    )
    _paste(canvas, view, scale, view.size)


def _draw_source(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, dialogue: Dialogue, picture: int, room: Size
) -> None:
    """A source picture as it was first shown, with the boxes of its parts, the last one apart."""
    first = dialogue.views[picture]
    width, height = dialogue.pictures[picture].size
    scale = min(room[0] / width, room[1] / height)
    _paste(canvas, first, scale, (width, height))
    parts = [v.region for v in dialogue.views if v.region and _is_part(v)]
    for region in parts:
        if region.picture != picture:
            continue
        last = region is parts[-1]
        left, top, right, bottom = (_MARGIN + int(edge * scale) for edge in region.box.edges)
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=_INK["bad" if last else "policy"], width=2 if last else 1)


def _draw_part(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, view: View, place: Size, room: Size
) -> None:
    """One part, as large as there is room, in a frame of its box's colour."""
    scale = min(room[0] / view.size[0], room[1] / view.size[1])
    shown = _paste(canvas, view, scale, view.size, place)
    edge = (place[0] - 1, place[1] - 1, place[0] + shown[0], place[1] + shown[1])
    pen.rectangle(edge, outline=_INK["bad"])


def _caption(dialogue: Dialogue) -> tuple[str, str]:
    view = dialogue.views[-1]
    width, height = view.size
    of = view.region.of if view.region else dialogue.picture.size
    told = f"{of[0]} x {of[1]}"
    if _is_part(view) and view.region is not None:
        told = _part(view.region)
    return (
        f"image {len(dialogue.views)}: {width} x {height} of {told}",
        f"visual tokens: {dialogue.visual_tokens} of {dialogue.full_tokens} "
        f"({dialogue.visual_tokens / dialogue.full_tokens:.2f})",
    )


def _is_part(view: View) -> bool:
    """Whether a view shows less than a whole picture."""
    return view.region is not None and view.region.share < 0.99


def _part(region: Region | None) -> str:
    return f"{region.box} of picture {region.picture + 1}" if region else ""


def _paste(
    canvas: Image.Image,
    view: View,
    scale: float,
    size: Size,
    place: Size = (_MARGIN, _MARGIN),
) -> Size:
    """Show a view as if it had a size, scaled; in how many pixels of the canvas."""
    shown = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    canvas.paste(view.image.resize(shown, how), place)
    return shown


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
            for call in action.calls:
                lines += _wrap(f"calls: {call.name}({dict(call.arguments)})", "policy")
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
