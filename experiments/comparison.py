"""What changed between two results on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.evaluation.journal import RESULT
from experiments.evaluation.recorded import recorded_file
from experiments.evaluation.result import read_result
from experiments.evaluation.rows import Row, read_rows
from experiments.paired import differences
from vt_env import DataError

_SETTINGS = ("agent", "data", "mode", "rate", "protocol", "judge", "tokens")
_ORIGINS = ("command", "seed", "data", "commit", "versions", "machine")
_ASKED = ("question", "references", "answer_type", "choices", "kind", "source")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """One result.

    Attributes:
        path: Where it is.
        rows: Its episodes by id.
        result: Its ``result.json``; empty where there is none.
    """

    path: Path
    rows: Mapping[str, Row]
    result: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """A folder of ``vt eval``, or an ``episodes.jsonl``.

        Raises:
            DataError: If it cannot be read.
        """
        file = recorded_file(path)
        rows = {row["id"]: _kept(row) for row in read_rows(file)}
        beside = (file.parent / RESULT).exists()
        return cls(path, rows, read_result(file.parent) if beside else {})

    @property
    def fingerprint(self) -> str | None:
        """Of the data, pictures included; ``None`` if it is not known."""
        return self.result.get("provenance", {}).get("data")


def _kept(row: Row) -> Row:
    """A row without its turns and metadata, which are not compared."""
    left = ("turns", "metadata", "views", "reward", "flaws", "reason")
    return {key: value for key, value in row.items() if key not in left}


def _became(before: bool | None, now: bool | None) -> bool:
    """From no to yes; where one is not known nothing is said."""
    return before is False and now is True


CHANGES: Mapping[str, Callable[[Row, Row], bool]] = {
    "right → wrong": lambda a, b: a["correct"] is True and b["correct"] is False,
    "wrong → right": lambda a, b: a["correct"] is False and b["correct"] is True,
    "now unscored": lambda a, b: a["correct"] is not None and b["correct"] is None,
    "now scored": lambda a, b: a["correct"] is None and b["correct"] is not None,
    "now asks": lambda a, b: _became(a["requested"], b["requested"]),
    "no longer asks": lambda a, b: _became(b["requested"], a["requested"]),
    "now malformed": lambda a, b: _became(b["well_formed"], a["well_formed"]),
    "now well formed": lambda a, b: _became(a["well_formed"], b["well_formed"]),
    "another answer": lambda a, b: a["answer"] != b["answer"],
}
"""What can have happened to a sample, from the first result to the second."""


def compared(a: Recorded, b: Recorded, *, intersect: bool = False, seed: int = 0) -> dict[str, Any]:
    """Everything that ``vt compare`` says, as JSON has it.

    Args:
        a: The first result.
        b: The second; differences are second minus first.
        intersect: Whether to compare the samples that both have, where they have not the same.
        seed: Seeds the bootstrap.

    Returns:
        ``a`` and ``b``: paths; ``settings``: what differs, ``[a, b]`` each; ``n`` samples compared
        and what was left out: ``only_a``, ``only_b``, ``asked_otherwise``; ``metrics``, see
        :func:`experiments.paired.differences`, and the same ``by_kind`` and ``by_source``;
        ``changes``: ids by what happened to them.

    Raises:
        DataError: If the data differs and ``intersect`` is not asked for, or nothing is in common.
    """
    ids, left = _common(a, b, intersect)
    return {
        "a": str(a.path),
        "b": str(b.path),
        "settings": _settings(a.result, b.result),
        "n": len(ids),
        **left,
        "metrics": differences(a.rows, b.rows, ids, seed=seed),
        **{f"by_{key}": _by(key, a, b, ids, seed) for key in ("kind", "source")},
        "changes": {
            name: [i for i in ids if happened(a.rows[i], b.rows[i])]
            for name, happened in CHANGES.items()
        },
    }


def _common(a: Recorded, b: Recorded, intersect: bool) -> tuple[list[str], dict[str, list[str]]]:
    """The samples to compare, in the first result's order, and those that are left out."""
    shared = [i for i in a.rows if i in b.rows]
    otherwise = [i for i in shared if _asked(a.rows[i], b.rows[i])]
    left = {
        "only_a": [i for i in a.rows if i not in b.rows],
        "only_b": [i for i in b.rows if i not in a.rows],
        "asked_otherwise": otherwise,
    }
    ids = [i for i in shared if i not in set(otherwise)]
    reasons = [
        f"{len(names)} {what} ({', '.join(map(repr, names[:_SHOWN]))}"
        f"{', …' if len(names) > _SHOWN else ''})"
        for names, what in zip(
            left.values(),
            (
                f"samples are only in {a.path}",
                f"samples are only in {b.path}",
                "samples have another question or other references",
            ),
            strict=True,
        )
        if names
    ]
    if a.fingerprint and b.fingerprint and a.fingerprint != b.fingerprint and not reasons:
        reasons = ["the data was another one (its pictures, or what was not played of it)"]
    if reasons and not intersect:
        raise DataError(
            f"the two results are not of the same data: {'; '.join(reasons)}. Add --by-id "
            "intersect to compare the samples that both have"
        )
    if not ids:
        raise DataError(f"the two results have no sample in common: {'; '.join(reasons)}")
    return ids, left


def _asked(a: Row, b: Row) -> bool:
    """Whether two rows of one id ask something else; older rows do not say everything."""
    return any(a[key] != b[key] for key in _ASKED if key in a and key in b)


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    origins = (a.get("provenance", {}), b.get("provenance", {}))
    pairs = {key: [a.get(key), b.get(key)] for key in _SETTINGS}
    pairs |= {f"provenance.{key}": [origin.get(key) for origin in origins] for key in _ORIGINS}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _by(
    key: str, a: Recorded, b: Recorded, ids: Sequence[str], seed: int
) -> dict[str, dict[str, Any]]:
    names: dict[str, list[str]] = {}
    for i in ids:
        names.setdefault(a.rows[i][key], []).append(i)
    return {
        name: {
            "n": len(some),
            "metrics": differences(a.rows, b.rows, some, seed=seed),
            "changes": {
                change: sum(happened(a.rows[i], b.rows[i]) for i in some)
                for change, happened in CHANGES.items()
            },
        }
        for name, some in sorted(names.items())
    }
