"""Hugging Face data sets: saved with ``save_to_disk``, in a local folder, or on the Hub.

Rows are read from Arrow as they are asked for, pictures still encoded, so that the checks and the
decoding are this package's own; only the ids are kept. The columns of VisionThink's release
(``problem, original_answer, solution, images, data_source, info``) and the usual ones of VQA sets
are understood, see :data:`vt_env.sources.rows.ALIASES`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from vt_env.errors import DataError, MissingExtra
from vt_env.samples import PictureLike, Sample
from vt_env.sources.admission import Admission, AdmissionOptions, Intake
from vt_env.sources.base import Refusal, Source
from vt_env.sources.rows import column_table, missing_columns, picture_in, read_row

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
ReadRow = Callable[[Mapping[str, Any], int], Sample | Refusal]
_SAVED = ("dataset_info.json", "dataset_dict.json")


class RowSource(Source):
    """A loaded data set whose rows are read one at a time by a function.

    Args:
        name: For tables and provenance.
        data: A ``datasets.Dataset``.
        read: Makes a sample, or a refusal, of a row (column to value, pictures still encoded) and
            its position from 0.
        admission: What is asked of the rows.

    Raises:
        DataError: If too many rows are refused.
    """

    def __init__(self, name: str, data: Any, read: ReadRow, admission: Admission) -> None:
        self.name = name
        self.rows = len(data)
        self._read_row = read
        self._data = data.with_format("arrow")
        self._labels = {
            key: feature.names
            for key, feature in data.features.items()
            if hasattr(feature, "names")
        }
        intake = Intake(name, admission)
        self._rows: list[int] = []
        self._ids: list[str] = []
        for number, sample in intake.admit((i, self._read(i)) for i in range(self.rows)):
            self._rows.append(number)
            self._ids.append(sample.id)
        self.refused = tuple(intake.refused)

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        row = self._read(self._rows[index])
        if isinstance(row, Refusal):
            raise DataError(f"data set {self.name!r} changed since it was opened: {row}")
        return row

    def _read(self, number: int) -> Sample | Refusal:
        row: dict[str, Any] = self._data[number].to_pylist()[0]
        for key, names in self._labels.items():
            if isinstance(row.get(key), int) and 0 <= row[key] < len(names):
                row[key] = names[row[key]]
        return self._read_row(row, number)


class HuggingFaceSource(RowSource):
    """A split of a Hugging Face data set.

    Opening reads every row once, one at a time. A row's number, for refusals and for ids where
    the data have none, is its position from 0.

    Args:
        path: A folder, or ``organisation/name`` on the Hub (downloaded by ``datasets``).
        split: Which split; may be left out where there is one.
        subset: A configuration's name, for folders and Hub sets with several.
        revision: Branch, tag or commit on the Hub.
        columns: Field to column name, e.g. ``{"question": "text"}``.
        **options: See :class:`~vt_env.sources.admission.Admission`.

    Raises:
        DataError: If there is no such set or split, it lacks a column, or too many rows are
            refused.
        MissingExtra: If ``datasets`` is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        split: str | None = None,
        subset: str | None = None,
        revision: str | None = None,
        columns: Mapping[str, str] | None = None,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        admission = Admission(**options)
        folder = Path(path).expanduser()
        root = folder if folder.is_dir() else None
        name = folder.resolve().name if root else str(path)
        table = column_table(columns)
        data = one_split(load_set(path, root, split, subset, revision), split)
        if gaps := missing_columns(data.column_names, table):
            raise DataError(f"data set {path} has {gaps}")
        wanted = next(key for key in table["image"] if key in data.column_names)
        locate = partial(encoded_picture, root=root)

        def read(row: Mapping[str, Any], number: int) -> Sample | Refusal:
            return read_row(row, number, name=name, table=table, locate=locate)

        super().__init__(name, with_pictures(data, [wanted]), read, admission)


def encoded_picture(value: Any, root: Path | None = None) -> PictureLike:
    """The encoded picture of a cell: its bytes, or a file in the set's own folder.

    Raises:
        DataError: If it holds none, or a path where there is no folder.
    """
    if isinstance(value, dict):
        cell = cast("dict[str, Any]", value)
        value = cell.get("bytes") or cell.get("path")
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DataError("the picture is empty")
    if root is None:
        raise DataError("the picture is a path, and a set from the Hub has no folder for it")
    return picture_in(root, value)


def with_pictures(data: Any, wanted: Sequence[str]) -> Any:
    """Leave out the picture columns that are not wanted: they would be read in vain."""
    pictures = [key for key, feature in data.features.items() if _holds_pictures(feature)]
    return data.remove_columns([key for key in pictures if key not in wanted])


def is_saved(folder: Path) -> bool:
    """Whether ``datasets.save_to_disk`` made a folder."""
    return any((folder / name).is_file() for name in _SAVED)


def one_split(data: Any, split: str | None) -> Any:
    """One ``datasets.Dataset`` of what was loaded.

    Raises:
        DataError: If the split is unknown, or none is named and there are several.
    """
    if not isinstance(data, Mapping):
        held = None if data.split is None else str(data.split)
        if split is not None and held is not None and split.partition("[")[0] != held:
            raise DataError(f"the data set is the split {held!r}, asked for {split!r}")
        return data
    splits = cast("Mapping[str, Any]", data)
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split is None or split not in splits:
        asked = "name one of them" if split is None else f"asked for {split!r}"
        raise DataError(f"the data set has the splits {', '.join(splits)}; {asked}")
    return splits[split]


def load_set(
    path: str | Path, root: Path | None, split: str | None, subset: str | None, revision: str | None
) -> Any:
    """What ``datasets`` makes of a path: a Dataset, or a DatasetDict of them.

    Args:
        path: The folder, or a name on the Hub.
        root: The folder, where there is one.
        split: Which split; all by default.
        subset: A configuration's name.
        revision: Branch, tag or commit on the Hub.

    Raises:
        DataError: If it cannot be loaded.
        MissingExtra: If ``datasets`` is not installed.
    """
    if root is None and not _HUB_NAME.fullmatch(str(path)):
        raise DataError(
            f"expected a folder or a Hub name such as organisation/name, found nothing at {path}"
        )
    datasets = hf_datasets()
    try:
        if root is not None and is_saved(root):
            return datasets.load_from_disk(str(root))
        name = str(path) if root is None else str(root)
        return datasets.load_dataset(name, name=subset, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"data set {path} cannot be loaded: {error}") from error


def hf_datasets() -> Any:
    """The package ``datasets``.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtra("datasets", "hf", "reading Hugging Face data sets") from error


def _holds_pictures(feature: Any) -> bool:
    """Whether a feature is a picture or a list of them."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    if isinstance(feature, list):
        return any(_holds_pictures(item) for item in cast("list[Any]", feature))
    return type(feature).__name__ == "Image"
