"""OpenRLHF's own loss, on what it is given, has the gradient of the local trainer's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf.trainer.ray", reason="OpenRLHF's stack is not installed")
torch = pytest.importorskip("torch")

from openrlhf.models import loss as theirs  # noqa: E402
from openrlhf.models.utils import compute_approx_kl  # noqa: E402
from test_learning import TURNS, episode_of, experiences_of, ordinary  # noqa: E402

from trainers.algorithms import Batch, make_algorithm  # noqa: E402
from trainers.openrlhf import learners  # noqa: E402
from trainers.openrlhf.flags import _LOSSES  # noqa: E402
from trainers.openrlhf.learning import learn_from  # noqa: E402

TIED = [episode_of(0.5, TURNS[at]) for at in range(4)]
UNSCORED = [*ordinary()[:3], episode_of(None, TURNS[3])]
CUT = [*ordinary()[:3], episode_of(1.0, TURNS[1], truncated=True)]
LOST = [episode_of(None, TURNS[at]) for at in range(4)]


@pytest.fixture(autouse=True)
def patched(monkeypatch):
    for module in (theirs, learners.ppo_actor, learners.ppo_critic):
        monkeypatch.setattr(module, "masked_mean", learners.masked_mean)


def bonus_of(algorithm) -> float:
    """Of the entropy; under another mean it is refused."""
    return 0.001 if algorithm.aggregation == "token_mean" else 0.0


def openrlhfs(experiences, algorithm, leaves, entropies) -> torch.Tensor:
    """The loss of one update, summed over micro-batches as DeepSpeed does."""
    policy_loss = theirs.PolicyLoss(
        algorithm.clip_low,
        algorithm.clip_high,
        token_level_loss=_LOSSES[algorithm.aggregation] == "token-mean",
        policy_loss_type="gspo" if algorithm.ratio == "sequence" else "ppo",
    )
    gas = len(experiences)
    info = learners.normalisers([e.action_mask for e in experiences], None, 1, gas)
    total = torch.zeros(())
    for experience, log_probs, entropy in zip(experiences, leaves, entropies, strict=True):
        loss, *others = policy_loss(
            log_probs, experience.action_log_probs, experience.advantages,
            action_mask=experience.action_mask, **info,
        )  # fmt: skip
        if algorithm.kl_coef:
            kl = compute_approx_kl(log_probs, experience.base_action_log_probs, kl_estimator="k3")
            loss = loss + algorithm.kl_coef * theirs.aggregate_loss(
                kl, experience.action_mask, **info
            )
        bonus = theirs.aggregate_loss(entropy, experience.action_mask, **info)
        loss = loss - bonus_of(algorithm) * bonus
        assert all(o is None or torch.isfinite(o) for o in others)
        total = total + loss / gas
    return total


def ours(experiences, episodes, algorithm, leaves, entropies) -> torch.Tensor:
    width = max(e.action_mask.shape[-1] for e in experiences)

    def stacked(tensors) -> torch.Tensor:
        rows = [torch.nn.functional.pad(row, (0, width - len(row))) for t in tensors for row in t]
        return torch.stack(rows)

    def grouped(name: str) -> torch.Tensor:
        return stacked([getattr(e, name) for e in experiences]).unflatten(0, (-1, 4))

    totals = [float("nan") if e.reward.total is None else e.reward.total for e in episodes]
    truncated = [any(reply.truncated for reply in e.replies) for e in episodes]
    batch = Batch(
        rewards=torch.tensor(totals).view(-1, 4),
        mask=grouped("action_mask").bool(),
        old_log_probs=grouped("action_log_probs"),
        ref_log_probs=grouped("base_action_log_probs"),
        truncated=torch.tensor(truncated).view(-1, 4),
    )
    targets, _ = algorithm.targets(batch)
    bonus = bonus_of(algorithm) * (targets.weights * stacked(entropies)).sum()
    return algorithm.policy_loss(stacked(leaves), targets)[0] - bonus


@pytest.mark.parametrize(
    "episodes",
    [ordinary(), [*ordinary()[:4], *TIED], [*UNSCORED, *ordinary()[4:]], [*CUT, *TIED],
     [*LOST, *UNSCORED], [*LOST, *TIED]],
    ids=["ordinary", "tied", "unscored", "cut off", "lost", "nothing"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grpo", {"aggregation": "token_mean", "kl_coef": 0.1}),
        ("grpo", {"aggregation": "sequence_mean", "kl_coef": 0.0}),
        ("dapo", {"drop_without_signal": True}),
        ("dapo", {"aggregation": "sequence_mean", "mask_truncated": True}),
        ("gspo", {"aggregation": "sequence_mean", "drop_without_signal": True}),
    ],
)
def test_the_gradient_is_the_local_trainers(name, options, episodes):
    algorithm = make_algorithm(name, **options)
    grads = []
    for side in (openrlhfs, ours):
        experiences = experiences_of(episodes, seed=3)
        fresh = experiences_of(episodes, seed=3)
        generator = torch.Generator().manual_seed(1)
        leaves = []
        for e in fresh:
            moved = e.action_log_probs + 0.05 * torch.randn(
                e.action_mask.shape, generator=generator
            )
            leaves.append(moved.requires_grad_())
        entropies = [torch.ones_like(leaf, requires_grad=True) for leaf in leaves]
        if side is openrlhfs:
            learn_from(experiences, algorithm, 4)
            loss = openrlhfs(experiences, algorithm, leaves, entropies)
        else:
            loss = ours(fresh, episodes, algorithm, leaves, entropies)
        loss.backward()
        grads.append([torch.cat([leaf.grad.flatten() for leaf in x]) for x in (leaves, entropies)])
    for mine, local in zip(*grads, strict=True):
        assert torch.isfinite(mine).all()
        assert abs(mine.norm() - local.norm()) <= 1e-3 * local.norm()  # none where there is none
        assert (mine - local).norm() <= 0.014 * local.norm()  # a cosine of 0.9999


def test_a_micro_batch_without_tokens_has_a_weight(monkeypatch):
    step, kind = SimpleNamespace(num=0.0), learners.ppo_actor.ActorPPOTrainer
    monkeypatch.setattr(kind, "training_step", lambda self: {"num_action_tokens": step.num})
    trainer = learners.LearnerTrainer.__new__(learners.LearnerTrainer)
    assert 0 < trainer.training_step()["num_action_tokens"] < 1e-3
    step.num = 7.0
    assert trainer.training_step()["num_action_tokens"] == 7.0
