"""Multiple choice as lmms-eval 0.7 reads it: the official rules of four benchmarks.

They look for a letter nearly anywhere, so that *A dog* may choose A. The judge ``mcq`` is the
strict one; these are for numbers to be compared with published ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vt_env.judges.base import Query
from vt_env.judges.benchmarks import edit_distance
from vt_env.judges.rule import Rule, RuleJudge, Ruling, choose_variant

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
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
    return choose_variant("realworldqa", variant, {"official": _realworldqa})


def mmbench(variant: str = "official") -> RuleJudge:
    """MMBench: one letter as a word, else one option's text, else the surest mark.

    Source: Liu et al. 2023, arXiv 2307.06281; lmms-eval's ``mmbench_en_dev_static``, which asks no
    model. Options are A to D; one that is missing reads ``nan``, as in the data. The repaired rule
    is the judge ``mcq``.
    """
    return choose_variant("mmbench", variant, {"official": _mmbench})


def mathvista(variant: str = "official") -> RuleJudge:
    """MathVista: the value or the option that was extracted equals the reference.

    Source: Lu et al. 2023, arXiv 2310.02255, and its released evaluation. There a model extracts
    the value first. ``official`` decides what is such a value already and leaves the rest unscored,
    for a model to judge; ``rules`` takes every answer as it is, and the option nearest by edit
    distance.

    The precision of decimals is read from the question, which asks for one or two places.
    """
    rules: dict[str, Rule] = {
        "official": lambda query: _mathvista(query, guess=False),
        "rules": lambda query: _mathvista(query, guess=True),
    }
    return choose_variant("mathvista", variant, rules)


def surest_letter(answer: str, letters: Sequence[str]) -> str:
    """The letter that an answer marks most clearly; empty if it has none.

    In order: the answer begins with it, ends with it, says that it is the answer, or has it in one
    of the marked shapes; of several equals the last. With none of these, the last one anywhere.
    """
    text = answer.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    bare = text.strip()
    if not bare:
        return ""
    for outer, inner in ((bare[:1], bare[1:2]), (bare[-1:], bare[-2:-1])):
        if outer in letters and not (len(bare) > 1 and inner.isalpha()):
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


def _realworldqa(query: Query) -> Ruling:
    def accepts(reference: str) -> bool:
        wanted = reference.strip()
        if wanted.upper() in ("A", "B", "C", "D"):
            return surest_letter(query.answer, "ABCD") == wanted.upper()
        return query.answer.lower().strip().rstrip(".") == wanted.lower()

    right = any(accepts(reference) for reference in query.references)
    return Ruling.of(right, "the right option or text", "another option or text")


def _mmbench(query: Query) -> Ruling:
    shown = [*query.choices, *["nan"] * _MMBENCH_OPTIONS][:_MMBENCH_OPTIONS]
    given = (
        _lone_letter(query.answer)
        or _lone_option(query.answer, shown)
        or surest_letter(query.answer, "ABCD")
    )
    return Ruling.of(given in query.references, "the right option", "another option or none")


def _lone_letter(answer: str) -> str:
    """The one letter from A to E that stands as a word; empty for none and for several.

    A bare *A* among more than three words may be an article, and then bare letters say nothing.
    """
    words = answer.split()
    for shape in _TOKENS:
        found = [letter for letter in "ABCDE" if shape.format(letter) in words]
        doubtful = shape == "{}" and "A" in words and len(words) > 3
        if len(found) == 1 and not doubtful:
            return found[0]
    return ""


def _lone_option(answer: str, options: Sequence[str]) -> str:
    lowered = answer.lower()
    found = [
        letter for letter, text in zip(LETTERS, options, strict=False) if text.lower() in lowered
    ]
    return found[0] if len(found) == 1 else ""


def _mathvista(query: Query, guess: bool) -> Ruling:
    answer, wanted = query.answer.strip(), [ref.strip() for ref in query.references]
    if query.choices:
        value = _option(answer, query.choices, guess)
    elif query.answer_type == "list":
        value = answer if guess or answer[:1] in ("", "[") else None
    else:
        value = _number(answer, query)
        value = "" if value is None and (guess or not answer) else value
    if value is None:
        return Ruling(None, NEEDS_MODEL)
    return Ruling.of(value.strip() in wanted, "the same value", "another value or none")


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
    return min(choices, key=lambda choice: edit_distance(letter, choice))


def _number(answer: str, query: Query) -> str | None:
    places = _PLACES.search(query.question)
    try:
        value = float(answer)
        if places:
            return str(round(value, {"one": 1, "two": 2}[places[1]]))
        return str(int(value))
    except (ValueError, OverflowError):
        return None
