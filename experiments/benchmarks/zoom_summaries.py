"""From scored rows to the numbers of zoom benchmarks.

Beside its own numbers each has, where its rows tell them, whether the agent looked at the targets
(:func:`looked`). :func:`letters` is of all repetitions of a benchmark together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.layouts import LETTERS
from experiments.benchmarks.summaries import Numbers, Row, by, mean, means, score
from experiments.summary import interval, numbered, ratios
from vt_env.errors import DataError
from vt_env.judges import Judge, Query
from vt_env.regions import Box

_THOUGHT = re.compile(r"<think>(.*?)</think>", re.S)
_PUBLISHED = re.compile(r"<box>\s*\[(\d+),(\d+),(\d+),(\d+)\].*?</box>", re.S)
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_ANY = re.compile(r"\[" + ",".join([_NUMBER] * 4) + r"\]")


def vstar(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy in percent, over all and by category."""
    made = {"vstar_overall_acc": 100 * score(rows)}
    for name, some in by(rows, lambda row: row["metadata"]["category"]).items():
        made[f"vstar_{name}_acc"] = 100 * score(some)
    return made | looked(rows)


def hrbench(rows: Sequence[Row], official: bool) -> Numbers:
    """The mean over the four rotations of the accuracy, over all, and of single and cross."""

    def over_rotations(some: Sequence[Row]) -> float:
        return mean(map(score, by(some, lambda row: row["metadata"]["cycle_category"]).values()))

    parts = by(rows, lambda row: row["metadata"]["category"])
    return {
        "average": over_rotations(rows),
        **{name: over_rotations(some) for name, some in parts.items()},
    }


def mme_realworld(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy over all rows, by task and by its parts."""
    return {
        "mme_realworld_score": score(rows),
        **means(rows, "task"),
        **means(rows, "subtask", lambda r: f"{r['metadata']['task']}/{r['metadata']['subtask']}"),
    }


def visualprobe(rows: Sequence[Row], official: bool) -> Numbers:
    """Share of right answers."""
    return {"accuracy": score(rows)}


def zoombench(rows: Sequence[Row], official: bool) -> Numbers:
    """Share of right answers, by kind, and over the rows that have a cropped view too.

    The boxes of the whole pictures are what :func:`looked` reads.
    """
    both = [row for row in rows if row["metadata"]["has_crop"]]
    return {
        "accuracy": score(rows),
        **means(rows, "kind", lambda row: row["kind"]),
        **({"accuracy_with_crop": score(both)} if both else {}),
        **looked(rows),
    }


zoombench_crop = zoombench


def treebench(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy, by category, and the mean overlap of boxes with the targets.

    Officially of the boxes that the thoughts say, ``<box>[left,top,right,bottom]</box>``, and 0
    without one; otherwise of those in any brackets, and of those that were looked at.
    """
    return {
        "accuracy": score(rows),
        **means(rows, "category"),
        "miou": mean(_overlap(row, said(row, official)) for row in rows),
        **looked(rows),
    }


def o3bench(rows: Sequence[Row], official: bool) -> Numbers:
    """Share of right answers, and by subset."""
    return {"accuracy": score(rows), **means(rows, "subset")}


def letters(rows: Sequence[Row], judge: Judge, seed: int = 0) -> Numbers:
    """Which options are right and which are chosen, as shares of the rows with options.

    An answer chooses the letter that the judge accepts as the right one, whichever is right. At
    most :data:`MOST_READ` different answers are read, of rows that the seed draws.

    Args:
        rows: Scored ones.
        judge: Rules, by which answers are read.
        seed: Seeds what is drawn, and the bootstrap of questions.

    Returns:
        ``right/A``, ``chosen/A`` and, of the rows in which it is right, ``accuracy/A``; for each
        letter. ``letter_bias``, half the sum of the differences between the first two: 0 where
        letters are chosen as often as they are right, 1 where always another is; with ``/low`` and
        ``/high``, the ends of its 95 % interval, and ``/chance``, what it would be on average if
        as many were right and wrong answers chose any other letter alike. Rows that choose no
        letter, or several, are left out of it, and are ``chosen/none``. ``letters_read``, how many
        rows were read. ``option_seed``, where options were shuffled by one.
    """
    asked = [row for row in rows if row.get("choices")]
    if not asked:
        return {}
    rng = np.random.default_rng(seed)
    read = _drawn(asked, rng)
    given = chosen_letters(read, judge)
    readable = [(row, letter) for row, letter in zip(read, given, strict=True) if letter]
    made: Numbers = {
        "chosen/none": 1 - len(readable) / len(read),
        "letters_read": float(len(read)),
    }
    seeds = {row["metadata"].get("option_seed") for row in asked} - {None}
    if len(seeds) == 1:
        made["option_seed"] = seeds.pop()
    by_right, picks = by(asked, _right), Counter(given)
    for letter in sorted({*by_right, *picks} - {""}):
        where = by_right.get(letter, [])
        made[f"right/{letter}"] = len(where) / len(asked)
        made[f"chosen/{letter}"] = picks[letter] / len(read)
        if where:
            made[f"accuracy/{letter}"] = score(where)
    return made | (_bias(readable, rng, seed) if readable else {})


MOST_READ = 2_000
"""Different answers whose letters are read: a judge is asked about each letter of each."""
_DRAWS = 500


def _right(row: Row) -> str:
    return str(row["references"][0])


def chosen_letters(rows: Sequence[Row], judge: Judge) -> list[str]:
    """The letter of the one option that each answer chooses; empty where it is none or several."""
    queries = [
        Query(question, (letter,), answer, "mcq", choices)
        for question, answer, choices in dict.fromkeys(map(_said, rows))
        if answer
        for letter in LETTERS[: len(choices)]
    ]
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for query, verdict in zip(queries, judge.score(queries), strict=True):
        if verdict.correct:
            said = (query.question, query.answer, query.choices)
            found.setdefault(said, []).extend(query.references)
    alone = {said: some[0] for said, some in found.items() if len(some) == 1}
    return [alone.get(_said(row), "") for row in rows]


def _said(row: Row) -> tuple[str, str, tuple[str, ...]]:
    """What decides which letter a row chooses."""
    return row["question"], row["answer"] or "", tuple(row["choices"])


def _drawn(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Rows in another order, as many as have no more than :data:`MOST_READ` different answers."""
    order = [rows[at] for at in rng.permutation(len(rows))]
    seen: set[Any] = set()
    for number, row in enumerate(order):
        seen.add(_said(row))
        if len(seen) > MOST_READ:
            return order[:number]
    return order


def _bias(readable: Sequence[tuple[Row, str]], rng: np.random.Generator, seed: int) -> Numbers:
    """How far letters are chosen otherwise than they are right: see :func:`letters`."""
    rights = np.array([_right(row) for row, _ in readable])
    picks = np.array([letter for _, letter in readable])
    one, names = np.ones(len(readable)), sorted({*rights, *picks})
    gaps = {name: (rights == name) * one - (picks == name) for name in names}
    drawn = ratios(
        {name: (gap, one) for name, gap in gaps.items()}, numbered([row for row, _ in readable]),
        seed,
    )  # fmt: skip
    low, high = interval(np.abs([*drawn.values()]).sum(0) / 2) or (0.0, 0.0)
    groups = Counter(
        (_right(row), len(row["choices"])) for row, letter in readable if _right(row) != letter
    )
    moved = np.zeros((_DRAWS, len(LETTERS)))
    for (right, options), count in groups.items():
        others = [at for at in range(options) if LETTERS[at] != right]
        moved[:, others] += rng.multinomial(count, [1 / len(others)] * len(others), _DRAWS)
        moved[:, LETTERS.index(right)] -= count
    return {
        "letter_bias": sum(abs(float(gap.mean())) for gap in gaps.values()) / 2,
        "letter_bias/low": low,
        "letter_bias/high": high,
        "letter_bias/chance": float(np.abs(moved).sum(1).mean()) / 2 / len(readable),
    }


def looked(rows: Sequence[Row]) -> Numbers:
    """Whether the views that an agent asked for show the targets.

    Returns:
        Over the rows that have targets: ``looked_iou``, of each target the best overlap of a view
        with it (intersection over union), and ``looked_share``, of each target the largest share
        that one view shows; means of targets, then of rows. A row without a view asked for has 0.
    """
    known = [row for row in rows if row["metadata"].get("target_boxes")]
    if not known or any("regions" not in row for row in known):
        return {}
    shares = [
        mean(
            max((box.within(target).area / target.area for box in views(row)), default=0.0)
            for target in boxes_of(row)
        )
        for row in known
    ]
    return {
        "looked_iou": mean(_overlap(row, views(row)) for row in known),
        "looked_share": mean(shares),
    }


def boxes_of(row: Row) -> list[Box]:
    """The targets of a row, in pixels of its picture."""
    return [Box(*box) for box in row["metadata"].get("target_boxes", [])]


def views(row: Row) -> list[Box]:
    """The parts of the picture that were asked for: of every view but the first."""
    return [Box(*edges) for picture, *edges in filter(None, row["regions"][1:]) if picture == 0]


def said(row: Row, official: bool) -> list[Box]:
    """The boxes of the thoughts, and but officially those that were looked at."""
    if "turns" not in row:
        raise DataError("the overlap of boxes needs the turns of a row, which has none")
    text = "\n".join(turn["text"] for turn in row["turns"])
    thoughts = "\n".join(_THOUGHT.findall(text)) or text
    found = (_PUBLISHED if official else _ANY).findall(thoughts)
    made = [Box(*map(float, edges)) for edges in found]
    made = [box for box in made if box.width > 0 and box.height > 0]
    return made if official else made + views(row)


def _overlap(row: Row, boxes: Sequence[Box]) -> float:
    """The mean over targets of the best overlap; without a target, whether there is a box."""
    targets = boxes_of(row)
    if not targets:
        return float(bool(boxes))
    return mean(max((target.overlap(box) for box in boxes), default=0.0) for target in targets)
