"""From scored rows to the numbers of zoom benchmarks.

Beside its own numbers each has, where its rows tell them: of options, which letters are right and
which are chosen (:func:`letters`); of targets, whether the agent looked there (:func:`looked`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from experiments.benchmarks.letters import chosen
from experiments.benchmarks.summaries import Numbers, Row, by, mean, means, score
from vt_env.errors import DataError
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
    return made | letters(rows) | looked(rows)


def hrbench(rows: Sequence[Row], official: bool) -> Numbers:
    """The mean over the four rotations of the accuracy, over all, and of single and cross."""

    def over_rotations(some: Sequence[Row]) -> float:
        return mean(map(score, by(some, lambda row: row["metadata"]["cycle_category"]).values()))

    parts = by(rows, lambda row: row["metadata"]["category"])
    return {
        "average": over_rotations(rows),
        **{name: over_rotations(some) for name, some in parts.items()},
        **letters(rows),
    }


def mme_realworld(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy over all rows, by task and by its parts."""
    return {
        "mme_realworld_score": score(rows),
        **means(rows, "task"),
        **means(rows, "subtask", lambda r: f"{r['metadata']['task']}/{r['metadata']['subtask']}"),
        **letters(rows),
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
        **letters(rows),
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
        **letters(rows),
        **looked(rows),
    }


def o3bench(rows: Sequence[Row], official: bool) -> Numbers:
    """Share of right answers, and by subset."""
    return {"accuracy": score(rows), **means(rows, "subset"), **letters(rows)}


def letters(rows: Sequence[Row]) -> Numbers:
    """Which options are right and which are chosen, as shares of the rows with options.

    Returns:
        ``right/A``, ``chosen/A`` and, of the rows in which it is right, ``accuracy/A``; for each
        letter. ``letter_bias``, half the sum of the differences between the first two: 0 where
        letters are chosen as often as they are right, 1 where always another is. Rows in which no
        letter is chosen are left out of it, and are ``chosen/none``. ``option_seed``, where options
        were shuffled by one.
    """
    asked = [row for row in rows if row.get("choices")]
    if not asked:
        return {}
    wanted = [str(row["references"][0]) for row in asked]
    given = [
        right if row["correct"] else chosen(str(row["answer"] or ""), row["choices"])
        for row, right in zip(asked, wanted, strict=True)
    ]
    readable = [(right, said) for right, said in zip(wanted, given, strict=True) if said]
    made: Numbers = {"chosen/none": 1 - len(readable) / len(asked)}
    seeds = {row["metadata"].get("option_seed") for row in asked} - {None}
    if len(seeds) == 1:
        made["option_seed"] = seeds.pop()
    counts, picks = (Counter(pair[i] for pair in readable) for i in (0, 1))
    gaps = 0.0
    for letter in sorted({*wanted, *picks}):
        where = [row for row, right in zip(asked, wanted, strict=True) if right == letter]
        made[f"right/{letter}"] = len(where) / len(asked)
        made[f"chosen/{letter}"] = picks[letter] / len(asked)
        if where:
            made[f"accuracy/{letter}"] = score(where)
        gaps += abs(counts[letter] - picks[letter])
    if readable:
        made["letter_bias"] = gaps / 2 / len(readable)
    return made


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
