"""A value with its name: ``x = 5``, ``f'(x) = 2x``, ``det A = -5``, and sums worked out."""

from __future__ import annotations

import re

from vt_env.judges.arithmetic import evaluate
from vt_env.judges.phrases import stem
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked

_ASSIGNED = re.compile(r"(?P<name>[^\W\d_](?:_?[0-9])?)\s*(?:=|∈)\s*(?P<value>[^=]+)")
_RELATED = re.compile(r"[=<>≤≥≠]")
_FUNCTION_LABEL = re.compile(r"[a-zA-Z]'{0,3}\([a-z0-9]{1,3}\)|[A-Z]\([A-Z]\)|d[a-z]/d[a-z]")
_TERM = re.compile(r"[a-zA-Z)] ?[-+*/^]|[-+*/^] ?[a-zA-Z(]")
_REWRITES = frozenset(stem(word) for word in "expand simplify factor factorize evaluate".split())
_DETERMINANT = re.compile(r"\\?det(?: ?[A-Z]|\([A-Z]\))|\|[A-Z]\|")


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
    if given and wanted and given["name"] == wanted["name"]:
        return given["value"].strip(), wanted["value"].strip()
    if not _RELATED.search(reference):
        return _assigned_value(answer, asked), reference
    if not _RELATED.search(answer):
        return answer, _assigned_value(reference, asked)
    return answer, reference


def _assigned_value(text: str, asked: Asked) -> str:
    """The value of a variable, or of a function or determinant that the question asks for."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or _RELATED.search(value) or not value:
        return text
    if (match := _ASSIGNED.fullmatch(text)) and not re.search(
        rf"(?<![^\W\d_]){match['name']}(?![^\W\d_])", match["value"]
    ):
        known = _is_asked_name(match["name"], asked)
        return match["value"].strip() if known else text
    result, quantity = evaluate(name), parse_quantity(value)
    if result is not None and quantity and quantity.value == result:
        return value
    return value if _is_asked_label(name, asked) else text


def _is_asked_label(label: str, asked: Asked) -> bool:
    """Whether a question asks for what stands before an equals sign: ``f'(x)``, ``det A``."""
    derived = "derivative" in asked.text.lower()
    if _DETERMINANT.fullmatch(label):
        return bool(asked.stems & {stem("determinant"), "det"})
    flat = asked.text.replace(" ", "")
    if not _FUNCTION_LABEL.fullmatch(label):
        asks = bool(asked.stems & _REWRITES) and "=" not in flat and not derived
        return asks and bool(_TERM.search(label)) and label.replace(" ", "") in flat
    is_derivative = "'" in label or "/" in label
    if label.replace(" ", "") in flat:
        return is_derivative or not derived
    first = derived and not asked.stems & {"second", "third"}
    of_asked = label.count("'") == 1 and f"{label[0]}(" in flat
    return first and (of_asked or label == "dy/dx")


def _is_asked_name(name: str, asked: Asked) -> bool:
    """Whether a variable is one of the question, if it has any, and no term of an asked sum."""
    letters = {word for word in asked.stems if len(word) == 1 and word.isalpha()} - {"a", "i"}
    letter = name[0].lower()
    if letters and letter not in letters:
        return False
    term = rf"(?:[-+*/^] ?{letter}|(?<![^\W\d_]){letter} ?[-+*/^])(?![^\W\d_])"
    return "=" in asked.text or re.search(term, asked.text.lower()) is None
