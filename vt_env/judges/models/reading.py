"""Reading a verdict out of a reply: thoughts are cut off, and the rest must be one word."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from vt_env.judges.models.asking import Ask

_END_OF_THOUGHT = re.compile(r".*</(?:think|thinking|thought|reasoning)>", re.S | re.I)
_THOUGHT = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.I)


def said(text: str) -> str:
    """A reply without the thoughts before it; empty where they never end."""
    text = _END_OF_THOUGHT.sub("", text, count=1)
    return "" if _THOUGHT.search(text) else text.strip()


def read_verdict(text: str, ask: Ask) -> bool | None:
    """The verdict of a reply that is one of the two words and nothing else.

    Case does not matter, nor does one full stop at the end. Everything else, also a verdict with
    more words, is unreadable: ``None``.
    """
    word = said(text).removesuffix(".").casefold()
    return {ask.right.casefold(): True, ask.wrong.casefold(): False}.get(word)


def probability(log_probs: Mapping[str, float], ask: Ask) -> float | None:
    """The accepting word's probability against the rejecting one's.

    Args:
        log_probs: Natural logarithms of the probabilities of candidates for the verdict's first
            token, by their text.
        ask: Whose words they are; they begin differently, so that a beginning tells them apart.

    Returns:
        A number in [0, 1], or ``None`` where neither word is among the candidates.
    """
    mass = dict.fromkeys(ask.choices, 0.0)
    for token, value in log_probs.items():
        start = token.strip().casefold()
        for word in ask.choices:
            if start and word.casefold().startswith(start):
                mass[word] += math.exp(min(value, 0.0))
    total = sum(mass.values())
    return mass[ask.right] / total if total > 0 else None
