"""``vt compare``: what changed between two results, or several beside each other."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from experiments.commands.options import console, natural, need_rich
from experiments.episodes import Row, read_rows
from experiments.evaluation.result import EPISODES, RESULT, read_result
from experiments.files import new_file, write_json
from experiments.judging.recorded import recorded_file
from experiments.parsing import Parser, option
from experiments.report import ReportConfig, make_report
from experiments.report.page import is_page
from experiments.result_tables import DIFFERENCE, difference
from experiments.summary import differences
from experiments.tables import Column, Table
from trainers.results import PRIVATE
from vt_env import ConfigError, DataError

DESCRIPTION = """\
Two results of vt eval on the same samples: what was set otherwise, by how much each number differs
(B - A, with a paired 95 % interval and McNemar's exact test), and which samples changed. They are
folders with an episodes.jsonl, e.g. of two modes, or such files. Of two folders with several modes
or benchmarks those of the same name are compared, a line each.

Three and more, e.g. of several seeds: a line for each mode of each, with median and range.
"""
_CAP = 10
_CELL = 60


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    option(parser, "RESULT", "results of vt eval, vt judge or vt demo", Path, nargs="+")
    option(parser, "--by-id",
           "same: both must have the same samples; intersect: compare those they share",
           ["same", "intersect"], "same")  # fmt: skip
    option(parser, "--out FILE", "everything, as JSON", Path)
    option(parser, "--page FILE", "two folders on one page, episode beside episode", Path)
    option(parser, "--overwrite", "replace a comparison that is in FILE")
    option(parser, "--seed S", "of the bootstrap", natural, 0)


def run(arguments: argparse.Namespace) -> None:
    """Read, compare, show, write."""
    need_rich()
    out, paths = arguments.out, arguments.result
    if len(paths) < 2:
        raise ConfigError("expected two results, or more, to compare")
    if out is not None:
        new_file(out, "compare", arguments.overwrite, _is_comparison)
    if arguments.page is not None:
        if len(paths) != 2 or not all(path.is_dir() for path in paths):
            raise ConfigError("--page takes two results, and both must be folders")
        new_file(arguments.page, "compare", arguments.overwrite, is_page, "--page")
    if len(paths) > 2:
        found = _beside(paths)
    else:
        how = {"intersect": arguments.by_id == "intersect", "seed": arguments.seed}
        several = not any(_is_alone(path) for path in paths)
        found = (paired if several else compared)(*paths, **how)
    if out is not None:
        try:
            write_json(out, found)
        except OSError as error:
            raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    show = _show_beside if len(paths) > 2 else _show_pairs if "pairs" in found else _show
    show(found)
    if arguments.page is not None:
        pairs = found.get("pairs")
        tables = [_pairs(pairs)] if pairs else [*_settings(found), _metrics(found["metrics"])]
        lead = f"{sum(p['n'] for p in (pairs or {'': found}).values())} samples in common."
        title = " beside ".join(path.resolve().name for path in paths)
        config = ReportConfig(title, lead, tables=tables, beside=True)
        report = make_report(paths, arguments.page, config)
        console().say(f"open {report.page}")


def _is_comparison(path: Path) -> bool:
    """Whether a file is what this command writes."""
    found = json.loads(path.read_text("utf-8")).keys()
    kinds = ({"a", "b", "metrics", "changes"}, {"a", "b", "pairs"}, {"results", "modes"})
    return any(kind <= found for kind in kinds)


_NUMBERS = ("accuracy", "token_ratio", "request_rate")


def _beside(paths: Sequence[Path]) -> dict[str, Any]:
    """Numbers of several results, by mode and then by result; a mode that one lacks is left out."""
    found = {str(path): read_result(path) for path in paths}
    modes = [
        one.get("modes") or one.get("policies") or {one.get("agent", "all"): one}
        for one in found.values()
    ]
    shared = [name for name in modes[0] if all(name in one for one in modes)]
    if not shared:
        raise ConfigError("the results have no mode, and no agent, in common")
    return {
        "results": list(found),
        "modes": {
            name: {key: [one[name][key] for one in modes] for key in _NUMBERS} for name in shared
        },
        "missed": [one.get("missed") for one in found.values()],
    }


def _show_beside(found: Mapping[str, Any]) -> None:
    screen = console()
    columns = [Column("", text=True), *(Column(name, ".3f") for name in found["results"])]
    columns += [Column("median", ".3f"), Column("lowest–highest", ".3f")]
    for key in _NUMBERS:
        rows = []
        for name, numbers in found["modes"].items():
            known = [value for value in numbers[key] if value is not None]
            spread = [statistics.median(known), (min(known), max(known))] if known else [None] * 2
            rows.append([name, *numbers[key], *spread])
        screen.show(Table(key.replace("_", " "), columns, rows))
    judged = [missed for missed in found["missed"] if missed is not None]
    if judged:
        screen.say(f"{judged.count([])} of {len(judged)} reached all targets")
    for name, missed in zip(found["results"], found["missed"], strict=True):
        if missed:
            screen.say(f"{name} missed: {'; '.join(missed)}")


def _show(found: Mapping[str, Any]) -> None:
    screen = console()
    screen.say(f"A: {found['a']}\nB: {found['b']}")
    for table in _settings(found):
        screen.show(table)
    left = {key: len(found[key]) for key in ("only_a", "only_b", "asked_otherwise")}
    counts = [f"{found['n']} samples in common", *(f"{n} {k}" for k, n in left.items() if n)]
    screen.say(", ".join(counts))
    screen.show(_metrics(found["metrics"]))
    for key in ("kind", "source"):
        if len(parts := found[f"by_{key}"]) > 1:
            screen.show(_groups(key, parts))
    changed = {name: ids for name, ids in found["changes"].items() if ids}
    for name, ids in changed.items():
        more = f", … ({len(ids) - _CAP} more)" if len(ids) > _CAP else ""
        screen.say(f"{name}: {len(ids)}: {', '.join(ids[:_CAP])}{more}")
    if not changed:
        screen.say("no sample changed")


def _show_pairs(found: Mapping[str, Any]) -> None:
    screen = console()
    screen.say(f"A: {found['a']}\nB: {found['b']}")
    screen.show(_pairs(found["pairs"]))
    for key in ("only_a", "only_b"):
        if found[key]:
            screen.say(f"{key}: {', '.join(found[key])}")


def _pairs(pairs: Mapping[str, Any]) -> Table:
    """A line for each benchmark and mode."""
    rows = [
        [name, one["metrics"]["accuracy"]["a"], one["metrics"]["accuracy"]["b"],
         *difference(one["metrics"]["accuracy"])]
        for name, one in pairs.items()
    ]  # fmt: skip
    heads = [Column("", text=True), Column("A", ".3f"), Column("B", ".3f"), *DIFFERENCE]
    return Table("accuracy, B - A", heads, rows)


def _settings(found: Mapping[str, Any]) -> list[Table]:
    """What was set otherwise; no table where nothing was."""
    rows = [[key, *map(_short, pair)] for key, pair in found["settings"].items()]
    heads = [Column(name, text=True) for name in ("", "A", "B")]
    return [Table("set otherwise", heads, rows)] if rows else []


def _metrics(metrics: Mapping[str, Any]) -> Table:
    rows = [
        [name, one["a"], one["b"], *difference(one)]
        for name, one in metrics.items()
        if one["difference"] is not None
    ]
    heads = [Column("", text=True), Column("A", ".3f"), Column("B", ".3f"), *DIFFERENCE]
    return Table("all samples, B - A", heads, rows)


def _groups(key: str, parts: Mapping[str, Any]) -> Table:
    rows = [
        [
            name or "(none)",
            part["n"],
            *difference(part["metrics"]["accuracy"]),
            *(part["metrics"][m]["difference"] for m in ("request_rate", "token_ratio")),
        ]
        for name, part in parts.items()
    ]
    columns = [
        *(Column(key, text=True), Column("samples"), *DIFFERENCE),
        *(Column("asks: B - A", "+.3f"), Column("share: B - A", "+.3f")),
    ]
    return Table(f"accuracy by {key}, B - A", columns, rows)


def _short(value: Any) -> str:
    """One line of a setting; all of it is in the JSON."""
    text = "-" if value is None else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


_SETTINGS = ("agent", "data", "mode", "rate", "protocol", "judge", "tokens")
_ORIGINS = ("command", "seed", "data", "commit", "versions", "machine")
_ASKED = ("question", "references", "answer_type", "choices", "kind", "source")
_NOT_COMPARED = ("turns", "metadata", "views", "reward", "flaws", "reason")
_NAMED = 5

Rows = Mapping[str, Row]
"""By id."""


def _became(before: bool | None, now: bool | None) -> bool:
    """From no to yes; where one is not known nothing is said."""
    return before is False and now is True


CHANGES: Mapping[str, Callable[[Row, Row], bool]] = {
    "right → wrong": lambda a, b: _became(b["correct"], a["correct"]),
    "wrong → right": lambda a, b: _became(a["correct"], b["correct"]),
    "now unscored": lambda a, b: a["correct"] is not None and b["correct"] is None,
    "now scored": lambda a, b: a["correct"] is None and b["correct"] is not None,
    "now asks": lambda a, b: _became(a["requested"], b["requested"]),
    "no longer asks": lambda a, b: _became(b["requested"], a["requested"]),
    "now malformed": lambda a, b: _became(b["well_formed"], a["well_formed"]),
    "now well formed": lambda a, b: _became(a["well_formed"], b["well_formed"]),
    "another answer": lambda a, b: a["answer"] != b["answer"],
}
"""What can have happened to a sample, from the first result to the second."""


def _is_alone(path: Path) -> bool:
    """Whether a path is one result: no folder of others."""
    return not path.is_dir() or (path / EPISODES).exists() or not _leaves(path)


def _leaves(folder: Path) -> list[str]:
    """The results in a folder, e.g. of modes, or of benchmarks and modes, by their paths in it."""
    found = (path.parent.relative_to(folder) for path in folder.glob(f"**/{EPISODES}"))
    return sorted(path.as_posix() for path in found if PRIVATE not in path.parts)


def paired(a: Path, b: Path, *, intersect: bool = False, seed: int = 0) -> dict[str, Any]:
    """Two folders of results, e.g. of a suite or of modes: those of the same name are compared.

    Args:
        a: The first folder.
        b: The second.
        intersect: See :func:`compared`.
        seed: See :func:`compared`.

    Returns:
        ``a`` and ``b``: paths; ``pairs``: by the path in both what :func:`compared` says;
        ``only_a`` and ``only_b``: results that only one of them holds.
    """
    ours, theirs = _leaves(a), _leaves(b)
    if not (shared := [name for name in ours if name in theirs]):
        raise DataError(
            f"{a} and {b} hold no result of the same name: {', '.join(ours)}; {', '.join(theirs)}"
        )
    return {
        "a": str(a),
        "b": str(b),
        "pairs": {n: compared(a / n, b / n, intersect=intersect, seed=seed) for n in shared},
        "only_a": [name for name in ours if name not in theirs],
        "only_b": [name for name in theirs if name not in ours],
    }


def compared(a: Path, b: Path, *, intersect: bool = False, seed: int = 0) -> dict[str, Any]:
    """Everything that ``vt compare`` says, as JSON has it.

    Args:
        a: The first result: a folder of ``vt eval``, or an ``episodes.jsonl``.
        b: The second; differences are second minus first.
        intersect: Whether to compare the samples that both have, where they have not the same.
        seed: Seeds the bootstrap.

    Returns:
        ``a`` and ``b``: paths; ``settings``: what differs, ``[a, b]`` each; ``n`` samples compared
        and what was left out: ``only_a``, ``only_b``, ``asked_otherwise``; ``metrics``, see
        :func:`experiments.summary.differences`, and the same ``by_kind`` and ``by_source``;
        ``changes``: ids by what happened to them.
    """
    (rows_a, told_a), (rows_b, told_b) = _read(a), _read(b)
    shared = [i for i in rows_a if i in rows_b]
    left = {
        "only_a": [i for i in rows_a if i not in rows_b],
        "only_b": [i for i in rows_b if i not in rows_a],
        "asked_otherwise": [i for i in shared if _asks_otherwise(rows_a[i], rows_b[i])],
    }
    others = set(left["asked_otherwise"])
    ids = [i for i in shared if i not in others]
    hashes = [told.get("provenance", {}).get("data") for told in (told_a, told_b)]
    words = (
        f"samples are only in {a}",
        f"samples are only in {b}",
        "samples have another question or other references",
    )
    reasons = [
        f"{len(some)} {what} ({', '.join(map(repr, some[:_NAMED]))}"
        f"{', …' if len(some) > _NAMED else ''})"
        for some, what in zip(left.values(), words, strict=True)
        if some
    ]
    if all(hashes) and hashes[0] != hashes[1] and not reasons:
        reasons = ["the data was another one (its pictures, or what was not played of it)"]
    if reasons and not intersect:
        raise DataError(
            f"the two results are not of the same data: {'; '.join(reasons)}. Add --by-id "
            "intersect to compare the samples that both have"
        )
    if not ids:
        raise DataError(f"the two results have no sample in common: {'; '.join(reasons)}")
    origins = [told.get("provenance", {}) for told in (told_a, told_b)]
    pairs = {key: [told_a.get(key), told_b.get(key)] for key in _SETTINGS}
    pairs |= {f"provenance.{key}": [origin.get(key) for origin in origins] for key in _ORIGINS}
    return {
        "a": str(a),
        "b": str(b),
        "settings": {key: pair for key, pair in pairs.items() if pair[0] != pair[1]},
        "n": len(ids),
        **left,
        "metrics": differences(rows_a, rows_b, ids, seed=seed),
        **{f"by_{key}": _by(key, rows_a, rows_b, ids, seed) for key in ("kind", "source")},
        "changes": _changes(rows_a, rows_b, ids),
    }


def _read(path: Path) -> tuple[Rows, Mapping[str, Any]]:
    """Episodes by id, without what is not compared, and their ``result.json``, if there is one."""
    file = recorded_file(path)
    rows = {
        row["id"]: cast("Row", {k: v for k, v in row.items() if k not in _NOT_COMPARED})
        for row in read_rows(file)
    }
    return rows, read_result(file.parent) if (file.parent / RESULT).exists() else {}


def _asks_otherwise(a: Row, b: Row) -> bool:
    """Whether two rows of one id ask something else; older rows do not say everything."""
    return any(a[key] != b[key] for key in _ASKED if key in a and key in b)


def _changes(a: Rows, b: Rows, ids: Sequence[str]) -> dict[str, list[str]]:
    return {name: [i for i in ids if happened(a[i], b[i])] for name, happened in CHANGES.items()}


def _by(key: str, a: Rows, b: Rows, ids: Sequence[str], seed: int) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for i in ids:
        groups.setdefault(a[i][key], []).append(i)
    return {
        name: {
            "n": len(some),
            "metrics": differences(a, b, some, seed=seed),
            "changes": {what: len(found) for what, found in _changes(a, b, some).items()},
        }
        for name, some in sorted(groups.items())
    }
