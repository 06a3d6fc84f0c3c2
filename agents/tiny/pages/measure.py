"""What the pages policy can do, in the environment's own turns, against the bars set beforehand.

And the model card of a checkpoint: what it is, what it can do, how it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.base import Agent
from agents.models.vlm import VisionLanguageModel
from agents.rollout import Episode, play
from agents.tiny.pages.learner import KINDS
from agents.tiny.pages.words import EDGES, edges_said
from agents.tiny.pages.zoom import GRID, TOKEN, PagesAgent, Pointed, steps, window
from vt_env.sources.pages import PagesSource
from vt_env.sources.pages.page import LEAST_SIDE
from vt_env.vector import VisionThinkVectorEnv

_TEXT = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---

# Pages policy

A Qwen2.5-VL of 2.0 million parameters (stock classes; patches of 14 pixels, merged 2 x 2;
{tokens} visual tokens a page of {side} x {side} pixels, {few} at half size), trained from random
weights on generated pages of the kinds {kinds}. It reads values beside a label, answers
in the tags of this project's environment, and asks for the original (`resize_image`) or for a part
of the page (`image_zoom_in_tool`, thousandths of the page's sides) in about half of the questions,
whatever the print: when to ask is left to reinforcement learning.

It reads nothing else. Its vocabulary has the words of those questions, and characters of values.

## Figures

{questions} pages of the generator's test split, none of them trained on; shares of the questions.

| figure | value | bar |
|---|---|---|
{rows}

`half`, `full` and `crop`: the whole value is right, read from the half-size page, from the
original, and from a crop around the true box; `sampling_costs` is greedy less sampled at
temperature 1. `box`: each edge of its own call is within 14 pixels. `rate`: it asks, sampled; `gap`
is small print less large print.

## Making

`{command}`, seed {seed}, commit {commit}, finished {finished}.
Versions: {versions}.
"""


def card(
    figures: Mapping[str, float], provenance: Mapping[str, Any], questions: int, side: int
) -> str:
    """The card, as Markdown.

    Args:
        figures: From :func:`~agents.tiny.pages.measure.measure`.
        provenance: ``command``, ``seed``, ``commit``, ``finished`` and ``versions``.
        questions: That the figures are shares of.
        side: Of a page, in pixels.
    """
    tokens = (side // TOKEN) ** 2
    rows = [
        f"| `{bar.figure}` | {figures[bar.figure]:.4f} | {bar}"
        f"{'' if bar.reached(figures[bar.figure]) else ', **missed**'} |"
        for bar in BARS
    ]
    versions = ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
    return _TEXT.format(
        side=side,
        tokens=tokens,
        few=tokens // 4,
        kinds=" and ".join(KINDS),
        questions=questions,
        rows="\n".join(rows),
        command=provenance["command"],
        seed=provenance["seed"],
        commit=provenance["commit"],
        finished=provenance["finished"],
        versions=versions,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that has to be reached.

    Attributes:
        figure: Which, as :func:`measure` names it.
        least: It must be at least so much.
        most: It must be at most so much.
    """

    figure: str
    least: float = 0.0
    most: float = 1.0

    def reached(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        if self.most == 1.0:
            return f"at least {self.least:g}"
        return f"{self.least:g} to {self.most:g}" if self.least else f"at most {self.most:g}"


_READ = ("half_large", "full_small", "full_large", "crop_small", "crop_large")
BARS: tuple[Bar, ...] = (
    Bar("half_large", 0.98),
    Bar("full_small", 0.98),
    Bar("full_large", 0.98),
    Bar("crop_small", 0.97),
    Bar("crop_large", 0.97),
    Bar("half_small", most=0.15),
    *(Bar(f"{name}_sampling_costs", -1.0, 0.01) for name in _READ),
    Bar("box_small", 0.97),
    Bar("box_large", 0.97),
    Bar("well_formed", 0.99),
    Bar("resize_rate", 0.4, 0.6),
    Bar("zoom_rate", 0.4, 0.6),
    Bar("resize_rate_gap", -0.05, 0.05),
    Bar("zoom_rate_gap", -0.05, 0.05),
)
"""Shares of questions. ``half``, ``full`` and ``crop``: the whole value is right, read from the
half-size page, from the original at once, and from a crop around the true box. A figure's
``sampling_costs`` is what it is greedily less what it is at temperature 1. ``box``: each of the
four edges of the policy's own call is within 14 pixels. ``rate``: it asks, sampled; its ``gap`` is
small print's rate less large print's."""


def measure(
    vlm: VisionLanguageModel,
    *,
    n: int = 2000,
    side: int = LEAST_SIDE,
    seed: int = 0,
    split: str = "test",
    batch: int = 250,
    progress: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Play pages of a split in nine ways.

    Args:
        vlm: The policy.
        n: Pages, with one question each.
        side: Of a page, in pixels.
        seed: Of the pages and of sampling.
        split: ``validation`` to choose by, ``test`` to report.
        batch: Rollouts at once.
        progress: Told what is played.

    Returns:
        The figures of :data:`BARS`, each a share of the questions or a difference of two shares,
        and ``zoom_small`` and ``zoom_large``: right after the policy's own call, greedily.
    """
    source = PagesSource(n, seed=seed, split=split, kinds="+".join(KINDS), width=side)

    def played(agent: Agent, **task: Any) -> list[Episode]:
        if progress is not None:
            progress(f"{agent.name}, {', '.join(task) or 'resize'}")
        env = VisionThinkVectorEnv(
            batch, data=source, prompt="tiny", judge="exact", **{"tokens": "qwen2.5-vl", **task}
        )
        return play(env, agent, source.ids(), seed)

    def policy(temperature: float, arm: str | None = None) -> PagesAgent:
        return PagesAgent(vlm, temperature=temperature, arm=arm, batch=batch)

    zoom = {"protocol": "zoom"}
    made: dict[str, float] = {}
    ways: Mapping[str, Callable[[float], list[Episode]]] = {
        "half": lambda t: played(policy(t, "direct")),
        "full": lambda t: played(policy(t), protocol="general"),
        "crop": lambda t: played(Pointed(policy(t)), **zoom),
    }
    for name, way in ways.items():
        greedy, sampled = (_by_print(name, way(t), _correct) for t in (0.0, 1.0))
        made |= greedy
        made |= {f"{key}_sampling_costs": greedy[key] - sampled[key] for key in greedy}
    called = played(policy(0.0, "request"), **zoom)
    made |= _by_print("zoom", called, _correct) | _by_print("box", called, _found)
    free = {"resize": played(policy(1.0)), "zoom": played(policy(1.0), **zoom)}
    for name, episodes in free.items():
        made[f"{name}_rate"] = _share(episodes, _asked)
        rates = _by_print("rate", episodes, _asked)
        made[f"{name}_rate_gap"] = rates["rate_small"] - rates["rate_large"]
    made["well_formed"] = _share(
        [episode for episodes in free.values() for episode in episodes],
        lambda episode: episode.outcome.well_formed,
    )
    return {name: round(value, 4) for name, value in made.items()}


def _correct(episode: Episode) -> bool:
    return bool(episode.outcome.correct)


def _asked(episode: Episode) -> bool:
    return bool(episode.outcome.requested)


def _found(episode: Episode) -> bool:
    """Whether the first turn's box stands where it should."""
    said = edges_said(episode.replies[0].text)
    wide, high = episode.views[0].size
    wide, high = 2 * wide, 2 * high
    box, sides = episode.sample.answer_box, (wide, high) * 2
    if said is None or box is None:
        return False
    true = steps(window(box, wide, high), wide, high)
    return all(
        abs(ours - theirs) * side <= GRID * EDGES
        for ours, theirs, side in zip(said, true, sides, strict=True)
    )


def _share(episodes: Sequence[Episode], what: Callable[[Episode], bool]) -> float:
    return sum(map(what, episodes)) / len(episodes) if episodes else float("nan")


def _by_print(
    name: str, episodes: Sequence[Episode], what: Callable[[Episode], bool]
) -> dict[str, float]:
    """A share of the questions about each print."""
    return {
        f"{name}_{size}": _share([e for e in episodes if e.sample.kind == size], what)
        for size in ("small", "large")
    }
