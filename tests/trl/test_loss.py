"""TRL's loss has the gradient of the local trainer's, on the same rollouts of the same policy."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from scripted import generated, sequences

from agents import Reply
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
    """A judge that finds answers of even length right."""

    name = "coin"

    def score(self, queries):
        return [Verdict(len(query.answer) % 2 == 0, self.name, "") for query in queries]


def speaker(trainer):
    """Says four kinds of rollouts in turn: right and wrong, without and after a request."""
    kinds = [
        [direct_turn("red")],
        [direct_turn("blue")],
        [call_turn(), direct_turn("red")],
        [call_turn(), direct_turn("square")],
    ]
    tokenizer, left = trainer.processing_class.tokenizer, {}

    def say(environment):
        turns = left.setdefault(id(environment), iter(kinds[len(left) % 4]))
        ids = tokenizer.encode(next(turns), add_special_tokens=False)
        return [*ids, tokenizer.eos_token_id]

    return say


def episodes_of(trainer, batch, rewarded):
    """TRL's rollouts, as the local trainer's agent would have noted them."""
    made = []
    for (ids, trained), environment, episode in zip(
        sequences(batch), trainer.environments, rewarded, strict=True
    ):
        edges = [0, *(i for i in range(1, len(ids)) if trained[i] != trained[i - 1]), len(ids)]
        parts = [ids[a:b] for a, b in pairwise(edges)]
        replies = [
            Reply("", tuple(prompt), tuple(said), (0.0,) * len(said))
            for prompt, said in zip(parts[::2], parts[1::2], strict=True)
        ]
        dialogue = environment.dialogue
        views = dialogue.views
        made.append(episode_of(dialogue, replies, episode.verdict, episode.reward, views))
    return made


@pytest.mark.parametrize("aggregation", ["constant", "token_mean", "sequence_mean"])
def test_the_gradient_is_the_same(untrained, moved, tmp_path, aggregation):
    from trl import GRPOConfig

    recipe = load_recipe(
        "laptop",
        [
            f"model.path={untrained}", "model.device=cpu", "trainer=trl", "steps=1", "seed=3",
            "rollout.prompts=4", "rollout.group_size=4", "rollout.probes=0",
            "optimiser.minibatches=1", "optimiser.microbatch=16",
            f"algorithm.options.aggregation={aggregation}", "algorithm.options.kl_coef=0.3",
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
    lesson = Lesson(policy, episodes_of(trainer, batch, adapter.scoring.take()), recipe)
    targets, _ = algorithm.targets(lesson.batch()[0])
    assert targets.advantages.abs().sum() > 0
    learner._loss(lesson, algorithm.normalised(targets))[0].backward()
    ours = torch.cat([p.grad.flatten() for p in policy.parameters()])
    ratio = recipe.algorithm.options["horizon"] if aggregation == "constant" else 1
    assert torch.cosine_similarity(theirs, ours, 0) > 0.999
    assert theirs.norm() / ours.norm() == pytest.approx(ratio, rel=0.01)
