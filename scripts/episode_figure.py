"""Draws one episode as a picture for the README: ``python scripts/episode_figure.py``.

The episode is played here, on a drawn picture: what the figure shows is what the environment gave.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import gymnasium as gym
from matplotlib import rcParams
from matplotlib.figure import Figure

rcParams["text.parse_math"] = False
FILE = Path(__file__).parents[1] / "docs" / "episode.png"
TURNS = (
    "<think>Too small to read.</think>"
    '<tool_call>{"name": "resize_image", "arguments": {"action": "resize"}}</tool_call>',
    "<think>Now I can read it.</think><answer>42</answer>",
)
"""What the policy says. The sample of seed 0 asks for a small number, 42."""


def main() -> None:
    """Play and draw."""
    env = gym.make("vt_env:VisionThink-v0", data="generated")
    observation, info = env.reset(seed=0)
    question = observation["text"].split("\n\n")[-2].strip()
    views, tokens, reward = [observation["image"]], [info["visual_tokens"]], 0.0
    for turn in TURNS:
        observation, gained, *_, info = env.step(turn)
        reward += float(gained)
        views.append(observation["image"])
        tokens.append(info["visual_tokens"])
    figure = Figure(figsize=(11, 3.5), dpi=110, facecolor="white")
    shown = (
        ("1. The small image", views[0], f"{tokens[0]} visual tokens", TURNS[0]),
        ("2. The original", views[1], f"{tokens[1] - tokens[0]} more visual tokens", TURNS[1]),
    )
    for column, (title, view, caption, turn) in enumerate(shown):
        left = 0.02 + 0.42 * column
        axes = figure.add_axes((left, 0.3, 0.14, 0.44))
        axes.imshow(view, interpolation="nearest", extent=(0, 32, 32, 0))
        axes.set_xticks([])
        axes.set_yticks([])
        figure.text(left, 0.79, title, weight="bold", size=11)
        height, width = view.shape[:2]
        figure.text(left, 0.18, f"{width} × {height} pixels\n{caption}", size=9)
        figure.text(left + 0.16, 0.7, "the policy:", size=9, color="0.4", va="top")
        lines = "\n".join(line for part in _parts(turn) for line in textwrap.wrap(part, 30))
        figure.text(left + 0.16, 0.63, lines, size=8.5, family="monospace", va="top")
    figure.text(0.02, 0.91, f"Question: {question}", size=12)
    terms = f"{info['reward_terms']}".replace(" = ", "\n= ").replace(" + ", "\n+ ")
    figure.text(0.85, 0.79, "3. The reward", weight="bold", size=11)
    figure.text(0.85, 0.72, terms.replace(" - ", "\n− "), size=9, va="top", linespacing=1.5)
    full = info["full_visual_tokens"]
    figure.text(
        0.85, 0.18, f"{tokens[-1]} visual tokens shown;\nthe original alone: {full}", size=9
    )
    figure.text(
        0.02, 0.04, "A policy that can read the small image answers at once, for "
        f"{tokens[0]} visual tokens in place of {full}.", size=9, color="0.3",
    )  # fmt: skip
    assert reward == info["reward_terms"].total == 1.5, info["reward_terms"]
    figure.savefig(FILE)
    env.close()


def _parts(turn: str) -> list[str]:
    return turn.replace("</think>", "</think>\n").replace(', "arg', ',\n "arg').split("\n")


if __name__ == "__main__":
    main()
