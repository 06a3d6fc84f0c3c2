"""A judge that is wrong now and then, to see what training makes of it.

Two rollouts of a group with the same answer are judged apart, as a judge with noise would: were the
noise a function of the answer alone, a right answer that it turns down would be turned down always,
and a policy could learn which ones. Still nothing is drawn: whether a verdict is flipped is a hash
of the seed, the rollout (its sample, and its place in the group) and its answer, so it depends
neither on batches nor on what was judged before, and a run that is resumed sees the same noise.
Queries that name no rollout, as those of ``vt judge``, are flipped alike where they are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from agents.judging.combined import CombinedJudge
from agents.judging.settings import make, read_spec
from vt_env.errors import ConfigError
from vt_env.judges.base import JudgeLike, Query, Verdict
from vt_env.judges.registry import make_judge


def noisy(spec: str = "auto") -> NoisyJudge:
    """From ``JUDGE[,rate=0.1][,seed=0]``, such as ``auto,rate=0.2`` or ``numeric:0.01,seed=3``.

    Raises:
        ConfigError: On an unknown option, or a value out of range.
    """
    name, options = read_spec("noisy", spec or "auto", {})
    (noise,) = make("noisy", options, _Noise)
    return NoisyJudge(make_judge(name), noise.rate, noise.seed)


@dataclass(frozen=True, slots=True)
class _Noise:
    rate: float = 0.1
    seed: int = 0


class NoisyJudge(CombinedJudge):
    """Flips each verdict of another judge with a given probability, right to wrong and back.

    Unscored stays unscored. A rollout without an answer has nothing to judge, so is wrong always.

    Attributes:
        per_rollout: Equal answers of several rollouts are to be judged one by one.

    Args:
        judge: Whose verdicts.
        rate: Share of them that is flipped, in [0, 1].
        seed: Any whole number; another one flips others.

    Raises:
        ConfigError: On a value out of range.
    """

    per_rollout = True

    def __init__(self, judge: JudgeLike, rate: float = 0.1, seed: int = 0) -> None:
        if not 0 <= rate <= 1:
            raise ConfigError(f"The judge 'noisy' takes a rate in [0, 1], got {rate!r}.")
        self.judge = make_judge(judge)
        super().__init__(self.judge)
        self.rate, self.seed = rate, seed
        self.name = f"noisy:{judge.name},rate={rate:g},seed={seed}"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; equal queries are flipped alike."""
        verdicts = self.judge.score(self._asked(queries))
        return [self._flipped(q, verdict) for q, verdict in zip(queries, verdicts, strict=True)]

    def begin(self, queries: Sequence[Query]) -> None:
        """Have the other judge start."""
        super().begin(self._asked(queries))

    def _asked(self, queries: Sequence[Query]) -> list[Query]:
        """What the other judge is asked: it is told of rollouts only if it wants to know."""
        if self.judge.per_rollout:
            return list(queries)
        return [replace(query, rollout="") for query in queries]

    def _flipped(self, query: Query, verdict: Verdict) -> Verdict:
        if verdict.correct is None or self._draw(query) >= self.rate:
            return Verdict(verdict.correct, self.name, verdict.reason, verdict.score)
        return Verdict(not verdict.correct, self.name, f"noise, against: {verdict.reason}")

    def _draw(self, query: Query) -> float:
        """A number in [0, 1), the same for the same seed, rollout, question and answer."""
        said = "\0".join((str(self.seed), query.rollout, query.question, query.answer))
        digest = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56
