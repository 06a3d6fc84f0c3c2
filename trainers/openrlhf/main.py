"""``python -m trainers.openrlhf.main OUT/openrlhf``: run what ``vt train`` prepared there.

Runs on the head of a Ray cluster, or begins one on this machine.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from trainers.errors import TrainingError
from trainers.hosted.nodes import origins
from trainers.hosted.trainer import keep_out, record, run_main
from trainers.openrlhf.flags import checked, command_line, gpus_needed
from trainers.openrlhf.run import OpenRLHFRun


def main(folder: Path) -> None:
    """Hand over to OpenRLHF's command, with our driver in the place of its trainer.

    Raises:
        TrainingError: If the cluster has too few GPUs, or the disk no room.
        Busy: If another process is at work on the run.
    """
    run = OpenRLHFRun.read(folder.resolve())
    keep_out(run)
    run.check_room()
    import ray

    os.chdir(run.cwd)
    ray.init(  # as OpenRLHF does, but without tensors that are shared and so cannot be written to
        log_to_driver=True,
        runtime_env={"env_vars": {"TOKENIZERS_PARALLELISM": "true", "NCCL_DEBUG": "WARN"}},
    )
    record(run, origins())
    critic = checked(run.config).needs_critic
    needed = gpus_needed(run.config.openrlhf, critic=critic)
    there = ray.cluster_resources().get("GPU", 0)
    if there < needed:
        raise TrainingError(
            f"the recipe needs {needed} GPUs and the Ray cluster has {there:g}: begin Ray on all "
            "machines first, or change openrlhf.nodes, gpus_per_node, engines or engine_gpus"
        )
    import openrlhf.trainer.ppo_trainer as ppo_trainer
    from openrlhf.trainer.ray import ppo_actor, ppo_critic

    from trainers.openrlhf.driver import RayDriver
    from trainers.openrlhf.learners import RayCritic, RayLearner

    ppo_actor.PolicyModelActor = RayLearner  # pyright: ignore[reportAttributeAccessIssue]
    ppo_critic.CriticModelActor = RayCritic  # pyright: ignore[reportAttributeAccessIssue]
    ppo_trainer.PPOTrainer = RayDriver  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv = ["train_ppo_ray", *command_line(run)]
    runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__")


if __name__ == "__main__":
    run_main(main, Path(sys.argv[1]))
