"""Play an agent on a data set, sample by sample, and keep everything that happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agents import Agent, Episode, rollout
from vt_env import ConfigError, DataError, PictureError, Task
from vt_env.actions import Answer, ToolCall
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
        episodes, unplayable = _play(env, agent, samples, seed)
        refused += len(unplayable)
        if refused > max_refused * total:
            raise DataError(
                f"{refused} of {total} pictures are refused, more than the share of "
                f"{max_refused:.0%} that is allowed; the last: {unplayable[-1].reason}"
            )
        yield from unplayable
        yield from episodes


def _play(
    env: VisionThinkVectorEnv, agent: Agent, samples: Sequence[Sample], seed: int
) -> tuple[list[Episode], list[Refused]]:
    """Episodes of the samples whose pictures are accepted, and refusals of the others."""
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


def episode_row(episode: Episode) -> dict[str, Any]:
    """One line of ``episodes.jsonl``: JSON-serialisable, pictures by their sizes."""
    sample, outcome = episode.sample, episode.outcome
    return {
        "id": sample.id,
        "question": sample.question,
        "references": list(sample.references),
        "kind": sample.kind,
        "source": sample.source,
        "turns": [
            {"text": reply.text, "action": _action_row(action)}
            for reply, action in zip(episode.replies, episode.actions, strict=True)
        ],
        "answer": episode.answer,
        "correct": episode.verdict.correct,
        "judge": episode.verdict.judge,
        "reason": episode.verdict.reason,
        "well_formed": outcome.well_formed,
        "flaws": list(episode.flaws),
        "requested": outcome.requested,
        "futile_request": episode.futile,
        "visual_tokens": outcome.visual_tokens,
        "full_tokens": outcome.full_tokens,
        "views": [list(view.size) for view in episode.views],
        "reward": asdict(episode.reward),
    }


def _action_row(action: Any) -> dict[str, Any]:
    if isinstance(action, Answer):
        return {"type": "answer", "text": action.text}
    if isinstance(action, ToolCall):
        return {"type": "tool_call", "name": action.name, "arguments": dict(action.arguments)}
    return {"type": "malformed", "reason": action.reason}
