"""Options as the published evaluations of zoom benchmarks read them, as judges.

As :mod:`experiments.benchmarks.letters`: for numbers to be compared with published ones. The
strict judge is ``mcq``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from experiments.benchmarks.layouts import LETTERS
from vt_env.judges.base import Query
from vt_env.judges.rules import Rule, RuleJudge, choose_variant

_VSTAR = tuple(
    re.compile(pattern)
    for pattern in (
        r"\A([A-D])",
        r"(?:ANSWER|CHOICE|OPTION)(?:\s+IS)?[\s:]+([A-D])",
        r"\(([A-D])\)",
        r"([A-D])\s*[.)\]]",
        r"(?<!\S)([A-D])(?!\S)",
    )
)
"""Where V*Bench's letter is looked for, in this order."""
_REFUSALS = (
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer",
)  # fmt: skip
_SPACED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REALWORLD = (
    "The best answer is", "The correct answer is", "The answer is", "The answer",
    "The best option is", "The correct option is", "Best answer:", "Best option:",
)  # fmt: skip


def _judge(name: str, variant: str, read: Callable[[str, Query], str]) -> RuleJudge:
    rule = Rule(lambda query: read(query.answer, query) in query.references, "the right option")
    return choose_variant(name, variant, official=rule)


def vstar(variant: str = "official") -> RuleJudge:
    """V*Bench: a letter at the beginning, else announced, marked, alone, or the only one.

    An answer that begins with a word from A to D chooses that letter. Source: lmms-eval.
    """
    return _judge("vstar", variant, lambda answer, _: vstar_letter(answer))


def hrbench(variant: str = "official") -> RuleJudge:
    """HR-Bench: the one letter that stands as a word, else the one option whose text is there.

    Source: Wang et al. 2024, arXiv 2408.15556, and lmms-eval. There a model is asked of an answer
    in which neither is found; here it is wrong.
    """
    return _judge("hrbench", variant, hrbench_letter)


def mme_realworld(variant: str = "official") -> RuleJudge:
    """MME-RealWorld: the first of the letters A to E in what is left without announcements.

    Without one the answer ``a`` chooses A, and so does an empty one. Source: Zhang et al. 2024,
    arXiv 2408.13257, and lmms-eval.
    """
    return _judge("mme_realworld", variant, lambda answer, _: realworld_letter(answer))


def treebench(variant: str = "official") -> RuleJudge:
    """TreeBench: as MME-RealWorld, of the answer in capitals, in which *THE* has an E.

    Source: Wang et al. 2025, arXiv 2507.07999, and VLMEvalKit.
    """
    return _judge("treebench", variant, lambda a, _: realworld_letter(a.strip().upper()))


def vstar_letter(answer: str) -> str:
    """The letter that an answer chooses; empty if none is found."""
    text = answer.strip().upper()
    for pattern in _VSTAR:
        if match := pattern.search(text):
            return match[1]
    found = re.findall("[A-D]", text)
    return found[0] if len(found) == 1 else ""


def hrbench_letter(answer: str, query: Query) -> str:
    """The letter that an answer chooses; empty if none or several are found."""
    text = answer.strip()
    if any(words in text for words in _REFUSALS):
        return ""
    words = set(text.translate(_SPACED).split())
    options = {LETTERS[at]: option for at, option in enumerate(query.choices)}
    found = [letter for letter in options if letter in words]
    if not found and "Z" in words:
        return ""
    if len(found) != 1:
        lowered = text.lower()
        found = [letter for letter, option in options.items() if option.lower() in lowered]
    return found[0] if len(found) == 1 else ""


def realworld_letter(answer: str) -> str:
    """The letter that an answer chooses; empty if none is found."""
    text = answer.strip()
    for words in _REALWORLD:
        text = text.replace(words, "")
    if match := re.search("[ABCDE]", text):
        return match[0]
    if len(text.split()) > 10:
        return ""
    return next((letter for letter in "ABCDE" if text.lower() in f"({letter.lower()})"), "")
