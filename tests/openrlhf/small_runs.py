"""Settings that make the laptop's recipe small, and fit for OpenRLHF on a CPU."""

ON_A_CPU = (
    "trainer=openrlhf",
    "model.dtype=bfloat16",
    "algorithm.options.aggregation=token_mean",
    "openrlhf.colocate=false",
    "openrlhf.sync=gloo",
    "openrlhf.attention=sdpa",
    "openrlhf.eager=true",
    "openrlhf.zero_stage=2",
    "openrlhf.checkpointing=false",
)
SMALL = (
    "data.train=generated:n=64,split=train",
    "data.validation=generated:n=8,split=validation",
    "steps=3",
    "rollout.prompts=4",
    "rollout.group_size=4",
    "optimiser.minibatches=1",
    "optimiser.microbatch=4",
    "optimiser.learning_rate=1e-3",
    "optimiser.warmup_steps=0",
    "optimiser.decay=none",
    "algorithm.options.kl_coef=0.001",
    "evaluation.every=2",
    "checkpoint.every=2",
    "tracking.wandb=off",
)
