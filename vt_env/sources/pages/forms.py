"""Forms and receipts: labels, and values beside them."""

from __future__ import annotations

import numpy as np

from vt_env.regions import Box
from vt_env.sources.pages.canvas import COLOURS, Canvas, Colour

FORM_LABELS = ("DATE", "TIME", "ROOM", "SEAT", "GATE", "CODE")
RECEIPT_LABELS = ("TOTAL", "TAX", "TIP", "CASH", "TABLE", "DATE", "TIME")
SHAPES = ("circle", "square", "triangle", "cross")

_ROW = 56
_HEAD = 46
_LINE = 15
_MOST_GOODS = 40
_COLUMN = 224
_AMOUNTS = ("TOTAL", "TAX", "TIP", "CASH")
_TITLES = ("ENTRY PASS", "VISITOR", "BOOKING", "PERMIT", "REGISTER")
_SHOPS = ("CAFE LUNA", "CORNER SHOP", "BAKERY", "GARDEN BAR", "BOOKS")
_GOODS = ("soap", "bread", "apples", "tea towel", "green pen", "two candles", "oat milk", "stamps")
_NOTES = ("please keep this copy", "issued without signature", "see the other side", "no refund")


def value_for(label: str, rng: np.random.Generator) -> str:
    """A value as such a label has it: 3 to 6 characters of ``0123456789.:/``."""
    if label in _AMOUNTS:
        return f"{rng.integers(10 ** rng.integers(1, 4))}.{rng.integers(100):02d}"
    if label == "DATE":
        return f"{rng.integers(1, 32):02d}/{rng.integers(1, 13):02d}"
    if label == "TIME":
        return f"{rng.integers(24):02d}:{rng.integers(60):02d}"
    return "".join(map(str, rng.integers(10, size=rng.integers(3, 6))))


def form(canvas: Canvas) -> None:
    """A logo, a title, and fields in a grid of cells; on a large page most cells are empty."""
    unit = canvas.unit
    columns = int(canvas.width // (_COLUMN * unit))
    rows = int((canvas.height - _HEAD * unit) // (_ROW * unit))
    wide = canvas.width / columns
    _head(canvas)
    labels = canvas.rng.permutation(FORM_LABELS).tolist()
    cells = canvas.rng.permutation(columns * rows)
    top = _HEAD * unit + canvas.between(0, 5)
    boxed = canvas.chance(0.3)
    for place, cell in enumerate(cells):
        row, column = divmod(int(cell), columns)
        left, at = column * wide, top + row * _ROW * unit
        if place < len(labels):
            _field(canvas, labels[place], left, at, left + wide, boxed)
        elif canvas.chance(canvas.recipe.difficulty):
            _note(canvas, left, at)


def receipt(canvas: Canvas) -> None:
    """A strip of paper on a desk: a shop's name, rules, and values at the right.

    On a high page the strip is longer and lists what was bought.
    """
    unit, rng = canvas.unit, canvas.rng
    wide = min(canvas.width, round(260 * unit)) - canvas.between(6, 24)
    rows = min(len(RECEIPT_LABELS), int((canvas.height - _HEAD * unit) // (_ROW * unit)))
    high = round((_HEAD + rows * _ROW + 8) * unit)
    goods = min(_MOST_GOODS, max(0, int((canvas.height - high) / unit - 150) // _LINE))
    high = min(canvas.height, round(high + goods * _LINE * unit))
    left = int(rng.integers(canvas.width - wide + 1))
    top = int(rng.integers(canvas.height - high + 1))
    desk = canvas.colour(60, 190)
    _surround(canvas, desk, (left, top, left + wide, top + high))
    shop = _SHOPS[rng.integers(len(_SHOPS))]
    spare = max(0.0, wide - canvas.text_width(shop, canvas.label_face, 13))
    canvas.aside(shop, left + spare / 2, top + 24 * unit, 13)
    _rule(canvas, left, left + wide, top + 36 * unit)
    first = top + _HEAD * unit - canvas.between(0, 4)
    for _ in range(goods):
        _bought(canvas, left, first + 12 * unit, left + wide)
        first += _LINE * unit
    for row, label in enumerate(rng.permutation(RECEIPT_LABELS).tolist()[:rows]):
        at = first + row * _ROW * unit
        _field(canvas, label, left, at, left + wide, False, "right" if canvas.chance(0.7) else "")
        if canvas.chance(0.3):
            _rule(canvas, left, left + wide, at + 53 * unit)


def _field(
    canvas: Canvas,
    name: str,
    left: float,
    top: float,
    right: float,
    boxed: bool,
    align: str = "",
) -> None:
    """A label, and its value to the right of it."""
    unit = canvas.unit
    begin = left + canvas.between(5, 13)
    baseline = top + (4 + canvas.label_height) * unit + canvas.between(3, 20)
    label = canvas.label(name, begin, baseline)
    room = Box(label.box.right + 8 * unit, top + 6 * unit, right - 5 * unit, top + 48 * unit)
    if boxed:
        edge = (room.left - 3 * unit, top + 2 * unit, right - 2 * unit, top + 53 * unit)
        canvas.draw.rectangle(edge, outline=canvas.pale, width=max(1, round(unit)))
    value = value_for(name, canvas.rng)
    canvas.value((name,), value, room, label=label, align=align or "anywhere")


def _bought(canvas: Canvas, left: float, baseline: float, right: float) -> None:
    """A line that nobody is asked about: something bought, and its price."""
    unit, price = canvas.unit, f"{canvas.rng.integers(1, 60)}.{canvas.rng.integers(100):02d}"
    begin, end = left + 10 * unit, right - 10 * unit
    canvas.aside(_GOODS[canvas.rng.integers(len(_GOODS))], begin, baseline, 7)
    canvas.aside(price, end - canvas.text_width(price, canvas.label_face, 7), baseline, 7)


def _head(canvas: Canvas) -> None:
    side = canvas.between(24, 35)
    left = canvas.between(4, canvas.width / canvas.unit - 40)
    top = canvas.between(3, 8)
    shape = SHAPES[canvas.rng.integers(len(SHAPES))]
    fill = COLOURS[str(canvas.rng.choice(list(COLOURS)))]
    draw_shape(canvas, shape, fill, left, top, side)
    title = _TITLES[canvas.rng.integers(len(_TITLES))]
    gap, wide = 8 * canvas.unit, canvas.text_width(title, canvas.label_face, 12)
    for begin in (left + side + gap, left - gap - wide):
        if begin > gap and begin + wide < canvas.width - gap:
            canvas.aside(title, begin, top + 22 * canvas.unit, 12)
            break


def draw_shape(
    canvas: Canvas, shape: str, fill: Colour, left: float, top: float, side: float
) -> None:
    """A coloured shape in a square."""
    box, draw, third = (left, top, left + side, top + side), canvas.draw, side / 3
    if shape == "circle":
        draw.ellipse(box, fill=fill)
    elif shape == "square":
        draw.rectangle(box, fill=fill)
    elif shape == "triangle":
        draw.polygon(
            [(left, top + side), (left + side, top + side), (left + side / 2, top)], fill=fill
        )
    else:
        draw.rectangle((left + third, top, left + 2 * third, top + side), fill=fill)
        draw.rectangle((left, top + third, left + side, top + 2 * third), fill=fill)


def _note(canvas: Canvas, left: float, top: float) -> None:
    note = _NOTES[canvas.rng.integers(len(_NOTES))]
    canvas.aside(note, left + canvas.between(5, 13), top + 24 * canvas.unit, 7)


def _rule(canvas: Canvas, left: float, right: float, y: float) -> None:
    """A dashed line."""
    unit = canvas.unit
    x = left + 8 * unit
    while x < right - 8 * unit:
        canvas.draw.line((x, y, x + 4 * unit, y), fill=canvas.pale, width=max(1, round(unit)))
        x += 7 * unit


def _surround(canvas: Canvas, colour: Colour, strip: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = strip
    wide, high = canvas.width, canvas.height
    for box in (
        (0, 0, wide, top - 1),
        (0, bottom, wide, high),
        (0, 0, left - 1, high),
        (right, 0, wide, high),
    ):
        if box[0] <= box[2] and box[1] <= box[3]:
            canvas.draw.rectangle(box, fill=colour)
