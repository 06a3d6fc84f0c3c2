"""TRL's trainer with a policy that repeats turns: only the model's generation is ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import PartialState

from trainers.conformance import Case, Rollout, Script, stretches
from trainers.trl import grpo_trainer


class Speaker:
    """In the place of ``model.generate``: says the next turn of each rollout that is asked for one.

    Args:
        trainer: TRL's.
        say: The tokens of an environment's next turn.
    """

    def __init__(self, trainer: Any, say: Callable[[Any], list[int]]) -> None:
        self.trainer = trainer
        self.say = say

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        asked = [e for e in self.trainer.environments if not e.dialogue.done]
        assert len(asked) == len(input_ids)
        said = [self.say(environment) for environment in asked]
        width, pad = max(map(len, said)), self.trainer.processing_class.tokenizer.pad_token_id
        padded = [ids + [pad] * (width - len(ids)) for ids in said]
        return torch.cat([input_ids, torch.tensor(padded)], 1)


def generated(trainer: Any, say: Callable[[Any], list[int]]) -> dict[str, Any]:
    """What TRL makes of its first batch; it learns from this."""
    trainer.model.generate = Speaker(trainer, say)
    return trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))


def sequences(batch: dict[str, Any]) -> list[tuple[list[int], list[bool]]]:
    """The tokens of each rollout, without padding, and which are trained on."""
    own = batch["completion_mask"] * batch["tool_mask"]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    real = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1).bool()
    trained = torch.cat([torch.zeros_like(batch["prompt_ids"]), own], 1).bool()
    return [(i[r].tolist(), t[r].tolist()) for i, r, t in zip(ids, real, trained, strict=True)]


class TRL:
    """GRPOTrainer: prompts, tool loop, reward function, advantages and masks are its own.

    Args:
        path: An untrained checkpoint.
        settings: Makes a ``GRPOConfig``.
    """

    def __init__(self, path: Any, settings: Any) -> None:
        self.path = path
        self.settings = settings

    def play(self, case: Case) -> list[list[Rollout]]:
        size = len(case.groups[0].transcripts)
        made = self.rollouts(case)
        return [made[begin : begin + size] for begin in range(0, len(made), size)]

    def rollouts(self, case: Case) -> list[Rollout]:
        """Those of this process."""
        size = len(case.groups[0].transcripts)
        state = PartialState(cpu=True)
        mine = size * len(case.groups) // state.num_processes
        trainer = grpo_trainer(
            self.path,
            case.task(),
            self.settings(mine, size),
            reward=case.reward,
            ids=[group.sample.id for group in case.groups],
        )
        trainer.reward_funcs[0].__self__.episodes = []
        script, tokenizer = Script(case), trainer.processing_class.tokenizer
        ids = [group.sample.id for group in case.groups for _ in range(size)]
        for row, sample_id in enumerate(ids[: state.process_index * mine]):
            script.place(sample_id, row)  # it has other processes' transcripts

        def say(environment: Any) -> list[int]:
            text = script.turn(environment.dialogue.sample.id, id(environment))
            return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

        batch = generated(trainer, say)
        own = slice(state.process_index * mine, (state.process_index + 1) * mine)
        rewards = list(trainer._logs["rewards"]["reward"])[own]
        return self._told(trainer, batch, rewards, own)

    def _told(
        self, trainer: Any, batch: dict[str, Any], rewards: Sequence[float], own: slice
    ) -> list[Rollout]:
        processor = trainer.processing_class.base
        start = processor.tokenizer.convert_tokens_to_ids("<|vision_start|>")
        episodes = trainer.reward_funcs[0].__self__.take()[own]
        rows = sequences(batch)
        shown = sum(ids.count(processor.image_id) for ids, _ in rows)
        assert shown == batch["image_grid_thw"].prod(-1).sum() // processor.counter.merge**2
        return [
            Rollout(
                reward=reward,
                penalty=episode.reward.penalty,
                advantage=advantage,
                requested=ids.count(start) > len(episode.sample.images),
                visual_tokens=ids.count(processor.image_id),
                stretches=stretches(ids, trained, processor.tokenizer.decode),
            )
            for (ids, trained), episode, reward, advantage in zip(
                rows, episodes, rewards, batch["advantages"].tolist(), strict=True
            )
        ]
