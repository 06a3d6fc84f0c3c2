"""Bar and line charts whose values are printed beside their bars and points."""

from __future__ import annotations

from vt_env.regions import Box
from vt_env.sources.pages.canvas import COLOURS, Canvas

NAMES = ("NORTH", "SOUTH", "EAST", "WEST", "LAKE", "HILL", "PORT", "CITY", "FARM", "MILL")
_WIDE, _FOOT, _HEAD = 54, 30, 34
_HIGHEST = 448
_TITLES = ("VISITORS", "TRADE", "RAINFALL", "SALES", "TRIPS")


def bars(canvas: Canvas) -> None:
    """Bars with their values above and their names below."""
    unit = canvas.unit
    fill = COLOURS[str(canvas.rng.choice(list(COLOURS)))]
    for name, number, left, top, low in _plot(canvas):
        box = (left + 9 * unit, top, left + 42 * unit, low)
        canvas.draw.rectangle(box, fill=fill)
        _number(canvas, name, number, left, top)


def lines(canvas: Canvas) -> None:
    """A line through points, with their values above and their names below."""
    unit = canvas.unit
    ink = COLOURS[str(canvas.rng.choice(list(COLOURS)))]
    places = _plot(canvas, 34)
    heights = [top for _, _, _, top, _ in places]
    points = [(left + _WIDE / 2 * unit, top) for _, _, left, top, _ in places]
    canvas.draw.line(points, fill=ink, width=max(2, round(2 * unit)))
    for place, (name, number, left, top, _) in enumerate(places):
        x, dot = left + _WIDE / 2 * unit, 3 * unit
        canvas.draw.ellipse((x - dot, top - dot, x + dot, top + dot), fill=ink)
        beside = heights[max(0, place - 1) : place] + heights[place + 1 : place + 2]
        dips = top > sum(beside) / len(beside)  # the line leaves upwards: print below it
        _number(canvas, name, number, left, top + 32 * unit if dips else top - 3 * unit)


def _plot(canvas: Canvas, least: float = 0) -> list[tuple[str, int, float, float, float]]:
    """Name, value, left, top and foot of each bar or point; draws all but these.

    On a high page the chart is a part of it, with prose above and below.

    Args:
        canvas: Where to.
        least: How far above the axis nothing stands, in pixels at ``print`` 1.
    """
    unit, rng = canvas.unit, canvas.rng
    most = min(len(NAMES), int(canvas.width / unit // _WIDE))
    number = int(rng.integers(3, most + 1))
    names = rng.permutation(NAMES).tolist()[:number]
    begin = rng.uniform(0, canvas.width - number * _WIDE * unit)
    high = min(canvas.height, round(_HIGHEST * unit))
    top = int(rng.integers(canvas.height - high + 1)) if high < canvas.height else 0
    low = top + high - _FOOT * unit
    title = str(rng.choice(_TITLES))
    canvas.aside(title, canvas.between(6, 60), top + (24 + rng.integers(4)) * unit, 11)
    axis = (begin, low, begin + number * _WIDE * unit, low)
    canvas.draw.line(axis, fill=canvas.ink, width=max(1, round(unit)))
    room = low - top - (_HEAD + 28 + least) * unit
    scale = int(10 ** rng.uniform(1.5, 2.99))
    made: list[tuple[str, int, float, float, float]] = []
    for place, name in enumerate(names):
        left = begin + place * _WIDE * unit
        value = int(rng.integers(max(1, scale // 8), scale + 1))
        wide = canvas.text_width(name, canvas.label_face, 8)
        canvas.aside(name, left + (_WIDE * unit - wide) / 2, low + 17 * unit, 8)
        made.append((name, value, left, low - least * unit - room * value / scale, low))
    canvas.prose(0, top)
    canvas.prose(top + high, canvas.height)
    return made


def _number(canvas: Canvas, name: str, number: int, left: float, top: float) -> None:
    unit = canvas.unit
    room = Box(left, top - 24 * unit, left + _WIDE * unit, top - 4 * unit)
    canvas.value((name,), str(number), room, align="centre")
