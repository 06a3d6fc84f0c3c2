"""How well the tiny policy does in each arm, and how often it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.models.vlm import VisionLanguageModel
from agents.rollout import Episode, play
from agents.tiny.agent import TinyAgent
from vt_env.sources.generated import KINDS, GeneratedSource
from vt_env.vector import VisionThinkVectorEnv


def reading(
    vlm: VisionLanguageModel,
    *,
    n: int = 1000,
    seed: int = 0,
    split: str = "validation",
    kinds: str = "laptop",
    batch: int = 256,
) -> dict[str, float]:
    """Play pictures of a split in two ways, greedily; see :func:`measure`.

    Returns:
        ``accuracy_request`` and ``accuracy_full``.
    """
    play = _Play(vlm, GeneratedSource(n, seed=seed, split=split, kinds=kinds), seed, batch)
    return {
        "accuracy_request": _share(play(arm="request"), "correct"),
        "accuracy_full": _share(play("general"), "correct"),
    }


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
    played = _Play(vlm, GeneratedSource(n, seed=seed, split=split, kinds=kinds), seed, batch)
    greedy, sampled = played(), played(temperature=1.0)
    shown = sum(episode.outcome.visual_tokens for episode in greedy)
    made = {
        "accuracy_direct": _share(played(arm="direct"), "correct"),
        **reading(vlm, n=n, seed=seed, split=split, kinds=kinds, batch=batch),
        "accuracy": _share(greedy, "correct"),
        "tokens": shown / sum(episode.outcome.full_tokens for episode in greedy),
        "accuracy_sampled": _share(sampled, "correct"),
        "well_formed": _share(sampled, "well_formed"),
        "requests": _share(sampled, "requested"),
    }
    return {**made, **_requests_by_kind(sampled)}


@dataclass(frozen=True, slots=True)
class _Play:
    """Plays pictures with a model."""

    vlm: VisionLanguageModel
    source: GeneratedSource
    seed: int
    batch: int

    def __call__(self, protocol: str = "visionthink", **settings: Any) -> list[Episode]:
        agent = TinyAgent(self.vlm, batch=self.batch, **settings)
        rows = min(self.batch, len(self.source))
        env = VisionThinkVectorEnv(rows, data=self.source, protocol=protocol, prompt="tiny")
        return play(env, agent, self.source.ids(), self.seed)


def _share(episodes: Sequence[Episode], what: str) -> float:
    return sum(bool(getattr(episode.outcome, what)) for episode in episodes) / len(episodes)


def _requests_by_kind(episodes: Sequence[Episode]) -> Mapping[str, float]:
    by_kind = {kind: [e for e in episodes if e.sample.kind == kind] for kind in KINDS}
    return {
        f"requests_{kind}": _share(played, "requested")
        for kind, played in by_kind.items()
        if played
    }
