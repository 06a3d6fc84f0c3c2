"""What verl calls for every rollout: the project's own dialogues, groups and rewards."""

# pyright: reportMissingImports=false, reportUntypedClassDecorator=false
from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
    register,
)

from agents.models.engine import allowed, bias
from agents.models.transcript import Transcript
from trainers.algorithms import make_algorithm
from trainers.algorithms.advantages import TIE
from trainers.hosted.rollouts import Rollouts, Scored, flattened
from trainers.verl.run import Run
from vt_env.pictures import View

NAME = "visionthink"


@register(NAME)
class VisionThinkLoop(AgentLoopBase):
    """One rollout. verl makes one of these for each; what a process shares is in :func:`host`."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play one rollout, wait for its siblings, and tell all of it.

        Args:
            sampling_params: verl's; never changed.
            **row: A row of :class:`trainers.verl.dataset.VisionThinkDataset`, and verl's ``uid``,
                which the rollouts of one question share.

        Returns:
            A rollout that teaches nothing (unscored, or in a group without signal that the
            algorithm drops) has a mask of zeros; see :mod:`trainers.verl.estimator`.

        Raises:
            PictureError: If the sample's picture is refused.
            TrainingError: If tokens do not agree, there is no room for a turn, or not all rollouts
                of a question were begun in this process at the same time.
        """
        rollouts = host(_folder(self.config))
        group = str(row["uid"])
        speaker = _Speaker(self.server_manager, sampling_params, rollouts, group, row)
        began = time.perf_counter()
        scored = await rollouts.play(
            {"split": row["split"], "id": row["sample_id"], "shown": row["shown"]},
            speaker.speak,
            group=group,
            max_length=rollouts.run.max_length,
        )
        waited = time.perf_counter() - began - speaker.seconds
        teaches = row["split"] != "train" or _teaches(scored, rollouts)
        made = _output(scored, teaches=teaches)
        made.metrics = AgentLoopMetrics(
            generate_sequences=speaker.seconds, tool_calls=waited, num_preempted=speaker.preempted
        )
        made.extra_fields |= {"group": group, **speaker.versions}
        return made


@cache
def host(folder: Path) -> Rollouts:
    """All that this process plays of a run.

    Raises:
        TrainingError: If the run's settings cannot be read.
    """
    return Rollouts(Run.read(folder), cut=False)


def _folder(config: Any) -> Path:
    files = config.data.train_files
    return Path(files if isinstance(files, str) else files[0]).parent


class _Speaker:
    """verl's servers, as one rollout asks them.

    Attributes:
        seconds: Spent generating.
        preempted: Times that an engine set the rollout aside; -1 where it does not tell.
        versions: Of the weights that spoke, first and last.

    Args:
        client: verl's.
        sampling: verl's parameters.
        rollouts: Of this process.
        group: Of the rollout.
        row: What verl told of it.
    """

    def __init__(
        self,
        client: Any,
        sampling: Mapping[str, Any],
        rollouts: Rollouts,
        group: str,
        row: Mapping[str, Any],
    ) -> None:
        self.client = client
        self.priority = int(row.get("priority", 0))
        self.bias = bias(rollouts.words)
        self.sampling = {**sampling, "logit_bias": self.bias}
        self.request = f"{group}/{uuid4().hex}"  # of all its turns, which one server gets
        self.seconds = 0.0
        self.preempted = -1
        self.versions: dict[str, Any] = {}

    async def speak(
        self, transcript: Transcript, views: Sequence[View], room: int
    ) -> tuple[list[int], list[float]]:
        """One turn."""
        began = time.perf_counter()
        output = await self.client.generate(
            self.request,
            prompt_ids=list(transcript.ids),
            sampling_params={**self.sampling, "max_tokens": room},
            image_data=[view.image for view in views],
            priority=self.priority,
        )
        self.seconds += time.perf_counter() - began
        if output.num_preempted is not None:
            self.preempted = max(self.preempted, 0) + output.num_preempted
        told = output.extra_fields
        self.versions.setdefault("min_global_steps", told.get("min_global_steps"))
        self.versions["max_global_steps"] = told.get("max_global_steps")
        said = allowed(output.token_ids, self.bias, output.stop_reason)
        return said, list(output.log_probs or ())


def _teaches(scored: Scored, rollouts: Rollouts) -> bool:
    """Whether anything is learnt from a rollout."""
    algorithm = rollouts.config.algorithm
    if scored.episode.reward.total is None or scored.spread is None:
        return False
    drops = make_algorithm(algorithm.name, **algorithm.options).drop_without_signal
    return scored.spread > TIE or not drops


def _output(scored: Scored, *, teaches: bool) -> AgentLoopOutput:
    """One rollout as verl takes it: the prompt ends where the policy first speaks."""
    tokens, ranges, log_probs = flattened(scored.episode.replies)
    first = ranges[0][0]
    mask = [0] * (len(tokens) - first)
    for begin, end in ranges if teaches else ():
        mask[begin - first : end - first] = [1] * (end - begin)
    return AgentLoopOutput(
        prompt_ids=tokens[:first],
        response_ids=tokens[first:],
        response_mask=mask,
        response_logprobs=None if log_probs is None else log_probs[first:],
        multi_modal_data={"images": [view.image for view in scored.views]},
        reward_score=math.nan if scored.spread is None else scored.reward,
        num_turns=2 * len(ranges),
        metrics=AgentLoopMetrics(),
        extra_fields=_facts(scored),
    )


def _facts(scored: Scored) -> dict[str, Any]:
    """What is known of a rollout; verl averages ``reward_extra_info`` over an evaluation.

    ``None`` is left out of that average. (verl's own ``acc`` would count it as 0.)
    """
    outcome, reward = scored.episode.outcome, scored.episode.reward
    correct = None if outcome.correct is None else float(outcome.correct)
    return {
        "sample_id": scored.episode.sample.id,
        "correct": outcome.correct,
        "requested": outcome.requested,
        "well_formed": outcome.well_formed,
        "visual_tokens": outcome.visual_tokens,
        "full_tokens": outcome.full_tokens,
        "penalty": reward.penalty,
        "scored": reward.total is not None,
        "truncated": any(reply.truncated for reply in scored.episode.replies),
        "reward_extra_info": {
            "accuracy": correct,
            "total": reward.total,
            "env/full_tokens": float(outcome.full_tokens),
            **scored.facts(),
        },
    }
