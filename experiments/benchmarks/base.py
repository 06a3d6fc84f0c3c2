"""What a benchmark is: those of VisionThink's tables (arXiv 2507.13348), and those of zoom work.

They are data, ``catalogue.toml`` and ``zoom.toml``. Of each name there, or of the ``layout`` that
is named, a module of layouts has the function that reads a row, and one of summaries the one that
sums rows up.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from agents.judging.cascade import cascade_judge
from experiments.benchmarks import layouts, summaries, zoom_layouts, zoom_summaries
from experiments.benchmarks.judging import BenchmarkJudge
from experiments.benchmarks.layouts import Cells, Item
from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.judges import Judge, make_judge
from vt_env.registry import Registry

VARIANTS = ("fixed", "official", "rules")
Row = Mapping[str, Any]
"""One line of ``episodes.jsonl``."""
Summarise = Callable[[Sequence[Row], bool], dict[str, float]]
"""Numbers from scored rows; the flag asks for the official reading of odd rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A public table, as samples are read from it.

    Attributes:
        name: Its name here.
        title: Its name in messages and tables.
        hub: Repository on the Hub, or the one whose layout a local copy has.
        config: Configuration within it; empty for its only one.
        split: Split within that.
        source: The paper.
        columns: Columns that must be there, with their types. Pictures are an ``image``, ``base64``
            text, or a ``path`` beside the table: such a benchmark needs a local copy.
        read: A sample's parts from one row, and the variant of the metric.
        max_refused: Share of rows that may be refused unless opening says otherwise.
        only: A column and the value that rows of this table have in it, where the files hold more.
        file: The split's file in a local copy, where it is not ``SPLIT-*.parquet``.
    """

    name: str
    title: str
    hub: str
    split: str
    source: str
    columns: Mapping[str, str]
    read: Callable[[Cells, str], Item]
    config: str = ""
    max_refused: float = 0.0
    only: tuple[str, str] | None = None
    file: str = ""

    def of_type(self, kind: str) -> list[str]:
        """The columns of a type."""
        return [name for name, its in self.columns.items() if its == kind]

    def ask(self, item: Item) -> str:
        """The question as it is put."""
        return item.question


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark(Table):
    """One benchmark.

    Attributes:
        size: Rows that the split has.
        official: Spec of the published metric's judge; empty where that is a language model.
        fixed: Spec of the repaired judge.
        summarise: Numbers from scored rows.
        headline: The number that the paper's tables give, a key of the summary.
        scale: What brings the headline to the scale of those tables.
        prefix: Stands before every question.
        suffixes: By ``Item.form``: what stands after a question.
        asks_model: Whether the published metric asks a language model.
        shuffles: Whether options are shown in an order that a seed draws, but for the published
            metric: ``read`` takes an ``option_seed``.
        tells_letters: Whether it is told which letters are right and which are chosen.
        reads: Fields of a row that its numbers are made of; ``None``: any.
    """

    size: int
    fixed: str
    summarise: Summarise
    headline: str
    official: str = ""
    scale: float = 100.0
    prefix: str = ""
    suffixes: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    asks_model: bool = False
    shuffles: bool = False
    tells_letters: bool = False
    reads: Sequence[str] | None = None

    def ask(self, item: Item) -> str:
        """The question as it is put: with the benchmark's words before and after it."""
        return f"{self.prefix}{item.question}{self.suffixes[item.form]}"

    def bare(self, question: str) -> str:
        """The question without those words, as the repaired rules and models read it."""
        question = question.removeprefix(self.prefix)
        for suffix in sorted(self.suffixes.values(), key=len, reverse=True):
            if suffix and question.endswith(suffix):
                return question.removesuffix(suffix)
        return question

    def ordered(self, option_seed: int, variant: str = "fixed") -> Benchmark:
        """The same, its options in the order that a seed draws.

        Raises:
            ConfigError: If they are shown as they are.
        """
        if not self.shuffles or variant == "official":
            raise ConfigError(
                f"the {variant} metric of {self.title} shows options in their own order: leave "
                "option_seed out"
            )
        if option_seed < 0:
            raise ConfigError(f"option_seed must be at least 0, got {option_seed}")
        read = cast("Callable[..., Item]", self.read)
        return replace(self, read=partial(read, option_seed=option_seed))

    def judge(self, variant: str = "fixed", model: str | Judge | None = None) -> Judge:
        """Who decides whether an answer is right.

        Args:
            variant: ``official``, the published metric; ``fixed``, ours; or ``rules``: where the
                published metric asks a language model, rules in its stead, in their own name
                (elsewhere the same as ``fixed``).
            model: Judge to ask where a benchmark needs one, e.g. ``openai:MODEL@URL``.

        Raises:
            ConfigError: On an unknown variant, or if a model is needed and none is given.
        """
        check_variant(variant)
        if not self.asks_model:
            return self._rules(variant)
        if variant == "rules":
            return BenchmarkJudge(make_judge(self.fixed), self.bare, label="rules:")
        if not model:
            raise ConfigError(
                f"the {variant} metric of {self.title} asks a language model: name it, as in "
                "openai:MODEL@URL, or take the variant 'rules', which is another metric"
            )
        if variant == "fixed":
            return BenchmarkJudge(cascade_judge(model), self.bare)
        if self.official:
            rules = make_judge(self.official)
            return BenchmarkJudge(rules, self.bare, model=make_judge(model), bare=False)
        return BenchmarkJudge(make_judge(model), self.bare)

    def _rules(self, variant: str) -> Judge:
        """The rules that decide, or stand in for a model."""
        official = variant == "official" and self.official != ""
        spec = self.official if official else self.fixed
        return BenchmarkJudge(make_judge(spec), self.bare, bare=not official)

    def summary(self, rows: Sequence[Row], variant: str = "fixed") -> dict[str, float]:
        """All of the benchmark's numbers: :meth:`numbers` and :meth:`letters`."""
        return self.numbers(rows, variant) | self.letters(rows, variant)

    def letters(self, rows: Sequence[Row], variant: str = "fixed") -> dict[str, float]:
        """Which options are right and which are chosen, where that is told.

        Of all repetitions together; see :func:`~experiments.benchmarks.zoom_summaries.letters`.
        """
        if not self.tells_letters:
            return {}
        scored = [row for row in rows if row["correct"] is not None]
        return zoom_summaries.letters(scored, self._rules(variant))

    def numbers(self, rows: Sequence[Row], variant: str = "fixed") -> dict[str, float]:
        """The benchmark's own numbers, of one repetition.

        Args:
            rows: Lines of ``episodes.jsonl``: ``answer``, ``correct``, ``score`` and ``metadata``
                of each sample that was played, in any order.
            variant: Which reading of odd rows; see ``docs/benchmarks.md``.

        Returns:
            ``n`` rows, how many are ``unscored``, the ``coverage`` of the whole benchmark, the
            metric's numbers over scored rows, and ``score``: the headline as the paper prints it.
            Without a scored row only the first three.
        """
        check_variant(variant)
        needed = {"answer", "correct", "score", "metadata", "kind", "references"}
        for row in rows:
            if missing := needed - row.keys():
                raise DataError(f"a row of {self.title} lacks {', '.join(sorted(missing))}")
        scored = [row for row in rows if row["correct"] is not None]
        counts = {
            "n": float(len(rows)),
            "unscored": float(len(rows) - len(scored)),
            "coverage": len(rows) / self.size,
        }
        if not scored:
            return counts
        try:
            numbers = self.summarise(scored, variant == "official")
        except KeyError as error:
            raise DataError(
                f"a row of {self.title} or its metadata lacks {error}: is it of another benchmark?"
            ) from error
        if self.headline in numbers:
            numbers["score"] = numbers[self.headline] * self.scale
        return {**counts, **numbers}


def check_variant(variant: str) -> None:
    """Raise ConfigError for what is no variant."""
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)


def catalogue(file: str) -> Iterator[dict[str, Any]]:
    """The fields of each table of a catalogue, and its ``layout``, in the catalogue's order."""
    table: Mapping[str, dict[str, Any]] = tomllib.loads(
        Path(__file__).with_name(file).read_text("utf-8")
    )
    for name, own in table.items():
        kind = own.get("like", name)
        fields = {"name": name, "layout": kind, **table[kind], **own}
        fields.pop("like", None)
        if "only" in fields:
            fields["only"] = tuple(fields["only"])
        yield fields


_CATALOGUES = {
    "catalogue.toml": (layouts, summaries),
    "zoom.toml": (zoom_layouts, zoom_summaries),
}
_READ = (
    "answer", "answer_type", "choices", "correct", "kind", "metadata", "question", "references",
    "regions", "score",
)  # fmt: skip
ALL = tuple(
    Benchmark(
        read=getattr(readers, layout),
        summarise=getattr(summarisers, layout),
        reads=(*_READ, *fields.pop("reads", ())),
        **fields,
    )
    for file, (readers, summarisers) in _CATALOGUES.items()
    for fields in catalogue(file)
    for layout in [fields.pop("layout")]
)
PAPER = tuple(one.name for one in ALL[:9])
"""Those of Table 2, in its order."""
BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark", "vt.benchmarks", {one.name: lambda one=one: one for one in ALL}
)
"""Benchmarks by name; ``make(name)`` gives one."""
