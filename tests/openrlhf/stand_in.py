"""In the place of OpenRLHF: it trains nothing, and saves as OpenRLHF does, slowly.

For a process that has this module alone: OpenRLHF's own modules and Ray are taken away from it, and
everything of ours that the run's leader uses is real.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from trainers import models  # noqa: F401 - a checkpoint is made whole by it
from trainers.hosted.trainer import keep_out
from trainers.openrlhf.run import OpenRLHFRun


def weights(step: int) -> bytes:
    """Those of a step: enough for several writes."""
    return f"step {step}\n".encode() * 4000


def slowly(path: Path, data: bytes) -> None:
    """Write a file in eight parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        for at in range(8):
            stream.write(data[at * len(data) // 8 : (at + 1) * len(data) // 8])
            stream.flush()
            time.sleep(0.002)


class Learners:
    """The group of learners, of which one is asked to save."""

    def __init__(self, run: OpenRLHFRun) -> None:
        self.run = run

    def async_run_method(self, method_name: str, tag: str, **_: Any) -> list[None]:
        """The state, then its name in ``latest``, then the model."""
        assert method_name == "save_checkpoint"
        step = int(tag.removeprefix("global_step"))
        actor = self.run.states / "_actor"
        slowly(actor / tag / "shard.pt", weights(step))
        (actor / "latest.part").write_text(tag)
        (actor / "latest.part").rename(actor / "latest")
        slowly(self.run.states / f"{tag}_hf" / "model.safetensors", weights(step))
        return [None]


class PPOTrainer:
    """OpenRLHF's loop, without rollouts."""

    def __init__(self, pretrain: str, strategy: Any, *groups: Any, **generation: Any) -> None:
        self.strategy, self.args, self.kl_ctl, self.tokenizer = strategy, strategy.args, None, None
        self.prompts_dataloader = SimpleNamespace(dataset=SimpleNamespace(collate_fn=None))
        self.samples_generator, self.eval_dataloader = SimpleNamespace(), None
        self.actor_model_group, self.critic_model_group = Learners(self.run), None
        self.experience_maker = Maker(self.actor_model_group, None, None, None)

    def fit(self, global_step: int = 0) -> None:
        """The steps after the saved state, which must be whole; then the model once more."""
        done, steps = self.run.saved_steps(), self.run.config.steps
        if done:
            state = self.run.states / "_actor" / f"global_step{done}" / "shard.pt"
            assert state.read_bytes() == weights(done), "a torn state is loaded"
        for step in range(done + 1, steps + 1):
            self.save_logs_and_checkpoints(step, {"policy_loss": 1 / step}, {})
        slowly(self.run.folder / "last" / "model.safetensors", weights(steps))


class Maker:
    """Makes no experiences."""

    def __init__(self, actor: Any, critic: Any, reward: Any, initial: Any, *_: Any) -> None:
        self.actor_model_group, self.critic_model_group = actor, critic
        self.reward_model_group, self.initial_model_group = reward, initial


def _module(name: str, **attributes: Any) -> None:
    made = ModuleType(name)
    vars(made).update(attributes)
    sys.modules[name] = made


def lead(folder: str) -> None:
    """Lead a run, as ``trainers.openrlhf.main`` has it led."""
    PPOTrainer.__ray_metadata__ = SimpleNamespace(modified_class=PPOTrainer)
    for name in ("openrlhf", "openrlhf.trainer", "openrlhf.trainer.ppo_utils"):
        _module(name)
    _module("openrlhf.trainer.ppo_trainer", PPOTrainer=PPOTrainer)
    _module("openrlhf.trainer.ppo_utils.experience_maker", RemoteExperienceMaker=Maker)
    _module("ray", get=lambda made: made, remote=lambda kind: kind)
    from trainers.openrlhf.driver import Driver

    keep_out(OpenRLHFRun.read(Path(folder)))
    train = SimpleNamespace(agent_func_path=f"{folder}/agent.py")
    strategy = SimpleNamespace(
        args=SimpleNamespace(train=train), setup_dataloader=lambda data, *_: data
    )
    Driver("", strategy).fit()
