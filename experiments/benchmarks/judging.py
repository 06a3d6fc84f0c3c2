"""A benchmark's judge: the rules or the model it names, given the question as they need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from experiments.benchmarks.letters import NEEDS_MODEL
from vt_env.judges import Judge, Query, UsageLike, Verdict
from vt_env.judges.base import when_done

_BOXED = re.compile(r"\$*\s*\\boxed\s*\{([^{}]*)\}\s*\.?\s*\$*")


class BenchmarkJudge(Judge):
    r"""Judges answers to one benchmark.

    An answer that stands in ``\boxed{}``, as the protocol asks for options and maths, is taken out
    of it; no published metric knows that wrapping.

    Args:
        judge: Who decides.
        strip: Takes the benchmark's prefix and suffix from a question.
        model: Who decides what that judge leaves to a model; it always reads the bare question.
        bare: Whether the judge does.
        label: Stands before the judge's name.
    """

    def __init__(
        self,
        judge: Judge,
        strip: Callable[[str], str],
        *,
        model: Judge | None = None,
        bare: bool = True,
        label: str = "",
    ) -> None:
        self.judge = judge
        self.strip = strip
        self.model = model
        self._bare = bare
        self.name = f"{label}{judge.name}" + (f", then {model.name}" if model else "")

    def __repr__(self) -> str:
        return f"BenchmarkJudge({self.name!r})"

    @property
    def usage(self) -> UsageLike | None:
        """What a model took, if one is asked."""
        return (self.model or self.judge).usage

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Future[list[Verdict]]:
        """Begin to judge, and return."""
        bare, shown = self._asked(queries)
        if self.model is None:
            begun = self.judge.submit(shown)
            return when_done((begun,), lambda: self._signed(begun.result()))
        verdicts = self.judge.score(shown)
        left = _left(verdicts)
        rest = self.model.submit([bare[place] for place in left])

        def collect() -> list[Verdict]:
            for place, verdict in zip(left, rest.result(), strict=True):
                verdicts[place] = verdict
            return self._signed(verdicts)

        return when_done((rest,), collect)

    def begin(self, queries: Sequence[Query]) -> None:
        """Have the judge, or the model, begin."""
        bare, shown = self._asked(queries)
        if self.model is None:
            self.judge.begin(shown)
        else:
            self.model.begin([bare[place] for place in _left(self.judge.score(shown))])

    def close(self) -> None:
        """Let go of what the judges hold."""
        self.judge.close()
        if self.model is not None:
            self.model.close()

    def _asked(self, queries: Sequence[Query]) -> tuple[list[Query], list[Query]]:
        """The queries without the benchmark's words, and as the judge reads them."""
        whole = [replace(query, answer=unboxed(query.answer)) for query in queries]
        bare = [replace(query, question=self.strip(query.question)) for query in whole]
        return bare, bare if self._bare else whole

    def _signed(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        return [Verdict(v.correct, self.name, v.reason, v.score) for v in verdicts]


def _left(verdicts: Sequence[Verdict]) -> list[int]:
    """Places of what is left to a model."""
    return [place for place, verdict in enumerate(verdicts) if verdict.reason == NEEDS_MODEL]


def unboxed(answer: str) -> str:
    r"""The content of an answer that is nothing but one ``\boxed{}``; any other as it is."""
    match = _BOXED.fullmatch(answer.strip())
    return match[1] if match else answer
