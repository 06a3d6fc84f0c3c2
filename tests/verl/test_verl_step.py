"""A step of the tiny policy: verl's batch, advantages and loss, real log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("verl.experimental.agent_loop", reason="verl is not installed")
torch = pytest.importorskip("torch")

from verl.trainer.ppo.core_algos import get_policy_loss_fn  # noqa: E402
from verl.utils.config import omega_conf_to_dataclass  # noqa: E402
from verl_runs import run_of, verls  # noqa: E402
from verl_worker import learn, play  # noqa: E402

from agents import answer_turn, request_turn  # noqa: E402
from agents.models import load_vlm  # noqa: E402
from trainers.verl.hooks import host  # noqa: E402


def log_probs(model, batch):
    """Of the response's tokens, by a whole forward pass of transformers with verl's positions."""
    pictures = [row["pixel_values"] for row in batch.non_tensor_batch["multi_modal_inputs"]]
    grids = [row["image_grid_thw"] for row in batch.non_tensor_batch["multi_modal_inputs"]]
    ids = batch.batch["input_ids"]
    logits = model(
        input_ids=ids,
        attention_mask=batch.batch["attention_mask"],
        position_ids=batch.batch["position_ids"][:, 1:].transpose(0, 1),
        pixel_values=torch.cat(pictures),
        image_grid_thw=torch.cat(grids),
    ).logits
    width = batch.batch["responses"].shape[1]
    scores = logits[:, -width - 1 : -1].float().log_softmax(-1)
    return scores.gather(-1, ids[:, -width:].unsqueeze(-1)).squeeze(-1)


def test_a_step_makes_what_paid_more_likely(untrained, tmp_path):
    run = run_of(untrained, tmp_path, "rollout.group_size=4", "reward.penalty=paper")
    run.write()
    rollouts = host(run.folder)
    source = rollouts.tasks["train"].source
    ids = list(source.ids()[:2])
    ask, wrong = request_turn("blurry"), answer_turn("checker", "clear")

    def turns(name):
        right = answer_turn(source.by_id(name).references[0], "clear")
        return [[right], [wrong], [ask, right], [ask, wrong]]

    left = {name: iter(turns(name)) for name in ids}
    mine: dict[str, list[str]] = {}

    def say(name, request):
        return mine.setdefault(request, list(next(left[name], []))).pop(0)

    batch, client = play(run, rollouts.processor, say, ids, 4)
    assert len(client.requests) == 2 * 6
    batch = learn(run, batch)
    actor = omega_conf_to_dataclass(verls(run).actor_rollout_ref.actor)
    model = load_vlm(untrained, dtype="float32").model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    old = log_probs(model, batch).detach()
    mask, gained = batch.batch["response_mask"].bool(), batch.batch["advantages"]
    loss, metrics = get_policy_loss_fn("vanilla")(
        old_log_prob=old,
        log_prob=log_probs(model, batch),
        advantages=gained,
        response_mask=mask,
        loss_agg_mode=actor.loss_agg_mode,
        config=actor,
    )
    assert metrics["actor/pg_clipfrac"] == 0
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    optimiser.step()
    moved = (log_probs(model, batch).detach() - old) * mask
    assert (moved * gained).sum() > 0
    paid = batch.non_tensor_batch["correct"].astype(bool)
    assert moved[torch.from_numpy(paid)].sum() > moved[torch.from_numpy(~paid)].sum()
    expected = np.array([False, False, True, True] * 2)
    assert sorted(batch.non_tensor_batch["requested"]) == sorted(expected)
