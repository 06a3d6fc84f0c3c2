"""Lessons for every visual token: what stands here, and whose it is.

The generator knows of every token which characters it shows and where in it, whose label the value
here belongs to, which of its characters comes first here, how large it is printed, where it stands
on the page, and on a crop whether it is what the crop was opened for. One linear layer reads all
this off the encoder's output, and is thrown away: what the language model has to find, it finds
made ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from agents.tiny.pages.words import LABELS, VALUES
from agents.tiny.pages.zoom import TOKEN, window
from vt_env.regions import Box
from vt_env.sources.pages import Entry, Page, Text

ROWS, COLUMNS = 2, 6
SLOTS = ROWS * COLUMNS
"""Places of a character in a token."""
LETTERS = "".join(sorted(set("".join(LABELS))))
FIRSTS = 7
UNASKED = -100
_OF_VALUE = {character: index + 1 for index, character in enumerate(VALUES)}
_OF_LABEL = {character: index + 1 for index, character in enumerate(LETTERS)}

HEADS: dict[str, int] = {
    "value": SLOTS * (len(VALUES) + 1),
    "label": SLOTS * (len(LETTERS) + 1),
    "owner": len(LABELS) + 1,
    "first": FIRSTS,
    "small": 2,
    "subject": 2,
    "place": 8,
}
"""Outputs of each head."""
WEIGHTS: dict[str, float] = {
    "value": 1.0,
    "label": 1.0,
    "owner": 0.5,
    "first": 0.3,
    "small": 0.3,
    "subject": 0.3,
    "place": 2.0,
}
"""Each head's share in the loss."""
FINDING = 4.0
"""Likewise, of where the language model is about to look."""
DECIDING = 0.2
"""Likewise, of how small the print is that it is asked about."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of a page that a view shows, and how large.

    Attributes:
        left: Where the view begins on the page, in its pixels.
        top: Likewise.
        across: Pixels of the view over pixels of the page, across.
        down: Likewise, down.
        columns: Visual tokens across.
        rows: Visual tokens down.
        subject: Which of the page's entries a crop was opened for; ``None`` if it is no crop.
    """

    left: float
    top: float
    across: float
    down: float
    columns: int
    rows: int
    subject: int | None = None

    def cell(self, x: float, y: float) -> tuple[int, int, int] | None:
        """Row and column of the token that shows a point of the page, and its slot there."""
        right, low = (x - self.left) * self.across / TOKEN, (y - self.top) * self.down / TOKEN
        if not (0 <= right < self.columns and 0 <= low < self.rows):
            return None
        slot = int(low % 1 * ROWS) * COLUMNS + int(right % 1 * COLUMNS)
        return int(low), int(right), slot


@dataclass(frozen=True, slots=True)
class Targets:
    """What the heads should say of the tokens of one or more views.

    Attributes:
        value: int64 [tokens, slots]: characters of values; 0 nothing, :data:`UNASKED` not asked.
        label: int64 [tokens, slots]: characters of labels.
        owner: int64 [tokens]: whose value is here; the last class is nobody's.
        first: int64 [tokens]: index of the value's first character here.
        small: int64 [tokens]: whether its print is small.
        subject: int64 [tokens]: whether it is what the crop was opened for.
        place: float32 [tokens, 8]: its box and the window around it, as shares of the page; NaN
            where there is none.
    """

    value: NDArray[np.int64]
    label: NDArray[np.int64]
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    small: NDArray[np.int64]
    subject: NDArray[np.int64]
    place: NDArray[np.float32]

    @classmethod
    def empty(cls, tokens: int) -> Targets:
        """Of tokens that show nothing."""
        return cls(
            value=np.zeros((tokens, SLOTS), np.int64),
            label=np.zeros((tokens, SLOTS), np.int64),
            owner=np.full(tokens, len(LABELS)),
            first=np.full(tokens, UNASKED),
            small=np.full(tokens, UNASKED),
            subject=np.full(tokens, UNASKED),
            place=np.full((tokens, 8), np.nan, np.float32),
        )


def targets(page: Page, frame: Frame) -> Targets:
    """What the heads should say of a view of a page of forms or receipts."""
    made = Targets.empty(frame.rows * frame.columns)
    for box in page.other:
        _unask(made, frame, box)
    for index, entry in enumerate(page.entries):
        _letters(made.label, frame, entry.label, _OF_LABEL)
        _value(made, frame, page, index, entry)
    return made


def sheet_targets(frame: Frame, values: Sequence[Text], labels: Sequence[Text]) -> Targets:
    """What the heads should say of a sheet: its characters, and nothing else."""
    made = Targets.empty(frame.rows * frame.columns)
    made.owner[:] = UNASKED
    for text in values:
        _letters(made.value, frame, text, _OF_VALUE)
    for text in labels:
        _letters(made.label, frame, text, _OF_LABEL)
    return made


def _letters(
    slots: NDArray[np.int64], frame: Frame, text: Text | None, known: dict[str, int]
) -> None:
    for character, (x, y) in zip(text.words, text.centres, strict=True) if text else ():
        if cell := frame.cell(x, y):
            slots[cell[0] * frame.columns + cell[1], cell[2]] = known[character]


def _value(made: Targets, frame: Frame, page: Page, index: int, entry: Entry) -> None:
    legible = entry.print == "large" or frame.down > 0.75
    label = entry.label
    named = label is not None and all(frame.cell(x, y) for x, y in label.centres)
    high, wide = page.pixels.shape[:2]
    around = window(entry.value.box, wide, high)
    place = np.divide([*entry.value.box.edges, *around], (wide, high) * 4)
    for order, (character, (x, y)) in enumerate(
        zip(entry.value.words, entry.value.centres, strict=True)
    ):
        cell = frame.cell(x, y)
        if cell is None:
            continue
        token = cell[0] * frame.columns + cell[1]
        if legible:
            made.value[token, cell[2]] = _OF_VALUE[character]
            if made.first[token] == UNASKED:
                made.first[token] = order
        else:
            made.value[token] = UNASKED
        made.owner[token] = LABELS.index(entry.names[0]) if named else UNASKED
        made.small[token] = entry.print == "small"
        if frame.subject is None:
            made.place[token] = place
        else:
            made.subject[token] = index == frame.subject


def _unask(made: Targets, frame: Frame, box: Box) -> None:
    """Ask nothing about characters where something else is printed."""
    step_x, step_y = TOKEN / COLUMNS / frame.across, TOKEN / ROWS / frame.down
    for y in np.arange(box.top, box.bottom + step_y, step_y):
        for x in np.arange(box.left, box.right + step_x, step_x):
            if cell := frame.cell(min(x, box.right), min(y, box.bottom)):
                token = cell[0] * frame.columns + cell[1]
                made.value[token, cell[2]] = made.label[token, cell[2]] = UNASKED


class DenseHeads(nn.Module):
    """One linear layer that says everything of a visual token.

    Args:
        width: Of a visual token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, sum(HEADS.values()))
        self.find = nn.Linear(width, 4)
        self.decide = nn.Linear(width, 2)

    def forward(self, tokens: torch.Tensor, truth: Sequence[Targets]) -> dict[str, torch.Tensor]:
        """Each head's loss, weighted.

        Args:
            tokens: Visual tokens of some views: float [tokens, width].
            truth: Of the views in order.
        """
        said = dict(zip(HEADS, self.read(tokens).split(list(HEADS.values()), -1), strict=True))
        known = {
            field.name: torch.from_numpy(
                np.concatenate([getattr(view, field.name) for view in truth])
            )
            for field in fields(Targets)
        }
        losses: dict[str, torch.Tensor] = {}
        for name, classes in (("value", len(VALUES) + 1), ("label", len(LETTERS) + 1)):
            scores = said[name].reshape(-1, classes)
            losses[name] = _entropy(scores, known[name].flatten(), 0, 0.1)
        losses["owner"] = _entropy(said["owner"], known["owner"], len(LABELS), 0.2)
        for name in ("first", "small", "subject"):
            losses[name] = _entropy(said[name], known[name], UNASKED, 0.0)
        standing = ~known["place"].isnan().any(-1)
        off = (said["place"][standing] - known["place"][standing]).abs()
        losses["place"] = off.sum() / max(1, off.numel())
        return {name: WEIGHTS[name] * loss for name, loss in losses.items()}

    def finding(self, states: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """The weighted loss of where the language model is about to look.

        Args:
            states: Its last hidden states where a call has just named what it looks for:
                float [calls, width].
            boxes: The calls' boxes as shares of the page: float [calls, 4].
        """
        off = (self.find(states) - boxes).abs()
        return FINDING * off.sum() / max(1, off.numel())

    def deciding(self, states: torch.Tensor, small: torch.Tensor) -> torch.Tensor:
        """The weighted loss of how small the print is that the language model is asked about.

        What it says next does not depend on it, and a policy can be taught to let it.

        Args:
            states: Its last hidden states before a thought: float [thoughts, width].
            small: int64 [thoughts], 1 for small print.
        """
        total = functional.cross_entropy(self.decide(states), small, reduction="sum")
        return DECIDING * total / max(1, len(small))


def _entropy(scores: torch.Tensor, truth: torch.Tensor, common: int, weight: float) -> torch.Tensor:
    """Cross-entropy in nats, in which the most common class weighs less; 0 if nothing is asked."""
    each = functional.cross_entropy(scores, truth, reduction="none", ignore_index=UNASKED)
    weights = torch.where(truth == common, weight, 1.0) * (truth != UNASKED)
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)
