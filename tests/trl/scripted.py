"""TRL's trainer with a policy that repeats recorded turns: only the model's generation is ours."""

from __future__ import annotations

from typing import Any

import torch

from trainers.conformance import Case, Rollout, Script, stretches
from trainers.trl import grpo_trainer


class Speaker:
    """In the place of ``model.generate``: says the next turn of each rollout that is asked for one.

    Args:
        trainer: TRL's.
        case: What is played.
    """

    def __init__(self, trainer: Any, case: Case) -> None:
        self.trainer = trainer
        self.script = Script(case)
        self.turn = 0

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        asked = [e for e in self.trainer.environments if e.dialogue.turn == self.turn]
        assert len(asked) == len(input_ids)
        self.turn += 1
        tokenizer = self.trainer.processing_class.tokenizer
        turns = [self.script.turn(e.dialogue.sample.id, id(e)) for e in asked]
        said = [
            [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
            for text in turns
        ]
        width = max(map(len, said))
        padded = [ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids in said]
        return torch.cat([input_ids, torch.tensor(padded)], 1)


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
        trainer = grpo_trainer(
            self.path,
            case.task(),
            self.settings(size * len(case.groups), size),
            reward=case.reward,
            ids=[group.sample.id for group in case.groups],
        )
        trainer.reward_funcs[0].__self__.episodes = []
        trainer.model.generate = Speaker(trainer, case)
        batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
        made = self._told(trainer, batch)
        return [made[begin : begin + size] for begin in range(0, len(made), size)]

    def _told(self, trainer: Any, batch: dict[str, Any]) -> list[Rollout]:
        words = trainer.processing_class.words
        own = batch["completion_mask"] * batch["tool_mask"]
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        real = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1).bool()
        trained = torch.cat([torch.zeros_like(batch["prompt_ids"]), own], 1)
        shown = (ids == words.image_id).sum()
        assert shown == batch["image_grid_thw"].prod(-1).sum() // words.counter.merge**2
        made = []
        episodes = trainer.reward_funcs[0].__self__.take()
        rewards = list(trainer._logs["rewards"]["reward"])[-len(ids) :]
        for row, (episode, reward) in enumerate(zip(episodes, rewards, strict=True)):
            sequence = ids[row][real[row]].tolist()
            made.append(
                Rollout(
                    reward=reward,
                    penalty=episode.reward.penalty,
                    advantage=batch["advantages"][row].item(),
                    requested=sequence.count(words.tokenizer.vocab["<|vision_start|>"]) > 1,
                    visual_tokens=sequence.count(words.image_id),
                    stretches=stretches(
                        sequence, trained[row][real[row]].tolist(), words.tokenizer.decode
                    ),
                )
            )
        return made
