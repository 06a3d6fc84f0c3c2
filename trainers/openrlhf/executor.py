"""What OpenRLHF calls for every rollout: the project's own dialogues, groups and rewards."""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase

from agents.models.engine import completion_tokens, logit_bias
from agents.models.transcript import Transcript
from trainers.hosted.rollouts import RolloutWorker, ScoredRollout, flattened
from trainers.openrlhf.pictures import LatePictures, Sender
from trainers.openrlhf.run import OpenRLHFRun
from vt_env.pictures import View


class Executor(RolloutWorker, AgentExecutorBase):
    """Plays one rollout a call; see :func:`executor_for`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(OpenRLHFRun.read(folder))
        self.bias = logit_bias(self.processor)
        self.sender = Sender(self.run.model)

    async def execute(
        self,
        prompt: str,
        label: Mapping[str, Any],
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """Play one rollout, wait for its siblings, and tell all of it.

        OpenRLHF asks for the rollouts of a prompt by as many calls in one process, on one event
        loop. They know each other by the sampling parameters, one object for each request, so
        equal prompts never mix.

        Args:
            prompt: For the reader of a log; the dialogue makes its own.
            label: See :meth:`trainers.hosted.rollouts.RolloutWorker.play`.
            sampling_params: vLLM's; shared by the rollouts of one request, so never changed.
            max_length: Tokens that the whole rollout may have.
            hf_tokenizer: Not used; the executor has its own.
            llm_engine: Has ``generate(ids, sampling_params, multi_modal_data)``.
            images: Not used; the dialogue shows its own.

        Returns:
            What OpenRLHF makes an experience of; ``label`` is the :class:`agents.Episode`.

        Raises:
            TrainingError: As :meth:`trainers.hosted.rollouts.RolloutWorker.play`.
        """
        own = copy(sampling_params)
        own.logit_bias = self.bias

        async def generate(
            transcript: Transcript, views: Sequence[View], room: int
        ) -> tuple[list[int], list[float]]:
            own.max_tokens = room
            output = await llm_engine.generate(
                transcript.with_placeholders(self.processor.image_id),
                own,
                multi_modal_data={"image": [view.image for view in views]},
            )
            return completion_tokens(output, transcript, self.bias)

        scored = await self.play(
            label,
            generate,
            group=id(sampling_params),
            max_length=max_length,
            log_probs=sampling_params.logprobs is not None,
        )
        pictures = await asyncio.to_thread(self.sender.send, scored.views)
        return _response(prompt, scored, pictures)


def executor_for(folder: Path) -> type[Executor]:
    """The class that OpenRLHF looks for in ``agent.py``; it makes one without arguments."""

    class AgentExecutor(Executor):
        def __init__(self) -> None:
            super().__init__(folder)

    return AgentExecutor


def _response(prompt: str, scored: ScoredRollout, pictures: LatePictures) -> dict[str, Any]:
    """One rollout as OpenRLHF takes it."""
    tokens, ranges, log_probs = flattened(scored.episode.replies)
    return {
        "prompt": prompt,
        "label": scored.episode,
        "images": None,
        "mm_train_inputs": pictures,
        "reward": scored.reward,
        "scores": scored.accuracy,
        "observation_tokens": tokens,
        "action_ranges": ranges,
        "rollout_log_probs": log_probs,
        "truncated": any(reply.truncated for reply in scored.episode.replies),
        "extra_logs": scored.facts(),
    }
