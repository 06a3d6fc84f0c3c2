"""Signs, and scenes of labelled things."""

from __future__ import annotations

from vt_env.regions import Box
from vt_env.sources.pages.canvas import COLOURS, Canvas, Colour
from vt_env.sources.pages.forms import SHAPES, draw_shape

WORDS = ("EXIT", "GATE", "ZONE", "LEVEL", "ROUTE", "PLATFORM", "SPEED", "LANE")
_WHITE: Colour = (250, 250, 250)
_BLACK: Colour = (20, 20, 20)


def sign(canvas: Canvas) -> None:
    """A board before a wall: words, and numbers beside them."""
    unit, rng = canvas.unit, canvas.rng
    _wall(canvas)
    dark = canvas.chance(0.7)
    board = COLOURS[str(rng.choice(("green", "blue", "red", "grey")))] if dark else (245, 225, 90)
    ink = _WHITE if dark else _BLACK
    rows = int(rng.integers(2, 5))
    wide, high = canvas.between(190, 214), (16 + rows * 44) * unit
    left = rng.uniform(2 * unit, canvas.width - wide - 2 * unit)
    top = rng.uniform(2 * unit, canvas.height - high - 2 * unit)
    box = (left, top, left + wide, top + high)
    canvas.draw.rounded_rectangle(
        box, 9 * unit, fill=board, outline=ink, width=round(2 * unit) or 1
    )
    for row, word in enumerate(rng.permutation(WORDS).tolist()[:rows]):
        y = top + (8 + row * 44) * unit
        label = canvas.label(word, left + 12 * unit, y + 28 * unit, ink)
        room = Box(
            label.box.right + 10 * unit, y + 8 * unit, left + wide - 12 * unit, y + 38 * unit
        )
        number = str(rng.integers(1, 400))
        canvas.value((word,), number, room, label=label, ink=ink)


def scene(canvas: Canvas) -> None:
    """Coloured things, each with a number on a plate below it; no two are alike."""
    unit, rng = canvas.unit, canvas.rng
    _wall(canvas)
    wide, high = 74 * unit, 110 * unit
    columns, rows = int(canvas.width // wide), int(canvas.height // high)
    kinds: list[tuple[str, str]] = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    most = min(columns * rows, len(kinds))
    chosen = rng.permutation(len(kinds))[: rng.integers(min(3, most), most + 1)].tolist()
    cells = rng.permutation(columns * rows).tolist()
    for index, cell in zip(chosen, cells, strict=False):
        colour, shape = kinds[int(index)]
        left, top = cell % columns * wide + canvas.between(0, 8), cell // columns * high
        top += canvas.between(0, 10)
        side = canvas.between(34, 52)
        draw_shape(
            canvas, shape, COLOURS[colour], left + (64 * unit - side) / 2, top + 4 * unit, side
        )
        plate = Box(left + unit, top + 62 * unit, left + 63 * unit, top + 92 * unit)
        canvas.draw.rectangle(plate.edges, fill=_WHITE, outline=_BLACK, width=max(1, round(unit)))
        room = plate.widened(-4 * unit, -5 * unit)
        canvas.value(
            (colour, shape), str(rng.integers(100, 1000)), room, align="centre", ink=_BLACK
        )


def _wall(canvas: Canvas) -> None:
    """A wall of one colour above a floor of another."""
    height = round(canvas.height * canvas.rng.uniform(0.6, 0.95))
    canvas.draw.rectangle((0, 0, canvas.width, height), fill=canvas.colour(150, 235))
    canvas.draw.rectangle((0, height, canvas.width, canvas.height), fill=canvas.colour(90, 170))
