"""Rows of Arrow and Parquet tables, whose pictures stay unread until they are asked for.

*Opening* reads every column but the encoded pictures: of those, only whether a row has one. A row
is read *whole*, with its picture's bytes, when its sample is asked for. Numbers of 32 bits become
the shortest decimal that means them (0.1, not 0.10000000149011612), and class labels their names.
"""

from __future__ import annotations

import importlib
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from vt_env.errors import DataError
from vt_env.kept import states_of
from vt_env.sources.tables import Row, Rows

PRESENT = b"?"
"""Stands for the bytes of a picture on opening."""


def arrow() -> Any:
    """The package ``pyarrow``, which ``datasets`` brings along."""
    return importlib.import_module("pyarrow")


def values_of(
    table: Any, names: Sequence[str], features: Mapping[str, Any], opening: bool = False
) -> list[dict[str, Any]]:
    """Rows as Python values.

    Args:
        table: An Arrow table or record batch; on opening it may lack bytes.
        names: The columns.
        features: Their ``datasets`` features, for class labels.
        opening: Whether bytes are left out, and a placeholder put in their place.
    """
    columns: list[list[Any]] = []
    for name in names:
        place = table.schema.get_field_index(name)
        column = None if place < 0 else _plain(table.column(place), opening, name)
        values: list[Any] = [PRESENT] * table.num_rows if column is None else column.to_pylist()
        feature = features.get(name)
        if _has_labels(feature):
            values = [_named(value, feature) for value in values]
        if opening and _holds_pictures(feature):
            values = [_presumed(value) for value in values]
        columns.append(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(column: Any, opening: bool, name: str) -> Any:
    """A column whose numbers of 32 bits are decimals; on opening without bytes, or ``None``.

    Raises:
        DataError: If it has numbers of 16 bits: no decimal can be told from them.
    """
    pa = arrow()

    def half(leaf: Any) -> Any:
        return pa.string() if pa.types.is_float16(leaf) else leaf

    if not _retyped(column.type, half).equals(column.type):
        raise DataError(
            f"column {name!r} has numbers of 16 bits, which keep three digits of what was written "
            "(0.1 is 0.09998); expected text, whole numbers, or decimals of 32 or 64 bits"
        )

    def text(leaf: Any) -> Any:
        return pa.string() if pa.types.is_float32(leaf) else leaf

    def number(leaf: Any) -> Any:
        return pa.float64() if pa.types.is_float32(leaf) else leaf

    def no_bytes(leaf: Any) -> Any:
        return None if pa.types.is_binary(leaf) or pa.types.is_large_binary(leaf) else leaf

    if opening:
        kept = _retyped(column.type, no_bytes)
        if kept is None:
            return None
        column = column if kept.equals(column.type) else column.cast(kept)
    if (as_text := _retyped(column.type, text)).equals(column.type):
        return column
    return column.cast(as_text).cast(_retyped(column.type, number))


def _retyped(kind: Any, leaf: Callable[[Any], Any]) -> Any:
    """An Arrow type with other leaves; ``None`` if none is left."""
    pa = arrow()

    if pa.types.is_struct(kind):
        fields = [(field.name, _retyped(field.type, leaf)) for field in kind]
        left = [(name, made) for name, made in fields if made is not None]
        return pa.struct(left) if left or not fields else None
    for is_kind, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_kind(kind):
            made = _retyped(kind.value_type, leaf)
            return None if made is None else make(made)
    return leaf(kind)


def _holds_pictures(feature: Any) -> bool:
    """Whether a feature is a picture or a list of them."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    if isinstance(feature, list):
        return any(_holds_pictures(item) for item in cast("list[Any]", feature))
    if isinstance(feature, Mapping):  # Parquet that `datasets` did not write
        return {"bytes", "path"} == set(cast("Mapping[str, Any]", feature))
    return type(feature).__name__ == "Image" or getattr(feature, "dtype", "") == "binary"


def picture_columns(features: Mapping[str, Any]) -> list[str]:
    """The columns that hold pictures."""
    return [name for name, feature in features.items() if _holds_pictures(feature)]


def _presumed(value: Any) -> Any:
    """A cell with pictures as if each had its bytes."""
    if isinstance(value, list):
        return [_presumed(item) for item in cast("list[Any]", value)]
    return {**cast("dict[str, Any]", value), "bytes": PRESENT} if isinstance(value, dict) else value


def _has_labels(feature: Any) -> bool:
    if isinstance(feature, Mapping):
        return any(map(_has_labels, cast("Mapping[str, Any]", feature).values()))
    return hasattr(feature, "names") or (
        hasattr(feature, "feature") and _has_labels(feature.feature)
    )


def _named(value: Any, feature: Any) -> Any:
    """A value with the names of class labels in place of their numbers."""
    if isinstance(value, dict) and isinstance(feature, Mapping):
        items, inner = cast("dict[str, Any]", value), cast("Mapping[str, Any]", feature)
        return {key: _named(item, inner.get(key)) for key, item in items.items()}
    if isinstance(value, list) and hasattr(feature, "feature"):
        return [_named(item, feature.feature) for item in cast("list[Any]", value)]
    names = getattr(feature, "names", None)
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return cast("Any", value)


_BATCH = 1000
"""Rows that are turned into Python values at once on opening."""

_WHOLE_BATCH = 8
"""Rows with pictures that are decompressed at once."""


_OPEN_FILES = 8
"""Parquet files that are kept open."""


class DatasetRows(Rows):
    """The rows of a ``datasets.Dataset``, which maps its files into memory.

    Args:
        data: The set.
        without: Columns to leave out, given the features.
        encoded: Columns of pictures that are written as text; they are not read on opening.
    """

    def __init__(
        self,
        data: Any,
        without: Callable[[Any], Sequence[str]],
        encoded: Sequence[str] = (),
    ) -> None:
        data = data.remove_columns(without(data.features))
        self.names = data.column_names
        self._features = data.features
        self._data = data.with_format("arrow")
        self._light = self._data.remove_columns([name for name in encoded if name in self.names])

    def __len__(self) -> int:
        return len(self._data)

    def opening(self) -> Iterator[Row]:
        """As :meth:`Rows.opening`."""
        for start in range(0, len(self), _BATCH):
            table = self._light[start : start + _BATCH]
            yield from values_of(table, self.names, self._features, opening=True)

    def whole(self, number: int) -> Row:
        """As :meth:`Rows.whole`."""
        return values_of(self._data[number], self.names, self._features)[0]

    def state(self) -> Any:
        """As :meth:`Rows.state`."""
        files = [Path(file["filename"]) for file in self._data.cache_files]
        states = states_of(files)
        return states and [states, str(self._data.split)]


class ParquetRows(Rows):
    """The rows of Parquet files, which are never copied into a cache.

    Rows that are asked for in order are read in order; any other row costs the reading of the row
    group's pictures before it.

    Args:
        files: One or more, with the same columns.
        features: Reads ``datasets.Features`` from an Arrow schema.
        without: Columns to leave out, given the features.
        encoded: Columns of pictures that are written as text; they are not read on opening.

    Raises:
        DataError: If a file cannot be read, or has other columns than the first.
    """

    def __init__(
        self,
        files: Sequence[Path],
        features: Callable[[Any], Any],
        without: Callable[[Any], Sequence[str]],
        encoded: Sequence[str] = (),
    ) -> None:
        self._files = list(files)
        self._encoded = frozenset(encoded)
        self._open: dict[Path, Any] = {}
        self._lock = threading.Lock()
        self._at: tuple[int, int, Iterator[Any]] | None = None
        self._batch: tuple[int, Any] | None = None
        first = self._file(self._files[0])
        self._features = features(first.schema_arrow)
        left_out = set(without(self._features))
        self.names = [name for name in first.schema_arrow.names if name not in left_out]
        sizes: list[int] = []
        self._groups: list[tuple[Path, int]] = []
        for path in self._files:
            file = self._file(path)
            if file.schema_arrow.names != first.schema_arrow.names:
                raise DataError(f"{path.name} has other columns than {self._files[0].name}")
            for group in range(file.metadata.num_row_groups):
                self._groups.append((path, group))
                sizes.append(file.metadata.row_group(group).num_rows)
        self._ends = list(accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def opening(self) -> Iterator[Row]:
        """As :meth:`Rows.opening`."""
        light = set(self.names) - self._encoded
        for path in self._files:
            file = self._file(path)
            leaves = [
                column.path
                for column in (file.schema.column(i) for i in range(len(file.schema)))
                if not _is_bytes(column) and column.path.partition(".")[0] in light
            ]
            if not leaves:
                yield from [dict.fromkeys(self.names, PRESENT)] * file.metadata.num_rows
                continue
            for batch in _guarded(path, file.iter_batches(batch_size=_BATCH, columns=leaves)):
                yield from values_of(batch, self.names, self._features, opening=True)

    def whole(self, number: int) -> Row:
        """As :meth:`Rows.whole`. Threads may ask at the same time."""
        with self._lock:
            start, batch = self._batch or (0, None)
            if batch is None or not start <= number < start + batch.num_rows:
                start, batch = self._batch = self._read_to(number)
            return values_of(batch.slice(number - start, 1), self.names, self._features)[0]

    def folder(self, number: int) -> Path | None:
        """Of a table that stands beside pictures, its folder."""
        path, _ = self._groups[bisect_right(self._ends, number)]
        return path.parent if path.name.lower() == "metadata.parquet" else None

    def state(self) -> Any:
        """As :meth:`Rows.state`."""
        return states_of(self._files)

    def _read_to(self, number: int) -> tuple[int, Any]:
        """The batch with a row, and its first row's number."""
        group = bisect_right(self._ends, number)
        path, place = self._groups[group]
        if self._at is None or self._at[0] != group or self._at[1] > number:
            begin = self._ends[group - 1] if group else 0
            batches = self._file(path).iter_batches(
                batch_size=_WHOLE_BATCH, row_groups=[place], columns=self.names
            )
            self._at = group, begin, _guarded(path, batches)
        _, start, batches = self._at
        for batch in batches:
            end = start + batch.num_rows
            self._at = group, end, batches
            if number < end:
                return start, batch
            start = end
        raise DataError(f"{path.name} ended before row {number}: it changed since it was opened")

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            if len(self._open) == _OPEN_FILES:
                del self._open[next(iter(self._open))]
            parquet = importlib.import_module("pyarrow.parquet")
            try:
                self._open[path] = parquet.ParquetFile(path, memory_map=True)
            except (OSError, ValueError, arrow().ArrowException) as error:
                raise DataError(f"{path} cannot be read as Parquet: {error}") from error
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_lock": None, "_at": None, "_batch": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in {**state, "_lock": threading.Lock()}.items():
            setattr(self, name, value)


def _guarded(path: Path, batches: Iterator[Any]) -> Iterator[Any]:
    """Batches, with a sentence where the file is damaged."""
    broken = OSError, ValueError, arrow().ArrowException  # later, at exit, nothing can be imported
    try:
        yield from batches
    except broken as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _is_bytes(column: Any) -> bool:
    """Whether a leaf of a Parquet schema holds bytes that are no text."""
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type == "NONE"
