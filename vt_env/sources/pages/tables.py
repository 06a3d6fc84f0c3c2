"""Tables: a value for each row and column, asked for by both."""

from __future__ import annotations

from vt_env.regions import Box
from vt_env.sources.pages.canvas import Canvas

ROWS = ("TEA", "RICE", "MILK", "SALT", "FISH", "BEAN", "CORN", "PEAR", "PLUM", "LIME")
COLUMNS = ("MAY", "JUNE", "JULY", "AUG", "SEPT", "OCT")

_ROW, _COLUMN, _NAMES, _HEAD = 41, 76, 62, 46


def table(canvas: Canvas) -> None:
    """Names down the side and across the top, and numbers in between."""
    unit, rng = canvas.unit, canvas.rng
    columns = min(len(COLUMNS), int((canvas.width / unit - _NAMES) // _COLUMN))
    rows = min(len(ROWS), int((canvas.height / unit - _HEAD) // _ROW))
    columns, rows = int(rng.integers(2, columns + 1)), int(rng.integers(3, rows + 1))
    left = rng.uniform(0, canvas.width - (_NAMES + columns * _COLUMN) * unit)
    top = rng.uniform(0, canvas.height - (_HEAD + rows * _ROW) * unit)
    heads = rng.permutation(COLUMNS).tolist()[:columns]
    names = rng.permutation(ROWS).tolist()[:rows]
    right, low = left + (_NAMES + columns * _COLUMN) * unit, top + (_HEAD + rows * _ROW) * unit
    _lines(canvas, left, top, right, low, rows)
    for column, head in enumerate(heads):
        at = left + (_NAMES + column * _COLUMN) * unit
        canvas.other.append(canvas.label(head, at + 10 * unit, top + 32 * unit).box)
    for row, name in enumerate(names):
        y = top + (_HEAD + row * _ROW) * unit
        canvas.other.append(canvas.label(name, left + 5 * unit, y + 26 * unit).box)
        for column, head in enumerate(heads):
            x = left + (_NAMES + column * _COLUMN) * unit
            room = Box(x + 8 * unit, y + 7 * unit, x + 70 * unit, y + 36 * unit)
            number = str(rng.integers(10, 1000))
            canvas.value((name, head), number, room, align="right" if canvas.chance() else "")
    canvas.prose(0, top)
    canvas.prose(low, canvas.height)


def _lines(canvas: Canvas, left: float, top: float, right: float, low: float, rows: int) -> None:
    unit = canvas.unit
    thick = max(1, round(unit))
    ink = canvas.pale
    for row in range(rows + 1):
        y = top + (_HEAD + row * _ROW) * unit - unit
        canvas.draw.line((left, y, right, y), fill=ink, width=thick)
    x = left + (_NAMES - 2) * unit
    canvas.draw.line((x, top + 8 * unit, x, low), fill=ink, width=thick)
