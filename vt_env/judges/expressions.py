"""Mathematical expressions: what counts as one, equality by form, and guards for the library.

A maths library asked about arbitrary text accepts too much: it drops words, takes one of several
answers, rounds, and ignores letter case. So it is asked only about two texts that both are one
expression and that agree in everything that equality cannot change.
"""

from __future__ import annotations

import re

_FUNCTIONS = "sin cos tan cot sec csc log ln exp sqrt arcsin arccos arctan min max mod det lim"
_FUNCTION_WORDS = frozenset(_FUNCTIONS.split())
_SIGNS = re.compile(
    r"[=^√π∞≤≥≠±∪∈<>θ\\]|(?<![^\W\d_])[a-z]\s?[-+*/]\s?[(0-9a-z](?![a-z])|[0-9)]\s?[+*×]\s?[(0-9a-z]"
    r"|[0-9)]\s-\s[(0-9a-z](?![a-z])|\)\s?[/(]|^[\[(]\s?-?[0-9./]+\s?,.*[\])]$|^[0-9]+[a-z]$|\||^-\s?[a-z(](?![a-z])|[0-9a-z)]!$"
)
_COMMAND_WORD = re.compile(r"\\[a-zA-Z]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_RELATION = re.compile(r"≤|≥|≠|<|>|=")
_ASCII_MATH = {
    "×": r" \times ", "√": r"\sqrt ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\leq ", "θ": r"\theta ",
    "≥": r"\geq ", "≠": r"\neq ", "∪": r"\cup ", "±": r"\pm ", "°": r"^\circ ", "∈": r"\in ",
    "α": r"\alpha ", "β": r"\beta ", "μ": r"\mu ",
}  # fmt: skip
_CHARACTERS = frozenset(
    " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    "+-*/^=<>()[]{}|.,;:!'_%\\×·√π∞≤≥≠∪±°∈θαβμ$€£"
)
_JUXTAPOSED = re.compile(r"[0-9)}]\s+[0-9](?![0-9]*/)|(?<![\\a-zA-Z])[a-zA-Z]\s+[0-9]")
_LONGEST = 200


def is_mathematical(text: str) -> bool:
    """Whether a cleaned text has a sign that only mathematics uses."""
    return len(text) <= _LONGEST and _SIGNS.search(text) is not None


def is_expression(text: str) -> bool:
    """Whether a cleaned text is one expression and has no ordinary word in it."""
    if not text or len(text) > _LONGEST or text[0] in ",;:" or not any(c.isalnum() for c in text):
        return False
    if text.rstrip()[-1] in "+-*/^=<>×·,?!" or set(text) - _CHARACTERS:
        return False
    if _JUXTAPOSED.search(text):
        return False
    words = _WORD.findall(_COMMAND_WORD.sub(" ", text))
    return all(word in _FUNCTION_WORDS or _is_product(word) for word in words)


def _is_product(word: str) -> bool:
    return len(word) <= 3 and word.islower() and not set(word) & set("aeiou") - {"a", "e"}


def normal_form(text: str) -> str:
    """An expression without what never changes its meaning: spaces and written-out products."""
    text = re.sub(r"\s+|\\[,;!]", "", text)
    text = text.replace("·", "*").replace("×", "*").replace("−", "-")
    text = re.sub(r"(?<=[0-9a-zπ)])\*(?=[a-zπ(√\\])", "", text)
    text = re.sub(r"\(([0-9]+|[a-zπ])\)", r"\1", text) if "(" in text else text
    return text.rstrip(".")


def same_form(answer: str, reference: str) -> bool:
    """Whether two expressions are written alike."""
    given = normal_form(answer)
    return bool(given) and given == normal_form(reference)


def comparable(answer: str, reference: str) -> str | None:
    """Why two expressions cannot be equal, or ``None`` when a library may decide.

    Equality keeps: the relations and their number, the brackets around a tuple or an interval,
    the number of components, the variables and their case, and exactness (a decimal never equals
    an irrational number).
    """
    if not (is_expression(answer) and is_expression(reference)):
        return "not an expression"
    if sorted(_RELATION.findall(answer)) != sorted(_RELATION.findall(reference)):
        return "other relations"
    if any(answer.count(sign) != reference.count(sign) for sign in ":'"):
        return "other signs"
    if answer.count(",") != reference.count(",") or ";" in answer + reference:
        return "other number of components"
    if "," in reference and (answer[0], answer[-1]) != (reference[0], reference[-1]):
        return "other brackets"
    if _NUMBER.fullmatch(reference) and _SUM.search(answer):
        return "a sum that is not worked out"
    if _variables(answer) != _variables(reference):
        return "other variables"
    if bool(_DECIMAL.search(answer)) != bool(_DECIMAL.search(reference)) and _IRRATIONAL.search(
        answer + reference
    ):
        return "a decimal against an exact value"
    if any(sign in answer + reference for sign in "%$€£±"):
        return "a unit in an expression"
    if _CODE.fullmatch(answer) or _CODE.fullmatch(reference):
        return "a code"
    return None


_SUM = re.compile(r"[0-9)] ?[-+*×] ?[(0-9]")
_NUMBER = re.compile(r"-?[0-9.,]+")
_CODE = re.compile(r"0[0-9]+")
_DECIMAL = re.compile(r"[0-9]\.[0-9]|(?<![0-9])\.[0-9]")
_IRRATIONAL = re.compile(r"√|π|\\sqrt|\\pi|\\log|\\ln|log|ln|(?<![a-z])e(?![a-z])|sin|cos|tan")


def _variables(text: str) -> frozenset[str]:
    text = _COMMAND_WORD.sub(" ", text)
    text = re.sub("|".join(sorted(_FUNCTION_WORDS, key=len, reverse=True)), " ", text)
    return frozenset(char for char in text if char.isalpha() and char not in "π")


def to_latex(text: str) -> str:
    """A cleaned expression as the library expects it."""
    text = re.sub(r"√\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√([0-9]+|[a-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\^(-?[0-9]+)", r"^{\1}", text)
    text = re.sub(r"(?<![\w)\}])([0-9]+|[a-z])/([0-9]+|[a-z])(?![\w(])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<![\\a-zA-Z])(sin|cos|tan|log|ln|exp|sqrt)(?![a-zA-Z])", r"\\\1 ", text)
    return "".join(_ASCII_MATH.get(char, char) for char in text)
