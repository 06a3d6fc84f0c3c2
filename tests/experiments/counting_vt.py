"""``vt`` with an agent and a judge that leave a line for everything they do: LOG.

python tests/experiments/counting_vt.py eval --agent counting --judge counting …
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents import AGENTS, Conversation, Reply
from agents.scripted import Random
from agents.steering import Arm
from experiments.cli import main
from vt_env import Query, Verdict, make_judge
from vt_env.judges import register_judge


def note(what: str, names: Sequence[str]) -> None:
    """One write, so that lines of several processes do not mix."""
    log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, "".join(f"{what} {name} {os.getpid()}\n" for name in names).encode())
    os.close(log)


class Counting(Random):
    """Asks at random; takes its time."""

    name = "counting"

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        self.count(conversations)
        return super().act(conversations)

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        told = [c for c, arm in zip(conversations, arms, strict=True) if arm is not None]
        self.count(told)  # the others are counted as they act
        return super().steer(conversations, arms)

    def count(self, conversations: Sequence[Conversation]) -> None:
        time.sleep(0.02)
        note("act", [c.sample.id for c in conversations if c.turn == 0])
        if os.environ.get("BOMB") in [c.sample.id for c in conversations]:
            os._exit(9)


class CountingJudge:
    """Exact."""

    name = "counting"
    per_rollout = True

    def __init__(self) -> None:
        self.exact = make_judge("exact")

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        note("judge", [query.rollout.removesuffix("#0") for query in queries])
        return self.exact.score(queries)


AGENTS.register("counting", Counting)
register_judge("counting", CountingJudge)

if __name__ == "__main__":
    sys.exit(main())
