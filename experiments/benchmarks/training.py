"""Training sets as sources: ``training:NAME,path=DIR``.

They are data, ``training.toml``; of each layout that is named there, a function here reads a row.
VisionThink's own set, and any with usual columns, is also read by ``hf:PATH``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Unpack

from experiments.benchmarks.base import Table, catalogue
from experiments.benchmarks.judging import unboxed
from experiments.benchmarks.layouts import Cells, Item
from experiments.benchmarks.opening import TableSource
from experiments.benchmarks.zoom_layouts import targets, visualprobe, written_boxes
from vt_env.errors import DataError, unknown_name
from vt_env.sources import Admission
from vt_env.sources.admission import AdmissionOptions
from vt_env.sources.rows import plain_question, unwrap

_FORMAT = re.compile(r"\s*\n\s*Think first, .*\Z", re.S)
"""What DeepEyes adds to a question: how to call its tool."""
_MARK = re.compile(r"\s*Only focus on [^.]*\bred bounding box\b[^.]*\.")
"""What ZwZ adds to a question: to look at the box that is drawn into the picture."""


def visionthink(cells: Cells, variant: str) -> Item:
    """As the released reward reads it: ``original_answer`` is the reference."""
    return Item(
        plain_question(cells.text("problem")),
        (unwrap(cells.text("original_answer")),),
        _only(cells, "images"),
        kind=cells.text("data_source"),
        metadata=cells.metadata("data_source", "info"),
    )


def deepeyes(cells: Cells, variant: str) -> Item:
    """Rows of verl. The bare question is in ``extra_info``, else in the user's message."""
    extra, reward = cells.nested("extra_info"), cells.nested("reward_model")
    question = extra.get("question") or _said_by_user(cells)
    accepted = reward.get("ground_truth") or []
    references = accepted if isinstance(accepted, list) else [accepted]
    kind = cells.text("data_source")
    return Item(
        plain_question(_FORMAT.sub("", str(question))),
        tuple(str(reference) for reference in references),
        _only(cells, "images"),
        kind=kind,
        metadata=cells.metadata("data_source", "ability", "env_name"),
    )


def pixelreasoner(cells: Cells, variant: str) -> Item:
    """Pictures are files of ``images.zip``, unpacked beside the table or in ``images``."""
    if cells.raw("is_video"):
        raise DataError("shows a video")
    return Item(
        plain_question(cells.text("question")),
        tuple(map(unboxed, cells.texts("answer"))),
        cells.file("image", "images"),
        cells.text("qid"),
    )


def zwz(cells: Cells, variant: str) -> Item:
    """The box that is drawn into each picture is where the answer is."""
    return _zwz(cells, "images", plain_question(cells.text("problem")))


def zwz_original(cells: Cells, variant: str) -> Item:
    """The same pictures without the box, and questions that do not speak of it."""
    question = _MARK.sub("", plain_question(cells.text("problem")))
    return _zwz(cells, "original_images", question)


def _zwz(cells: Cells, column: str, question: str) -> Item:
    boxes = written_boxes(cells, "bbox")
    if not boxes:
        raise DataError("the column 'bbox' is empty")
    return Item(
        question,
        (unwrap(cells.text("answer")),),
        cells.file(column, column),
        metadata=targets(boxes),
    )


def _said_by_user(cells: Cells) -> str:
    messages = cells.raw("prompt") or []
    said = [message["content"] for message in messages if message.get("role") == "user"]
    if len(said) != 1:
        raise DataError(f"the column 'prompt' must have one message of a user, got {len(said)}")
    return str(said[0])


def _only(cells: Cells, column: str) -> Any:
    """The picture of a list of one."""
    value = cells.raw(column)
    pictures = value if isinstance(value, list) else [value]
    if len(pictures) != 1:
        raise DataError(f"shows {len(pictures)} pictures, and an episode has one original")
    return pictures[0]


_LAYOUTS = {
    "visionthink": visionthink,
    "deepeyes": deepeyes,
    "visualprobe": visualprobe,
    "pixelreasoner": pixelreasoner,
    "zwz": zwz,
    "zwz-original": zwz_original,
}
TRAINING = {
    fields["name"]: Table(read=_LAYOUTS[fields.pop("layout")], **fields)
    for fields in catalogue("training.toml")
}
"""Training sets by name."""


def training_source(
    name: str,
    *,
    path: str | Path | None = None,
    root: str | Path | None = None,
    **options: Unpack[AdmissionOptions],
) -> TableSource:
    """A published training set: ``training:NAME[,path=DIR][,root=FOLDER]``.

    Args:
        name: One of :data:`TRAINING`.
        path: A local copy, as for :func:`~experiments.benchmarks.opening.open_benchmark`; those
            whose pictures are files need one.
        root: A folder that picture paths may lead into beside the table's own, see
            :class:`~vt_env.sources.places.Place`.
        **options: See :class:`~vt_env.sources.admission.Admission`. ``check`` is ``none`` by
            default: a picture is looked at when it is shown.

    Raises:
        ConfigError: On an unknown name or option.
        DataError: If there are no such data, they are not in that layout, or too many rows are
            refused.
        MissingExtra: If ``datasets`` is not installed.
    """
    if name not in TRAINING:
        raise unknown_name("training set", name, TRAINING)
    table = TRAINING[name]
    settings: AdmissionOptions = {"check": "none", **options}
    if table.max_refused:
        settings.setdefault("max_refused", table.max_refused)
    copy = None if path is None else Path(path)
    return TableSource(table, copy, "fixed", Admission(**settings), root)
