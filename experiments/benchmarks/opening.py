"""A benchmark's rows from a local copy or from the Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from experiments.benchmarks.base import Benchmark, check_variant
from experiments.benchmarks.catalogue import BENCHMARKS
from experiments.benchmarks.cells import Cells
from vt_env.errors import DataError
from vt_env.samples import Sample
from vt_env.sources import Admission, Refusal
from vt_env.sources.admission import AdmissionOptions
from vt_env.sources.hf import (
    RowSource,
    encoded_picture,
    hf_datasets,
    is_saved,
    load_set,
    one_split,
    with_pictures,
)
from vt_env.sources.rows import refuse_bad_unicode

_SHARD = re.compile(r".*-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet")


class BenchmarkSource(RowSource):
    """A benchmark's samples.

    Args:
        benchmark: Which.
        data: Its split, a ``datasets.Dataset``.
        variant: Of the metric, since one table's references depend on it.
        root: The folder that picture paths are relative to, if any.
        admission: What is asked of the rows.

    Raises:
        DataError: If columns are missing, or too many rows are refused.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        data: Any,
        *,
        variant: str = "fixed",
        root: Path | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.benchmark = benchmark
        if gaps := [
            f"{c} ({t})" for c, t in benchmark.columns.items() if c not in data.column_names
        ]:
            raise DataError(
                f"{benchmark.title} in the layout of {benchmark.hub} needs the columns "
                f"{', '.join(gaps)}; there are {', '.join(data.column_names)}"
            )
        if benchmark.only is not None:
            column, value = benchmark.only
            data = data.select([i for i, v in enumerate(data[column]) if v == value])
            if not len(data):
                raise DataError(f"{benchmark.title}: no row has {value!r} in the column {column!r}")
        pictures = [column for column, kind in benchmark.columns.items() if kind == "image"]
        read = partial(_sample, benchmark, variant, root)
        admission = admission or Admission(max_refused=benchmark.max_refused)
        super().__init__(benchmark.name, with_pictures(data, pictures), read, admission)

    @property
    def complete(self) -> bool:
        """Whether the data have as many rows as the benchmark, and all are served."""
        return self.rows == self.benchmark.size == len(self)


def open_benchmark(
    name: str,
    path: str | Path | None = None,
    variant: str = "fixed",
    **options: Unpack[AdmissionOptions],
) -> BenchmarkSource:
    """Open a benchmark.

    Args:
        name: One of ``BENCHMARKS.names()``.
        path: A local copy: the repository as ``huggingface_hub`` downloads it (a folder, or its
            cache's ``datasets--…``), or what ``datasets.save_to_disk`` wrote of it. Without one,
            ``datasets`` loads it from the Hub.
        variant: ``fixed``, ``official`` or ``rules``, as for :meth:`Benchmark.judge`.
        **options: See :class:`~vt_env.sources.admission.Admission`. ``max_refused`` is the
            benchmark's own by default: 0, since with a row less it is another benchmark; more for
            MMMU, whose questions about several pictures are refused.

    Raises:
        ConfigError: On an unknown name, variant or option.
        DataError: If there are no such data, or they are not in that layout.
        MissingExtra: If ``datasets`` is not installed.
    """
    benchmark = BENCHMARKS.make(name)
    check_variant(variant)
    admission = Admission(**{"max_refused": benchmark.max_refused, **options})
    root = None if path is None else snapshot(Path(path).expanduser())
    return BenchmarkSource(
        benchmark, _load(benchmark, root), variant=variant, root=root, admission=admission
    )


def _load(benchmark: Benchmark, root: Path | None) -> Any:
    if root is None:
        name = benchmark.config or None
        return one_split(
            load_set(benchmark.hub, None, benchmark.split, name, None), benchmark.split
        )
    if is_saved(root):
        return one_split(load_set(root, root, None, None, None), benchmark.split)
    files = [str(file) for file in parquet_files(root, benchmark.config, benchmark.split)]
    try:
        return hf_datasets().Dataset.from_parquet(files)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{benchmark.title} in {root} cannot be read: {error}") from error


def snapshot(folder: Path) -> Path:
    """The folder itself, or the one snapshot in a cache folder of ``huggingface_hub``.

    Raises:
        DataError: If there is no folder, or several snapshots.
    """
    if not folder.is_dir():
        raise DataError(f"expected a benchmark's folder, found nothing at {folder}")
    snapshots = sorted((folder / "snapshots").glob("*/"))
    if not snapshots:
        return folder
    if len(snapshots) > 1:
        raise DataError(f"{folder} holds {len(snapshots)} snapshots; name one of them")
    return snapshots[0]


def parquet_files(folder: Path, config: str, split: str) -> list[Path]:
    """The files of a split, in order: ``CONFIG/``, ``data/`` or the folder itself.

    Raises:
        DataError: If there are none, or not all of its shards.
    """
    places = [folder / part for part in ([config] if config else []) + ["data", ""]]
    for place in places:
        files = sorted({*place.glob(f"{split}-*.parquet"), *place.glob(f"{split}.parquet")})
        if files:
            _check_shards(files)
            return files
    shown = ", ".join(sorted(str(f.relative_to(folder)) for f in folder.rglob("*.parquet"))[:5])
    raise DataError(
        f"no {split}-*.parquet in {', '.join(map(str, places))}, and no folder of save_to_disk; "
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
    benchmark: Benchmark, variant: str, root: Path | None, row: Mapping[str, Any], number: int
) -> Sample | Refusal:
    label = f"{benchmark.name}-{number:06d}"
    try:
        refuse_bad_unicode(row)
        item = benchmark.read(Cells(row), variant)
        label = item.id or label
        return Sample(
            id=label,
            question=benchmark.ask(item),
            references=item.references,
            image=encoded_picture(item.image, root),
            source=benchmark.name,
            kind=item.kind,
            answer_type=item.answer_type,
            choices=item.choices,
            metadata=item.metadata,
        )
    except DataError as error:
        return Refusal(label, str(error))
