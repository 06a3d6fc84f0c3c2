"""The data of the gallery: what the page's script draws episodes from.

Samples, with what all policies share, are there once; an episode names its sample by place. What an
episode does not have is not in its object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.report.arms import Arms, Marks, arms_of, marks_of
from experiments.report.pictures import Drawn, Pictures
from experiments.report.records import Key, Notes, Policy, Row


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy in the gallery.

    Attributes:
        policy: The policy.
        arms: What is known of both arms.
        marks: Of each of its episodes, also those that are left out.
        rows: Places of the episodes that are kept, in order.
    """

    policy: Policy
    arms: Arms
    marks: Sequence[Marks]
    rows: Sequence[int]

    @property
    def kept(self) -> list[tuple[Row, Marks]]:
        """The episodes that are kept."""
        return [(self.policy.rows[i], self.marks[i]) for i in self.rows]


def choose(policies: Sequence[Policy], most: int, notes: Notes) -> list[Shown]:
    """The episodes that the gallery holds, at most ``most`` in all.

    What is left of the room is shared evenly among the policies that are left; of one with more,
    the notable ones come first, then evenly spaced ones.
    """
    made: list[Shown] = []
    room, total = most, 0
    for index, policy in enumerate(policies):
        arms = arms_of(policy, policies)
        marks = [marks_of(row, arms) for row in policy.rows]
        share = room if index == 0 else room // (len(policies) - index)
        rows = _chosen(marks, share)
        room -= len(rows)
        total += len(policy.rows)
        made.append(Shown(policy, arms, marks, rows))
    if total > most:
        notes.add(
            f"{most - room:,} of {total:,} episodes are in the gallery, the notable ones first; "
            "more with --episodes N"
        )
    return made


def _chosen(marks: Sequence[Marks], most: int) -> list[int]:
    if len(marks) <= most:
        return list(range(len(marks)))
    ranked = sorted(range(len(marks)), key=lambda i: rank(marks[i]))
    notable = [i for i in ranked if rank(marks[i]) < _ORDINARY][:most]
    others = [i for i in ranked if rank(marks[i]) == _ORDINARY]
    return sorted(notable + evenly(others, most - len(notable)))


def evenly(items: Sequence[int], count: int) -> list[int]:
    """So many items, evenly spaced."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


_ORDINARY = 3


def rank(marks: Marks) -> int:
    """The order in which episodes are worth a picture: the lower, the more."""
    if marks.missed or marks.needless:
        return 0
    if marks.wrong:
        return 1
    return 2 if marks.unscored else _ORDINARY


def gallery(shown: Sequence[Shown], pictures: Pictures) -> tuple[list[Any], list[list[Any]]]:
    """Samples, and the episodes of each policy, as JSON."""
    places: dict[Key, int] = {}
    wanted: list[tuple[int, Row, str]] = []
    for one in shown:
        for row, marks in one.kept:
            place = places.setdefault(row.key, len(places))
            if place == len(wanted):
                wanted.append((rank(marks), row, one.policy.data_of(row)))
            elif _is_smaller(row, wanted[place][1]):
                wanted[place] = (wanted[place][0], row, one.policy.data_of(row))
    drawn = _drawn(wanted, pictures)
    originals = _originals(shown)
    samples = [
        _sample(row, picture, originals.get(row.key))
        for (_, row, _), picture in zip(wanted, drawn, strict=True)
    ]
    episodes = [
        [_episode(row, marks, places[row.key], one.arms) for row, marks in one.kept]
        for one in shown
    ]
    return samples, episodes


def _is_smaller(row: Row, other: Row) -> bool:
    """Whether an episode began with a smaller view: the one that the gallery is to show."""
    return bool(row.views) and (not other.views or row.views[0] < other.views[0])


def _drawn(wanted: Sequence[tuple[int, Row, str]], pictures: Pictures) -> list[Drawn]:
    """A picture for each sample; where there are too many, those worth it, then evenly spaced."""
    by_rank: dict[int, list[int]] = {}
    for index, (level, _, _) in enumerate(wanted):
        by_rank.setdefault(level, []).append(index)
    order: list[int] = []
    for level in sorted(by_rank):
        some = evenly(by_rank[level], max(0, pictures.most - len(order)))
        order += some + sorted(set(by_rank[level]) - set(some))
    found = pictures.draw((wanted[i][1], wanted[i][2]) for i in order)
    made = dict(zip(order, found, strict=True))
    return [made[i] for i in range(len(wanted))]


def _originals(shown: Sequence[Shown]) -> dict[Key, tuple[int, int]]:
    """Sizes of originals that some episode saw."""
    return {
        row.key: max(row.views)
        for one in shown
        for row in one.policy.rows
        if row.views and (row.requested or row.visual_tokens == row.full_tokens)
    }


def _sample(row: Row, drawn: Drawn, original: tuple[int, int] | None) -> dict[str, Any]:
    return _without_nothing(
        id=row.id,
        question=row.question,
        references=row.references,
        kind=row.kind,
        source=row.source,
        size=drawn.size or original,
        picture=drawn.original,
        first=drawn.first,
        why=drawn.why,
    )


def _episode(row: Row, marks: Marks, sample: int, arms: Arms) -> dict[str, Any]:
    return _without_nothing(
        sample=sample,
        turns=[[turn.thought, turn.does, turn.text] for turn in row.turns],
        answer=row.answer if not row.turns else None,
        correct=row.correct,
        judge=row.judge,
        reason=row.reason,
        flaws=row.flaws,
        formed=row.well_formed,
        requested=row.requested,
        futile=row.futile or None,
        tokens=row.visual_tokens,
        full=row.full_tokens,
        views=row.views,
        reward=row.reward,
        step=row.step,
        more=row.more,
        marks=[name for name in MARKS if getattr(marks, name)],
        low=arms.low_right.get(row.key),
        high=arms.high_right.get(row.key),
    )


MARKS = ("wrong", "needless", "missed", "unscored")


def counts(marks: Iterable[Marks]) -> dict[str, dict[str, int]]:
    """How many episodes have each mark, and of how many it cannot be known."""
    made = {name: {"found": 0, "unknown": 0} for name in MARKS}
    for one in marks:
        for name in MARKS:
            value = getattr(one, name)
            made[name]["found"] += value is True
            made[name]["unknown"] += value is None
    return made


def _without_nothing(**fields: Any) -> dict[str, Any]:
    """An object without what is unknown or empty."""
    return {k: v for k, v in fields.items() if v is not None and v not in ("", (), [], {})}
