"""What a question tells about its answer: units, percentages, order, names, alternatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from vt_env.judges.characters import fold
from vt_env.judges.latex import delatex
from vt_env.judges.phrases import stem
from vt_env.judges.tables import (
    ARTICLES,
    COPULAS,
    NAME_CUES,
    ORDER_CUES,
    PREPOSITIONS,
    SCALE_WORDS,
)
from vt_env.judges.units import Unit, units_in

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[0-9]+(?:[.,][0-9]+)*")
_LIST = re.compile(
    r"(?:[\w'-]{1,30}(?: [\w'-]{1,30})?, ){1,20}(?:[\w'-]{1,30}(?: [\w'-]{1,30})?,? )?"
    r"(?:and|or) [\w'-]{1,30}(?: [\w'-]{1,30})?"
)
_WH = frozenset("which who what whose where when how".split())
_ORDERED = re.compile(
    r"\bfirst\b.*\b(?:then|second|next)\b|\w(?:est|most) to (?:the )?\w+(?:est|\b)|\bformer\b", re.I
)
_CLOSING = (COPULAS | PREPOSITIONS | {"do", "does", "did", "can", "will"}) - {"of"}
_LIMIT = 4_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the rules see it.

    Attributes:
        text: The question, folded.
        stems: Stems of its words, and its numbers.
        alternatives: Stems of words among which it asks to choose; they may not be echoed.
        units: Units that it names.
        scales: Scale words that it names (``million``).
        percent: Whether it asks for a percentage.
        proportion: Whether it asks for a share without saying how to write it.
        ordered: Whether the order of a list matters.
        names: Whether exact word forms matter.
        counted: Stems of what *how many* asks to count.
    """

    text: str
    stems: frozenset[str]
    alternatives: frozenset[str]
    units: tuple[Unit, ...]
    scales: frozenset[str]
    percent: bool
    proportion: bool
    ordered: bool
    names: bool
    counted: frozenset[str]


@lru_cache(maxsize=256)
def read_question(question: str) -> Asked:
    """Reads a question once; only its last 4000 characters count."""
    text = fold(delatex(fold(question[-_LIMIT:])))
    words = [word.lower() for word in _WORD.findall(text)]
    plain = set(words)
    return Asked(
        text=text,
        stems=frozenset(stem(word) for word in words),
        alternatives=_alternatives(text),
        units=units_in(text),
        scales=frozenset(w.rstrip("s") for w in words) & frozenset(SCALE_WORDS),
        percent="%" in text or bool(plain & {"percent", "percentage", "pct"}),
        proportion=bool(
            plain & set("fraction proportion share ratio probability chance rate".split())
        ),
        ordered=bool(plain & ORDER_CUES) or _ORDERED.search(text) is not None,
        names=bool(plain & NAME_CUES),
        counted=_counted(text),
    )


def _counted(text: str) -> frozenset[str]:
    """Stems of the words after *how many*, up to a verb, a preposition or a sign."""
    _, asked, after = text.lower().rpartition("how many ")
    counted: list[str] = []
    for word in re.findall(r"[^\W_]+|[^\w\s]", after if asked else ""):
        if word in _CLOSING or not word.isalnum():
            break
        counted.append(stem(word))
    return frozenset(counted)


def _is_clause(before: str, after: str) -> bool:
    """Whether a comma ends a clause (*Which is taller, the ...*) instead of a first item."""
    words = after.split(" ", 1)
    starts = words[0].lower() in ARTICLES or words[0][:1].isupper()
    return starts and any(word in _WH for word in before.lower().split())


def _alternatives(text: str) -> frozenset[str]:
    """Words around an ``or`` (with a shared noun: two on each side), and items of a list."""
    words = [word.lower() for word in _WORD.findall(text)]
    near: set[str] = set()
    for index, word in enumerate(words):
        if word in ("or", "versus", "vs"):
            left = words[max(0, index - 2) : index]
            right = [w for w in words[index + 1 : index + 4] if w not in ARTICLES][:2]
            parallel = bool(left) and left[-1] in right
            near.update(left + right if parallel else left[-1:] + right[:1])
    for written in _LIST.finditer(text):
        first, _, others = written[0].partition(",")
        skipped = _is_clause(text[: written.start()] + first, others.strip())
        near.update(word.lower() for word in _WORD.findall(others if skipped else written[0]))
    return frozenset(stem(word) for word in near)
