"""verl's own loss, on a batch that its worker played, has the gradient of the local trainer's."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("verl.experimental.agent_loop", reason="verl is not installed")
torch = pytest.importorskip("torch")

from verl.trainer.ppo.core_algos import agg_loss, get_policy_loss_fn, kl_penalty  # noqa: E402
from verl.utils.config import omega_conf_to_dataclass  # noqa: E402
from verl_runs import run_of, verls  # noqa: E402
from verl_worker import learn, play  # noqa: E402

from agents import answer_turn, request_turn  # noqa: E402
from trainers.algorithms import Batch  # noqa: E402
from trainers.verl.flags import checked  # noqa: E402
from trainers.verl.hooks import host  # noqa: E402
from vt_env import Verdict  # noqa: E402

ASK = request_turn("blurry")
RED, BLUE, GREEN = (answer_turn(word, "clear") for word in ("red", "blue", "green"))
CUT_OFF = 20 * RED
GROUPS = [
    [[RED], [BLUE], [ASK, RED], [ASK, BLUE]],
    [[RED]] * 4,  # tied
    [[RED], [GREEN], [BLUE], [CUT_OFF]],  # the second is unscored
]


class Forgetful:
    """A judge that cannot decide about some answers."""

    name = "forgetful"

    def score(self, queries):
        known = {"red": True, "blue": False}
        return [Verdict(known.get(q.answer), self.name, "") for q in queries]


def played(run):
    """verl's batch of all groups, with its advantages."""
    run.write()
    worker = host(run.folder)
    worker.tasks["train"] = replace(worker.tasks["train"], judge=Forgetful())
    ids = list(worker.tasks["train"].source.ids()[: len(GROUPS)])
    left = {name: iter(turns) for name, turns in zip(ids, GROUPS, strict=True)}
    mine: dict[str, list[str]] = {}

    def say(name, request):
        return mine.setdefault(request, list(next(left[name], []))).pop(0)

    batch, _ = play(run, worker.processor, say, ids, 4)
    return learn(run, batch)


def verls_loss(run, batch, old, log_probs, reference, entropy):
    """As ``verl.workers.utils.losses.ppo_loss`` adds it up for one update of one process."""
    actor = omega_conf_to_dataclass(verls(run).actor_rollout_ref.actor)
    mask = batch.batch["response_mask"].bool()
    actor.global_batch_info.update(
        dp_size=1,
        batch_num_tokens=mask.sum(),
        global_batch_size=len(mask),
        loss_scale_factor=actor.loss_scale_factor,
    )
    loss, _ = get_policy_loss_fn(actor.policy_loss.loss_mode)(
        old_log_prob=old,
        log_prob=log_probs,
        advantages=batch.batch["advantages"],
        response_mask=mask,
        loss_agg_mode=actor.loss_agg_mode,
        config=actor,
    )
    kl = kl_penalty(log_probs, reference, actor.kl_loss_type)
    beside = actor.kl_loss_coef * kl - actor.entropy_coeff * entropy
    return loss + agg_loss(beside, mask, actor.loss_agg_mode, **actor.global_batch_info)


def local_loss(run, batch, old, log_probs, reference, entropy):
    facts = batch.non_tensor_batch
    rewards = batch.batch["rm_scores"].sum(-1)
    scored = torch.tensor([bool(known) for known in facts["scored"]])

    def grouped(tensor):
        return tensor.unflatten(0, (-1, 4))

    algorithm = checked(run.config)
    targets, _ = algorithm.targets(
        Batch(
            rewards=grouped(torch.where(scored, rewards, torch.nan)),
            mask=grouped(batch.batch["response_mask"].bool()),
            old_log_probs=grouped(old),
            ref_log_probs=grouped(reference),
            truncated=grouped(torch.tensor([bool(cut) for cut in facts["truncated"]])),
        )
    )
    bonus = run.config.algorithm.entropy * (targets.weights * entropy).sum()
    return algorithm.policy_loss(log_probs, targets)[0] - bonus


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grpo", "kl_coef=0.3, aggregation='token_mean'"),
        ("grpo", "kl_coef=0.3, aggregation='token_mean', drop_without_signal=true"),
        ("rloo", "kl_coef=0.3, aggregation='token_mean', kl_in='loss', kl_estimator='k3'"),
        ("grpo", "kl_coef=0, aggregation='sequence_mean'"),
        ("grpo", "kl_coef=0, aggregation='sequence_mean', drop_without_signal=true"),
        ("dr_grpo", "kl_coef=0, aggregation='constant', horizon=64"),
        ("gspo", "kl_coef=0, aggregation='sequence_mean'"),
    ],
)
def test_the_gradient_is_the_local_trainers(untrained, tmp_path, name, options):
    entropy = 0.001 if "token_mean" in options else 0.0  # under another mean it is refused
    settings = [f"algorithm.name={name}", f"algorithm.options={{{options}}}"]
    settings.append(f"algorithm.entropy={entropy}")
    run = run_of(untrained, tmp_path, "reward.penalty=none", *settings)
    batch = played(run)
    facts, mask = batch.non_tensor_batch, batch.batch["response_mask"].bool()
    assert list(facts["scored"]).count(False) == 1
    assert any(facts["truncated"])
    generator = torch.Generator().manual_seed(1)
    old, moves, reference = (torch.randn(mask.shape, generator=generator) for _ in range(3))
    old, reference = -old.abs(), -reference.abs()
    grads = []
    for loss in (verls_loss, local_loss):
        leaves = [(old + 0.05 * moves).requires_grad_(), torch.ones_like(old, requires_grad=True)]
        loss(run, batch, old, leaves[0], reference, leaves[1]).backward()
        grads.append([leaf.grad.flatten() for leaf in leaves])
    for (theirs, local), there in zip(zip(*grads, strict=True), (True, entropy > 0), strict=True):
        assert theirs.any() == local.any() == there
        if there:
            assert theirs.norm() / local.norm() == pytest.approx(1, rel=1e-3)
            assert torch.cosine_similarity(theirs, local, 0) > 0.9999
