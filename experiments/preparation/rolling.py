"""Rolling out: samples in, rows of ``rollouts.jsonl`` out, a batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import Agent, Episode, rollout
from experiments.preparation.log import FILE, PLAYED, REFUSED, RolloutLog, Row
from experiments.preparation.screening import Screen
from experiments.preparation.settings import Settings
from vt_env import DataError, Judge, Sample, Source, Task, open_source
from vt_env.vector import VisionThinkVectorEnv


def roll_out(
    settings: Settings,
    source: Source,
    agent: Callable[[], Agent],
    judge: Judge,
    out: Path,
    *,
    screen: Screen,
    total: int,
    batch: int = 16,
    max_refused: float = 0.1,
) -> Iterator[Row]:
    """Go on from what is in ``out`` until every sample has its row.

    What a sample's rollouts are does not depend on ``batch``, on where a run was interrupted, or
    on the samples around it.

    Args:
        settings: What is rolled out how.
        source: The opened data.
        agent: Makes the agent; called only if something is left to do.
        judge: The opened judge.
        out: The folder of ``rollouts.jsonl``.
        screen: Knows the evaluation sets already, and nothing else.
        total: Samples from the start of the source.
        batch: Samples at once; each is ``2 * settings.rollouts`` rollouts.
        max_refused: Share of ``total`` whose pictures may be refused before it stops.

    Yields:
        The rows of all samples in order, those of earlier runs first.

    Raises:
        DataError: If too many pictures are refused, or the file holds something else.
    """
    log = RolloutLog(out / FILE)
    log.cut_torn()
    done = refused = 0
    for row in log.rows(total):
        screen.remember([row])
        done, refused = done + 1, refused + (row["status"] == REFUSED)
        yield row
    if done == total:
        return
    player = agent()
    low, full = (settings.task(source, judge, low=low) for low in (True, False))
    for start in range(done, total, batch):
        samples = [source[n] for n in range(start, min(start + batch, total))]
        rows = [screen.row(start + i, sample) for i, sample in enumerate(samples)]
        refused += sum(row["status"] == REFUSED for row in rows)
        if refused > max_refused * total:
            reasons = [row["reason"] for row in rows if row["status"] == REFUSED]
            raise DataError(
                f"{refused} of {total} pictures are refused, more than the share of "
                f"{max_refused:.0%} that is allowed; the last: {(reasons or ['see ' + FILE])[-1]}"
            )
        left = [s for s, row in zip(samples, rows, strict=True) if row["status"] == PLAYED]
        played = [row for row in rows if row["status"] == PLAYED]
        for key, task in (("low", low), ("full", full)):
            groups = _play(task, player, left, settings.rollouts, _seed(settings.seed, key))
            for row, group in zip(played, groups, strict=True):
                row["full_tokens"] = group[0].outcome.full_tokens
                row[key] = [_rollout(episode) for episode in group]
        log.append(rows)
        yield from rows


def _play(
    task: Task, agent: Agent, samples: Sequence[Sample], rollouts: int, seed: int
) -> list[list[Episode]]:
    """Groups of rollouts, one a sample."""
    if not samples:
        return []
    few = replace(task, source=open_source(samples, check="none", name=task.source.name))
    env = VisionThinkVectorEnv(len(samples) * rollouts, group_size=rollouts, data=few)
    episodes = rollout(env, agent, seed=seed, sample_ids=[s.id for s in samples])
    return [episodes[i : i + rollouts] for i in range(0, len(episodes), rollouts)]


def _seed(seed: int, arm: str) -> int:
    """Of one resolution's rollouts, so that the two are independent."""
    return int.from_bytes(hashlib.sha256(f"{seed} {arm}".encode()).digest()[:8], "big")


def _rollout(episode: Episode) -> dict[str, Any]:
    return {
        "text": episode.replies[0].text,
        "answer": episode.answer,
        "correct": episode.verdict.correct,
        "judge": episode.verdict.judge,
        "reason": episode.verdict.reason,
        "well_formed": episode.outcome.well_formed,
        "tokens": episode.outcome.visual_tokens,
    }
