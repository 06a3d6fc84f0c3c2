"""How well the tiny policy does in each arm, and how often it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.vlm import VisionLanguageModel
from agents.rollout import Episode, rollout
from agents.tiny.agent import TinyAgent
from vt_env.sources.generated import KINDS, GeneratedSource
from vt_env.vector import VisionThinkVectorEnv


def measure(
    vlm: VisionLanguageModel,
    *,
    n: int = 1000,
    seed: int = 0,
    split: str = "validation",
    kinds: str = "laptop",
    batch: int = 256,
) -> dict[str, float]:
    """Play pictures of a split in five ways.

    Args:
        vlm: The policy.
        n: Pictures.
        seed: Of the pictures and of sampling.
        split: ``validation`` to choose by, ``test`` to report.
        kinds: Mix of the generated source.
        batch: Rollouts at once.

    Returns:
        ``accuracy_direct`` and ``accuracy_request`` (greedy, the first turn forced),
        ``accuracy_full`` (greedy, one turn, the original at once), ``accuracy`` (greedy) and
        ``tokens`` (its visual tokens over those of always-full), ``accuracy_sampled``,
        ``well_formed`` and ``requests`` (sampled at temperature 1, nothing forced), and
        ``requests_KIND`` for each kind of question.
    """
    source = GeneratedSource(n, seed=seed, split=split, kinds=kinds)

    def play(protocol: str = "visionthink", **settings: Any) -> list[Episode]:
        agent = TinyAgent(vlm, batch=batch, **settings)
        return _play(source, agent, protocol, seed, min(batch, n))

    greedy, sampled = play(), play(temperature=1.0)
    shown = sum(episode.outcome.visual_tokens for episode in greedy)
    made = {
        "accuracy_direct": _accuracy(play(arm="direct")),
        "accuracy_request": _accuracy(play(arm="request")),
        "accuracy_full": _accuracy(play("general")),
        "accuracy": _accuracy(greedy),
        "tokens": shown / sum(episode.outcome.full_tokens for episode in greedy),
        "accuracy_sampled": _accuracy(sampled),
        "well_formed": _share(sampled, "well_formed"),
        "requests": _share(sampled, "requested"),
    }
    return {**made, **_requests_by_kind(sampled)}


def _play(
    source: GeneratedSource, agent: TinyAgent, protocol: str, seed: int, batch: int
) -> list[Episode]:
    env = VisionThinkVectorEnv(batch, group_size=1, data=source, protocol=protocol, prompt="tiny")
    ids = source.ids()
    parts = [ids[begin : begin + batch] for begin in range(0, len(ids), batch)]
    return [e for part in parts for e in rollout(env, agent, seed=seed, sample_ids=part)]


def _accuracy(episodes: Sequence[Episode]) -> float:
    return _share(episodes, "correct")


def _share(episodes: Sequence[Episode], what: str) -> float:
    return sum(bool(getattr(episode.outcome, what)) for episode in episodes) / len(episodes)


def _requests_by_kind(episodes: Sequence[Episode]) -> Mapping[str, float]:
    by_kind = {kind: [e for e in episodes if e.sample.kind == kind] for kind in KINDS}
    return {
        f"requests_{kind}": _share(played, "requested")
        for kind, played in by_kind.items()
        if played
    }
