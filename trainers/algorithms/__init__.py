"""Reinforcement-learning algorithms as pure functions on tensors [group, rollout, token].

An algorithm is its hyper-parameters (a frozen dataclass), an advantage estimator and a policy
loss. It knows nothing of models, environments or optimisers, and keeps no state.

    >>> import torch
    >>> from trainers.algorithms import Batch, make_algorithm
    >>> algorithm = make_algorithm("grpo:kl_coef=0")
    >>> log_probs = torch.full((1, 2, 3), -1.0)
    >>> batch = Batch(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, 3).bool(), log_probs)
    >>> targets, metrics = algorithm.targets(batch)
    >>> loss, _ = algorithm.policy_loss(log_probs[0].requires_grad_(), targets)

Other packages add theirs through the entry-point group ``vt.algorithms``.
"""

from trainers.algorithms.advantages import has_signal
from trainers.algorithms.base import Algorithm
from trainers.algorithms.batch import Batch, Targets
from trainers.algorithms.catalogue import (
    DAPO,
    GRPO,
    GSPO,
    PPO,
    RLOO,
    DrGRPO,
    ReinforcePlusPlus,
    ReinforcePlusPlusBaseline,
)
from trainers.algorithms.kl import kl
from trainers.algorithms.metrics import merge_metrics
from trainers.algorithms.registry import ALGORITHMS, make_algorithm

__all__ = [
    "ALGORITHMS",
    "DAPO",
    "GRPO",
    "GSPO",
    "PPO",
    "RLOO",
    "Algorithm",
    "Batch",
    "DrGRPO",
    "ReinforcePlusPlus",
    "ReinforcePlusPlusBaseline",
    "Targets",
    "has_signal",
    "kl",
    "make_algorithm",
    "merge_metrics",
]
