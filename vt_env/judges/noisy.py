"""A judge that is wrong now and then, to see what training makes of it.

Two rollouts with the same answer are judged apart, as a judge with noise would: were the noise a
function of the answer alone, a right answer that it turns down would be turned down always, and a
policy could learn which ones. Still nothing is drawn: whether a verdict is flipped is a hash of
the seed, the rollout and its answer, so it depends neither on batches nor on what was judged
before, and a run that is resumed sees the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from vt_env.errors import ConfigError, unknown_name
from vt_env.judges.base import Judge, Query, Verdict, close
from vt_env.judges.registry import make_judge, split_outside
from vt_env.registry import spec_value

_OPTIONS: dict[str, Any] = {"rate": 0.1, "seed": 0}


def noisy(spec: str = "auto") -> NoisyJudge:
    """From ``JUDGE[,rate=0.1][,seed=0]``, such as ``auto,rate=0.2`` or ``numeric:0.01,seed=3``.

    Raises:
        ConfigError: On an unknown option, or a value out of range.
    """
    name, *written = split_outside(spec, ",")
    options = _OPTIONS.copy()
    for part in written:
        key, _, value = part.partition("=")
        if key not in options:
            raise unknown_name("option of the judge 'noisy'", key, options)
        options[key] = spec_value(value)
    if not isinstance(options["rate"], int | float) or not isinstance(options["seed"], int):
        raise ConfigError(f"The judge 'noisy' takes numbers as rate and seed, got {spec!r}.")
    return NoisyJudge(make_judge(name or "auto"), **options)


class NoisyJudge:
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

    def __init__(self, judge: Judge, rate: float = 0.1, seed: int = 0) -> None:
        if not 0 <= rate <= 1:
            raise ConfigError(f"The judge 'noisy' takes a rate in [0, 1], got {rate!r}.")
        self.judge = judge
        self.rate = rate
        self.seed = seed
        self.name = f"noisy:{judge.name},rate={rate},seed={seed}"

    @property
    def usage(self) -> object:
        """What the other judge took, if it counts."""
        return getattr(self.judge, "usage", None)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; equal queries are judged once, and flipped alike."""
        distinct = dict.fromkeys(queries)
        verdicts = dict(zip(distinct, self.judge.score(list(distinct)), strict=True))
        return [self._flipped(query, verdicts[query]) for query in queries]

    def close(self) -> None:
        """Close the other judge."""
        close(self.judge)

    def _flipped(self, query: Query, verdict: Verdict) -> Verdict:
        if verdict.correct is None or self._draw(query) >= self.rate:
            return Verdict(verdict.correct, self.name, verdict.reason, verdict.score)
        return Verdict(not verdict.correct, self.name, f"noise, against: {verdict.reason}")

    def _draw(self, query: Query) -> float:
        """A number in [0, 1), the same for the same seed, rollout, question and answer."""
        said = "\0".join((str(self.seed), query.rollout, query.question, query.answer))
        digest = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56
