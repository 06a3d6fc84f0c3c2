"""MMMU's official rules, for options and for open questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vt_env.judges.base import Query
from vt_env.judges.letters import LETTERS
from vt_env.judges.rule import RuleJudge, Ruling, choose_variant

_MARKS = ",.!?;:'"
_SENTENCE = 5
"""Words above which an answer may name an option by its text."""
_LEADS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
"""What may come before the value of an open answer; in the last line an equals sign may too."""
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""Numbers with thousands separators, with an exponent, and plain. The published patterns also look
within a row of digits, where they find nothing more, in time that is quadratic.
"""


def mmmu(variant: str = "official") -> RuleJudge:
    """MMMU: the option's letter found in the answer, or an open answer that has the reference.

    Source: Yue et al. 2023, arXiv 2311.16502, and its released evaluation, as in lmms-eval. There
    an answer in which no option is found gets a random one; here it is wrong, so that the same
    answers always have the same score. The repaired rule is the judge ``auto``.
    """
    return choose_variant("mmmu", variant, {"official": _mmmu})


def _mmmu(query: Query) -> Ruling:
    if query.choices:
        given = chosen(query.answer, query.choices)
        right = given in query.references
        return Ruling.of(right, "the right option", f"option {given}" if given else "no option")
    wanted = [value for reference in query.references for value in _values(reference)]
    right = any(_holds(value, wanted) for value in open_values(query.answer))
    return Ruling.of(right, "has the reference", "does not have the reference")


def chosen(answer: str, choices: Sequence[str]) -> str:
    """The letter that an answer chooses; empty if none is found.

    Letters in brackets come first, then letters before a space, then before a full stop; then, in a
    sentence, the options' texts. Of several the last one counts.
    """
    for mark in _MARKS:
        answer = answer.strip(mark)
    text = f" {answer} "
    letters = LETTERS[: len(choices)]
    for shape, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in letters if shape.format(letter) in text]
        if found:
            return max(found, key=lambda letter: text.rfind(place.format(letter)))
    if len(text.split()) > _SENTENCE:
        lowered = text.lower()
        ends = {x: lowered.rfind(y.lower()) for x, y in zip(letters, choices, strict=False)}
        last = max(ends, key=lambda letter: ends[letter])
        return last if ends[last] >= 0 else ""
    return ""


def open_values(answer: str) -> list[str | float]:
    """The texts and the numbers that an open answer may be read as."""
    text = answer.strip().strip(".").lower()
    tails = list(_tails(text.split("\n"))) or [text]
    numbers = [number for tail in tails for pattern in _NUMBERS for number in pattern.findall(tail)]
    return [value for part in (*tails, *numbers) for value in _values(part)]


def _tails(lines: Sequence[str]) -> Iterator[str]:
    """What follows the last lead of each line, the shortest where there are several leads."""
    for number, line in enumerate(lines, 1):
        leads = (*_LEADS, "=") if number == len(lines) else _LEADS
        shortest = ""
        for lead in leads:
            if lead in line:
                tail = line.rpartition(lead)[2].strip()
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in tuple(_MARKS):
            yield shortest


def _values(text: str) -> list[str | float]:
    """A number to two places, or a text in lower case; a lone character beside a space."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def _holds(value: str | float, wanted: Sequence[str | float]) -> bool:
    if isinstance(value, str):
        return any(isinstance(part, str) and part in value for part in wanted)
    return value in wanted
