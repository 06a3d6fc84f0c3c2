"""The chosen samples as data: JSON lines with pictures, and a folder of ``datasets``.

Both are written beside their place and then moved there, so that what is there is whole.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.files import json_line
from experiments.preparation.rule import NEEDS_HIGH
from vt_env import MissingExtra, Sample
from vt_env.picture_files import open_picture
from vt_env.pictures import PictureRules, shrunk_size
from vt_env.samples import PictureLike

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
    with whole_folder(out) as part, (part / TABLE).open("w", encoding="utf-8") as table:
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

    Raises:
        MissingExtra: If ``datasets`` is not installed.
    """
    datasets = import_datasets()
    quiet = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with whole_folder(out) as part:
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
    """The package ``datasets``.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        purpose = "a folder for `datasets` (--format jsonl does without)"
        raise MissingExtra("datasets", "hf", purpose) from error


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Fill a folder that appears only when it is complete, in place of what was there."""
    part, old = out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.old")
    for folder in (part, old):
        shutil.rmtree(folder, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)


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
