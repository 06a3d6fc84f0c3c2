"""Benchmarks opened, several as the parts of one evaluation, and their results as one table.

Sources and judges are named by specs, so that other processes can open them too:
``benchmark:chartqa,path=DIR,variant=official`` as data, and as a judge
``benchmark:mmvet,variant=fixed,model=[openai:MODEL@URL,concurrency=64]``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from experiments.benchmarks.base import BENCHMARKS, Benchmark, check_variant
from experiments.benchmarks.layouts import Cells
from experiments.evaluation.player import Metrics, Part
from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.judges import Judge
from vt_env.judges.registry import split_outside
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

SUITES: Mapping[str, Sequence[str]] = {
    "paper": (
        "chartqa", "ocrbench", "docvqa", "mme", "mmvet", "realworldqa", "pope", "mathvista",
        "mathverse", "mmmu", "mmbench",
    ),
}  # fmt: skip
"""The paper's nine benchmarks (2507.13348, Table 2), and two that are asked for beside them."""

Result = Mapping[str, Any]


def benchmark_source(name: str = "", **options: Any) -> BenchmarkSource:
    """The source ``benchmark:NAME[,path=DIR][,variant=…]``; see :func:`open_benchmark`."""
    if not name:
        raise ConfigError(f"the source 'benchmark' needs one of {', '.join(BENCHMARKS.names())}")
    return open_benchmark(name, **options)


def benchmark_judge(spec: str = "") -> Judge:
    """The judge ``benchmark:NAME[,variant=…][,model=JUDGE]``; see :meth:`Benchmark.judge`."""
    name, options = _judge_spec(spec)
    if not name:
        raise ConfigError(f"the judge 'benchmark' needs one of {', '.join(BENCHMARKS.names())}")
    return BENCHMARKS.make(name).judge(**options)


def _judge_spec(spec: str) -> tuple[str, dict[str, str]]:
    """The benchmark and the options that a judge's spec names."""
    name, *written = split_outside(spec, ",")
    options: dict[str, str] = {}
    for key, equals, value in (part.partition("=") for part in written):
        if key not in ("variant", "model") or not equals or key in options:
            raise unknown_name("option of the judge 'benchmark'", key, ["variant", "model"])
        options[key] = value
    return name, options


def suite_parts(
    suite: str,
    only: Sequence[str] = (),
    root: Path | None = None,
    variant: str = "fixed",
    model: str | None = None,
) -> list[Part]:
    """What an evaluation of a suite plays; nothing is opened yet.

    Args:
        suite: One of ``SUITES``.
        only: Benchmarks to play instead of all: any of ``BENCHMARKS``.
        root: A folder with a local copy of each, under the benchmark's name or its repository's;
            without one they come from the Hub.
        variant: Of the metrics.
        model: The judge that benchmarks ask whose metric needs a language model.
    """
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    check_variant(variant)
    chosen = [BENCHMARKS.make(name) for name in only or SUITES[suite]]
    if asking := [b.title for b in chosen if b.asks_model and not model and variant != "rules"]:
        raise ConfigError(
            f"the {variant} metric of {', '.join(asking)} asks a language model: name it with "
            "--judge-model openai:MODEL@URL, leave these out (--benchmark), or take --variant "
            "rules, which is another metric"
        )
    copies = {b.name: None if root is None else _copy(root, b) for b in chosen}
    if missing := [name for name, path in copies.items() if root is not None and path is None]:
        raise DataError(
            f"{root} has no copy of {', '.join(missing)}: expected a folder of that name, or of "
            "the repository's; leave it out with --benchmark, or download it"
        )
    return [_part(b, copies[b.name], variant, model) for b in chosen]


def _copy(root: Path, benchmark: Benchmark) -> Path | None:
    owner, _, repository = benchmark.hub.partition("/")
    cached = f"{owner}--{repository}"
    names = (benchmark.name, repository, cached, f"datasets--{cached}")
    return next((root / name for name in names if (root / name).is_dir()), None)


def _part(benchmark: Benchmark, path: Path | None, variant: str, model: str | None) -> Part:
    data = f"benchmark:{benchmark.name},variant={variant}"
    judge = f"benchmark:{benchmark.name},variant={variant}"
    if path is not None:
        data += f",path={path}"
    if benchmark.asks_model and model:
        judge += f",model=[{model}]"
    return Part(benchmark.name, data, judge, metrics=metrics_of(data, judge))


def metrics_of(data: Any, judge: Any) -> Metrics | None:
    """A benchmark's own numbers, where a part is one: data and judge are specs that name it."""
    if not isinstance(data, str) or not isinstance(judge, str):
        return None
    (kind, _, rest), (judging, _, asked) = data.partition(":"), judge.partition(":")
    if (kind, judging) != ("benchmark", "benchmark"):
        return None
    name, options = _judge_spec(asked)
    if rest.partition(",")[0] != name:
        return None
    return partial(BENCHMARKS.make(name).summary, variant=options.get("variant", "fixed"))


def suite_rows(results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """The lines of a suite's table.

    Args:
        results: By benchmark: its result, with modes or without.

    Returns:
        For each benchmark and mode (``""`` where there are none): ``benchmark``, ``mode``, ``n``,
        ``score`` as the paper prints it, ``relative`` to that of ``full``, ``token_ratio``,
        ``request_rate``, ``generated_tokens`` and ``agent_seconds`` of an episode, ``coverage``
        of the whole benchmark, ``unscored``, and ``refused``: rows that were left out, e.g. since
        they show several pictures. And, per mode, a line ``average`` of what every benchmark has:
        relative scores, ratios, rates and costs, each benchmark counting once.
    """
    lines: list[dict[str, Any]] = []
    for name, result in results.items():
        modes = result.get("modes", {"": result})
        whole = modes.get("full", {}).get("metrics", {}).get("score")
        lines += [_line(name, mode, one, whole) for mode, one in modes.items()]
    averages = [_average(mode, lines) for mode in dict.fromkeys(line["mode"] for line in lines)]
    return lines + (averages if len(results) > 1 else [])


def _line(name: str, mode: str, result: Result, whole: float | None) -> dict[str, Any]:
    metrics = result["metrics"]
    score = metrics.get("score")
    same = ("n", "token_ratio", "request_rate", "generated_tokens", "unscored", "refused")
    return {
        "benchmark": name,
        "mode": mode,
        "score": score,
        "relative": score / whole if score is not None and whole else None,
        "agent_seconds": result["agent_seconds"] / result["n"] if result["n"] else None,
        "coverage": metrics["coverage"],
        **{key: result[key] for key in same},
    }


def left_out(results: Mapping[str, Result]) -> dict[str, dict[str, int]]:
    """Rows of each benchmark that were left out, by reason and number, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for name, result in results.items():
        one = next(iter(result["modes"].values())) if "modes" in result else result
        reasons = Counter(r["reason"] for r in one["refusals"])
        if reasons:
            found[name] = dict(reasons.most_common())
    return found


_AVERAGED = (
    "relative", "token_ratio", "request_rate", "generated_tokens", "agent_seconds", "coverage",
)  # fmt: skip


def _average(mode: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    some = [line for line in lines if line["mode"] == mode]
    made: dict[str, Any] = {"benchmark": "average", "mode": mode, "score": None}
    for key in ("n", "unscored", "refused"):
        made[key] = sum(line[key] for line in some)
    for key in _AVERAGED:
        values = [line[key] for line in some]
        known = None not in values
        made[key] = sum(values) / len(values) if known else None
    return made


_SHARD = re.compile(r".*-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet")


class BenchmarkSource(RowSource):
    """A benchmark's samples.

    Args:
        benchmark: Which.
        rows: Its split.
        variant: Of the metric, since one table's references depend on it.
        root: The folder that picture paths are relative to, if any.
        admission: What is asked of the rows.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        rows: Rows,
        *,
        variant: str = "fixed",
        root: Path | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.benchmark = benchmark
        if gaps := [f"{c} ({t})" for c, t in benchmark.columns.items() if c not in rows.names]:
            raise DataError(
                f"{benchmark.title} in the layout of {benchmark.hub} needs the columns "
                f"{', '.join(gaps)}; there are {', '.join(rows.names)}"
            )
        if benchmark.only is not None:
            column, value = benchmark.only
            found = enumerate(rows.opening())
            rows = rows.chosen(
                [i for i, row in found if isinstance(row, Mapping) and row[column] == value]
            )
            if not len(rows):
                raise DataError(f"{benchmark.title}: no row has {value!r} in the column {column!r}")
        read = partial(_sample, benchmark, variant, root and Place(root))
        admission = admission or Admission(max_refused=benchmark.max_refused)
        super().__init__(benchmark.name, rows, read, admission)

    @property
    def complete(self) -> bool:
        """Whether the data have as many rows as the benchmark, and all are served."""
        return len(self._table) == self.benchmark.size == len(self)


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


def _load(benchmark: Benchmark, root: Path | None) -> Rows:
    def without(features: Mapping[str, Any]) -> list[str]:
        return [
            name for name in picture_columns(features) if benchmark.columns.get(name) != "image"
        ]

    if root is None:
        return DatasetRows(
            from_hub(benchmark.hub, benchmark.split, benchmark.config or None, None), without
        )
    table = column_table(None)
    if is_saved(root):
        return local_rows(root, benchmark.split, None, table, without)
    files = parquet_files(root, benchmark.config, benchmark.split)
    return rows_of_files(files, table, without)


def snapshot(folder: Path) -> Path:
    """The folder itself, or the one snapshot in a cache folder of ``huggingface_hub``."""
    if not folder.is_dir():
        raise DataError(f"expected a benchmark's folder, found nothing at {folder}")
    snapshots = sorted((folder / "snapshots").glob("*/"))
    if not snapshots:
        return folder
    if len(snapshots) > 1:
        raise DataError(f"{folder} holds {len(snapshots)} snapshots; name one of them")
    return snapshots[0]


def parquet_files(folder: Path, config: str, split: str) -> list[Path]:
    """The files of a split, in order: ``CONFIG/``, ``data/`` or the folder itself."""
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
    benchmark: Benchmark, variant: str, place: Place | None, row: Mapping[str, Any], number: int
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
            image=encoded_picture(item.image, place),
            source=benchmark.name,
            kind=item.kind,
            answer_type=item.answer_type,
            choices=item.choices,
            metadata=item.metadata,
            more_images=tuple(encoded_picture(image, place) for image in item.more_images),
        )
    except DataError as error:
        return Refusal(label, str(error))
