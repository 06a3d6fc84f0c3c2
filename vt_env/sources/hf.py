"""Hugging Face data sets: saved with ``save_to_disk``, in a local folder or file, or on the Hub.

Opening reads every column but the encoded pictures; a picture is read when its sample is asked
for, still encoded, so that the checks and the decoding are this package's own. Only the ids are
kept. The columns of VisionThink's release (``problem, original_answer, solution, images,
data_source, info``) and the usual ones of VQA sets are understood, see
:data:`vt_env.sources.columns.ALIASES`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from vt_env.errors import ConfigError, DataError, MissingExtra
from vt_env.sources.admission import Admission, AdmissionOptions
from vt_env.sources.arrow import DatasetRows, ParquetRows, picture_columns
from vt_env.sources.columns import (
    Columns,
    ColumnTable,
    column_table,
    missing_columns,
    numbered_after,
    top_column,
)
from vt_env.sources.encoded import EncodedTsv
from vt_env.sources.hf_files import files_of, is_saved, numbers_of, one_split, saved_split, sliced
from vt_env.sources.places import Place
from vt_env.sources.serving import Reader, RowSource
from vt_env.sources.tables import Rows, TextRows

_COMMIT = re.compile(r"@([0-9a-f]{40})/")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")

Without = Callable[[Mapping[str, Any]], Sequence[str]]
"""The columns to leave out of a table with such features."""


def local_rows(
    path: Path,
    split: str | None,
    subset: str | None,
    table: ColumnTable,
    without: Without,
    encoded: Sequence[str] = (),
) -> Rows:
    """The rows of a folder or a file.

    Args:
        path: Where it is.
        split: Which split, or a part of one.
        subset: A folder in it.
        table: Columns by field.
        without: Chooses columns to leave out.
        encoded: Columns of pictures that are written as base64.

    Raises:
        DataError: If it is no data set, or has no such split or subset.
        MissingExtra: If ``datasets`` is not installed.
    """
    datasets = hf_datasets()
    name, ends = sliced(split)
    if path.is_dir() and is_saved(path):
        if subset is not None:
            raise DataError(f"{path} was saved by datasets and has no subsets, got {subset!r}")
        data = _loaded(path, lambda: datasets.load_from_disk(str(saved_split(path, name))))
        if not (path / "dataset_dict.json").is_file():
            _check_name(data, name)
        rows: Rows = DatasetRows(data, without, encoded)
    else:
        rows = rows_of_files(files_of(path, subset, name), table, without, encoded)
    return rows if ends is None else rows.chosen(numbers_of(ends, len(rows)))


def rows_of_files(
    files: Sequence[Path], table: ColumnTable, without: Without, encoded: Sequence[str] = ()
) -> Rows:
    """The rows of files of one format.

    Raises:
        DataError: If one cannot be read.
    """
    datasets = hf_datasets()
    kind = files[0].suffix.lower()
    if kind == ".parquet":
        return ParquetRows(files, datasets.Features.from_arrow_schema, without, encoded)
    if kind == ".tsv" and encoded:
        return EncodedTsv(files[0], encoded)
    if kind not in (".arrow", ".tar"):
        return TextRows(files, table)
    names = [str(file) for file in files]

    def load() -> Any:
        if kind == ".arrow":
            return datasets.concatenate_datasets([datasets.Dataset.from_file(n) for n in names])
        return datasets.load_dataset("webdataset", data_files={"train": names}, split="train")

    return DatasetRows(_loaded(files[0], load), without, encoded)


def _check_name(data: Any, split: str | None) -> None:
    held = None if data.split is None else str(data.split).partition("[")[0]
    if split is not None and held is not None and split != held:
        raise DataError(f"the data set is the split {held!r}, asked for {split!r}")


def from_hub(path: str, split: str | None, subset: str | None, revision: str | None) -> Any:
    """A ``datasets.Dataset`` from the Hub.

    Raises:
        DataError: If it cannot be loaded, or several splits are there and none is named.
        MissingExtra: If ``datasets`` is not installed.
    """
    if not _HUB_NAME.fullmatch(path):
        raise DataError(
            f"expected a folder, a file or a Hub name such as organisation/name, found nothing at "
            f"{path}"
        )
    datasets = hf_datasets()

    def load() -> Any:
        try:
            return datasets.load_dataset(path, name=subset, split=split, revision=revision)
        except ConnectionError as error:
            raise DataError(_by_hand(path, revision, error)) from error

    data = _loaded(path, load)
    return one_split(cast("Mapping[str, Any]", data), None) if isinstance(data, Mapping) else data


def _commit_of(data: Any) -> str | None:
    """The commit on the Hub, which the addresses of a set's files have."""
    found = {_COMMIT.search(file) for file in data.info.download_checksums or ()}
    commits = {match[1] for match in found if match}
    return commits.pop() if len(commits) == 1 else None


def _by_hand(path: str, revision: str | None, error: Exception) -> str:
    """What to do where the Hub cannot be reached."""
    told, at = " ".join(str(error).split()), f" --revision {revision}" if revision else ""
    return (
        f"the Hub cannot be reached for {path} ({told:.160}). Where it can: hf download {path} "
        f"--repo-type dataset{at} --local-dir FOLDER; bring FOLDER here, and write hf:FOLDER"
    )


def _loaded(path: str | Path, load: Callable[[], Any]) -> Any:
    """What ``datasets`` loads, or a sentence."""
    try:
        return load()
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"data set {path} cannot be loaded: {told:.500}") from error


def hf_datasets() -> Any:
    """The package ``datasets``.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtra("datasets", "hf", "reading Hugging Face data sets") from error


class HuggingFaceSource(RowSource):
    """A split of a Hugging Face data set.

    A row's number, for refusals and for ids where the data have none, is its position from 0.

    Args:
        path: A folder, a file, or ``organisation/name`` on the Hub (downloaded by ``datasets``).
        split: Which split; may be left out where there is one. ``train[:100]`` and
            ``train[10%:20%]`` are parts of one.
        subset: A configuration's name, for folders and Hub sets with several.
        revision: Branch, tag or commit on the Hub.
        columns: Field to column, see :func:`~vt_env.sources.columns.column_table`.
        root: A folder that pictures may lie in beside the set's own, see
            :class:`~vt_env.sources.places.Place`.
        **options: See :class:`~vt_env.sources.admission.Admission`. ``check`` is ``none`` by
            default: a picture is looked at when it is shown.

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
        columns: Columns | None = None,
        root: str | Path | None = None,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        options.setdefault("check", "none")
        admission = Admission(**options)
        table = column_table(columns)
        local = Path(path).expanduser()
        without = partial(unwanted_pictures, table=table)
        if local.exists():
            if revision is not None:
                raise ConfigError(f"revision belongs to a set on the Hub, and {path} is here")
            rows = local_rows(local, split, subset, table, without)
            folder = local if local.is_dir() else local.parent
            name = local.resolve().name if local.is_dir() else local.stem
        else:
            data = from_hub(str(path), split, subset, revision)
            self.commit = _commit_of(data)
            rows = DatasetRows(data, without)
            folder, name = None, str(path)
        if gaps := missing_columns(rows.names, table):
            raise DataError(f"data set {path} has {gaps}"[:2000])
        place = None if folder is None else Place.of(folder, root)
        unseen = admission.check == "none"
        super().__init__(name, rows, Reader(name, table, rows, place, unseen), admission)


def unwanted_pictures(features: Mapping[str, Any], table: ColumnTable) -> list[str]:
    """The picture columns that no field names: they would be read in vain."""
    wanted = {top_column(column, features) for columns in table.values() for column in columns}
    wanted.update(*(numbered_after(column, features) for column in table["image"]))
    return [name for name in picture_columns(features) if name not in wanted]
