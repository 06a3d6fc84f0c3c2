"""Adapters for all that learns here: the environment, a trainer, an example, a wrapper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import gymnasium as gym
import numpy as np

from agents import Reply, rollout
from trainers.conformance import Case, Rollout, Script, said, stretches
from vt_env import parse
from vt_env.discrete import DiscreteActions
from vt_env.vector import VisionThinkVectorEnv


def speaking(folder: Path) -> Path:
    """A checkpoint of the tiny policy that knows the recorded words and has learnt nothing."""
    from agents.tiny import make_vlm, save
    from agents.tiny.tokenizer import make_tokenizer

    return save(make_vlm(tokenizer=make_tokenizer(said())), folder)


def overrides_of(case: Case) -> list[str]:
    """A case's settings as those of a recipe."""
    reward = [
        f"reward.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in asdict(case.reward).items()
    ]
    return [*reward, *(f"environment.{key}={value}" for key, value in case.environment.items())]


def by_group(case: Case, rollouts: Sequence[Rollout]) -> list[Sequence[Rollout]]:
    size = len(case.groups[0].transcripts)
    return [rollouts[begin : begin + size] for begin in range(0, len(rollouts), size)]


class Vector:
    """The vector environment by itself."""

    def play(self, case: Case) -> list[Sequence[Rollout]]:
        script, size = Script(case), len(case.groups[0].transcripts)
        number = size * len(case.groups)
        env = VisionThinkVectorEnv(
            number, group_size=size, data=case.task(), reward=case.reward, order="sequential"
        )
        _, info = env.reset()
        ids, total, told = info["sample_id"], np.zeros(number), {}
        while info["active"].any():
            actions = [script.turn(ids[i], i) if on else "" for i, on in enumerate(info["active"])]
            _, rewards, _, _, info = env.step(actions)
            total += rewards
            told |= {i: terms for i, terms in enumerate(info["reward_terms"]) if terms}
        return by_group(
            case,
            [
                Rollout(
                    reward=total[row],
                    penalty=told[row].penalty,
                    requested=env.dialogue(row).requested,
                    visual_tokens=env.dialogue(row).visual_tokens,
                )
                for row in range(number)
            ],
        )


class Words:
    """An agent that says what a script says, in a model's own tokens.

    Args:
        case: What is played.
        vlm: Whose tokens.
    """

    name = "script"

    def __init__(self, case: Case, vlm) -> None:
        from agents.models.transcript import Transcript, Transcripts

        self.script = Script(case)
        self.vlm = vlm
        self.transcripts = Transcripts(Transcript)
        # Who plays by Gymnasium alone does not know a conversation's sample: they come in order.
        self.ids = [group.sample.id for group in case.groups for _ in group.transcripts]
        self.rows: dict[str, int] = {}

    def act(self, conversations) -> list[Reply]:
        from agents.models.transcript import reply_of

        replies = []
        for conversation in conversations:
            row = self.rows.setdefault(conversation.rollout, len(self.rows))
            text = self.script.turn(self.ids[row], row)
            (transcript,) = self.transcripts.of([conversation])
            prompt = transcript.prompt(self.vlm, conversation.messages, conversation.images)
            ids = spoken(self.vlm, text)
            reply = reply_of(self.vlm, prompt, ids, [0.0] * len(ids))
            transcript.add_turn(reply.text, ids)
            replies.append(reply)
        return replies


def spoken(vlm, text: str) -> list[int]:
    """A turn as a model says it, its end included."""
    tokenizer = vlm.tokenizer
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]


class Local:
    """The local trainer: what it plays, learns from, and by how much.

    Args:
        path: An untrained checkpoint.
        algorithm: Its name.
    """

    def __init__(self, path: Path, algorithm: str = "grpo") -> None:
        self.path = path
        self.algorithm = algorithm

    def play(self, case: Case) -> list[Sequence[Rollout]]:
        from experiments.recipe import load_recipe
        from trainers.algorithms import make_algorithm
        from trainers.local.learner import Lesson
        from trainers.local.policy import Policy

        size = len(case.groups[0].transcripts)
        settings = [f"model.path={self.path}", f"rollout.group_size={size}", *overrides_of(case)]
        config = load_recipe("laptop", settings)
        policy = Policy(config.model, None, reference=False, critic=False)
        env = VisionThinkVectorEnv(
            size * len(case.groups), group_size=size, data=case.task(), reward=config.reward
        )
        ids = [group.sample.id for group in case.groups]
        episodes = rollout(env, Words(case, policy.vlm), sample_ids=ids)
        lesson = Lesson(policy, episodes, config)
        batch, _, _ = lesson.batch()
        algorithm = make_algorithm(self.algorithm, kl_coef=0.0)
        targets, _ = algorithm.targets(batch)
        tokens = lesson.tokens(range(len(episodes)))
        rewards = batch.rewards.flatten().tolist()
        made = []
        for row, episode in enumerate(episodes):
            mine = targets.trained[row, : tokens.mask.shape[1]]
            sequence = tokens.ids[row, : tokens.lengths[row]].tolist()
            trained = np.zeros(len(sequence), bool)
            trained[(tokens.before[row, mine[: tokens.before.shape[1]]] + 1).tolist()] = True
            advantages = targets.advantages[row][targets.trained[row]]
            assert not advantages.numel() or (advantages == advantages[0]).all()
            made.append(
                Rollout(
                    reward=rewards[row],
                    penalty=episode.reward.penalty,
                    advantage=advantages[0].item() if advantages.numel() else None,
                    requested=episode.outcome.requested,
                    visual_tokens=sequence.count(policy.vlm.image_id),
                    stretches=stretches(sequence, trained, policy.vlm.tokenizer.decode),
                )
            )
        return by_group(case, made)


class Loop:
    """The loop of the example ``reinforce``."""

    def __init__(self, path: Path) -> None:
        from agents.models import load_vlm

        self.vlm = load_vlm(path)

    def play(self, case: Case) -> list[Sequence[Rollout]]:
        from examples import reinforce

        size = len(case.groups[0].transcripts)
        env = gym.make_vec(
            "vt_env:VisionThink-v0", num_envs=size * len(case.groups), group_size=size,
            data=case.task(), reward=case.reward, order="sequential",
        )  # fmt: skip
        rollouts = reinforce.play(env, Words(case, self.vlm), np.random.default_rng(0))
        advantages = reinforce.advantages_of(rollouts).tolist()
        first = [len(group.sample.images) for group in case.groups for _ in range(size)]
        told = map(self._told, rollouts, advantages, first)
        return by_group(case, list(told))

    def _told(self, rollout, advantage: float, first: int) -> Rollout:
        ids, own = [], []
        for reply in rollout.replies:
            ids += [*reply.prompt_ids, *reply.token_ids]
            own += [False] * len(reply.prompt_ids) + [True] * len(reply.token_ids)
        return Rollout(
            reward=rollout.reward,
            advantage=advantage,
            requested=len(rollout.views) > first,
            visual_tokens=ids.count(self.vlm.image_id),
            stretches=stretches(ids, own, self.vlm.tokenizer.decode),
        )


class Discrete:
    """The wrapper with a few actions, one rollout after the other; it knows no groups."""

    def play(self, case: Case) -> list[list[Rollout]]:
        env = gym.make("vt_env:VisionThink-v0", data=case.task(), reward=asdict(case.reward))
        env = DiscreteActions(env, ["red", "blue", "plain"], unscored="nan")
        return [
            [self._rollout(env, group.sample.id, turns) for turns in group.transcripts]
            for group in case.groups
        ]

    def _rollout(self, env: DiscreteActions, sample_id: str, turns: Sequence[str]) -> Rollout:
        _, info = env.reset(options={"sample_id": sample_id})
        total, left, terminated = 0.0, iter(turns), False
        while not terminated:
            _, reward, terminated, _, info = env.step(self._action(env, next(left)))
            total += float(reward)
        return Rollout(
            reward=total,
            penalty=info["reward_terms"].penalty,
            requested=info["outcome"].requested,
            visual_tokens=info["visual_tokens"],
        )

    def _action(self, env: DiscreteActions, turn: str) -> int:
        answer = getattr(parse(turn), "text", None)
        return env.candidates.index(answer) if answer in env.candidates else env.size
