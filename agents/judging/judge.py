"""A judge that asks a model: what is known is not asked, and what fails is unscored."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from agents.judging.asking import Ask, Backend, Failure, OnResponse, Response
from agents.judging.cache import Cache, Found, Kept, key_of
from agents.judging.canaries import CANARIES, report
from agents.judging.hardening import Shown, settle, shown
from agents.judging.prompt import load_judge_prompt
from agents.judging.reading import read_verdict, said
from agents.judging.settings import Judging
from agents.judging.usage import Usage
from agents.llm.loop import PerProcess
from agents.llm.retry import FailureWatch
from vt_env.errors import JudgeError
from vt_env.judges.base import Judge, Query, Verdict, when_done
from vt_env.judges.memory import Recent, fingerprint

logger = logging.getLogger(__name__)

_LOG_EVERY = 1000
_LONGEST_REASON = 200

Content = bytes
"""The fingerprint of a query."""
Slots = dict[Content, Verdict | Future[Verdict]]
"""Where the verdicts of a batch are put, or what they are waited for with."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A query that only the model can decide."""

    content: Content
    key: bytes
    shown: Shown
    future: Future[Verdict]


class ModelJudge(Judge, PerProcess):
    """Judges by asking a model. All methods may be called from many threads.

    Order: no usable reference → unscored; equal to a reference → right; refused characters, empty
    talk, several answers → wrong; in memory; on disk; being asked already; else the model.

    It can be pickled as far as its backend can; what it remembers and counted stays behind. A
    forked process remembers what its parent knew, and asks with connections of its own.

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
        self._settled = Recent[Verdict]()
        self._memory = Recent[Verdict]()
        self._usage = Usage(price_in=judging.price_in, price_out=judging.price_out)
        self._batches = 0
        self._forked()
        PerProcess.__init__(self)

    def _forked(self) -> None:
        self._lock = threading.RLock()
        self._asked: dict[Content, Future[Verdict]] = {}
        self._stop: JudgeError | None = None

    def __repr__(self) -> str:
        return f"ModelJudge({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelJudge, (self.backend, self.judging)

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

    def submit(self, queries: Sequence[Query]) -> Future[list[Verdict]]:
        """Begin to judge and return at once; each query has a deadline of its own.

        Raises:
            JudgeError: If too many judgements failed since somebody last waited. The future raises
                it if that happens to its queries, or if the judge is closed meanwhile.
        """
        contents, slots, planted, counts = self._begun(queries)
        with self._lock:
            self._usage.count({"queries": len(queries), **counts})
        waiting = [slot for slot in slots.values() if isinstance(slot, Future)]

        def collect() -> list[Verdict]:
            try:
                for future in planted:
                    future.result()
                made = {c: s.result() if isinstance(s, Future) else s for c, s in slots.items()}
            except JudgeError as error:
                with self._lock:
                    if self._stop is error:
                        self._stop = None  # it is told
                raise
            return [made[content] for content in contents]

        return when_done([*waiting, *planted], collect)

    def begin(self, queries: Sequence[Query]) -> None:
        """Begin to judge what will be scored later; it counts when it is scored.

        Raises:
            JudgeError: If too many judgements failed since somebody last waited.
        """
        self._begun(queries)

    def close(self) -> None:
        """Let go of the model and the cache; what is being asked is given up."""
        self.backend.drop()
        self._fail_all(JudgeError(f"the judge {self.name} was closed while it judged"))
        self.backend.close()
        if self._cache is not None:
            self._cache.close()
        if self._usage.queries:
            logger.info("%s: %s", self.name, self._usage)

    def _begun(
        self, queries: Sequence[Query]
    ) -> tuple[list[Content], Slots, list[Future[Verdict]], Counter[str]]:
        """Find or ask; what each query is, verdicts by that, what was planted, and counts."""
        self._tell_stop()
        contents = [fingerprint(replace(query, answer_type="")) for query in queries]
        numbers = Counter(contents)
        slots: Slots = {}
        counts: Counter[str] = Counter()
        for name, memory in (("settled", self._settled), ("remembered", self._memory)):
            known = {c: v for c in numbers if (v := memory.get(c)) is not None}
            slots.update(known)
            counts[name] = sum(numbers[c] for c in known)
        fresh = {c: q for c, q in zip(contents, queries, strict=True) if c not in slots}
        planted: list[Future[Verdict]] = []
        if fresh:
            begun = self._join(self._look_up(fresh, numbers, counts, slots), slots)
            known = counts["settled"] + counts["remembered"] + counts["cached"]
            counts["shared"] = len(queries) - known - len(begun)
            planted = self._ask(begun) if begun else []
        return contents, slots, planted, counts

    def _look_up(
        self,
        fresh: Mapping[Content, Query],
        numbers: Mapping[Content, int],
        counts: Counter[str],
        slots: Slots,
    ) -> list[_Open]:
        """Settle what needs no model, read the disk for the rest, and say what is left."""
        left: list[_Open] = []
        for content, query in fresh.items():
            if verdict := settle(query, self.name):
                self._settled.add(content, verdict)
                slots[content] = verdict
                counts["settled"] += numbers[content]
            else:
                seen = shown(query)
                left.append(_Open(content, key_of(self.identity, seen), seen, Future()))
        found = Found({}, 0)
        if self._cache is not None and left:
            found = self._cache.read([open_.key for open_ in left])
            with self._lock:
                self._usage.damaged += found.damaged
        for open_ in left:
            if kept := found.kept.get(open_.key):
                slots[open_.content] = verdict = self._kept(kept)
                self._memory.add(open_.content, verdict)
                counts["cached"] += numbers[open_.content]
        return [open_ for open_ in left if open_.key not in found.kept]

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
        self._start(asks, lambda place, outcome: self._take(begun[place], asks[place], outcome))
        with self._lock:
            number = self._batches
            self._batches += 1
        every = self.judging.canaries
        return [self._plant(number // every)] if every and number % every == 0 else []

    def _start(self, asks: Sequence[Ask], on_response: OnResponse) -> None:
        """Have the backend begin; one that cannot leaves its asks unscored."""
        try:
            self.backend.start(asks, on_response)
        except Exception as error:
            logger.warning("the judge %s cannot begin: %s", self.name, error)
            for place in range(len(asks)):
                on_response(place, Failure(f"{type(error).__name__} in the model"))

    def _take(self, open_: _Open, ask: Ask, outcome: Response) -> None:
        """Take in one outcome; it is handed on when it is on the disk, if one is kept."""
        verdict = self._verdict(ask, outcome)
        if self._cache is None or verdict.correct is None or verdict.score is None:
            self._hand_on(open_, outcome, verdict)
            return
        kept = Kept(verdict.correct, verdict.score)
        self._cache.write(open_.key, kept, lambda: self._hand_on(open_, outcome, verdict))

    def _hand_on(self, open_: _Open, outcome: Response, verdict: Verdict) -> None:
        """Remember a verdict, count it, and give it to those who wait."""
        with self._lock:
            if self._asked.get(open_.content) is not open_.future:
                return  # given up meanwhile
            if verdict.correct is not None:
                self._memory.add(open_.content, verdict)
            error = self._count(outcome, verdict)
            if error is None:
                del self._asked[open_.content]
            else:
                self._stop = error
        if error is not None:
            self.backend.drop()
            self._fail_all(error)
        else:
            open_.future.set_result(verdict)

    def _count(self, outcome: Response, verdict: Verdict) -> JudgeError | None:
        usage = self._usage
        usage.add(outcome.tokens_in, outcome.tokens_out, outcome.tries)
        if verdict.correct is None:
            usage.failed += 1
            usage.add_reason(verdict.reason)
        else:
            usage.answered += 1
        if (usage.answered + usage.failed) % _LOG_EVERY == 0:
            logger.info("%s: %s", self.name, usage)
        failures = self._watch.note(verdict.correct is None)
        if not failures:
            return None
        return JudgeError(
            f"the judge {self.name} failed in {failures} judgements, and at most "
            f"{self._watch.share:.0%} may; the last time: {verdict.reason}. What it did judge is "
            "kept: mend the cause and go on"
        )

    def _verdict(self, ask: Ask, outcome: Response) -> Verdict:
        if isinstance(outcome, Failure):
            return Verdict(None, self.name, outcome.reason[:_LONGEST_REASON])
        correct = read_verdict(outcome.text, ask)
        if correct is None:
            return Verdict(None, self.name, f"unreadable reply {said(outcome.text)[:60]!r}")
        if outcome.probability is not None and not 0 <= outcome.probability <= 1:
            return Verdict(None, self.name, f"its probability is {outcome.probability}")
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
        place = f"planted {number}".encode()

        def on_response(_: int, outcome: Response) -> None:
            verdict = self._verdict(ask, outcome)
            with self._lock:
                if self._asked.pop(place, None) is not future:
                    return  # given up meanwhile
                self._usage.add(outcome.tokens_in, outcome.tokens_out, outcome.tries)
                report(self._usage, canary, verdict)
            future.set_result(verdict)

        with self._lock:
            self._asked[place] = future
        self._start([ask], on_response)
        return future

    def _fail_all(self, error: JudgeError) -> None:
        with self._lock:
            waiting, self._asked = list(self._asked.values()), {}
        for future in waiting:
            future.set_exception(error)

    def _tell_stop(self) -> None:
        """Raise the error that a run is to stop with, once."""
        with self._lock:
            error, self._stop = self._stop, None
        if error is not None:
            raise error
