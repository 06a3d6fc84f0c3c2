"""What an evaluation has done so far, on disk, and what it comes to.

A folder of results holds, while it is being made, ``evaluation.json`` (what is evaluated, sealed)
and ``journal.jsonl`` (an entry a sealed line, as :class:`experiments.evaluation.player.Player`
makes them, appended block by block), so that nothing is done twice. When all is done the journal
becomes ``episodes.jsonl`` and ``result.json``, and goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, cast

from agents.judging.usage import Usage, total
from experiments.diagnosis import ALL, OTHERS, PLAYED, WITHOUT, by_group, diagnose
from experiments.episodes import Row, read_rows
from experiments.evaluation.modes import DECIDES
from experiments.evaluation.player import Entry, Metrics, refusal_of
from experiments.files import SealedLog, json_object, write_json
from experiments.provenance import provenance
from experiments.summary import FULL, side_by_side, summarise
from trainers.errors import Damaged
from trainers.files import read_sealed, sealed_line, whole_file, write_sealed
from vt_env import ConfigError, DataError

Result = dict[str, Any]
MEASURED = (
    "id",
    "kind",
    "source",
    "correct",
    "score",
    "requested",
    "well_formed",
    "futile_request",
    "visual_tokens",
    "full_tokens",
    "generated_tokens",
    "text_tokens",
    "calls",
    "views",
    "partly_shown",
    "repeat",
    "form_of",
    "overlap",
)
"""What of a row its numbers are made of."""


def slim(row: Row, more: Sequence[str] = ()) -> Row:
    """A row without what no number is made of, but for ``more`` of its fields."""
    return cast("Row", {k: v for k, v in row.items() if k in MEASURED or k in more})


def needed(row: Row, metrics: Metrics | None) -> Row:
    """What of a row has to be held in memory for its numbers."""
    if metrics is None:
        return slim(row)
    return row if metrics.fields is None else slim(row, metrics.fields)


def finish(folder: Path, config: Config, metrics: Metrics | None = None) -> Result:
    """Make a folder's files of its journal, which goes."""
    result = write_results(folder, config, read_entries(folder / JOURNAL), metrics)
    (folder / JOURNAL).unlink()
    return result


def write_results(
    folder: Path, config: Config, entries: Iterable[Entry], metrics: Metrics | None = None
) -> Result:
    """Write ``episodes.jsonl``, in the source's order, and ``result.json``.

    Of a row only what its numbers are made of is held in memory.

    Args:
        folder: Where to.
        config: What was evaluated.
        entries: What was done, in any order.
        metrics: Further numbers.
    """
    found: dict[int, Entry] = {}
    spent: list[Mapping[str, Any]] = []
    places: dict[int, tuple[int, int]] = {}
    with TemporaryFile(dir=folder) as lines:
        for entry in entries:
            if "spent" in entry:
                spent.append(entry["spent"])
                continue
            at = entry["at"]
            if at in found:
                raise DataError(f"{folder}: sample {at} was played twice")
            if "row" in entry:
                line = sealed_line(entry["row"]).encode("ascii")
                places[at] = lines.tell(), len(line)
                lines.write(line)
                entry = {"row": needed(entry["row"], metrics)}
            found[at] = entry
        samples = config["samples"]
        if missing := [at for at in range(samples) if at not in found]:
            raise DataError(
                f"{folder}: {len(missing)} of {samples} samples are missing, the first is number "
                f"{missing[0]}; play the shards to their end (--resume) and merge all of them"
            )
        with whole_file(folder / EPISODES) as stream:
            for _, (begin, size) in sorted(places.items()):
                lines.seek(begin)
                stream.write(lines.read(size).decode("ascii"))
    ordered = [found[at] for at in sorted(found)]
    rows = [entry["row"] for entry in ordered if "row" in entry]
    refused = [entry["refused"] for entry in ordered if "refused" in entry]
    refusals = [*refused, *config["refused_rows"]]
    result = {
        **summarised(rows, refusals, config["seed"], metrics),
        **_described(config),
        "refused": len(refused) + config["n_refused"],
        **_spent(spent),
        "refusals": refusals,
        "provenance": provenance(config["seed"], config["fingerprint"]),
    }
    write_json(folder / RESULT, result)
    return result


def summarised(
    rows: Sequence[Row],
    refused: Sequence[Mapping[str, str]],
    seed: int,
    metrics: Metrics | None = None,
) -> Result:
    """The numbers of rows, and ``metrics``, the further ones."""
    made = summarise(rows, refused, seed=seed)
    return made if metrics is None else {**made, "metrics": _further(rows, metrics)}


def _further(rows: Sequence[Row], metrics: Metrics) -> dict[str, Any]:
    """The further numbers; where samples were played several times, means over the repetitions.

    A repetition that lacks a number, as one without a scored row, is left out of its mean.
    """
    by_number: dict[int, list[Row]] = {}
    for row in rows:
        by_number.setdefault(row.get("repeat", {}).get("number", 0), []).append(row)
    found = [metrics.each(some) for _, some in sorted(by_number.items())] or [metrics.each(rows)]
    values: dict[str, list[Any]] = {}
    for one in found:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    whole = {} if metrics.whole is None else metrics.whole(rows)
    return {**{key: _mean(some) for key, some in values.items()}, **whole}


def _mean(values: Sequence[Any]) -> Any:
    """The mean; of what is no number, one alone or the list of all."""
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, int | float) for value in values):
        return sum(values) / len(values)
    return list(values)


def _described(config: Config) -> Result:
    """What was evaluated, as ``result.json`` says it."""
    return {
        **{key: config[key] for key in ("agent", "data", "protocol")},
        **{key: config[key] for key in ("mode", "rate") if config[key] not in (None, "")},
        "judge": config["judge_name"],
        "tokens": config["tokens"],
        **({"max_pixels": config["max_pixels"]} if "max_pixels" in config else {}),
    }


def _spent(spent: Sequence[Mapping[str, Any]]) -> Result:
    """Sums over blocks, also those of processes that were at work at the same time."""
    made: Result = {key: sum(part[key] for part in spent) for key in ("seconds", "agent_seconds")}
    if judging := [Usage(**part["judging"]) for part in spent if "judging" in part]:
        made["judging"] = total(judging).numbers()
    return made


def read_result(folder: Path) -> Result:
    """A folder's ``result.json``."""
    return json_object(folder / RESULT)


def mode_result(modes: Mapping[str, Result], folders: Mapping[str, Path]) -> Result:
    """The result over the modes of one agent on one part.

    Args:
        modes: Each mode's own result, in the order of the table.
        folders: The folder of each.
    """
    rows = {
        name: [slim(row) for row in read_rows(folders[name] / EPISODES)]
        for name, result in modes.items()
        if result["n"]
    }
    first = modes.get(DECIDES, next(iter(modes.values())))
    seed = first["provenance"]["seed"]
    told, tests = side_by_side(rows, seed=seed)
    return {
        "agent": first["agent"],
        "data": first["data"],
        "judge": first["judge"],
        "tokens": first["tokens"],
        "reference": FULL if FULL in rows else None,
        "modes": {name: {**result, **told.get(name, {})} for name, result in modes.items()},
        "tests": tests,
        **diagnosed(rows, seed),
        "provenance": provenance(seed, first["provenance"]["data"]),
    }


def suite_diagnosed(parts: Sequence[Path], seed: int) -> Result:
    """The same over the benchmarks of a suite, of which each is told of.

    Args:
        parts: The folders of the benchmarks, in which each mode has one.
        seed: Seeds the bootstrap.
    """
    rows: dict[str, list[Row]] = {}
    for mode in (PLAYED, WITHOUT, *OTHERS):
        for part in parts:
            told = (PLAYED, WITHOUT, mode)
            if all((part / name / EPISODES).is_file() for name in told):
                found = read_rows(part / mode / EPISODES)
                rows.setdefault(mode, []).extend(slim(row) for row in found)
    return diagnosed(rows, seed, "source")


def diagnosed(
    rows: Mapping[str, Sequence[Row]], seed: int, key: Literal["kind", "source"] = "kind"
) -> Result:
    """What calls gain and harm, where the modes that tell it were played.

    Args:
        rows: Episodes by mode.
        seed: Seeds the bootstrap.
        key: What is told of, beside all samples, where there are several.
    """
    if not {PLAYED, WITHOUT} <= rows.keys():
        return {}
    groups = {name or f"(no {key})": d for name, d in by_group(rows, key, seed=seed).items()}
    found = {ALL: diagnose(rows, seed=seed), **(groups if len(groups) > 1 else {})}
    return {"diagnosis": {name: one.record() for name, one in found.items()}}


CONFIG, JOURNAL, EPISODES, RESULT = (
    "evaluation.json",
    "journal.jsonl",
    "episodes.jsonl",
    "result.json",
)
Config = Mapping[str, Any]


OWNS = (CONFIG, JOURNAL, EPISODES, RESULT, f"damaged-{JOURNAL}*")
"""Names that an evaluation writes into its folder."""


class Journal:
    """The entries of one folder.

    Attributes:
        folder: Where it is.
        config: What is evaluated.
        lost: What was lost of it on disk, in words, so that it is played again; else empty.
        done: The places of all samples that were played or refused.
        refused: How many pictures were refused.

    Args:
        folder: There already; no other process may be at work in it.
        config: What is evaluated.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.path = folder / JOURNAL
        self.done: set[int] = set()
        self.refused = 0
        self._log = SealedLog(self.path)
        mended = self._log.mend(in_order=False)
        self.lost = (
            "the last line had broken off; its sample is played again" if mended.torn else ""
        )
        if mended.aside is not None:
            self.lost = (
                f"{mended.lost} lines were damaged, and are played again; the file as it was is "
                f"{mended.aside.name}"
            )
        if not (folder / CONFIG).exists():
            write_sealed(folder / CONFIG, config)
        self.path.touch()
        for entry in read_entries(self.path):
            self._note(entry)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write a block down for good."""
        self._log.append(entries)
        for entry in entries:
            self._note(entry)

    def _note(self, entry: Entry) -> None:
        if "at" in entry:
            self.done.add(entry["at"])
            self.refused += bool(refusal_of(entry))


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a journal; a last line that broke off is left out."""
    return SealedLog(path).rows()


def read_config(folder: Path) -> dict[str, Any]:
    """What is evaluated in a folder."""
    try:
        return read_sealed(folder / CONFIG)
    except OSError as error:
        raise DataError(f"{folder} holds no evaluation: {CONFIG}: {error.strerror}") from error
    except Damaged as error:
        raise Damaged(f"{error}; put it back, or begin anew with --overwrite") from None


def open_journal(folder: Path, config: Config) -> Journal | None:
    """Begin an evaluation in a folder, or go on with the one that is there.

    Returns:
        The journal; ``None`` where the evaluation is finished already.
    """
    config = json.loads(json.dumps(config))
    folder.mkdir(parents=True, exist_ok=True)
    finished, begun = (folder / RESULT).exists(), (folder / CONFIG).exists()
    if finished and not begun:
        raise ConfigError(f"{folder} holds results that do not say how they were made: no {CONFIG}")
    if not begun and (there := [n for n in (JOURNAL, EPISODES) if (folder / n).exists()]):
        raise ConfigError(f"{folder} holds a {there[0]} of something else; choose another folder")
    if begun:
        check_same(folder, read_config(folder), config)
    return None if finished else Journal(folder, config)


def check_same(folder: Path, there: Config, here: Config, *, but: Sequence[str] = ()) -> None:
    """Make sure that two evaluations are of the same."""
    if there.get("agent") == here.get("agent") and (
        there.get("checkpoint") != here.get("checkpoint")
    ):
        files = ", ".join(here.get("checkpoint") or there["checkpoint"])
        why = (
            f"was played with other weights: the files at {files} are not those of before"
            if "checkpoint" in there
            else f"does not say with which weights of {files} it was played"
        )
        raise ConfigError(
            f"{folder} {why}. Set them back, choose another --out, or add --overwrite to begin anew"
        )
    differs = [
        f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key) and key not in but
    ]
    if differs:
        raise ConfigError(
            f"{folder} holds another evaluation: {'; '.join(differs)}. Choose another --out, or "
            "add --overwrite to begin anew"
        )
