"""From a recipe to verl's settings, and what is refused on the way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from verl_runs import run_of, verls, write_state

from experiments.recipe import load_recipe
from trainers import TRAINERS, make_trainer
from trainers.config import VerlConfig
from trainers.errors import CheckpointError
from trainers.verl.flags import checked, command_line
from trainers.verl.run import VerlRun
from vt_env import ConfigError, MissingExtra

SNAPSHOT = """\
data.custom_cls.path=pkg://trainers.verl.hooks data.custom_cls.name=VisionThinkDataset \
data.train_files=OUT/verl/train.jsonl data.val_files=OUT/verl/validation.jsonl \
data.train_batch_size=512 data.max_prompt_length=900 data.max_response_length=5000 \
data.shuffle=False data.dataloader_num_workers=0 data.seed=0 \
actor_rollout_ref.model.path=Qwen/Qwen2.5-VL-7B-Instruct \
+actor_rollout_ref.model.override_config.attn_implementation=flash_attention_2 \
actor_rollout_ref.model.use_remove_padding=True \
actor_rollout_ref.model.enable_gradient_checkpointing=True \
actor_rollout_ref.actor.ppo_mini_batch_size=32 \
actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1 actor_rollout_ref.actor.ppo_epochs=1 \
actor_rollout_ref.actor.shuffle=True actor_rollout_ref.actor.data_loader_seed=0 \
actor_rollout_ref.actor.fsdp_config.param_offload=True \
actor_rollout_ref.actor.fsdp_config.optimizer_offload=True \
actor_rollout_ref.actor.fsdp_config.seed=0 \
actor_rollout_ref.ref.fsdp_config.param_offload=True \
actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=1 \
actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model] \
actor_rollout_ref.actor.use_kl_loss=True actor_rollout_ref.actor.kl_loss_coef=0.001 \
actor_rollout_ref.actor.kl_loss_type=low_var_kl actor_rollout_ref.rollout.name=vllm \
actor_rollout_ref.rollout.n=16 actor_rollout_ref.rollout.temperature=1.0 \
actor_rollout_ref.rollout.seed=0 actor_rollout_ref.rollout.load_format=auto \
actor_rollout_ref.rollout.max_model_len=5900 \
+actor_rollout_ref.rollout.limit_images=2 \
actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
actor_rollout_ref.rollout.gpu_memory_utilization=0.6 actor_rollout_ref.rollout.enforce_eager=False \
actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1 \
actor_rollout_ref.rollout.agent.num_workers=8 \
actor_rollout_ref.rollout.agent.default_agent_loop=visionthink reward.num_workers=1 \
algorithm.adv_estimator=visionthink-grpo actor_rollout_ref.actor.loss_agg_mode=token-mean \
actor_rollout_ref.actor.clip_ratio=0.2 actor_rollout_ref.actor.clip_ratio_low=0.2 \
actor_rollout_ref.actor.clip_ratio_high=0.2 \
actor_rollout_ref.actor.policy_loss.loss_mode=vanilla actor_rollout_ref.actor.entropy_coeff=0.001 \
actor_rollout_ref.actor.optim.lr=1e-06 actor_rollout_ref.actor.optim.betas=[0.9,0.999] \
actor_rollout_ref.actor.optim.weight_decay=0.01 actor_rollout_ref.actor.optim.clip_grad=1.0 \
actor_rollout_ref.actor.optim.lr_warmup_steps=0 \
actor_rollout_ref.actor.optim.lr_scheduler_type=constant trainer.nnodes=1 \
trainer.n_gpus_per_node=8 trainer.total_epochs=1 trainer.total_training_steps=195 \
trainer.test_freq=5 trainer.val_before_train=True trainer.save_freq=1 \
trainer.checkpoint_callback_class=trainers.verl.hooks.Saved \
trainer.max_actor_ckpt_to_keep=1000000 trainer.default_local_dir=OUT/verl/checkpoints \
trainer.resume_mode=auto trainer.project_name=visionthink-gym \
trainer.experiment_name=qwen2.5-vl-7b trainer.logger=[console,file]"""
"""The paper's run on 8 GPUs, as docs/trainers.md has it."""


@pytest.fixture
def run(tmp_path):
    return lambda *settings: run_of(tmp_path / "model", tmp_path, *settings)


def seven_b(*settings: str) -> VerlRun:
    config = load_recipe("qwen2.5-vl-7b", ["trainer=verl", *settings])
    return VerlRun(Path("OUT"), Path("/"), config, max_length=5900, max_prompt=900, max_rest=5000)


def test_the_command_line_does_not_drift_unseen():
    assert " ".join(command_line(seven_b())) == SNAPSHOT


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["algorithm.name=gspo"], "actor_rollout_ref.actor.policy_loss.loss_mode=gspo"),
        (["algorithm.name=rloo"], "algorithm.adv_estimator=visionthink-rloo "),
        (
            ["algorithm.options={kl_coef=0, aggregation='sequence_mean'}"],
            "algorithm.adv_estimator=visionthink-grpo-over-rollouts ",
        ),
        (
            ["algorithm.name=dr_grpo", "algorithm.options={horizon=2048}"],
            "actor_rollout_ref.actor.loss_scale_factor=2048",
        ),
        (["optimiser.minibatches=2"], "actor_rollout_ref.actor.ppo_mini_batch_size=2"),
        (["optimiser.minibatches=2", "optimiser.warmup_steps=3"], "lr_warmup_steps=2"),
        (["verl.attention=flash_attention_2"], "actor_rollout_ref.model.use_remove_padding=True"),
        (["tracking.wandb=offline"], "trainer.logger=[console,file,wandb]"),
        (["verl.overrides=['trainer.device=cpu']"], "trainer.device=cpu"),
        (["name=It's mine"], "trainer.experiment_name='It\\'s mine'"),
    ],
)
def test_settings_reach_the_command_line(run, overrides, expected):
    if "algorithm.name=gspo" in overrides:
        overrides = [*overrides, "algorithm.options={aggregation='sequence_mean'}"]
    assert expected in " ".join(command_line(run(*overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algorithm.name=ppo", "algorithm.options={}"], "set algorithm.name to one of grpo"),
        (["algorithm.name=dapo", "algorithm.options={}"], "mask_truncated=false"),
        (["algorithm.name=gspo"], "aggregation=sequence_mean"),
        (["algorithm.options={kl_coef=0.1, kl_in='reward', kl_estimator='k1'}"], "kl_in=loss"),
        (["algorithm.options.aggregation=sequence_mean"], "divides by unscored ones too"),
        (
            [
                "algorithm.options={kl_coef=0, aggregation='sequence_mean'}",
                "optimiser.minibatches=2",
            ],
            "set optimiser.minibatches=1, or algorithm.options.aggregation=token_mean",
        ),
        (
            ["algorithm.options={kl_coef=0, aggregation='constant'}", "algorithm.entropy=0.1"],
            "or algorithm.options.kl_coef=0 and algorithm.entropy=0",
        ),
        (
            ["algorithm.name=reinforce++", "algorithm.options={drop_without_signal=true}"],
            "drop_without_signal=false",
        ),
        (["algorithm.name=dr_grpo", "algorithm.options={horizon=1.5}"], "horizon"),
        (["model.lora_rank=8"], "LoRA"),
        (["model.dtype=float32"], "bfloat16"),
        (["model.freeze_vision=true"], "model.freeze_vision=false"),
        (["model.device=cpu"], "model.device=auto"),
        (["rollout.probes=1"], "rollout.probes=0"),
        (["rollout.rounds=2"], "filter_groups"),
        (["optimiser.decay=linear"], "none or cosine"),
        (["optimiser.minibatches=3"], "do not divide into 3 minibatches"),
        (["optimiser.microbatch=5"], "lower optimiser.microbatch"),
        (["verl.gpus_per_node=4", "verl.engine_gpus=3"], "verl.engine_gpus"),
    ],
)
def test_what_verl_cannot_do_is_refused(run, overrides, message):
    with pytest.raises(ConfigError, match=message):
        checked(run(*overrides).config)


def test_machines_are_checked():
    with pytest.raises(ConfigError, match="engine_memory must be above 0"):
        VerlConfig(engine_memory=1.5)
    with pytest.raises(ConfigError, match="overrides must be key=value each, got 'x'"):
        VerlConfig(overrides=("x",))


def test_missing_packages_and_other_releases_are_named(monkeypatch):
    assert "verl" in TRAINERS.names()
    monkeypatch.setattr("trainers.installed.version_of", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "visionthink-gym\[verl\]"'):
        make_trainer("verl")
    for other in ("0.10.2", "0.9.0", "0.9.10"):
        monkeypatch.setattr("trainers.installed.version_of", lambda name, other=other: other)
        with pytest.raises(ConfigError, match=r'verl 0\.9\.1, .* pip install "verl==0\.9\.1\.\*"'):
            make_trainer("verl")


@pytest.mark.parametrize(
    ("name", "aggregation", "estimator"),
    [
        ("grpo", "sequence_mean", "visionthink-grpo-over-rollouts"),
        ("reinforce++-baseline", "token_mean", "visionthink-reinforce++-baseline"),
    ],
)
def test_verl_composes_and_accepts_them(untrained, tmp_path, name, aggregation, estimator):
    """Every name is one of verl's, every value of its type, and verl's own checks pass."""
    pytest.importorskip("verl.trainer.main_ppo", reason="verl is not installed")
    from verl.trainer.ppo.utils import need_critic
    from verl.utils.config import validate_config

    options = f"{{kl_coef=0.0, aggregation={aggregation!r}}}"
    settings = [f"algorithm.name={name}", f"algorithm.options={options}", "name=It's mine"]
    config = verls(run_of(untrained, tmp_path / "a b", *settings))
    validate_config(config, use_reference_policy=False, use_critic=need_critic(config))
    assert config.algorithm.adv_estimator == estimator
    assert config.data.train_files == str(tmp_path / "a b" / "verl" / "train.jsonl")
    assert config.trainer.experiment_name == "It's mine"


@pytest.mark.parametrize(("every", "expected"), [(2, 2), (0, 3)])
def test_verl_saves_after_the_first_step_and_then_as_the_recipe_says(
    untrained, tmp_path, every, expected
):
    """By verl's own hook, in the setting that its loop reads after every step."""
    pytest.importorskip("verl.trainer.main_ppo", reason="verl is not installed")
    from verl.trainer.ppo.checkpoint_callback import build_checkpoint_callback

    run = run_of(untrained, tmp_path, "early=true", f"checkpoint.every={every}")
    run.write()
    trainer = SimpleNamespace(config=verls(run))
    assert trainer.config.trainer.save_freq == 1
    callback = build_checkpoint_callback(trainer.config)
    for step in (1, 2):
        write_state(run, step)
        folder = run.checkpoints / f"global_step_{step}"
        callback.on_save(
            trainer=trainer, global_step=step, checkpoint_dir=str(folder), async_save=False
        )
        assert trainer.config.trainer.save_freq == expected


def test_older_states_go_after_a_save_and_room_is_looked_for_the_next(
    untrained, tmp_path, monkeypatch
):
    """Those too that were saved before a resume, of which verl itself knows nothing."""
    pytest.importorskip("verl.trainer.main_ppo", reason="verl is not installed")
    from trainers.verl.hooks import Saved

    run = run_of(untrained, tmp_path, "steps=9", "checkpoint.keep=2", "checkpoint.every=1")
    run.write()
    trainer = SimpleNamespace(config=verls(run))
    for step in (2, 4, 5, 6):
        write_state(run, step)
    Saved(trainer.config).on_save(trainer, 6, str(run.checkpoints / "global_step_6"))
    assert sorted(p.name for p in run.checkpoints.glob("*_step_*")) == [
        "global_step_5", "global_step_6",
    ]  # fmt: skip
    monkeypatch.setattr("trainers.checkpoint.shutil.disk_usage", lambda _: SimpleNamespace(free=-1))
    with pytest.raises(CheckpointError, match="next state and its model need"):
        Saved(trainer.config).on_save(trainer, 6, str(run.checkpoints / "global_step_6"))
    write_state(run, 9)
    Saved(trainer.config).on_save(trainer, 9, str(run.checkpoints / "global_step_9"))  # the last
