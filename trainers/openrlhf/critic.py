"""A critic for vision-language models, which OpenRLHF lacks: a value head, and pictures for it.

OpenRLHF's critic is a text model that is given token ids alone. Here its body is the policy's own
kind of model, and every forward pass gets the pictures of its rollouts. Everything else, the
optimiser, the clipped value loss, the checkpoints, is OpenRLHF's.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import ray
import torch
from openrlhf.models import Actor
from openrlhf.trainer.ray import ppo_critic
from openrlhf.utils.vlm_utils import merge_mm_train_inputs
from torch import Tensor, nn


class VisionCritic(nn.Module):
    """V(s_t) of every state before a token, from the hidden state that predicts it.

    Attributes:
        pictures: Of the rollouts that are read next, as their vision encoder takes them.

    Args:
        actor: OpenRLHF's wrapper of a vision-language model, whose body becomes the critic's.
    """

    mean = std = None  # OpenRLHF prints them

    def __init__(self, actor: Any) -> None:
        super().__init__()
        self.config = actor.model.config
        self.body = actor.model.model
        kind = next(self.body.parameters()).dtype
        self.value = nn.Linear(self.config.get_text_config().hidden_size, 1, dtype=kind)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        self.pictures: Mapping[str, Tensor] = {}

    def forward(
        self,
        sequences: Tensor,
        action_mask: Tensor,
        attention_mask: Tensor,
        return_output: bool = False,
        **ignored: Any,
    ) -> Any:
        """Values: float32 [rollouts, columns - 1], 0 outside the action mask.

        Args:
            sequences: int64 [rollouts, columns].
            action_mask: [rollouts, columns - 1], about the token after each column.
            attention_mask: [rollouts, columns].
            return_output: Whether OpenRLHF wants the model's output beside it.
            **ignored: What OpenRLHF has for packed samples, which pictures rule out.
        """
        kinds = (sequences == self.config.image_token_id).int()
        states = self.body(
            input_ids=sequences,
            attention_mask=attention_mask,
            mm_token_type_ids=kinds,
            use_cache=False,
            **self.pictures,
        ).last_hidden_state
        values = self.value(states).squeeze(-1).float()[:, :-1] * action_mask
        return (values, SimpleNamespace(aux_loss=0)) if return_output else values

    def gradient_checkpointing_enable(self, **settings: Any) -> None:
        """Compute activations twice to save memory."""
        self.body.gradient_checkpointing_enable(**settings)


def make_critic(
    pretrain: str,
    kind: str,
    *,
    attn_implementation: str,
    param_dtype: str,
    ds_config: Any,
    **_: Any,
) -> VisionCritic:
    """In the place of OpenRLHF's ``get_llm_for_sequence_regression``."""
    return VisionCritic(
        Actor(
            pretrain,
            attn_implementation=attn_implementation,
            param_dtype=param_dtype,
            ds_config=ds_config,
        )
    )


class VisionCriticTrainer(ppo_critic.CriticPPOTrainer):
    """OpenRLHF's, whose critic sees the pictures of the rollouts that it learns from."""

    def training_step(self, experience: Any, *args: Any, **settings: Any) -> dict[str, float]:
        """One micro-batch."""
        device = experience.sequences.device
        self.critic.module.pictures = merge_mm_train_inputs(experience.mm_train_inputs, device)
        return super().training_step(experience, *args, **settings)


class VisionCriticActor(ppo_critic.CriticModelActor.__ray_metadata__.modified_class):
    """The process that holds a critic."""

    def init_model_from_pretrained(self, strategy: Any, pretrain: str, max_steps: int) -> None:
        """Load it."""
        ppo_critic.get_llm_for_sequence_regression = make_critic  # this process is ours alone
        ppo_critic.CriticPPOTrainer = VisionCriticTrainer
        super().init_model_from_pretrained(strategy, pretrain, max_steps)

    def forward(
        self,
        sequences: Tensor,
        action_mask: Tensor,
        attention_mask: Tensor,
        mm_train_inputs_list: Sequence[Any] = (),
    ) -> Tensor:
        """Values of rollouts."""
        device = torch.cuda.current_device()
        self.critic.module.pictures = merge_mm_train_inputs(list(mm_train_inputs_list), device)
        return super().forward(sequences, action_mask, attention_mask)


RayCritic = ray.remote(num_gpus=1)(VisionCriticActor)
