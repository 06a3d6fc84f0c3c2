"""Phrases: words in a canonical spelling, so that forms of one name compare equal."""

from __future__ import annotations

import itertools
import re
from functools import cache, lru_cache

from vt_env.judges.characters import is_cjk, without_accents
from vt_env.judges.lexicon import abbreviations, english, table, words
from vt_env.judges.numerals import CARDINALS, ORDINALS, plain_number, roman

_DOTTED = re.compile(r"\b(?:[A-Za-z]\. ?){1,5}[A-Za-z]\b\.?(?!\w)")
_TOKEN = re.compile(
    r"(?<![\w.])[-+]?[0-9]+(?:[.,][0-9]+)*(?![\w])"
    r"|[0-9]+(?:st|nd|rd|th)\b|[0-9]+(?:[:][0-9]+)*"
    r"|[^\W\d_]+(?:'[^\W\d_]+)*(?:\+\+|[+#](?!\w))?"
    r"|(?<=\w)-(?=\s*$|,)|[^\w\s]|_"
)
_NUMBERED = re.compile(r"\bno\. ?(?=[0-9])", re.I)
_EMPHASIS = re.compile(r"\*([^*]+)\*")
_ELIDED = re.compile(r"(?<!\w)[lLdD]'(?=[^\W\d_]{2})")
_TRAILING = re.compile(r"(?<=[^\W\d_])(?:です|の|的|色)+$")
_LEADING = re.compile(r"^一[个個把只隻条張张本顶件辆輛台座朵杯瓶块支幅位头匹架艘棵片部](?=.)")
_OUR = re.compile(r"(\w{3,})our(s|ed|ing|able|ful|ite|less|hood)?$")
_ISE = re.compile(r"(\w{4,})(is|ys)(e|ed|es|ing|er|ation|ations)$")
_LARGEST_ROMAN = 21
_SOFT = frozenset(".,;:!?'\"()[]-_`，。、：！？「」『』《》·・〜")


@lru_cache(maxsize=8192)
def spelling(word: str) -> str:
    """American spelling of a lower-case word."""
    word = english("spellings").get(word, word)
    word = _OUR.sub(r"\1or\2", word)
    return _ISE.sub(lambda m: f"{m[1]}{m[2][0]}z{m[3]}", word)


@cache
def _agreeing() -> dict[str, str]:
    """The stem of each form of an adjective that agrees with its noun: *rote*, *bleues*, *roja*."""
    entries: list[list[str]] = table("english")["agreeing"]
    each = ((stem, ends.split(",")) for stems, ends in entries for stem in stems.split())
    return {stem + end: stem for stem, ends in each for end in ends}


@lru_cache(maxsize=8192)
def singular(word: str) -> str:
    """The singular of a regular or common irregular plural, else the word itself."""
    if irregular := english("plurals").get(word) or _agreeing().get(word):
        return irregular
    if len(word) < 4 or word in words("no_plural") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word.removesuffix("s")


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """A rough stem, for telling whether a word of an answer occurs in the question."""
    word = spelling(without_accents(word.lower()).removesuffix("'s").replace("'", ""))
    word = singular(english("verbs").get(word, word))
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            word = word[:-1] if word[-1:] == word[-2:-1] and word[-1] not in "sle" else word
    return word.rstrip("e") if len(word) > 3 else word


@lru_cache(maxsize=8192)
def key(text: str, plurals: bool = False) -> tuple[str, ...]:
    """The canonical words of a phrase; with ``plurals`` a plural equals its singular.

    Dropped: soft punctuation, articles, letter case, a company's legal form at the end. Made one:
    abbreviations, spellings, number words, ordinals, Roman numerals from II, hyphens and spaces.
    Signs that carry meaning (``+ # % / = < > & @ ^`` and a leading minus) stay.
    """
    text = _DOTTED.sub(lambda m: m[0].replace(".", "").replace(" ", "") + " ", text)
    if text and is_cjk(text[-1]):
        text = _LEADING.sub("", _TRAILING.sub("", text))
    text = _ELIDED.sub("", _EMPHASIS.sub(r"\1", _NUMBERED.sub("number ", text)))
    raw = _without_articles(_TOKEN.findall(text))
    befores = ["", *raw][: len(raw)]
    tokens = [
        _word(token, before[-1:].isalpha(), is_last=index == len(raw), alone=len(raw) == 1)
        for index, (token, before) in enumerate(zip(raw, befores, strict=True), start=1)
    ]
    if len(tokens) > 1 and raw[-2].isupper():
        tokens[-1] = english("signs").get(tokens[-1], tokens[-1])
    tokens = _shortened(_numbered([token for token in tokens if token]))
    if len(tokens) > 1 and tokens[-1] in words("company"):
        tokens.pop()
    if len(tokens) > 1:
        tokens = [english("points").get(token, token) for token in tokens]
    return tuple(singular(token) for token in tokens) if plurals else tuple(tokens)


def _without_articles(raw: list[str]) -> list[str]:
    """Tokens without soft punctuation and without articles before a word."""
    many = sum(token[-1:].isdecimal() for token in raw) >= 3
    found = [t for i, t in enumerate(raw) if t not in _SOFT or _separates(raw, i, many)]
    kept: list[str] = []
    articles, signs = words("dropped"), english("signs")
    for index, (token, following) in enumerate(zip(found, [*found[1:], ""], strict=False)):
        is_article = token.lower() in articles and len(following) > 1
        is_article = is_article and following.lower() not in signs
        if not (is_article and (token.islower() or index == 0 or len(token) > 1)):
            kept.append(token)
    return kept


def _separates(raw: list[str], index: int, many: bool) -> bool:
    """Whether soft punctuation means something: between two numbers, or a minus at the end."""
    if index == len(raw) - 1:
        return raw[index] == "-"
    before, after = raw[index - 1] if index else "", raw[index + 1]
    if raw[index] not in "-,;" or not (before[-1:].isdecimal() and after[-1:].isdecimal()):
        return False
    return raw[index] != "-" or not many


@lru_cache(maxsize=16_384)
def _word(token: str, after_word: bool, *, is_last: bool, alone: bool) -> str:
    """One token in its canonical form."""
    if token in ("US", "USA"):
        return "usa"
    if token in english("states") and is_last and not alone:
        return english("states")[token]
    if 1 < (numeral := roman(token)) <= _LARGEST_ROMAN and not alone:
        return str(numeral)
    if token[0].isdecimal() or (token[0] in "+-" and len(token) > 1):
        bare = token.lstrip("+-")
        if "." in bare and after_word:
            return token.lower()
        value = plain_number(bare) if token[-1].isdecimal() and ":" not in token else None
        if value is not None and not (bare.startswith("0") and bare.isdecimal()):
            return f"{'-' if token[0] == '-' else ''}{value}"
        return re.sub(r"(?<=[0-9])(?:st|nd|rd|th)$", "th", token.lower())
    word = token.lower()
    if placed := table("english")["placed"].get(word):
        return placed[1] if is_last else placed[0]
    word = spelling(word.removesuffix("'s") + ("s" if word.endswith("'s") else "")).replace("'", "")
    if word in ORDINALS:
        return f"{ORDINALS[word]}th"
    word = word.removesuffix("aße") if word.endswith("straße") else word
    return "and" if word == "&" else word


def _numbered(tokens: list[str]) -> list[str]:
    """Number words as digits; ``number``, ``no`` and ``#`` before digits are dropped."""
    merged: list[str] = []
    for index, (token, following) in enumerate(zip(tokens, [*tokens[1:], ""], strict=False)):
        is_mark = token in ("number", "#", "nr") or (token == "no" and index)
        if is_mark and following[:1].isdecimal():
            continue
        if token in CARDINALS:
            value, before = CARDINALS[token], tokens[index - 1] if index else ""
            if CARDINALS.get(before, 0) >= 20 and value < 10:
                value += int(merged.pop())
            token = str(value)
        merged.append(token)
    return merged


def _shortened(tokens: list[str]) -> list[str]:
    """Long forms of the closed list as their short forms, longest first."""
    known, short, index = abbreviations(), list[str](), 0
    while index < len(tokens):
        size = next((n for n in (5, 4, 3, 2) if tuple(tokens[index : index + n]) in known), 1)
        short.append(known.get(tuple(tokens[index : index + size]), tokens[index]))
        index += size
    return short


def same_phrase(answer: str, reference: str, plurals: bool = False, person: bool = False) -> bool:
    """Whether two folded texts are forms of one phrase.

    An accent that the reference has may be missing from the answer, not the other way round. A
    ``person`` may lack a title and middle initials.
    """
    given = key(answer, plurals)
    if not given:
        return False
    for accepted in dict.fromkeys((reference, without_accents(reference))):
        wanted = key(accepted, plurals)
        if given == wanted or ("".join(given) == "".join(wanted) and _joinable(given, wanted)):
            return True
        if person and len(wanted) > 1 and _same_person(given, wanted):
            return True
    return False


def _same_person(given: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a name only lacks a title or initials, or adds a title before two words or more."""
    titles = words("titles")
    if given[0] in titles and wanted[0] not in titles and len(given) > 2:
        given = given[1:]
    name = wanted[1:] if wanted[0] in titles else wanted
    bare = (*name[:1], *(word for word in name[1:-1] if len(word) > 1), *name[1:][-1:])
    return given in (wanted, bare)


def _joinable(given: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Spaces may be lost between words or letters and digits, not between two numbers."""
    pairs = itertools.chain(itertools.pairwise(given), itertools.pairwise(wanted))
    return not any(left[-1:].isdecimal() and right[:1].isdecimal() for left, right in pairs)
