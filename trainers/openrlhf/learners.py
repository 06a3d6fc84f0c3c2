"""The learners of OpenRLHF: for rollouts of which no token is trained on, and with pictures.

Such a rollout (unscored, cut off, without signal) has an empty action mask, and so counts in no
normaliser, as in the local trainer. An update without a single token then has a loss of 0, where
OpenRLHF would divide 0 by 0.

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
from openrlhf.models import Actor, loss
from openrlhf.trainer.ray import ppo_actor, ppo_critic
from openrlhf.utils import loss_utils
from openrlhf.utils.vlm_utils import merge_mm_train_inputs
from torch import Tensor, nn

_NO_TOKENS = 1e-6
"""Weight of a micro-batch without tokens in averages of the log."""
_normalisers = loss_utils._optimizer_step_loss_norm


def masked_mean(tensor: Tensor, mask: Tensor | None, dim: int | None = None) -> Tensor:
    """The mean where the mask is set; 0 where it is nowhere set."""
    if mask is None:
        return tensor.mean(dim=dim)
    return (tensor * mask).sum(dim=dim) / mask.sum(dim=dim).clamp(min=1)


def normalisers(masks: Any, dp_group: Any, dp_size: int, gas: int) -> dict[str, Any]:
    """Tokens and sequences of an update over its micro-batches; those of one where it has none."""
    made = _normalisers(masks, dp_group, dp_size, gas)
    for name in ("batch_num_tokens", "global_batch_size"):
        made[name] = made[name].clamp(min=1 / gas)
    return made


def allow_empty_masks() -> None:
    """Put both into OpenRLHF, in this process."""
    loss_utils._optimizer_step_loss_norm = normalisers
    for module in (loss, ppo_actor, ppo_critic):
        module.masked_mean = masked_mean


class LearnerTrainer(ppo_actor.ActorPPOTrainer):
    """OpenRLHF's, whose averages a micro-batch without tokens does not break."""

    def training_step(self, *arguments: Any, **settings: Any) -> dict[str, Any]:
        """One micro-batch."""
        status = super().training_step(*arguments, **settings)
        status["num_action_tokens"] = max(status["num_action_tokens"], _NO_TOKENS)
        return status


class LearnerActor(ppo_actor.PolicyModelActor.__ray_metadata__.modified_class):
    """The process that holds the policy."""

    def init_model_from_pretrained(self, *arguments: Any, **settings: Any) -> None:
        """Load it."""
        allow_empty_masks()  # this process is ours alone
        ppo_actor.ActorPPOTrainer = LearnerTrainer
        super().init_model_from_pretrained(*arguments, **settings)


RayLearner = ray.remote(num_gpus=1)(LearnerActor)


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
        allow_empty_masks()
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
