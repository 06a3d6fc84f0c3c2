"""Options and open answers as lmms-eval 0.7 reads them for four benchmarks, as judges.

These rules look for a letter nearly anywhere, so that *A dog* may choose A: they are for numbers to
be compared with published ones. The judge ``mcq`` is the strict one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from rapidfuzz.distance import Levenshtein

from experiments.benchmarks.layouts import LETTERS
from vt_env.judges.base import Query
from vt_env.judges.rules import Rule, RuleJudge, Unscored, choose_variant

NEEDS_MODEL = "no plain value: a model has to read it"
_SHAPES = ("({})", "{}.", "{}:", "{})", "{} ")
"""How a letter may be marked, the surest first."""
_CLAIMS = [
    *(f"{article}{words}"
      for words in ("answer is", "correct answer is", "best answer is", "correct option is",
                    "best option is", "choice is", "correct choice is")
      for article in ("", "the ")),
    *"i choose|i select|i pick|my answer is|my choice is".split("|"),
    *"옵션|정답은|답은|답:|答案是|答案为|选|答えは".split("|"),
]  # fmt: skip
_TOKENS = ("{}", "{}.", "{},", "{}:", "{})", "{}).", "({})", "({}).", ":{}", ":{},", ":{}.", ":{})",
           ":{}).")  # fmt: skip
"""How MMBench's evaluation lets a letter stand as a word of its own, in its order."""
_MMBENCH_OPTIONS = 4
_PLACES = re.compile(r"floating-point number with (one|two) decimal place")


def realworldqa(variant: str = "official") -> RuleJudge:
    """RealWorldQA: a letter from A to D found in the answer, or an equal text.

    Where the reference is a letter the surest mark wins, and among equals the last; other texts are
    compared in lower case without final full stops. The repaired rule is the judge ``auto``.
    """
    rule = Rule(_realworldqa, "the right option or text")
    return choose_variant("realworldqa", variant, official=rule)


def mmbench(variant: str = "official") -> RuleJudge:
    """MMBench: one letter as a word, else one option's text, else the surest mark.

    Source: Liu et al. 2023, arXiv 2307.06281; lmms-eval's ``mmbench_en_dev_static``, which asks no
    model. Options are A to D; one that is missing or empty reads ``nan``, as in the data. The
    repaired rule is the judge ``mcq``.
    """
    return choose_variant("mmbench", variant, official=Rule(_mmbench, "the right option"))


def mathvista(variant: str = "official") -> RuleJudge:
    """MathVista: the value or the option that was extracted equals the reference.

    Source: Lu et al. 2023, arXiv 2310.02255, and its released evaluation. There a model extracts
    the value first. ``official`` decides what is such a value already and leaves the rest unscored,
    for a model to judge; ``rules`` takes every answer as it is, and the option nearest by edit
    distance.

    The precision of decimals is read from the question, which asks for one or two places.
    """
    official, rules = (
        Rule(partial(_mathvista, guess=guess), "the reference's value") for guess in (False, True)
    )
    return choose_variant("mathvista", variant, official=official, rules=rules)


def surest_letter(answer: str, letters: str) -> str:
    """The letter that an answer marks most clearly; empty if it has none.

    In order: the answer begins with it, ends with it, says that it is the answer, or has it in one
    of the marked shapes; of several equals the last. With none of these, the last one anywhere.
    """
    text = answer.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    bare = text.strip()
    for outer, inner in ((bare[:1], bare[1:2]), (bare[-1:], bare[-2:-1])):
        if outer in letters and not inner.isalpha():
            return outer
    text = f" {text} "
    lowered, claimed = text.lower(), list[tuple[int, str]]()
    for claim in _CLAIMS:
        if (start := lowered.find(claim)) >= 0:
            claimed += [(text.find(letter, start + len(claim)), letter) for letter in letters]
    if found := _last(claimed):
        return found
    for shape in (*_SHAPES, "{}"):
        if found := _last([(text.rfind(shape.format(letter)), letter) for letter in letters]):
            return found
    return ""


def _last(found: Sequence[tuple[int, str]]) -> str:
    """The letter with the greatest place, the first of equals; empty if none has a place."""
    place, letter = max(found, key=lambda pair: pair[0], default=(-1, ""))
    return letter if place >= 0 else ""


def _realworldqa(query: Query) -> bool:
    def accepts(reference: str) -> bool:
        wanted = reference.strip()
        if wanted.upper() in ("A", "B", "C", "D"):
            return surest_letter(query.answer, "ABCD") == wanted.upper()
        return query.answer.lower().strip().rstrip(".") == wanted.lower()

    return any(accepts(reference) for reference in query.references)


def _mmbench(query: Query) -> bool:
    shown = [(text.strip() and text) or "nan" for text in query.choices]
    shown = [*shown, *["nan"] * _MMBENCH_OPTIONS][:_MMBENCH_OPTIONS]
    given = (
        _lone_letter(query.answer)
        or _lone_option(query.answer, shown)
        or surest_letter(query.answer, "ABCD")
    )
    return given in query.references


def _lone_letter(answer: str) -> str:
    """The one letter from A to E that stands as a word; empty for none and for several.

    A bare *A* among more than three words may be an article, and then bare letters say nothing.
    """
    ordered = answer.split()
    words = set(ordered)
    for shape in _TOKENS:
        found = [letter for letter in "ABCDE" if shape.format(letter) in words]
        doubtful = shape == "{}" and "A" in words and len(ordered) > 3
        if len(found) == 1 and not doubtful:
            return found[0]
    return ""


def _lone_option(answer: str, options: Sequence[str]) -> str:
    lowered = answer.lower()
    found = [
        letter for letter, text in zip(LETTERS, options, strict=False) if text.lower() in lowered
    ]
    return found[0] if len(found) == 1 else ""


def _mathvista(query: Query, guess: bool) -> bool:
    answer, wanted = query.answer.strip(), [ref.strip() for ref in query.references]
    if query.choices:
        value = _option(answer, query.choices, guess)
    elif query.answer_type == "list":
        value = answer if guess or answer[:1] in ("", "[") else None
    else:
        value = _number(answer, query)
        value = "" if value is None and (guess or not answer) else value
    if value is None:
        raise Unscored(NEEDS_MODEL)
    return value.strip() in wanted


def _option(answer: str, choices: Sequence[str], guess: bool) -> str | None:
    """The option that an answer names by its letter or text; with ``guess``, the nearest one."""
    if answer in choices:
        return answer
    boxed = re.search(r"\(([a-zA-Z])\)", answer)
    letter = boxed[1].upper() if boxed else answer
    labels = LETTERS[: len(choices)]
    if len(letter) == 1 and letter in labels:
        return choices[labels.index(letter)]
    if answer and not guess:
        return None
    return min(choices, key=lambda choice: Levenshtein.distance(letter, choice))


def _number(answer: str, query: Query) -> str | None:
    places = _PLACES.search(query.question)
    try:
        value = float(answer)
        if places:
            return str(round(value, {"one": 1, "two": 2}[places[1]]))
        return str(int(value))
    except (ValueError, OverflowError):
        return None


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
    rule = Rule(_mmmu, "the right option, or having the reference")
    return choose_variant("mmmu", variant, official=rule)


def _mmmu(query: Query) -> bool:
    if query.choices:
        return chosen(query.answer, query.choices) in query.references
    wanted = [value for reference in query.references for value in _values(reference)]
    return any(_holds(value, wanted) for value in open_values(query.answer))


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
