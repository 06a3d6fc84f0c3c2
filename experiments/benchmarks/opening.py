"""Public tables opened as sources: benchmarks and training sets, from the Hub or a local copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from experiments.benchmarks.base import BENCHMARKS, Benchmark, Table, check_variant
from experiments.benchmarks.layouts import Cells
from vt_env.errors import DataError
from vt_env.samples import Sample
from vt_env.sources import Admission, Refusal
from vt_env.sources.admission import AdmissionOptions
from vt_env.sources.arrow import DatasetRows, picture_columns
from vt_env.sources.columns import column_table
from vt_env.sources.hf import from_hub, local_rows, rows_of_files
from vt_env.sources.hf_files import is_saved
from vt_env.sources.places import Place
from vt_env.sources.rows import refuse_bad_unicode
from vt_env.sources.serving import RowSource, encoded_picture
from vt_env.sources.tables import Rows

_SHARD = re.compile(r".*-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet")


class TableSource(RowSource):
    """A public table's samples.

    Args:
        table: Which.
        root: A local copy, if any; see :func:`open_benchmark`.
        variant: Of a benchmark's metric, since some tables' samples depend on it.
        admission: What is asked of the rows.
        pictures: A folder that picture paths may lead into beside the table's own, see
            :class:`~vt_env.sources.places.Place`.
    """

    def __init__(
        self,
        table: Table,
        root: Path | None,
        variant: str,
        admission: Admission,
        pictures: str | Path | None = None,
    ) -> None:
        root = None if root is None else snapshot(root.expanduser())
        rows = _load(table, root)
        if gaps := [f"{c} ({t})" for c, t in table.columns.items() if c not in rows.names]:
            raise DataError(
                f"{table.title} in the layout of {table.hub} needs the columns "
                f"{', '.join(gaps)}; there are {', '.join(rows.names)}"
            )
        if table.only is not None:
            column, value = table.only
            found = enumerate(rows.opening())
            rows = rows.chosen(
                [i for i, row in found if isinstance(row, Mapping) and row[column] == value]
            )
            if not len(rows):
                raise DataError(f"{table.title}: no row has {value!r} in the column {column!r}")
        folder = root and ((root / table.file).parent if table.file else root)
        place = folder and Place.of(folder, pictures)
        super().__init__(table.name, rows, partial(_sample, table, variant, place), admission)


class BenchmarkSource(TableSource):
    """A benchmark's samples; see :func:`open_benchmark`.

    Attributes:
        benchmark: Which.
    """

    def __init__(
        self, benchmark: Benchmark, root: Path | None, variant: str, admission: Admission
    ) -> None:
        self.benchmark = benchmark
        super().__init__(benchmark, root, variant, admission)

    @property
    def complete(self) -> bool:
        """Whether the data have as many rows as the benchmark, and all are served."""
        return len(self._table) == self.benchmark.size == len(self)


def open_benchmark(
    name: str,
    path: str | Path | None = None,
    variant: str = "fixed",
    option_seed: int | None = None,
    **options: Unpack[AdmissionOptions],
) -> BenchmarkSource:
    """Open a benchmark.

    Args:
        name: One of ``BENCHMARKS.names()``.
        path: A local copy: the repository as ``huggingface_hub`` downloads it (a folder, or its
            cache's ``datasets--…``), or what ``datasets.save_to_disk`` wrote of it. Without one,
            ``datasets`` loads it from the Hub.
        variant: ``fixed``, ``official`` or ``rules``, as for :meth:`Benchmark.judge`.
        option_seed: Draws the order of options where they are shuffled (default: 0).
        **options: See :class:`~vt_env.sources.admission.Admission`. ``max_refused`` is the
            benchmark's own by default: 0, since with a row less it is another benchmark.

    Raises:
        ConfigError: On an unknown name, variant or option.
        DataError: If there are no such data, or they are not in that layout.
        MissingExtra: If ``datasets`` is not installed.
    """
    benchmark = BENCHMARKS.make(name)
    check_variant(variant)
    if option_seed is not None:
        benchmark = benchmark.ordered(option_seed, variant)
    admission = Admission(**{"max_refused": benchmark.max_refused, **options})
    return BenchmarkSource(benchmark, None if path is None else Path(path), variant, admission)


def _load(table: Table, root: Path | None) -> Rows:
    encoded = table.of_type("base64")

    def without(features: Mapping[str, Any]) -> list[str]:
        return [name for name in picture_columns(features) if table.columns.get(name) != "image"]

    if root is None:
        if table.of_type("path"):
            raise DataError(
                f"the pictures of {table.title} are files beside its table: hf download "
                f"--repo-type dataset {table.hub} --local-dir DIR/{table.name}, then "
                f"name that folder: --suite-data DIR, or path=DIR/{table.name}"
            )
        data = from_hub(table.hub, table.split, table.config or None, None)
        return DatasetRows(data, without, encoded)
    aliases = column_table(None)
    if is_saved(root):
        return local_rows(root, table.split, None, aliases, without, encoded)
    if table.file and (root / table.file).is_file():
        return rows_of_files([root / table.file], aliases, without, encoded)
    files = parquet_files(root, table.config, table.split, table.file)
    return rows_of_files(files, aliases, without, encoded)


def snapshot(folder: Path) -> Path:
    """The folder itself, or the one snapshot in a cache folder of ``huggingface_hub``."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"expected a folder with a copy of the data, found {found} at {folder}")
    snapshots = sorted((folder / "snapshots").glob("*/"))
    if not snapshots:
        return folder
    if len(snapshots) > 1:
        raise DataError(f"{folder} holds {len(snapshots)} snapshots; name one of them")
    return snapshots[0]


def parquet_files(folder: Path, config: str, split: str, other: str = "") -> list[Path]:
    """The files of a split, in order: ``CONFIG/``, ``data/`` or the folder itself.

    Raises:
        DataError: If there are none; ``other`` is what the split may be in their place.
    """
    places = [folder / part for part in ([config] if config else []) + ["data", ""]]
    for place in places:
        files = sorted({*place.glob(f"{split}-*.parquet"), *place.glob(f"{split}.parquet")})
        if files:
            _check_shards(files)
            return files
    shown = ", ".join(sorted(str(f.relative_to(folder)) for f in folder.rglob("*.parquet"))[:5])
    raise DataError(
        f"no {split}-*.parquet in {', '.join(map(str, places))}, "
        f"{f'no {other}, ' if other else ''}and no folder of save_to_disk; "
        f"there is {shown or 'no Parquet file at all'}"
    )


def _check_shards(files: list[Path]) -> None:
    numbers = [(int(m[1]), int(m[2])) for file in files if (m := _SHARD.fullmatch(file.name))]
    if numbers and sorted(numbers) != [(i, numbers[0][1]) for i in range(numbers[0][1])]:
        raise DataError(
            f"{files[0].parent} has the shards {', '.join(file.name for file in files)}: expected "
            f"all of {numbers[0][1]}, each once"
        )


def _sample(
    table: Table, variant: str, place: Place | None, row: Mapping[str, Any], number: int
) -> Sample | Refusal:
    label = f"{table.name}-{number:06d}"
    try:
        refuse_bad_unicode(row)
        item = table.read(Cells(row, place), variant)
        label = item.id or label
        return Sample(
            id=label,
            question=table.ask(item),
            references=item.references,
            image=encoded_picture(item.image, place),
            source=table.name,
            kind=item.kind,
            answer_type=item.answer_type,
            choices=item.choices,
            metadata=item.metadata,
            more_images=tuple(encoded_picture(image, place) for image in item.more_images),
        )
    except DataError as error:
        return Refusal(label, str(error))
