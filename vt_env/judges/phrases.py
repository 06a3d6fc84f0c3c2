"""Phrases: words in a canonical spelling, so that forms of one name compare equal."""

from __future__ import annotations

import itertools
import re

from vt_env.judges.characters import without_accents
from vt_env.judges.quantity import plain_number
from vt_env.judges.tables import (
    ABBREVIATIONS,
    ARTICLES,
    CARDINALS,
    IRREGULAR_PLURALS,
    IRREGULAR_VERBS,
    NO_PLURAL,
    ORDINALS,
    SPELLINGS,
    STATES,
    pairs,
)

_DOTTED = re.compile(r"\b(?:[A-Za-z]\. ?){1,5}[A-Za-z]\b\.?(?!\w)")
_TOKEN = re.compile(
    r"(?<![\w.])[-+]?[0-9]+(?:[.,][0-9]+)*(?![\w])"
    r"|[0-9]+(?:st|nd|rd|th)\b|[0-9]+(?:[:][0-9]+)*"
    r"|[^\W\d_]+(?:'[^\W\d_]+)*(?:\+\+|[+#](?!\w))?"
    r"|(?<=\w)-(?=\s*$|,)|[^\w\s]|_"
)
_NUMBERED = re.compile(r"\bno\. ?(?=[0-9])", re.I)
_SOFT = frozenset(".,;:!?'\"()[]-_*`")
_COMPANY = frozenset("inc ltd corp co llc plc gmbh ag".split())
_ROMAN = pairs(
    "II=2 III=3 IV=4 VI=6 VII=7 VIII=8 IX=9 XI=11 XII=12 XIII=13 XIV=14 XV=15 XVI=16 "
    "XVII=17 XVIII=18 XIX=19 XX=20 XXI=21"
)
_OUR = re.compile(r"(\w{3,})our(s|ed|ing|able|ful|ite|less|hood)?$")
_ISE = re.compile(r"(\w{4,})(is|ys)(e|ed|es|ing|er|ation|ations)$")


def spelling(word: str) -> str:
    """American spelling of a lower-case word."""
    word = SPELLINGS.get(word, word)
    word = _OUR.sub(r"\1or\2", word)
    return _ISE.sub(lambda m: f"{m[1]}{m[2][0]}z{m[3]}", word)


def singular(word: str) -> str:
    """The singular of a regular or common irregular plural, else the word itself."""
    if word in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[word]
    if len(word) < 4 or word in NO_PLURAL or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def stem(word: str) -> str:
    """A rough stem, for telling whether a word of an answer occurs in the question."""
    word = spelling(without_accents(word.lower()).removesuffix("'s").replace("'", ""))
    word = IRREGULAR_VERBS.get(word, word)
    word = singular(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            word = word[:-1] if word[-1:] == word[-2:-1] and word[-1] not in "sle" else word
    return (word.rstrip("e") or word) if len(word) > 3 else word


def key(text: str, plurals: bool = False) -> tuple[str, ...]:
    """The canonical words of a phrase.

    Dropped: soft punctuation, articles, letter case, a company's legal form at the end. Made one:
    dotted and plain abbreviations, long and short forms of a closed list, British and American
    spelling, number words, ordinals, Roman numerals from II, hyphens and spaces. Signs that carry
    meaning (``+ # % / = < > & @ ^`` and a leading minus) stay.

    Args:
        text: A folded text.
        plurals: Whether a plural equals its singular.
    """
    if "." in text:
        text = _DOTTED.sub(lambda m: m[0].replace(".", "").replace(" ", "") + " ", text)
    text = _NUMBERED.sub("number ", text)
    raw = _without_articles(_TOKEN.findall(text))
    tokens = [_word(token, index, raw) for index, token in enumerate(raw)]
    tokens = _shortened(_numbered([t for t in tokens if t]))
    if len(tokens) > 1 and tokens[-1] in _COMPANY:
        tokens.pop()
    if plurals:
        tokens = [singular(token) for token in tokens]
    return tuple(tokens)


def _without_articles(raw: list[str]) -> list[str]:
    words = [t for i, t in enumerate(raw) if t not in _SOFT or _separates(raw, i)]
    kept: list[str] = []
    for index, token in enumerate(words):
        nexts = words[index + 1] if index + 1 < len(words) else ""
        lower_or_first = token.islower() or index == 0 or len(token) > 1
        if token.lower() in ARTICLES and lower_or_first and len(nexts) > 1:
            continue
        kept.append(token)
    return kept or words


def _separates(raw: list[str], index: int) -> bool:
    """Whether soft punctuation means something: between two numbers, or a minus at the end."""
    if index == len(raw) - 1:
        return raw[index] == "-"
    before, after = raw[index - 1] if index else "", raw[index + 1]
    if raw[index] not in "-,;" or not (before[-1:].isdecimal() and after[-1:].isdecimal()):
        return False
    zero = any(len(number) > 1 and number[0] == "0" for number in (before, after))
    many = sum(token[-1:].isdecimal() for token in raw) >= 3
    return not (raw[index] == "-" and (many or zero or min(len(before), len(after)) >= 3))


def _word(token: str, index: int, raw: list[str]) -> str:
    if token == "US" or (token == "USA"):
        return "usa"
    if token in STATES and (len(raw) == 1 or index == len(raw) - 1):
        return STATES[token]
    if token in _ROMAN and len(raw) > 1:
        return _ROMAN[token]
    if token[0].isdecimal() or (token[0] in "+-" and len(token) > 1):
        value = (
            plain_number(token.lstrip("+-")) if token[-1].isdecimal() and ":" not in token else None
        )
        identifier = token.lstrip("+-").startswith("0") and token.lstrip("+-").isdecimal()
        if value is not None and not identifier:
            return f"{'-' if token[0] == '-' else ''}{value}"
        return re.sub(r"(?<=[0-9])(?:st|nd|rd|th)$", "th", token.lower())
    word = spelling(
        token.lower().removesuffix("'s") + ("s" if token.lower().endswith("'s") else "")
    )
    word = word.replace("'", "")
    if word in ORDINALS:
        return f"{ORDINALS[word]}th"
    return {"&": "and"}.get(word, word)


def _numbered(tokens: list[str]) -> list[str]:
    """Number words as digits; ``number``, ``no`` and ``#`` before digits are dropped."""
    merged: list[str] = []
    for index, token in enumerate(tokens):
        nexts = tokens[index + 1] if index + 1 < len(tokens) else ""
        if token in ("number", "#", "nr") and nexts[:1].isdecimal():
            continue
        if token == "no" and index and nexts[:1].isdecimal():
            continue
        if token in CARDINALS:
            value = CARDINALS[token]
            if (
                merged
                and merged[-1] in ("20", "30", "40", "50", "60", "70", "80", "90")
                and (0 < value < 10 and tokens[index - 1] in CARDINALS)
            ):
                value += int(merged.pop())
            token = str(value)
        merged.append(token)
    return merged


def _shortened(tokens: list[str]) -> list[str]:
    """Long forms of the closed list as their short forms, longest first."""
    short: list[str] = []
    index = 0
    while index < len(tokens):
        for length in (5, 4, 3, 2, 1):
            window = tuple(tokens[index : index + length])
            if len(window) == length and window in ABBREVIATIONS:
                short.append(ABBREVIATIONS[window])
                index += length
                break
        else:
            short.append(tokens[index])
            index += 1
    return short


def same_phrase(answer: str, reference: str, plurals: bool = False) -> bool:
    """Whether two folded texts are forms of one phrase.

    An accent that the reference has may be missing from the answer, not the other way round.
    """
    given = key(answer, plurals)
    if not given:
        return False
    for accepted in {reference, without_accents(reference)}:
        wanted = key(accepted, plurals)
        if given == wanted or ("".join(given) == "".join(wanted) and _joinable(given, wanted)):
            return True
    return False


def _joinable(given: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Spaces may be lost between words or letters and digits, not between two numbers."""
    for words in (given, wanted):
        for left, right in itertools.pairwise(words):
            if left[-1:].isdecimal() and right[:1].isdecimal():
                return False
    return True
