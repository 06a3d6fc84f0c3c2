"""From a recipe to a command line, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trainers import TRAINERS, choose_trainer, installed, make_trainer
from trainers.openrlhf.run import OpenRLHFRun
from vt_env import ConfigError, MissingExtra

pytest.importorskip("torch")

from trainers.openrlhf.flags import checked, command_line, gpus_needed

SNAPSHOT = """\
--train.colocate_actor_ref --vllm.enforce_eager --vllm.enable_prefix_caching \
--actor.freeze_visual_encoder --algo.kl.use_loss --ckpt.save_hf --ckpt.load_enable \
--actor.model_name_or_path MODEL --train.agent_func_path OUT/openrlhf/agent.py \
--data.prompt_dataset OUT/openrlhf/train.jsonl --data.input_key question --data.label_key label \
--data.max_images_per_prompt 2 --data.max_len 222 --eval.dataset OUT/openrlhf/validation.jsonl \
--rollout.batch_size 4 --rollout.n_samples_per_prompt 4 --rollout.temperature 1.0 \
--rollout.micro_batch_size 4 --train.batch_size 16 --train.micro_batch_size 4 --train.max_epochs 1 \
--train.num_episodes 1 --algo.advantage.estimator group_norm --algo.kl.init_coef 0.001 \
--algo.kl.estimator k3 --actor.policy_loss_type ppo --actor.loss_agg_mode token-mean \
--actor.eps_clip_low_high 0.2 0.2 --actor.adam.lr 0.001 --actor.adam.betas 0.9 0.95 \
--actor.adam.weight_decay 0.0 --actor.max_norm 1.0 --actor.lr_scheduler constant_with_warmup \
--actor.lr_warmup_ratio 0.0 --actor.num_nodes 1 --actor.num_gpus_per_node 1 --ref.num_nodes 1 \
--ref.num_gpus_per_node 1 --vllm.num_engines 1 --vllm.tensor_parallel_size 1 \
--vllm.gpu_memory_utilization 0.6 --vllm.sync_backend gloo --ds.zero_stage 2 --ds.param_dtype bf16 \
--ds.attn_implementation sdpa --train.seed 0 --ckpt.path OUT/openrlhf/state \
--ckpt.output_dir OUT/openrlhf/last --ckpt.max_num 1000000"""


def flags_of(config) -> list[str]:
    return command_line(OpenRLHFRun(Path("OUT"), Path("/"), config, max_length=222))


def test_the_command_line_does_not_drift_unseen(recipe, untrained):
    made = " ".join(flags_of(recipe()))
    assert made.replace(str(untrained.resolve()), "MODEL") == SNAPSHOT


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["algorithm.name=rloo"],
            "--algo.advantage.estimator rloo",
        ),
        (["algorithm.name=dr_grpo"], "--algo.advantage.estimator dr_grpo"),
        (["algorithm.name=reinforce++-baseline"], "--algo.advantage.estimator reinforce_baseline"),
        (
            ["algorithm.name=gspo", "algorithm.options={aggregation='sequence_mean'}"],
            "--actor.policy_loss_type gspo",
        ),
        (
            ["algorithm.options={aggregation='sequence_mean',kl_coef=0.0}"],
            "--actor.loss_agg_mode seq-mean-token-mean",
        ),
        (["algorithm.entropy=0.001"], "--actor.entropy_coef 0.001"),
        (["optimiser.minibatches=2"], "--train.batch_size 8"),
        (["optimiser.decay=cosine"], "--actor.lr_scheduler cosine"),
        (["optimiser.warmup_steps=3"], "--actor.lr_warmup_ratio 1.0"),
        (
            ["rollout.probes=0", "openrlhf.correction=sequence"],
            "--algo.advantage.is_correction_level seq",
        ),
        (
            ["openrlhf.colocate=true", "openrlhf.gpus_per_node=4", "openrlhf.engine_gpus=2"],
            "--vllm.num_engines 2 --vllm.tensor_parallel_size 2",
        ),
    ],
)
def test_settings_reach_the_command_line(recipe, overrides, expected):
    assert expected in " ".join(flags_of(recipe(*overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algorithm.name=ppo", "algorithm.options={}"], "rollout.probes=0"),
        (
            ["algorithm.name=ppo", "rollout.probes=0", "algorithm.options={value_coef=0.5}"],
            "an optimiser of its own",
        ),
        (["algorithm.name=gae"], "the algorithm is 'ppo'"),
        (["model.lora_rank=8"], "LoRA"),
        (["model.dtype=float32"], "bfloat16"),
        (["model.device=cpu"], "model.device=auto"),
        (["algorithm.options.aggregation=constant"], "aggregation=token_mean"),
        (["algorithm.options.aggregation=sequence_mean"], "a KL in the loss, or an entropy bonus"),
        (
            [
                "algorithm.options={aggregation='sequence_mean',kl_coef=0.0}",
                "algorithm.entropy=0.1",
            ],
            "algorithm.entropy=0",
        ),
        (["algorithm.name=gspo"], "set algorithm.options.aggregation=sequence_mean"),
        (["optimiser.minibatches=3"], "do not divide into 3 minibatches"),
        (["optimiser.microbatch=5"], "lower optimiser.microbatch"),
        (["openrlhf.colocate=true", "openrlhf.engines=2"], "must cover them"),
        (["openrlhf.gpus_per_node=3", "openrlhf.engine_gpus=2"], "engine"),
        (["rollout.rounds=2"], "rollout.rounds=1"),
    ],
)
def test_what_openrlhf_cannot_do_is_refused(recipe, overrides, message):
    if "openrlhf.gpus_per_node=3" in overrides:
        overrides = [*overrides, "rollout.prompts=3"]
    with pytest.raises(ConfigError, match=message):
        checked(recipe(*overrides))


def test_gpus_are_counted(recipe):
    apart = recipe("openrlhf.gpus_per_node=4", "openrlhf.engines=2", "openrlhf.engine_gpus=2")
    assert gpus_needed(apart.openrlhf) == 8
    assert gpus_needed(apart.openrlhf, critic=True) == 12
    assert gpus_needed(replace(apart.openrlhf, colocate=True, engines=0), critic=True) == 4


def test_a_critic_by_one_word(recipe):
    made = " ".join(
        flags_of(recipe("algorithm.name=ppo", "algorithm.options={}", "rollout.probes=0"))
    )
    for expected in (
        "--algo.advantage.estimator gae",
        "--critic.adam.lr 0.001",
        "--critic.value_clip 0.2",
        "--algo.advantage.lambd 0.95",
        "--data.max_images_per_prompt 0 ",
    ):
        assert expected in made


def test_the_trainer_is_registered_and_missing_packages_are_named(recipe, tmp_path, monkeypatch):
    assert "openrlhf" in TRAINERS.names()
    monkeypatch.setattr(installed, "version_of", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "visionthink-gym\[openrlhf\]"'):
        make_trainer("openrlhf").train(recipe(), tmp_path)
    monkeypatch.setattr(installed, "version_of", lambda name: "0.10.1")
    with pytest.raises(ConfigError, match=r'pip install "openrlhf==0.11'):
        make_trainer("openrlhf").train(recipe(), tmp_path)


def test_the_default_is_openrlhf_where_it_and_a_gpu_are_there(monkeypatch):
    import torch

    assert choose_trainer("local")[0] == "local"
    monkeypatch.setattr(installed, "version_of", lambda name: None)
    assert choose_trainer("auto") == (
        "local",
        "OpenRLHF is not installed (openrlhf is missing)",
    )
    monkeypatch.setattr(installed, "version_of", lambda name: "0.11.2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_trainer("auto") == ("local", "OpenRLHF is installed, but there is no GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_trainer("auto")[0] == "openrlhf"
