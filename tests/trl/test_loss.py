"""TRL's loss has the gradient of the local trainer's, on the same rollouts of the same policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scripted import generated

from agents.models.loading import load_vlm
from agents.tiny import save
from agents.tiny.tokenizer import call_turn, direct_turn
from experiments.recipe import load_recipe
from trainers.algorithms import make_algorithm
from trainers.episodes import episode_of
from trainers.local.learner import Learner, Lesson
from trainers.local.policy import Policy
from trainers.trl import adapt
from trainers.trl.settings import settings as settings_of
from vt_env import RewardConfig, make_task
from vt_env.judges import Verdict


@pytest.fixture(scope="module")
def moved(untrained, tmp_path_factory):
    """A policy whose language model is not its reference's."""
    vlm = load_vlm(untrained, dtype="float32", device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in vlm.model.model.language_model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return vlm, save(vlm, tmp_path_factory.mktemp("moved"))


class Coin:
    """A judge that finds answers of even length right, and cannot decide about one."""

    name = "coin"

    def score(self, queries):
        return [
            Verdict(None if q.answer == "checker" else len(q.answer) % 2 == 0, self.name, "")
            for q in queries
        ]


RED, BLUE = [direct_turn("red")], [direct_turn("blue")]
ASKED, ASKED_WELL = [call_turn(), *RED], [call_turn(), direct_turn("square")]
GROUPS = [
    [RED, BLUE, ASKED, ASKED_WELL],
    [RED, RED, RED, RED],  # tied
    [BLUE, [direct_turn("checker")], RED, [call_turn(), direct_turn("checker")]],  # two unscored
    [RED, BLUE, ASKED_WELL, [2 * direct_turn("blue")]],  # the last, the longest, is cut off
]


def speaker(trainer):
    """Says the turns of all groups, rollout by rollout."""
    left = {}
    turns = [iter(rollout) for group in GROUPS for rollout in group]
    tokenizer = trainer.processing_class.tokenizer

    def say(environment):
        mine = left.setdefault(id(environment), len(left))
        ids = tokenizer.encode(next(turns[mine]), add_special_tokens=False)
        return ids if mine == len(turns) - 1 else [*ids, tokenizer.eos_token_id]

    return say


def episodes_of(trainer, batch, rewarded):
    """TRL's rollouts, as the local trainer's agent would have noted them."""
    made = []
    for row, (environment, episode) in enumerate(zip(trainer.environments, rewarded, strict=True)):
        there = batch["prompt_mask"][row].bool()
        read, rest = batch["prompt_ids"][row][there].tolist(), batch["completion_ids"][row].tolist()
        replies = []
        for reply in episode.replies:
            said = list(reply.token_ids)
            at = next(i for i in range(len(rest)) if rest[i : i + len(said)] == said)
            prompt, rest = tuple(read + rest[:at]), rest[at + len(said) :]
            replies.append(replace(reply, prompt_ids=prompt, log_probs=(0.0,) * len(said)))
            read = []
        views = environment.dialogue.views
        made.append(
            episode_of(environment.dialogue, replies, episode.verdict, episode.reward, views)
        )
    return made


@pytest.mark.parametrize(
    ("aggregation", "mask_truncated", "entropy"),
    [
        ("constant", False, 0),
        ("token_mean", True, 0),
        ("token_mean", True, 0.001),
        ("token_mean", True, 1),  # enough to be most of the gradient
        ("sequence_mean", True, 0),
    ],
)
def test_the_gradient_is_the_same(untrained, moved, tmp_path, aggregation, mask_truncated, entropy):
    from trl import GRPOConfig

    recipe = load_recipe(
        "laptop",
        [
            f"model.path={untrained}", "model.device=cpu", "trainer=trl", "steps=1", "seed=3",
            "rollout.prompts=4", "rollout.group_size=4", "rollout.probes=0",
            "optimiser.minibatches=1", "optimiser.microbatch=16",
            f"algorithm.options.aggregation={aggregation}", "algorithm.options.kl_coef=0.3",
            f"algorithm.options.mask_truncated={str(mask_truncated).lower()}",
            f"algorithm.entropy={entropy}",
        ],
    )  # fmt: skip
    vlm, folder = moved
    task = make_task("generated:n=16,split=train,kinds=laptop", prompt="tiny", judge=Coin())
    algorithm = make_algorithm("grpo", **recipe.algorithm.options)
    chosen = settings_of(recipe, algorithm, 400, gpu=False)
    adapter = adapt(task, untrained, group_size=4, reward=RewardConfig(penalty="none"))
    model = load_vlm(untrained, dtype="float32", device="cpu").model
    model.model.visual.requires_grad_(False)
    trainer = adapter.grpo(model, GRPOConfig(output_dir=str(tmp_path), **chosen))
    model.load_state_dict(vlm.model.state_dict())
    adapter.scoring.episodes = []
    trainer.current_gradient_accumulation_steps = 1
    batch = generated(trainer, speaker(trainer))
    loss = trainer.compute_loss(model, batch)
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])

    policy = Policy(recipe.model, folder, reference=True, critic=False)
    for vlm in (policy.vlm, policy.reference):
        vlm._penalty.zero_()  # TRL's loss knows no forbidden tokens
    learner = Learner(policy, algorithm, recipe)
    episodes = episodes_of(trainer, batch, adapter.scoring.take())
    assert [e.reward.total is None for e in episodes].count(True) == 2
    assert [any(r.truncated for r in e.replies) for e in episodes] == [False] * 15 + [True]
    lesson = Lesson(policy, episodes, recipe)
    targets, _ = algorithm.targets(lesson.batch()[0])
    assert targets.advantages.abs().sum() > 0
    learner._loss(lesson, algorithm.normalised(targets))[0].backward()
    ours = torch.cat([p.grad.flatten() for p in policy.parameters()])
    ratio = recipe.algorithm.options["horizon"] if aggregation == "constant" else 1
    assert torch.cosine_similarity(theirs, ours, 0) > 0.9999
    assert theirs.norm() / ours.norm() == pytest.approx(ratio, rel=1e-3)
