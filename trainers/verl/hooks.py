"""What verl calls: a dataset, an agent loop, estimators and a callback, all of them the project's.

verl loads this module wherever it plays or learns, since ``data.custom_cls`` names the dataset in
it; so the agent loop and the estimators are registered there.
"""

# pyright: reportMissingImports=false, reportUntypedClassDecorator=false
from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor
from torch.utils.data import Dataset
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
    register,
)
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.core_algos import register_adv_est

from agents.models.engine import checked_tokens, logit_bias
from agents.models.transcript import Transcript
from trainers.algorithms import Algorithm, Batch, make_algorithm
from trainers.algorithms.advantages import TIE
from trainers.checkpoint import check_room
from trainers.errors import TrainingError
from trainers.hosted.rollouts import RolloutWorker, ScoredRollout, flattened
from trainers.verl.flags import ALGORITHMS, estimator_of, save_every
from trainers.verl.played import Played
from trainers.verl.run import VerlRun, why_stopped
from vt_env.errors import DataError
from vt_env.pictures import View

NAME = "visionthink"


_rows_of: Path | None = None
"""The folder of the run whose rows this process has opened."""


class VisionThinkDataset(Dataset[dict[str, Any]]):
    """Rows that :func:`trainers.hosted.export.export` wrote, in the order in which they are played.

    The process that leads a run makes one, and the estimators so know whose run it is.

    Args:
        data_files: One file of rows, or a list of them.
        max_samples: Rows; -1: all.
        **_: Not used: a dialogue makes its own prompt, and pictures stay in the source.

    Raises:
        DataError: If a file cannot be read.
    """

    def __init__(self, data_files: str | Sequence[str], max_samples: int = -1, **_: Any) -> None:
        global _rows_of
        self.rows: list[dict[str, Any]] = []
        for file in [data_files] if isinstance(data_files, str) else data_files:
            try:
                self.rows += map(json.loads, Path(file).read_text("utf-8").splitlines())
            except (OSError, ValueError) as error:
                raise DataError(f"the rows in {file} cannot be read: {error}") from error
            _rows_of = Path(file).parent
        if max_samples >= 0:
            del self.rows[max_samples:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """What the agent loop is called with, and what verl wants to find."""
        row = self.rows[index]
        label = row["label"]
        return {
            "agent_name": NAME,
            "split": label["split"],
            "sample_id": label["id"],
            "shown": label["shown"],
            "index": index,
            "raw_prompt": [{"role": "user", "content": row["question"]}],
            "data_source": label["split"],
            "reward_model": {"style": "rule", "ground_truth": None},
            "dummy_tensor": torch.zeros(1, dtype=torch.uint8),  # verl: a batch has a tensor
        }


class Saved(CheckpointCallback):
    """Deletes older states after a save, and looks for room for the next.

    An early run saves after the first step, and from then on as often as the recipe says. verl has
    one number for both: it begins with 1, and this puts the recipe's in its place.
    """

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, **_: Any) -> None:
        """verl saved a step, and named it the last; nothing is lost by stopping here.

        Raises:
            CheckpointError: If the disk has no room for the next save.
        """
        run = VerlRun.read(Path(checkpoint_dir).parents[1])
        trainer.config.trainer.save_freq = save_every(run.config)
        run.prune()
        if global_step < run.config.steps:
            check_room(run.checkpoints, run.state_bytes(), "next state and its model")


@cache
def host(folder: Path) -> RolloutWorker:
    """All that this process plays of a run.

    Raises:
        TrainingError: If the run's settings cannot be read.
    """
    return RolloutWorker(VerlRun.read(folder))


@cache
def played(folder: Path) -> Played:
    """What this process's training rollouts come to, by step."""
    worker = host(folder)
    return Played(folder, worker.engine, worker.config.rollout.group_size)


@register(NAME)
class VisionThinkLoop(AgentLoopBase):
    """One rollout. verl makes one of these for each; what a process shares is in :func:`host`."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play one rollout, wait for its siblings, and tell all of it.

        Args:
            sampling_params: verl's; never changed.
            **row: A row of :class:`VisionThinkDataset`; verl's ``uid``, which the rollouts of one
                question share; and its ``global_steps``, the step that they are played for.

        Returns:
            A rollout that teaches nothing (unscored, or in a group without signal that the
            algorithm drops) has a mask of zeros; see :func:`advantages`.

        Raises:
            TrainingError: As :meth:`trainers.hosted.rollouts.RolloutWorker.play`.
        """
        files = self.config.data.train_files
        folder = Path(files if isinstance(files, str) else files[0]).parent
        worker = host(folder)
        group, bias = str(row["uid"]), logit_bias(worker.processor)
        request = f"{group}/{uuid4().hex}"  # of all its turns, which one server gets
        seconds, preempted, spoke = 0.0, [], []  # per turn, and versions of the weights

        async def generate(
            transcript: Transcript, views: Sequence[View], room: int
        ) -> tuple[list[int], list[float]]:
            nonlocal seconds
            began = time.perf_counter()
            output = await self.server_manager.generate(
                request,
                prompt_ids=list(transcript.ids),
                sampling_params={**sampling_params, "logit_bias": bias, "max_tokens": room},
                image_data=[view.image for view in views],
                priority=int(row.get("priority", 0)),
            )
            seconds += time.perf_counter() - began
            if output.num_preempted is not None:
                preempted.append(output.num_preempted)
            spoke.append(output.extra_fields)
            tokens = checked_tokens(output.token_ids, bias, output.stop_reason)
            return tokens, list(output.log_probs or ())

        began = time.perf_counter()
        label = {"split": row["split"], "id": row["sample_id"], "shown": row["shown"]}
        length = worker.run.max_length
        try:
            scored = await worker.play(
                label,
                generate,
                group=group,
                max_length=length,
                log_probs=bool(sampling_params.get("logprobs")),
            )
        except Exception as error:
            VerlRun.read(folder).stop(error)
            raise
        spoke = spoke or [{}]  # the first turn failed
        training = row["split"] == "train"
        if training:
            played(folder).note(row["global_steps"], scored.facts())
        made = _output(scored, teaches=not training or _teaches(scored, worker))
        made.metrics = AgentLoopMetrics(
            generate_sequences=seconds,
            tool_calls=time.perf_counter() - began - seconds,
            num_preempted=sum(preempted) if preempted else -1,
        )
        made.extra_fields |= {
            "group": group,
            "min_global_steps": spoke[0].get("min_global_steps"),
            "max_global_steps": spoke[-1].get("max_global_steps"),
        }
        return made


def _teaches(scored: ScoredRollout, worker: RolloutWorker) -> bool:
    """Whether anything is learnt from a rollout."""
    algorithm = worker.config.algorithm
    if scored.episode.reward.total is None or scored.spread is None:
        return False
    drops = make_algorithm(algorithm.name, **algorithm.options).drop_without_signal
    return scored.spread > TIE or not drops


def _output(scored: ScoredRollout, *, teaches: bool) -> AgentLoopOutput:
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


def _facts(scored: ScoredRollout) -> dict[str, Any]:
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


def advantages(
    algorithm: Algorithm, rewards: Tensor, mask: Tensor, groups: Sequence[Hashable]
) -> Tensor:
    """Advantages of rollouts in any order, by the project's estimators.

    verl's own take every rollout for scored, and divide rounding errors by a vanishing deviation
    where rewards tie. They see rewards, masks and groups, and nothing else: so the group's penalty
    is in the reward already, and a rollout whose mask is all zeros is unscored.

    Args:
        algorithm: Whose estimator.
        rewards: float [N], of whole rollouts.
        mask: bool [N, T], the policy's tokens. A rollout without any is unscored.
        groups: N; equal where rollouts answer the same question.

    Returns:
        float [N, T], 0 outside the mask.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    most = max(map(len, members.values()))
    places = torch.full((len(members), most), -1)  # a group that is short is padded
    for place, rows in zip(places, members.values(), strict=True):
        place[: len(rows)] = torch.tensor(rows)
    there = places >= 0
    shaped = mask[places] & there.unsqueeze(-1)
    batch = Batch(
        rewards=torch.where(shaped.any(-1), rewards[places], torch.nan),
        mask=shaped,
        old_log_probs=torch.zeros(shaped.shape, dtype=rewards.dtype),
    )
    targets, _ = algorithm.targets(batch)
    made = torch.zeros(mask.shape, dtype=rewards.dtype)
    made[places[there]] = targets.advantages.unflatten(0, places.shape)[there]
    return made


def per_scored(advantages: Tensor, mask: Tensor) -> Tensor:
    """Advantages for a loss that is to be a mean over the rollouts that are trained on.

    verl divides by all rollouts of a minibatch. Its loss is proportional to the advantages, so they
    grow by all rollouts over those with a trained token. (A KL or an entropy beside it would not,
    and several minibatches have numbers of their own: they are refused.)

    Args:
        advantages: float [N, T].
        mask: bool [N, T], the policy's tokens.
    """
    return advantages * (len(mask) / mask.any(-1).sum().clamp(min=1))


def _estimate(name: str, over_rollouts: bool) -> Callable[..., tuple[Tensor, Tensor]]:
    """verl's form of an estimator: it gives advantages, and again as returns.

    It is where the process that leads a run comes by before it learns, so a run that is to stop
    stops there.
    """
    algorithm = replace(make_algorithm(name), kl_coef=0.0, mask_truncated=False)

    def estimate(
        token_level_rewards: Tensor, response_mask: Tensor, index: Sequence[Hashable], **_: Any
    ) -> tuple[Tensor, Tensor]:
        if _rows_of and (reason := why_stopped(_rows_of)):
            raise TrainingError(reason)
        rewards, mask = token_level_rewards.sum(-1), response_mask.bool()
        made = advantages(algorithm, rewards, mask, list(index))
        if over_rollouts:
            made = per_scored(made, mask)
        return made, made

    return estimate


for _name, _over in product(ALGORITHMS, (False, True)):
    register_adv_est(estimator_of(_name, over_rollouts=_over))(_estimate(_name, _over))
