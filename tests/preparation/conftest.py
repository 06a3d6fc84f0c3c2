"""An agent whose success is known beforehand, and a preparation in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import Conversation, Reply
from agents.base import answer_turn
from experiments.preparation import Rule, Settings
from experiments.preparation.rule import Balance, Tally
from experiments.preparation.run import Wanted, opened
from vt_env import Query, Sample, Verdict, make_judge, open_source


class Known:
    """Is right as often as a sample's metadata say: ``low`` and ``full`` of its rollouts."""

    name = "known"

    def __init__(self) -> None:
        self.played: list[str] = []

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        places: Counter[str] = Counter()
        replies = []
        for conversation in conversations:
            sample = conversation.sample
            arm = "full" if conversation.images[0].method == "original" else "low"
            right = places[sample.id] < sample.metadata[arm]
            if not places[sample.id]:
                self.played.append(f"{sample.id} {arm}")
            places[sample.id] += 1
            answer = sample.references[0] if right else sample.metadata.get("else", "wrong")
            replies.append(Reply(answer_turn(answer, f"I look at the {arm} picture.")))
        return replies


class Unsure:
    """Right is right; ``?`` is unscored."""

    name = "unsure"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        return [
            Verdict(None if q.answer == "?" else q.answer in q.references, self.name, "as told")
            for q in queries
        ]


def pixels(seed: int, size: tuple[int, int] = (24, 24)) -> np.ndarray:
    """Noise: uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def sample(n: int, low: int = 8, full: int = 8, **more: Any) -> Sample:
    """Number ``n``, right so often."""
    known = {"low": low, "full": full, **more.pop("metadata", {})}
    fields = {"id": f"s{n}", "question": f"What is in picture {n}?", "references": (f"thing {n}",),
              "image": pixels(n), "kind": "odd" if n % 2 else "even"}  # fmt: skip
    return Sample(**{**fields, **more}, metadata=known)


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    return sample


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def unsure() -> Unsure:
    return Unsure()


def wanted(formats: str = "jsonl", rollouts: int = 8, **more: Any) -> Wanted:
    """Small choices."""
    rule = more.pop("rule", Rule(rollouts, rollouts, min(6, rollouts)))
    balance = more.pop("balance", Balance())
    return Wanted(rule, balance, tuple(formats.split("+")), **more)


@pytest.fixture
def want() -> Callable[..., Wanted]:
    return wanted


def carry_out(
    out: Path,
    source: Any,
    *,
    agent: Any = None,
    judge: Any = "auto",
    what: Wanted | None = None,
    resume: bool = False,
    limit: int | None = None,
    batch: int = 4,
    max_refused: float = 0.1,
    **told: Any,
) -> dict[str, Any]:
    """A whole preparation."""
    what = what or wanted(rollouts=told.get("rollouts", 8))
    settings = Settings("known", "samples", **told)
    data = open_source(source) if isinstance(source, str) else open_source(source, check="none")
    mode = "resume" if resume else "new"
    with opened(
        out, settings, make_judge(judge), wanted=what, mode=mode, limit=limit, source=data
    ) as made:
        tally = Tally(what.rule)
        rows = made.roll_out(lambda: agent or Known(), batch=batch, max_refused=max_refused)
        for row in rows:
            tally.add(row)
        return made.make(what, tally)


@pytest.fixture
def prepare() -> Callable[..., dict[str, Any]]:
    return carry_out
