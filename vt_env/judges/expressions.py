"""Mathematical form: what looks like it, is written alike, or names its value, as ``x = 5``."""

from __future__ import annotations

import re

from vt_env.judges.lexicon import words
from vt_env.judges.numerals import ORDINALS
from vt_env.judges.phrases import stem
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked
from vt_env.maths.arithmetic import evaluate

_SIGNS = re.compile(
    r"[=^√π∞≤≥≠±∪∈<>θ\\]|(?<![^\W\d_])[a-z]\s?[-+*/]\s?[(0-9a-z](?![a-z])|[0-9)]\s?[+*×]\s?[(0-9a-z]"
    r"|[0-9)]\s-\s[(0-9a-z](?![a-z])|\)\s?[/(]|^[\[(]\s?-?[0-9./]+\s?,.*[\])]$|^[0-9]+[a-z]$|\||^-\s?[a-z(](?![a-z])|[0-9a-z)]!$"
)
_LONE = re.compile(r"(?<![0-9a-zA-Zπ)'])\(([0-9]+|[a-zπ])\)(?![0-9a-zA-Zπ(])")
"""One value in brackets that no product or function needs: not the 5 of ``2(5)``."""
_LONGEST = 200
_ASSIGNED = re.compile(r"(?P<name>[^\W\d_](?:_?[0-9])?)\s*(?:=|∈)\s*(?P<value>[^=]+)")
_RELATED = re.compile(r"[=<>≤≥≠]")
_FUNCTION_LABEL = re.compile(r"[a-zA-Z]'{0,3}\([a-z0-9]{1,3}\)|[A-Z]\([A-Z]\)|d[a-z]/d[a-z]")
_LONE_LETTER = re.compile(r"(?<![^\W_'])[a-z](?![^\W_'])")
_LETTERS = frozenset("bcdefghjklmnopqrstuvwxyz")
"""Names of variables; *a* and *I* are words."""
_DETERMINANT = re.compile(r"\\?det(?: ?[A-Z]|\([A-Z]\))|\|[A-Z]\|")


def is_mathematical(text: str) -> bool:
    """Whether a cleaned text has a sign that only mathematics uses."""
    return len(text) <= _LONGEST and _SIGNS.search(text) is not None


def normal_form(text: str) -> str:
    """An expression without what never changes its meaning: spaces and written-out products."""
    text = re.sub(r"\\[,;!]", "", text)
    text = re.sub(r"(?<![0-9])\s+|\s+(?![0-9])", "", text)
    text = text.replace("·", "*").replace("×", "*").replace("−", "-")
    text = re.sub(r"(?<=[0-9a-zπ)])\*(?=[a-zπ(√\\])", "", text)
    return _LONE.sub(r"\1", text).rstrip(".")


def same_form(answer: str, reference: str) -> bool:
    """Whether two expressions are written alike."""
    given = normal_form(answer)
    return bool(given) and given == normal_form(reference)


def name_of(item: str) -> str:
    """The variable that an item assigns a value to, else an empty text."""
    match = _ASSIGNED.fullmatch(item)
    return match["name"] if match else ""


def value_of(item: str) -> str:
    """An item without its variable or its article."""
    match = _ASSIGNED.fullmatch(item)
    item = match["value"].strip() if match else item
    return re.sub(r"^(?:the|an?|and) (?=\S)", "", item)


def split_assignment(answer: str, reference: str, asked: Asked) -> tuple[str, str]:
    """The two values where one side, or both with one name, is ``name = value``."""
    given, wanted = _ASSIGNED.fullmatch(answer), _ASSIGNED.fullmatch(reference)
    if not wanted and not _RELATED.search(reference):
        return _assigned_value(answer, asked), reference
    if not given and not _RELATED.search(answer):
        return answer, _assigned_value(reference, asked)
    return answer, reference


def _assigned_value(text: str, asked: Asked) -> str:
    """The value of a variable, or of a function or determinant that the question asks for."""
    match = _ASSIGNED.fullmatch(text)
    if match and not re.search(rf"(?<![^\W\d_]){match['name']}(?![^\W\d_])", match["value"]):
        value = match["value"].strip()
        known = _is_asked_name(match["name"], asked) and not _RELATED.search(value)
        return value if known else text
    label, _, value = (part.strip() for part in text.partition("="))
    quantity = parse_quantity(value)
    is_sum = quantity is not None and quantity.value == evaluate(label)
    return value if is_sum or _is_asked_label(label, asked) else text


def _is_asked_label(label: str, asked: Asked) -> bool:
    """Whether a question asks for what stands before an equals sign: ``f'(x)``, ``det A``."""
    if _DETERMINANT.fullmatch(label):
        return bool(asked.stems & {stem("determinant"), "det"})
    if not _FUNCTION_LABEL.fullmatch(label):
        return False
    derived = bool(asked.word_set & words("derivatives"))
    is_higher = bool(asked.word_set & ORDINALS.keys())
    is_first = label == "dy/dx" or label.count("'") == 1
    named = set(_LONE_LETTER.findall(asked.text.lower()))
    is_first = is_first and (label[0] in "dy" or not named or label[0] in named)
    return (derived and is_first and not is_higher) or (
        not derived and label in asked.text.replace(" ", "")
    )


def _is_asked_name(name: str, asked: Asked) -> bool:
    """Whether a variable is one of the question, if it has any, and no term of an asked sum."""
    letters = set(_LONE_LETTER.findall(asked.text.lower())) & _LETTERS
    letter = name[0].lower()
    if letters and letter not in letters:
        return False
    term = rf"(?:[-+*/^] ?{letter}|(?<![^\W\d_]){letter} ?[-+*/^])(?![^\W\d_])"
    return "=" in asked.text or re.search(term, asked.text.lower()) is None
