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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures of a split, to be played.

    Attributes:
        n: How many.
        seed: Of the pictures and of sampling.
        split: ``validation`` to choose by, ``test`` to report.
        kinds: Mix of the generated source.
        batch: Rollouts at once.
    """

    n: int = 1000
    seed: int = 0
    split: str = "validation"
    kinds: str = "laptop"
    batch: int = 256

    def play(
        self, vlm: VisionLanguageModel, protocol: str = "visionthink", **settings: Any
    ) -> list[Episode]:
        """Episodes of a policy with these settings of its agent."""
        source = GeneratedSource(self.n, seed=self.seed, split=self.split, kinds=self.kinds)
        agent = TinyAgent(vlm, batch=self.batch, **settings)
        env = VisionThinkVectorEnv(
            min(self.batch, self.n), data=source, protocol=protocol, prompt="tiny"
        )
        return play(env, agent, source.ids(), self.seed)


def reading(vlm: VisionLanguageModel, pictures: Pictures) -> dict[str, float]:
    """Play pictures from the original, greedily.

    Returns:
        ``accuracy_request`` (after a request, which is forced) and ``accuracy_full`` (at once).
    """
    return {
        "accuracy_request": _share(pictures.play(vlm, arm="request"), "correct"),
        "accuracy_full": _share(pictures.play(vlm, "general"), "correct"),
    }


def measure(vlm: VisionLanguageModel, pictures: Pictures) -> dict[str, float]:
    """Play pictures in five ways.

    Returns:
        What :func:`reading` gives, ``accuracy_direct`` (greedy, the first turn forced),
        ``accuracy`` (greedy) and ``tokens`` (its visual tokens over those of always-full),
        ``accuracy_sampled``, ``well_formed`` and ``requests`` (sampled at temperature 1, nothing
        forced), and ``requests_KIND`` for each kind of question.
    """
    greedy, sampled = pictures.play(vlm), pictures.play(vlm, temperature=1.0)
    shown = sum(episode.outcome.visual_tokens for episode in greedy)
    made = {
        "accuracy_direct": _share(pictures.play(vlm, arm="direct"), "correct"),
        **reading(vlm, pictures),
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
