"""Whatever happens to a run, what was good stays good, and it goes on as if nothing happened."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from killing import Killer, log_of

from experiments.preparation.writing import write_jsonl
from experiments.recipe import write_snapshot
from trainers import CheckpointError, NotFinite
from vt_env import ConfigError, open_source

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from resuming import resume  # noqa: E402

VARIANTS = [
    pytest.param((), id="grpo"),
    pytest.param(
        (
            "algorithm.name=ppo",
            "algorithm.options={kl_coef = 0.01}",
            "optimiser.minibatches=2",
            "optimiser.epochs=2",
            "model.freeze_vision=false",
            "optimiser.warmup_steps=9",
        ),
        id="ppo",
    ),
]


class Killed(BaseException):
    """Not an Exception: nothing on the way may handle it."""


def kill_after(steps: int):
    def progress(step, metrics):
        if step == steps:
            raise Killed

    return progress


def same(first: Path, second: Path) -> None:
    """Two runs have equal logs, examples, weights and optimisers."""
    assert log_of(first) == log_of(second)
    assert (first / "episodes.jsonl").read_bytes() == (second / "episodes.jsonl").read_bytes()
    newest = sorted(p.name for p in (first / "checkpoint").glob("step-*"))[-1]
    a, b = first / "checkpoint" / newest, second / "checkpoint" / newest
    weights = "model/model.safetensors"
    assert (a / weights).read_bytes() == (b / weights).read_bytes()
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (a, b)]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_was_killed_goes_on_bit_for_bit(tmp_path, train, variant):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, *variant)
    assert len({row["reward/mean"] for row in log_of(whole)}) > 1, "nothing is compared"
    assert all(row["train/grad_norm"] > 0 for row in log_of(whole))
    for steps in (3, 5):  # the first after an evaluation, both after a checkpoint
        with pytest.raises(Killed):
            train(parts, *variant, resume=steps > 3, progress=kill_after(steps))
    train(parts, *variant, resume=True)
    same(whole, parts)


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment(tmp_path, train, recipe):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole)
    write_snapshot(tmp_path, recipe("trainer=local"))
    parts.mkdir()
    killer = Killer(resume, str(parts))

    def ended():
        same(whole, parts)
        shutil.rmtree(parts)
        parts.mkdir()

    killer.at_random_moments(ended)
    killer.close()


def test_a_finished_run_stays_as_it_is(tmp_path, train):
    first = train(tmp_path / "run")
    before = log_of(tmp_path / "run")
    assert train(tmp_path / "run", resume=True) == first
    assert log_of(tmp_path / "run") == before


def test_a_finished_run_can_be_prolonged(tmp_path, train):
    train(tmp_path / "run", "steps=4", "evaluation.every=2")
    train(tmp_path / "run", "steps=6", "evaluation.every=2", resume=True)
    train(tmp_path / "whole", "steps=6", "evaluation.every=2")
    same(tmp_path / "whole", tmp_path / "run")


def test_a_broken_newest_checkpoint_costs_only_its_own_steps(tmp_path, train, caplog):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole)
    with pytest.raises(Killed):
        train(broken, progress=kill_after(5))
    weights = broken / "checkpoint" / "step-000004" / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    train(broken, resume=True)
    assert "step-000004 is broken" in caplog.text
    same(whole, broken)


def test_a_full_disk_costs_only_the_steps_since_the_last_checkpoint(tmp_path, train, monkeypatch):
    whole, full = tmp_path / "whole", tmp_path / "full"
    train(whole)
    real, calls = torch.save, []

    def save(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(CheckpointError, match=r"No space left.*step-000002 is the newest"):
        train(full)
    assert [p.name for p in (full / "checkpoint").iterdir()] == ["step-000002"]
    train(full, resume=True)
    same(whole, full)


def test_a_loss_that_is_not_finite_stops_with_a_good_checkpoint(tmp_path, train, monkeypatch):
    from trainers.algorithms import Algorithm

    whole, run = tmp_path / "whole", tmp_path / "nan"
    train(whole)
    real, calls = Algorithm.policy_loss, []

    def policy_loss(self, log_probs, targets):
        calls.append(1)
        loss, metrics = real(self, log_probs, targets)
        return (loss * float("nan") if len(calls) > 11 else loss), metrics

    monkeypatch.setattr(Algorithm, "policy_loss", policy_loss)
    with pytest.raises(NotFinite, match=r"step 4: the loss is nan.*step 3 is good"):
        train(run)
    monkeypatch.undo()
    train(run, resume=True)
    same(whole, run)


def test_a_gradient_that_is_not_finite_changes_nothing(tmp_path, train, monkeypatch):
    real = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda *a, **k: real(*a, **k) * float("inf")
    )
    with pytest.raises(NotFinite, match=r"step 1: the gradient's norm is inf.*begin anew"):
        train(tmp_path / "run")
    assert not list(tmp_path.rglob("step-*"))


def test_another_recipe_is_not_resumed(tmp_path, train):
    train(tmp_path / "run", "steps=2")
    for override, message in (
        ("seed=5", r"seed = 0, the recipe says 5"),
        ("rollout.prompts=4", r"rollout.prompts = 3, the recipe says 4"),
        ("algorithm.options.kl_coef=0.5", "algorithm.options"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(tmp_path / "run", "steps=4", override, resume=True)
    train(tmp_path / "run", "steps=3", "optimiser.learning_rate=1e-5", resume=True)


def test_another_first_model_is_not_resumed(tmp_path, tiny, train):
    first = tmp_path / "first"
    shutil.copytree(tiny, first)
    train(tmp_path / "run", "steps=2", f"model.path={first}")
    weights = first / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match=r"the model in .* is not what the run began with"):
        train(tmp_path / "run", "steps=3", f"model.path={first}", resume=True)


def test_other_data_are_not_resumed(tmp_path, train):
    source = open_source("generated:n=6,split=train")
    chosen = ((sample, {}) for sample in source)
    table = write_jsonl(tmp_path / "data", chosen, "drawn") / "samples.jsonl"
    lines = table.read_text().splitlines(keepends=True)
    place = f"jsonl:{table.parent}"
    data = ("rollout.prompts=2", f"data.train={place}", f"data.validation={place}")
    train(tmp_path / "run", "steps=2", *data)
    row = json.loads(lines[0])
    row["answers"] = ["something else"]
    table.write_text("".join([json.dumps(row) + "\n", *lines[1:]]))
    with pytest.raises(ConfigError, match=r"the data \(train\) .* is not what the run began with"):
        train(tmp_path / "run", "steps=3", *data, resume=True)
    table.write_text("".join(lines))
    train(tmp_path / "run", "steps=3", *data, resume=True)


def test_what_changes_on_a_resume_is_what_it_trains_with(tmp_path, train):
    train(tmp_path / "run", "steps=2")
    changed = ("optimiser.betas=[0.5, 0.6]", "optimiser.weight_decay=0.1",
               "optimiser.learning_rate=1e-5")  # fmt: skip
    train(tmp_path / "run", "steps=3", *changed, resume=True)
    newest = tmp_path / "run" / "checkpoint" / "step-000003" / "state.pt"
    (group,) = torch.load(newest, weights_only=True)["optimiser"]["param_groups"]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-5, (0.5, 0.6), 0.1)


def test_a_damaged_log_does_not_cost_the_checkpoint(tmp_path, train, caplog):
    train(tmp_path / "run", "steps=2")
    for name in ("metrics.jsonl", "episodes.jsonl"):
        path = tmp_path / "run" / name
        data = bytearray(path.read_bytes())
        data[data.index(b'"step"') + 2] ^= 1
        path.write_bytes(bytes(data))
    assert train(tmp_path / "run", "steps=3", resume=True).steps == 3
    assert "metrics.jsonl: line 1 is damaged" in caplog.text
    assert (tmp_path / "run" / "damaged-metrics.jsonl").exists()
    assert [row["step"] for row in log_of(tmp_path / "run")] == [2, 3]


def test_a_run_is_not_overwritten_by_accident(tmp_path, train):
    train(tmp_path / "run", "steps=2")
    with pytest.raises(ConfigError, match="--resume to go on"):
        train(tmp_path / "run", "steps=2")


def test_resuming_nothing_begins(tmp_path, train):
    assert train(tmp_path / "run", "steps=2", resume=True).steps == 2


def test_two_processes_do_not_train_in_one_folder(tmp_path, train):
    from trainers.errors import Busy
    from trainers.results import LOCK

    fcntl = pytest.importorskip("fcntl")
    train(tmp_path, "steps=1")
    with (tmp_path / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another process"):
            train(tmp_path, "steps=2", resume=True)
    train(tmp_path, "steps=2", resume=True)
