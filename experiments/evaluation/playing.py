"""Play an agent on samples, each once; a picture that is refused does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents import Agent, Episode, rollout
from vt_env import ConfigError, DataError, PictureError, Task
from vt_env.samples import Sample
from vt_env.vector import VisionThinkVectorEnv


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that could not be played, and why."""

    id: str
    reason: str
    kind: str = ""
    source: str = ""


def evaluate(
    task: Task,
    agent: Agent,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 16,
    max_refused: float = 0.1,
) -> Iterator[Episode | Refused]:
    """Play each sample once, in the source's order.

    Args:
        task: Data, protocol and judge.
        agent: Who plays.
        limit: Number of samples, from the start; all by default.
        seed: Seeds the rollouts' generators. The batch size does not change what is played.
        batch: Rollouts at once.
        max_refused: Share of pictures that may be refused before it stops.

    Yields:
        An episode or a refusal for each sample, in order within a batch.

    Raises:
        ConfigError: On a limit or batch below 1.
        DataError: If more than the set share of pictures is refused.
    """
    if batch < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"limit and batch must be at least 1, got {limit} and {batch}")
    env = VisionThinkVectorEnv(batch, group_size=1, data=task)
    total = len(task.source) if limit is None else min(limit, len(task.source))
    refused = 0
    for start in range(0, total, batch):
        samples = [task.source[i] for i in range(start, min(start + batch, total))]
        episodes, unplayable = play(env, agent, samples, seed)
        refused += len(unplayable)
        check_refused(refused, total, max_refused, unplayable[-1].reason if unplayable else "")
        yield from unplayable
        yield from episodes


def check_refused(refused: int, total: int, allowed: float, last: str) -> None:
    """Stop where too many pictures are refused.

    Args:
        refused: Pictures refused so far.
        total: Samples in all.
        allowed: The share that may be.
        last: Why the last was.

    Raises:
        DataError: If it is more.
    """
    if refused > allowed * total:
        raise DataError(
            f"{refused} of {total} pictures are refused, more than the share of "
            f"{allowed:.0%} that is allowed; the last: {last}"
        )


def play(
    env: VisionThinkVectorEnv, agent: Agent, samples: Sequence[Sample], seed: int
) -> tuple[list[Episode], list[Refused]]:
    """Episodes of the samples whose pictures are accepted, and refusals of the others.

    Args:
        env: Groups of one, at least as many as samples.
        agent: Who plays.
        samples: What is played, at the same time.
        seed: Seeds the rollouts; each has a generator of its own, whatever it shares a batch with.
    """
    left = {sample.id: sample for sample in samples}
    refused: list[Refused] = []
    while left:
        try:
            return rollout(env, agent, seed=seed, sample_ids=list(left)), refused
        except PictureError as error:
            if error.sample_id not in left:
                raise
            sample = left.pop(error.sample_id)
            refused.append(Refused(sample.id, str(error), sample.kind, sample.source))
    return [], refused
