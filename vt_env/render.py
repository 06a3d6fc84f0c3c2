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

_BESIDE = 3
"""Parts that are drawn beside each other at most."""

Cell = tuple[int, int, int, int]
"""Left, top, width and height on the canvas."""

Line = tuple[str, str]
"""A line of text and the name of its ink."""


def transcript(dialogue: Dialogue, reward: Reward | None = None) -> str:
    """The conversation as plain text."""
    views = iter(dialogue.views)
    lines: list[str] = []
    for message in dialogue.messages[1:]:
        marks = [b for b in message["content"] if b["type"] == "image"]
        for view in (next(views) for _ in marks):
            lines.append(told_of(dialogue, view))
        who = "policy" if message["role"] == "assistant" else "environment"
        lines.append(f"{who}> {printable(block_text(message['content']))}")
    lines.extend(text for text, _ in _verdict_lines(dialogue, reward))
    return "\n".join(lines)


def told_of(dialogue: Dialogue, view: View) -> str:
    """One of its views in a line: the size, the visual tokens, and of what it is a part."""
    tokens = dialogue.protocol.tokens.count(*view.size)
    part = f", {_part(view.region)}" if _is_part(view) else ""
    return f"[image {view.size[0]} x {view.size[1]}, {tokens} visual tokens{part}]"


def boxed(dialogue: Dialogue, view: View) -> Image.Image | None:
    """The source of a part as it was first shown, with the part's box; ``None`` of no part."""
    region = view.region
    if region is None or not _is_part(view):
        return None
    image = dialogue.views[region.picture].image.copy()
    scale = image.width / region.of[0], image.height / region.of[1]
    left, top, right, bottom = (int(edge * scale[i % 2]) for i, edge in enumerate(region.box.edges))
    corners = (left, top, max(left, right - 1), max(top, bottom - 1))
    wide = max(1, image.width // 64)
    ImageDraw.Draw(image).rectangle(corners, outline=_INK["bad"], width=wide)
    return image


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
    """What was shown: whole pictures; or the boxes of parts on them, and the newest parts below."""
    parts = [(n, view) for n, view in enumerate(dialogue.views, 1) if _is_part(view)]
    places = range(len(dialogue.pictures))
    high = CANVAS[1] - 3 * _MARGIN - 2 * _LINE
    if not parts:
        for cell, place in zip(_cells(_MARGIN, high, len(places)), places, strict=True):
            _draw_whole(canvas, pen, dialogue, place, cell)
    else:
        half, newest = (high - _MARGIN) // 2, parts[-_BESIDE:]
        for cell, place in zip(_cells(_MARGIN, half, len(places)), places, strict=True):
            _draw_source(canvas, pen, dialogue, place, cell)
        cells = _cells(2 * _MARGIN + half, half, len(newest))
        for cell, (number, view) in zip(cells, newest, strict=True):
            shown = _paste(canvas, view, view.size, cell)
            _frame(pen, (cell[0] - 1, cell[1] - 1, cell[0] + shown[0], cell[1] + shown[1]), number,
                   view is parts[-1][1])  # fmt: skip
    for index, text in enumerate(_caption(dialogue)):
        top = CANVAS[1] - _MARGIN - (2 - index) * _LINE
        pen.text((_MARGIN, top), text, _INK["quiet"], _FONT)


def _cells(top: int, height: int, number: int) -> list[Cell]:
    """Places side by side in the left half of the canvas."""
    width = (_LEFT - _MARGIN) // number
    return [(_MARGIN + i * width, top, width - _MARGIN, height) for i in range(number)]


def _draw_whole(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, dialogue: Dialogue, place: int, cell: Cell
) -> None:
    """A picture as shown last, at its size relative to the original, in the original's frame."""
    views = [v for v in dialogue.views if v.region is None or v.region.picture == place]
    width, height = dialogue.pictures[place].size
    scale = min(cell[2] / width, cell[3] / height)
    edge = cell[0] + max(1, int(width * scale)), cell[1] + max(1, int(height * scale))
    pen.rectangle((cell[0] - 1, cell[1] - 1, *edge), outline=_INK["frame"])
    _paste(canvas, views[-1], views[-1].size, cell, scale)


def _draw_source(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, dialogue: Dialogue, place: int, cell: Cell
) -> None:
    """A source picture as it was first shown, with the boxes of its parts, the last one apart."""
    width, height = dialogue.pictures[place].size
    scale = min(cell[2] / width, cell[3] / height)
    _paste(canvas, dialogue.views[place], (width, height), cell)
    parts = [(n, view.region) for n, view in enumerate(dialogue.views, 1) if _is_part(view)]
    for number, region in parts:
        if region is None or region.picture != place:
            continue
        left, top, right, bottom = (
            cell[i % 2] + int(edge * scale) for i, edge in enumerate(region.box.edges)
        )
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        _frame(pen, corners, number, number == parts[-1][0])


def _frame(
    pen: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], number: int, last: bool
) -> None:
    """A box with the number of the view that shows it."""
    ink = _INK["bad" if last else "policy"]
    pen.rectangle(corners, outline=ink, width=2 if last else 1)
    pen.text((corners[0] + 4, corners[1] + 2), str(number), ink, _FONT)


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
    canvas: Image.Image, view: View, size: Size, cell: Cell, scale: float | None = None
) -> Size:
    """Show a view as if it had a size, as large as there is room; in how many pixels."""
    scale = scale or min(cell[2] / size[0], cell[3] / size[1])
    shown = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    canvas.paste(view.image.resize(shown, how), cell[:2])
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
