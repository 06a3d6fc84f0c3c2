"""Muon in float32, matrices of one shape together.

torch's own orthogonalises in bfloat16, which a processor without such instructions emulates: on one
it took a third of a step, this a twentieth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
"""Coefficients of the quintic iteration, and its steps: https://kellerjordan.github.io/posts/muon/"""
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonal matrices.

    As ``torch.optim.Muon`` with its defaults and ``adjust_lr_fn="match_rms_adamw"``.

    Args:
        params: Matrices, or groups of them.
        lr: The rate; steps have the root mean square of AdamW's at the same rate.
        weight_decay: Decoupled.
        momentum: Nesterov's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one; a parameter without a gradient stays."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                directions = [self._direction(p, group["momentum"]) for p in parameters]
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                for parameter, step in zip(
                    parameters, orthogonal(torch.stack(directions)), strict=True
                ):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(step, alpha=rate)

    def _direction(self, parameter: torch.Tensor, momentum: float) -> torch.Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices with their singular values near 1: float [n, rows, columns] to the same."""
    a, b, c = NEWTON_SCHULZ
    high = matrices.shape[1] > matrices.shape[2]
    made = matrices.mT if high else matrices
    made = made / made.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = made @ made.mT
        made = torch.baddbmm(made, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), made, beta=a)
    return made.mT if high else made
