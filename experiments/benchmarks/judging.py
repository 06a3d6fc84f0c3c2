"""A benchmark's judge: the rules or the model it names, given the question as they need it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vt_env.judges import Judge, Query, Verdict, close, submit
from vt_env.judges.letters import NEEDS_MODEL
from vt_env.judges.models.judging import Batch
from vt_env.judges.models.usage import Usage, usage_of

if TYPE_CHECKING:
    from experiments.benchmarks.base import Benchmark

_BOXED = re.compile(r"\$*\s*\\boxed\s*\{([^{}]*)\}\s*\.?\s*\$*")


class BenchmarkJudge:
    r"""Judges answers to one benchmark.

    An answer that stands in ``\boxed{}``, as the protocol asks for options and maths, is taken out
    of it; no published metric knows that wrapping.

    Args:
        benchmark: Whose questions are judged.
        judge: Who decides.
        model: Who decides what that judge leaves to a model.
        bare: Whether the judge reads the question without the benchmark's prefix and suffix.
        label: Stands before the judge's name.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        judge: Judge,
        *,
        model: Judge | None = None,
        bare: bool = True,
        label: str = "",
    ) -> None:
        self.benchmark = benchmark
        self.judge = judge
        self.model = model
        self._bare = bare
        self.name = f"{label}{judge.name}" + (f", then {model.name}" if model else "")

    def __repr__(self) -> str:
        return f"BenchmarkJudge({self.benchmark.name!r}, {self.name!r})"

    @property
    def usage(self) -> Usage | None:
        """What a model took, if one is asked."""
        return usage_of(self.model or self.judge)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Batch:
        """Begin to judge and return; ``result()`` waits."""
        queries = [replace(query, answer=unboxed(query.answer)) for query in queries]
        asked = [replace(q, question=self.benchmark.bare(q.question)) for q in queries]
        pending = submit(self.judge, asked if self._bare else queries)

        def collect() -> list[Verdict]:
            verdicts = pending.result()
            if self.model is not None:
                left = [i for i, verdict in enumerate(verdicts) if verdict.reason == NEEDS_MODEL]
                for i, verdict in zip(
                    left, self.model.score([asked[i] for i in left]), strict=True
                ):
                    verdicts[i] = verdict
            return [Verdict(v.correct, self.name, v.reason, v.score) for v in verdicts]

        return Batch(collect)

    def close(self) -> None:
        """Let go of what the judges hold."""
        close(self.judge)
        if self.model is not None:
            close(self.model)


def unboxed(answer: str) -> str:
    r"""The content of an answer that is nothing but one ``\boxed{}``; any other as it is."""
    match = _BOXED.fullmatch(answer.strip())
    return match[1] if match else answer
