"""A judge that asks a model: what is known is not asked, and what fails is unscored."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vt_env.errors import JudgeError
from vt_env.judges.base import Query, Verdict
from vt_env.judges.models.asking import Ask, Backend, Failure, Outcome
from vt_env.judges.models.cache import Cache, Kept, key_of
from vt_env.judges.models.canaries import CANARIES, report
from vt_env.judges.models.hardening import Shown, settle, shown
from vt_env.judges.models.judging import Judging, Verdicts
from vt_env.judges.models.limits import FailureWatch
from vt_env.judges.models.memory import Content, Memory, Slots
from vt_env.judges.models.prompt import load_judge_prompt
from vt_env.judges.models.reading import read_verdict, said
from vt_env.judges.models.usage import Usage

logger = logging.getLogger(__name__)

_LOG_EVERY = 1000


def _content(query: Query) -> Content:
    return query.question, query.references, query.answer, query.choices


@dataclass(frozen=True, slots=True)
class _Open:
    """A query that only the model can decide."""

    content: Content
    key: bytes
    shown: Shown
    future: Future[Verdict]


class ModelJudge:
    """Judges by asking a model. All methods may be called from many threads.

    Order: no usable reference → unscored; equal to a reference → right; refused characters, empty
    talk, several answers → wrong; in memory; on disk; being asked already; else the model.

    Args:
        backend: Runs the model.
        judging: Everything else.

    Raises:
        ConfigError: If the prompt or the cache cannot be used.
    """

    def __init__(self, backend: Backend, judging: Judging | None = None) -> None:
        self.backend = backend
        self.judging = judging = judging or Judging()
        self.prompt = load_judge_prompt(judging.prompt)
        self.name = backend.name
        self.identity = f"{backend.identity}; prompt {self.prompt.identity}"
        self._cache = Cache(judging.cache) if judging.cache else None
        self._watch = FailureWatch(judging.max_failures, judging.failures_over)
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._settled = Memory()
        self._memory = Memory()
        self._asked: dict[Content, Future[Verdict]] = {}
        self._usage = Usage(price_in=judging.price_in, price_out=judging.price_out)
        self._batches = 0
        self._stop: JudgeError | None = None

    def __repr__(self) -> str:
        return f"ModelJudge({self.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def usage(self) -> Usage:
        """Counts, tokens and cost so far."""
        with self._lock:
            return self._usage.copy()

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; equal queries are asked about once.

        Raises:
            JudgeError: If too many judgements fail for a run to go on.
        """
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Verdicts:
        """Begin to judge and return at once; ``result()`` waits for the verdicts.

        Raises:
            JudgeError: If too many judgements failed since somebody last waited.
        """
        self._mine()
        self._tell_stop()
        contents = [_content(query) for query in queries]
        slots: Slots = {}
        counts = Counter(queries=len(queries))
        with self._lock:
            counts["settled"] = self._settled.fill(contents, slots)
            counts["remembered"] = self._memory.fill(contents, slots)
        fresh = {c: q for c, q in zip(contents, queries, strict=True) if c not in slots}
        also: list[Future[Verdict]] = []
        if fresh:
            numbers = Counter(contents)
            begun = self._join(self._look_up(fresh, numbers, counts, slots), slots)
            known = counts["settled"] + counts["remembered"] + counts["cached"]
            counts["shared"] = len(queries) - known - len(begun)
            also = self._ask(begun) if begun else []

        def ready() -> None:
            with self._lock:
                self._usage.count(counts)
                counts.clear()
            self._tell_stop()

        return Verdicts([slots[content] for content in contents], also, ready)

    def close(self) -> None:
        """Let go of the model and the cache; what is being asked is given up."""
        self.backend.drop()
        self._fail_all(JudgeError(f"the judge {self.name} was closed while it judged"))
        self.backend.close()
        if self._cache is not None:
            self._cache.close()
        if self._usage.queries:
            logger.info("%s: %s", self.name, self._usage)

    def _mine(self) -> None:
        """In a forked process, forget what the parent waits for."""
        if self._owner != os.getpid():
            self._lock, self._asked, self._owner = threading.RLock(), {}, os.getpid()

    def _look_up(
        self,
        fresh: Mapping[Content, Query],
        numbers: Mapping[Content, int],
        counts: Counter[str],
        slots: Slots,
    ) -> list[_Open]:
        """Settle what needs no model, read the disk for the rest, and say what is left."""
        settled: dict[Content, Verdict] = {}
        left: list[_Open] = []
        for content, query in fresh.items():
            if verdict := settle(query, self.name):
                settled[content] = verdict
            else:
                seen = shown(query)
                left.append(_Open(content, key_of(self.identity, seen), seen, Future()))
        kept = (
            self._cache.read([open_.key for open_ in left])
            if self._cache is not None and left
            else {}
        )
        cached = {o.content: self._kept(kept[o.key]) for o in left if o.key in kept}
        with self._lock:
            self._settled.add(settled)
            self._memory.add(cached)
        counts["settled"] += sum(numbers[c] for c in settled)
        counts["cached"] += sum(numbers[c] for c in cached)
        slots.update(settled)
        slots.update(cached)
        return [open_ for open_ in left if open_.key not in kept]

    def _join(self, left: Sequence[_Open], slots: Slots) -> list[_Open]:
        """Wait with others for what they asked about; say what is to be asked anew."""
        begun: list[_Open] = []
        with self._lock:
            for open_ in left:
                known = self._memory.get(open_.content) or self._asked.get(open_.content)
                slots[open_.content] = known or open_.future
                if known is None:
                    self._asked[open_.content] = open_.future
                    begun.append(open_)
        return begun

    def _ask(self, begun: Sequence[_Open]) -> list[Future[Verdict]]:
        """Ask the model; what is returned is to be waited for too."""
        asks = [self.prompt.ask(open_.shown) for open_ in begun]
        self.backend.start(
            asks, lambda place, outcome: self._hear(begun[place], asks[place], outcome)
        )
        with self._lock:
            planted = self._batches
            self._batches += 1
        every = self.judging.canaries
        return [self._plant(planted // every)] if every and planted % every == 0 else []

    def _hear(self, open_: _Open, ask: Ask, outcome: Outcome) -> None:
        """Take in one outcome: keep it, count it, and hand it on."""
        verdict = self._verdict(ask, outcome)
        if verdict.correct is not None and verdict.score is not None and self._cache is not None:
            kept = Kept(verdict.correct, verdict.score)
            self._cache.write(open_.key, kept, self.name, outcome.tokens_in, outcome.tokens_out)
        with self._lock:
            if open_.future.done():
                return  # given up meanwhile
            self._asked.pop(open_.content, None)
            if verdict.correct is not None:
                self._memory.add({open_.content: verdict})
            error = self._count(outcome, verdict)
            open_.future.set_result(verdict)
            if error is not None:
                self._stop = error
        if error is not None:
            self.backend.drop()
            self._fail_all(error)

    def _count(self, outcome: Outcome, verdict: Verdict) -> JudgeError | None:
        usage = self._usage
        usage.add(outcome)
        failure = None
        if verdict.correct is None:
            failure = verdict.reason
            usage.failed += 1
            usage.add_reason(failure)
        else:
            usage.answered += 1
        if (usage.answered + usage.failed) % _LOG_EVERY == 0:
            logger.info("%s: %s", self.name, usage)
        return self._watch.note(self.name, failure)

    def _verdict(self, ask: Ask, outcome: Outcome) -> Verdict:
        if isinstance(outcome, Failure):
            return Verdict(None, self.name, outcome.reason)
        correct = read_verdict(outcome.text, ask)
        if correct is None:
            return Verdict(None, self.name, f"unreadable reply {said(outcome.text)[:60]!r}")
        reason = f"the model said {ask.right if correct else ask.wrong}"
        return Verdict(correct, self.name, reason, outcome.probability)

    def _kept(self, kept: Kept) -> Verdict:
        word = self.prompt.right if kept.correct else self.prompt.wrong
        return Verdict(kept.correct, self.name, f"the model said {word}", kept.score)

    def _plant(self, number: int) -> Future[Verdict]:
        """Have a planted wrong answer judged."""
        canary = CANARIES[number % len(CANARIES)]
        ask = self.prompt.ask(shown(canary))
        future: Future[Verdict] = Future()
        place = (f"planted {number}", *_content(canary)[1:])

        def heard(_: int, outcome: Outcome) -> None:
            verdict = self._verdict(ask, outcome)
            with self._lock:
                self._asked.pop(place, None)
                self._usage.add(outcome)
                report(self._usage, canary, verdict)
                if not future.done():
                    future.set_result(verdict)

        with self._lock:
            self._asked[place] = future
        self.backend.start([ask], heard)
        return future

    def _fail_all(self, error: JudgeError) -> None:
        with self._lock:
            waiting, self._asked = list(self._asked.values()), {}
            for future in waiting:
                if not future.done():
                    future.set_exception(error)

    def _tell_stop(self) -> None:
        """Raise the error that a run is to stop with, once."""
        with self._lock:
            error, self._stop = self._stop, None
        if error is not None:
            raise error
