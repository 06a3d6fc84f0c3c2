"""rich's console with two promises: text is never obeyed, and no number is ever cut.

Markup is off, and whatever is rendered goes through :func:`~experiments.terminal.visible`. A table
that is wider than the terminal loses the columns that are the same in every row, which are named
below it; where that is not enough its rows are written one below the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich import progress, table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from experiments.tables import LEAST, Table
from experiments.terminal import visible

_PIPE = 120
"""Columns of a log or a pipe, for what has no width of its own."""
_EVERY = 5.0
"""Seconds between the lines that a progress bar leaves where there is no terminal."""


class Screen(Console):
    """The terminal, a log or a pipe.

    Args:
        stderr: Standard error in place of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = _PIPE

    def print(self, *objects: Any, **settings: Any) -> None:
        """As rich's; what goes into a pipe is neither wrapped nor cut."""
        if not self.is_terminal:
            texts = all(isinstance(found, str) for found in objects)
            settings = {"crop": False, "soft_wrap": texts, **settings}
        super().print(*objects, **settings)

    def say(self, text: str) -> None:
        """A line of text, which is wrapped nowhere."""
        self.print(text, soft_wrap=True)

    def show(self, shown: Table) -> None:
        """A table; in a pipe as wide as it is."""
        if not self.is_terminal:
            self.width = max(_PIPE, _width(shown))
            self.print(_drawn(shown))
            self.width = _PIPE
        elif _least(shown) <= self.width:
            self.print(_drawn(shown))
        else:
            self._narrower(shown)

    def _narrower(self, shown: Table) -> None:
        same = shown.constant()
        first = shown.cells()[0] if shown.rows else []
        told = ", ".join(f"{shown.names[i]} {first[i]}" for i in same)
        left = [i for i in range(len(shown.columns)) if i not in same]
        kept = shown.only(left, f"the same in every row: {told}") if same and left else shown
        if kept is not shown and _least(kept) <= self.width:
            self.print(_drawn(kept))
            return
        stacked = kept if len(left) > 1 else shown
        for line in _stacked(stacked, self.width):
            self.print(Text(visible(line), overflow="fold"))

    def render_str(self, text: str, **settings: Any) -> Text:
        """Text as it is laid out."""
        return super().render_str(visible(text), **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whatever is shown, in the end."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class Bar:
    """How far something is: a bar on a terminal, some lines elsewhere.

    Args:
        screen: Where it is shown.
        shown: rich's, which is drawn on a terminal only.
        name: What is done.
        total: Of what; ``None``: not known.
    """

    def __init__(
        self, screen: Screen, shown: progress.Progress, name: str, total: int | None
    ) -> None:
        self.screen, self.shown = screen, shown
        self._task = shown.add_task(name, total=total, numbers="")
        self._name, self._said = name, monotonic()

    def __call__(
        self, done: float, total: int | None = None, name: str = "", numbers: str = ""
    ) -> None:
        """Show how far it is."""
        task = self.shown.tasks[0]
        of = task.total if total is None else total
        name = name or self._name
        self.shown.update(
            self._task, completed=done, total=of, description=visible(name), numbers=numbers
        )
        if not self.screen.is_terminal and monotonic() - self._said > _EVERY:
            whole = f" of {of:.0f}" if of else ""
            self.screen.say(f"{name}: {done:.0f}{whole}  {numbers}".rstrip())
            self._said = monotonic()


@contextmanager
def progress_bar(name: str, total: int | None = None, *, stays: bool = False) -> Iterator[Bar]:
    """A bar on standard error while something is done.

    Args:
        name: What.
        total: Of how much; ``None``: not known.
        stays: Whether the bar stays when it is done.
    """
    screen = Screen(stderr=True)
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
        progress.TextColumn("{task.fields[numbers]}", markup=False),
    )
    hidden = not screen.is_terminal
    with progress.Progress(*columns, console=screen, transient=not stays, disable=hidden) as shown:
        yield Bar(screen, shown, name, total)


def _drawn(shown: Table) -> table.Table:
    made = table.Table(title=shown.title or None, caption=shown.note or None)
    for column in shown.columns:
        made.add_column(
            column.name,
            justify="left" if column.text else "right",
            no_wrap=not column.text,
            overflow="fold",
        )
    for row in shown.cells():
        made.add_row(*map(visible, row))
    return made


def _natural(shown: Table) -> list[int]:
    """How wide each column is, unfolded."""
    lines = zip(shown.names, *shown.cells(), strict=True)
    return [max(cell_len(part) for text in some for part in text.split("\n")) for some in lines]


def _frame(shown: Table) -> int:
    """Columns of the terminal that borders and the space beside cells take."""
    return 3 * len(shown.columns) + 1


def _width(shown: Table) -> int:
    return _frame(shown) + sum(_natural(shown))


def _least(shown: Table) -> int:
    """The least width in which the numbers have their room, with text folded as far as may be."""
    wide = zip(shown.columns, _natural(shown), strict=True)
    return _frame(shown) + sum(min(LEAST, n) if column.text else n for column, n in wide)


def _stacked(shown: Table, width: int) -> list[str]:
    """Each row as its first cell and, below, pairs of heading and number that are never parted."""
    first, *others = shown.names
    lines = [shown.title] if shown.title else []
    for name, *cells in shown.cells():
        lines.append(f"{first} {name}".strip())
        pairs = [f"{head} {cell}".strip() for head, cell in zip(others, cells, strict=True) if cell]
        lines += _wrapped(pairs, width)
    return [*lines, *filter(None, shown.note.split("\n"))]


def _wrapped(pairs: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for pair in pairs:
        if lines and cell_len(f"{lines[-1]}   {pair}") <= width:
            lines[-1] += f"   {pair}"
        else:
            lines.append(f"  {pair}")
    return lines
