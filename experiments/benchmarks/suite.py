"""Several benchmarks as the parts of one evaluation, and their results as one table.

Sources and judges are named by specs, so that other processes can open them too:
``benchmark:chartqa,path=DIR,variant=official`` as data, and as a judge
``benchmark:mmvet,variant=fixed,model=[openai:MODEL@URL,concurrency=64]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks.base import BENCHMARKS, Benchmark, check_variant
from experiments.benchmarks.opening import BenchmarkSource, open_benchmark
from experiments.evaluation.player import NO_PLACE, Metrics, Part
from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.judges import Judge
from vt_env.specs import split_outside

SUITES: Mapping[str, Sequence[str]] = {
    "paper": (
        "chartqa", "ocrbench", "docvqa", "mme", "mmvet", "realworldqa", "pope", "mathvista",
        "mathverse", "mmmu", "mmbench",
    ),
    "zoom": (
        "vstar", "hrbench-4k", "hrbench-8k", "mme-realworld", "mme-realworld-lite",
        "visualprobe-easy", "visualprobe-medium", "visualprobe-hard", "zoombench",
        "zoombench-crop", "treebench", "o3bench",
    ),
}  # fmt: skip
"""``paper``: its nine benchmarks (2507.13348, Table 2), and two that are asked for beside them;
``zoom``: what work with zoom tools is measured on.
"""

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
    repeat: int = 1,
    option_seed: int | None = None,
) -> list[Part]:
    """What an evaluation of a suite plays; nothing is opened yet.

    Args:
        suite: One of ``SUITES``.
        only: Benchmarks to play instead of all: any of ``BENCHMARKS``.
        root: A folder with a local copy of each, under the benchmark's name or its repository's;
            without one they come from the Hub.
        variant: Of the metrics.
        model: The judge that benchmarks ask whose metric needs a language model.
        repeat: How often each sample is played.
        option_seed: See :func:`open_benchmark`; of the benchmarks whose options are shuffled.
    """
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    check_variant(variant)
    if twice := [name for name, times in Counter(only).items() if times > 1]:
        raise ConfigError(f"the benchmark {twice[0]!r} is given twice")
    chosen = [BENCHMARKS.make(name) for name in only or SUITES[suite]]
    if asking := [b.name for b in chosen if b.asks_model and not model and variant != "rules"]:
        raise ConfigError(
            f"the {variant} metric of {', '.join(asking)} asks a language model: name it with "
            "--judge-model openai:MODEL@URL, leave these out (--benchmark), or take --variant "
            "rules, which is another metric"
        )
    shuffled = [b for b in chosen if b.shuffles and variant != "official"]
    if option_seed is not None and not shuffled:
        raise ConfigError(
            f"the {variant} metric of {', '.join(b.name for b in chosen)} shows options in their "
            "own order: leave --option-seed out"
        )
    copies = {b.name: None if root is None else _copy(root, b) for b in chosen}
    if missing := [name for name, path in copies.items() if root is not None and path is None]:
        raise DataError(
            f"{root} has no copy of {', '.join(missing)}: expected a folder of that name, or of "
            "the repository's; leave it out with --benchmark, or download it"
        )
    seeds = {b.name: option_seed for b in shuffled}
    return [
        replace(_part(b, copies[b.name], variant, model, seeds.get(b.name)), repeat=repeat)
        for b in chosen
    ]


def _copy(root: Path, benchmark: Benchmark) -> Path | None:
    owner, _, repository = benchmark.hub.partition("/")
    cached = f"{owner}--{repository}"
    names = (benchmark.name, repository, cached, f"datasets--{cached}")
    return next((root / name for name in names if (root / name).is_dir()), None)


def _part(
    benchmark: Benchmark, path: Path | None, variant: str, model: str | None, seed: int | None
) -> Part:
    data = f"benchmark:{benchmark.name},variant={variant}"
    judge = f"benchmark:{benchmark.name},variant={variant}"
    if seed is not None:
        data += f",option_seed={seed}"
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
    return benchmark_metrics(BENCHMARKS.make(name), options.get("variant", "fixed"))


def benchmark_metrics(benchmark: Benchmark, variant: str) -> Metrics:
    """A benchmark's own numbers, as results have them."""
    each, whole = (partial(of, variant=variant) for of in (benchmark.numbers, benchmark.letters))
    return Metrics(each, whole, benchmark.reads)


def suite_rows(results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """The lines of a suite's table.

    Args:
        results: By benchmark: its result, with modes or without.

    Returns:
        For each benchmark and mode (``""`` where there are none): ``benchmark``, ``mode``, ``n``,
        ``score`` as the paper prints it, ``relative`` to that of ``full``, ``token_ratio``,
        ``request_rate``, ``calls``, ``views``, ``visual_tokens``, ``generated_tokens`` and
        ``agent_seconds`` of an episode, ``coverage`` of the whole benchmark, ``unscored``,
        ``refused``: rows that were left out, e.g. since they show several pictures, of questions
        played several times ``repeats``, and of questions with options ``letters``. And, per mode,
        a line ``average`` of what every benchmark has: relative scores, ratios, rates and costs,
        each benchmark counting once.
    """
    lines: list[dict[str, Any]] = []
    for name, result in results.items():
        modes = _modes(result)
        whole = modes.get("full", {}).get("metrics", {}).get("score")
        lines += [_line(name, mode, one, whole) for mode, one in modes.items()]
    averages = [_average(mode, lines) for mode in dict.fromkeys(line["mode"] for line in lines)]
    return lines + (averages if len(results) > 1 else [])


def _line(name: str, mode: str, result: Result, whole: float | None) -> dict[str, Any]:
    metrics = result["metrics"]
    score = metrics.get("score")
    same = ("n", "token_ratio", "request_rate", *_COSTS, "unscored", "refused")
    return {
        "benchmark": name,
        "mode": mode,
        "score": score,
        "relative": score / whole if score is not None and whole else None,
        "agent_seconds": result["agent_seconds"] / result["n"] if result["n"] else None,
        "coverage": metrics["coverage"],
        **{key: result.get(key) for key in same},
        **({"repeats": result["repeats"]} if "repeats" in result else {}),
        **({"letters": _letters(metrics)} if "chosen/none" in metrics else {}),
    }


def _letters(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a line tells of its options: see :func:`~.zoom_summaries.letters`."""
    found = {
        kind: {key[-1]: value for key, value in metrics.items() if key[:-1] == f"{kind}/"}
        for kind in ("right", "chosen")
    }
    same = ("option_seed", "letter_bias")
    ends = [metrics.get(f"letter_bias/{end}") for end in ("low", "high")]
    return {
        **{key: metrics.get(key) for key in same},
        "interval_95": None if None in ends else ends,
        "chance": metrics.get("letter_bias/chance"),
        "none": metrics["chosen/none"],
        **found,
    }


def left_out(results: Mapping[str, Result]) -> dict[str, dict[str, int]]:
    """Rows of each benchmark that were left out of any mode, by reason, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    played = dict.fromkeys(mode for result in results.values() for mode in _modes(result))
    for name, result in results.items():
        modes, reasons = _modes(result), Counter[str]()
        for one in modes.values():
            reasons |= Counter(r["reason"] for r in one["refusals"])
        if played.keys() - modes.keys():
            reasons[NO_PLACE] = max(one["n"] for one in modes.values())
        if reasons:
            found[name] = dict(reasons.most_common())
    return found


def _modes(result: Result) -> Mapping[str, Result]:
    """Results by mode; by an empty name of one without modes."""
    return result.get("modes", {"": result})


def zooming_gaps(results: Mapping[str, Result]) -> dict[str, dict[str, float]]:
    """By benchmark and mode, what the cropped view adds to the accuracy (arXiv 2602.11858).

    Over the rows that have both views, of each benchmark NAME beside which NAME-crop was played.
    """
    found: dict[str, dict[str, float]] = {}
    for name in results:
        if (other := results.get(f"{name}-crop")) is None:
            continue
        whole, crop = (
            {mode: one["metrics"] for mode, one in _modes(result).items()}
            for result in (results[name], other)
        )
        gaps = {
            mode: crop[mode]["accuracy"] - told["accuracy_with_crop"]
            for mode, told in whole.items()
            if "accuracy_with_crop" in told and "accuracy" in crop.get(mode, {})
        }
        if gaps:
            found[name] = gaps
    return found


_COSTS = ("calls", "views", "visual_tokens", "generated_tokens")
_AVERAGED = ("relative", "token_ratio", "request_rate", *_COSTS, "agent_seconds", "coverage")


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
