"""How well the tiny policy does in each arm, and how often it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.vlm import VisionLanguageModel
from agents.rollout import Episode, play
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

    def played(protocol: str = "visionthink", **settings: Any) -> list[Episode]:
        agent = TinyAgent(vlm, batch=batch, **settings)
        env = VisionThinkVectorEnv(min(batch, n), data=source, protocol=protocol, prompt="tiny")
        return play(env, agent, source.ids(), seed)

    greedy, sampled = played(), played(temperature=1.0)
    shown = sum(episode.outcome.visual_tokens for episode in greedy)
    made = {
        "accuracy_direct": _share(played(arm="direct"), "correct"),
        "accuracy_request": _share(played(arm="request"), "correct"),
        "accuracy_full": _share(played("general"), "correct"),
        "accuracy": _share(greedy, "correct"),
        "tokens": shown / sum(episode.outcome.full_tokens for episode in greedy),
        "accuracy_sampled": _share(sampled, "correct"),
        "well_formed": _share(sampled, "well_formed"),
        "requests": _share(sampled, "requested"),
    }
    return {**made, **_requests_by_kind(sampled)}


def _share(episodes: Sequence[Episode], what: str) -> float:
    return sum(bool(getattr(episode.outcome, what)) for episode in episodes) / len(episodes)


def _requests_by_kind(episodes: Sequence[Episode]) -> Mapping[str, float]:
    by_kind = {kind: [e for e in episodes if e.sample.kind == kind] for kind in KINDS}
    return {
        f"requests_{kind}": _share(played, "requested")
        for kind, played in by_kind.items()
        if played
    }
