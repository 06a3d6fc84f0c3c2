"""The chosen samples as data, and supervised transcripts of rollouts.

All is written beside its place and then moved there, so that what is there is whole.

Transcripts are for a cold start; nothing is judged or generated anew for them. One that answers
directly is a right and well-formed turn at the low resolution, of a sample for which the low one is
enough. One that asks is a call with a thought that is given, the original, and a right and
well-formed turn at the full resolution, of a sample that needs it. Each is played through the
environment's own dialogue, so it reads as an episode does. The paper simulates the thoughts before
a request with a larger model (App. C.1) and finds that a cold start asks too often and costs
accuracy (Table 9): these data are for that comparison.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents.base import request_turn
from experiments.files import json_line
from experiments.preparation.rule import LOW_ENOUGH, NEEDS_HIGH, Row, Rule, drawn, lot
from trainers.files import whole_folder
from vt_env import ConfigError, DataError, MissingExtra, Sample, Source, Task
from vt_env.dialogue import Dialogue
from vt_env.picture_files import open_picture
from vt_env.pictures import PictureRules, shrunk_size
from vt_env.samples import PictureLike

KIND = "prepared data"
IMAGES = "images"
TABLE = "samples.jsonl"
COLUMN = "preparation"
"""The column, and the key in a sample's metadata, of its class and counts."""

_OWN = ("id", "image", "question", "answers", "source", "kind", "answer_type", "choices", COLUMN)
_SUFFIX = {"JPEG": "jpg", "TIFF": "tif"}


def sample_row(sample: Sample, image: str, source: str) -> dict[str, Any]:
    """A sample as a line of the JSONL layout, with its metadata as further columns.

    Args:
        sample: The sample.
        image: Its picture, relative to the table.
        source: What a sample is said to be from that does not say it itself.
    """
    row: dict[str, Any] = {
        "id": sample.id,
        "image": image,
        "question": sample.question,
        "answers": list(sample.references),
        "source": sample.source or source,
        "kind": sample.kind,
        "answer_type": sample.answer_type,
        "choices": list(sample.choices),
    }
    taken = {*_OWN, *(() if sample.choices else ("options",))}
    for key, value in sample.metadata.items():
        row[f"metadata_{key}" if key in taken else key] = value
    return row


def write_jsonl(out: Path, chosen: Iterable[tuple[Sample, Mapping[str, Any]]], source: str) -> Path:
    """Write a folder that ``jsonl:FOLDER`` opens.

    Args:
        out: The folder; what is there is replaced.
        chosen: Samples, and what stands in their column :data:`COLUMN`.
        source: See :func:`sample_row`.
    """
    with whole_folder(out, KIND) as part, (part / TABLE).open("w", encoding="utf-8") as table:
        for sample, known in chosen:
            image = keep_picture(part, sample.image)
            table.write(json_line({**sample_row(sample, image, source), COLUMN: dict(known)}))
    return out


def write_hf(out: Path, jsonl: Path, factor: float) -> Path:
    """Write a folder that ``datasets.load_from_disk`` and ``hf:FOLDER`` open.

    It has VisionThink's released columns, with the size of the first view and whether the full
    resolution is needed as ``info``, and all else that a sample says. Metadata are columns where
    every sample has them and they are of one simple type; others stand as JSON in one column.

    Args:
        out: The folder; what is there is replaced.
        jsonl: What :func:`write_jsonl` wrote.
        factor: Side of the first view over the original's.
    """
    datasets = import_datasets()
    quiet = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with whole_folder(out, KIND) as part:
            extra = _simple_columns(jsonl)
            data = datasets.Dataset.from_generator(
                _released_rows,
                features=_features(datasets, extra),
                cache_dir=str(part / "cache"),
                gen_kwargs={"folder": str(jsonl), "factor": factor, "extra": tuple(extra)},
            )
            data.save_to_disk(str(part / "data"))
            del data
            shutil.rmtree(part / "cache")
            for path in (part / "data").iterdir():
                path.rename(part / path.name)
            (part / "data").rmdir()
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    return out


def import_datasets() -> Any:
    """The package ``datasets``."""
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        purpose = "a folder for `datasets` (--format jsonl does without)"
        raise MissingExtra("datasets", "hf", purpose) from error


def keep_picture(folder: Path, image: PictureLike) -> str:
    """Put a picture into the folder as it is encoded, an array as PNG; equal ones once.

    Returns:
        Its path relative to the folder.
    """
    if isinstance(image, np.ndarray):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        image = buffer.getvalue()
    data = image.read_bytes() if isinstance(image, Path) else image
    with open_picture(data, PictureRules()) as opened:
        kind = opened.image.format or ""
    name = f"{hashlib.sha256(data).hexdigest()[:24]}.{_SUFFIX.get(kind, kind.lower())}"
    (folder / IMAGES).mkdir(exist_ok=True)
    path = folder / IMAGES / name
    if not path.exists():
        path.write_bytes(data)
    return f"{IMAGES}/{name}"


def _features(datasets: Any, extra: Mapping[str, str]) -> Any:
    text, number = datasets.Value("string"), datasets.Value("int64")
    counts = {"right": number, "scored": number}
    return datasets.Features(
        {
            "problem": text,
            "original_answer": text,
            "solution": text,
            "images": datasets.Sequence(datasets.Image()),
            "data_source": text,
            "info": {
                "tgt_width": number,
                "tgt_height": number,
                "use_tool": datasets.Value("bool"),
            },
            "id": text,
            "answers": datasets.Sequence(text),
            "kind": text,
            "answer_type": text,
            "choices": datasets.Sequence(text),
            COLUMN: {"class": text, "low": counts, "full": counts},
            **{key: datasets.Value(kind) for key, kind in extra.items()},
            "metadata": text,
        }
    )


_RELEASED = ("problem", "original_answer", "solution", "images", "data_source", "info", "metadata")
_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64"}


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / TABLE).open(encoding="utf-8") as table:
        for line in table:
            yield json.loads(line)


def _simple_columns(folder: Path) -> dict[str, str]:
    """Metadata that every row has, of one type: their names and types in Arrow's words."""
    kinds: dict[str, set[type]] = {}
    for number, row in enumerate(_rows(folder)):
        extra = {key: type(value) for key, value in row.items() if key not in _OWN}
        extra |= {key: object for key in extra if _is_large(row[key])}
        if number == 0:
            kinds = {key: set() for key in extra if key not in _RELEASED}
        kinds = {key: found | {extra[key]} for key, found in kinds.items() if key in extra}
    found = {key: next(iter(types)) for key, types in kinds.items() if len(types) == 1}
    return {key: _TYPES[kind] for key, kind in found.items() if kind in _TYPES}


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _released_rows(folder: str, factor: float, extra: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows as :func:`_features` declares them."""
    root = Path(folder)
    for row in _rows(root):
        data = (root / row["image"]).read_bytes()
        with open_picture(data, PictureRules()) as opened:
            width, height = shrunk_size(opened.size, factor)
        needs_high = row[COLUMN]["class"] == NEEDS_HIGH
        rest = {key: value for key, value in row.items() if key not in (*_OWN, *extra)}
        yield {
            "problem": f"<image>\n{row['question']}",
            "original_answer": row["answers"][0],
            "solution": row["answers"][0],
            "images": [{"bytes": data, "path": None}],
            "data_source": row["source"],
            "info": {"tgt_width": width, "tgt_height": height, "use_tool": needs_high},
            **{key: row[key] for key in ("id", "answers", "kind", "answer_type", "choices")},
            COLUMN: row[COLUMN],
            **{key: row[key] for key in extra},
            "metadata": json.dumps(rest, ensure_ascii=False) if rest else None,
        }


TRANSCRIPTS = "transcripts.jsonl"
THOUGHTS = (
    "The image has been shrunk too far for this question. I need the original.",
    "What is asked for is too small to make out here, so I ask for the full image.",
    "I cannot read this with certainty at this size; the original will show it.",
)
TURNS = {"direct": (LOW_ENOUGH, "low"), "request": (NEEDS_HIGH, "full")}
"""Kinds of transcripts: of which class their samples are, and at which resolution they answer."""


def choose_transcripts(
    rows: Iterable[Row], rule: Rule, most: int, seed: int
) -> dict[str, list[int]]:
    """Places in the source by kind, equally many of both, at most ``most`` in total."""
    if most < 2:
        raise ConfigError(f"cold-start data has both kinds, so at least 2 transcripts, got {most}")

    def kind_of(row: Row) -> str | None:
        name = rule.of_row(row)
        found = (k for k, (wanted, arm) in TURNS.items() if name == wanted and _usable(row[arm]))
        return next(found, None)

    return drawn(rows, TURNS, kind_of, most // 2, seed)


def transcripts(
    rows: Iterable[Row], places: Mapping[str, Sequence[int]], seed: int
) -> Iterator[tuple[int, str, str]]:
    """Of each sample its place, its kind, and by lot one turn that answers, in the data's order."""
    kinds = {n: kind for kind, found in places.items() for n in found}
    for row in rows:
        if (kind := kinds.get(row["n"])) is not None:
            turns = _usable(row[TURNS[kind][1]])
            yield row["n"], kind, turns[lot(seed, f"turn {row['id']}") % len(turns)]


def _usable(rollouts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The turns that are right and well formed."""
    return [r["text"] for r in rollouts if r["correct"] is True and r["well_formed"]]


def write_transcripts(
    out: Path,
    source: Source,
    task: Task,
    places: Iterable[tuple[int, str, str]],
    *,
    seed: int,
    thoughts: Sequence[str] = THOUGHTS,
) -> None:
    """Write ``transcripts.jsonl`` and its pictures.

    A line has ``id, kind, messages, images``: the conversation in chat format with a mark for each
    picture, and the pictures' paths relative to the file.

    Args:
        out: The folder; what is there is replaced.
        source: What places are places of.
        task: The protocol that the policy will be trained in.
        places: What is written, see :func:`transcripts`.
        seed: Of the choice of thoughts.
        thoughts: What is thought before a request.
    """
    for thought in thoughts:
        if not thought.strip() or "<" in thought:
            raise ConfigError(f"a thought is text without tags, got {thought!r}")
    with whole_folder(out, KIND) as part, (part / TRANSCRIPTS).open("w", encoding="utf-8") as table:
        for place, kind, text in places:
            sample = source[place]
            dialogue = task.begin(sample)[0]
            turns = [text]
            if kind == "request":
                thought = thoughts[lot(seed, f"thought {sample.id}") % len(thoughts)]
                turns.insert(0, request_turn(thought))
            if flaw := _replay(dialogue, turns):
                raise DataError(
                    f"sample {sample.id!r} has no {kind} transcript in this protocol: {flaw}"
                )
            images = [
                keep_picture(part, sample.image if view.method == "original" else view.array)
                for view in dialogue.views
            ]
            row = {"id": sample.id, "kind": kind}
            table.write(json_line({**row, "messages": dialogue.messages, "images": images}))


def _replay(dialogue: Dialogue, turns: Sequence[str]) -> str:
    """Take the turns, of which only the last may answer; what is wrong with them, or ``""``."""
    for turn in turns:
        if dialogue.done:
            return "it is over before the answer"
        dialogue.apply(turn)
    if dialogue.flaws:
        return "; ".join(dialogue.flaws)
    if not dialogue.done or dialogue.requested != (len(turns) > 1):
        return "it does not end with the answer"
    return ""
