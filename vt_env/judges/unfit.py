"""What has not the form of an answer, so that nobody need be asked about it.

A judge that understands meaning should be asked about *a hound* for *dog*, and never about a text
that talks to it, offers several answers, hides one in code, or only repeats the question. What the
question or a reference has is never held against an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from vt_env.judges.characters import is_blank, is_cjk, without_accents
from vt_env.judges.compounds import items
from vt_env.judges.dates import parse_dates, parse_time
from vt_env.judges.lexicon import calendar, function_words, phrases, plain, words
from vt_env.judges.matching import without_announcement
from vt_env.judges.numerals import CARDINALS, HAN_DIGITS, spoken_number
from vt_env.judges.polarity import side
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked
from vt_env.judges.sentences import PUNCTUATION

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
_BETWEEN = re.compile(r"[・/|]")
_NAME = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"[0-9]+(?:[.,:/][0-9]+)*")
_ROMAN = re.compile(r"\b[IVXLCDM]+\b")
_SPAN = re.compile(r"[0-9]\s?-\s?[0-9]")
_SENTENCE = re.compile(r"(?<=[^\W\d_]{2}[.!?])\s+|(?<=[0-9)][.!?])\s+(?=\w)|(?<=。)")
_MIXED = re.compile(r"[0-9][^\W\d_]|[^\W\d_][0-9]")
_CAPITAL_INSIDE = re.compile(r"[a-z][A-Z]")
_NAMED = re.compile(r"\b[a-zA-Z] ?= ?(?=-?[0-9])")
"""The name of a number: *x = 4*."""
_PLAIN_MARK = re.compile(r"[0-9] ?%|[$€£¥₹](?= ?[0-9])|(?<=[0-9]):(?=[0-9])|[\w .,'’\-°/&。、，]")
_OR = re.compile(r"\s+(?:or|oder|ou|o)\s+|(?<=[^\W\d])\s*/\s*(?=[^\W\d])")
_QUOTE = re.compile(r'^[^"「」]*["「]([^"「」]*)["」][^"「」]*$')
_SUFFIXES = frozenset("st nd rd th am pm s er h".split())
_FORMULA = frozenset("=^_{}()+*/\\$√π .,-'")
_FUNCTIONS = frozenset("sqrt pi cdot sin cos tan log ln exp e i".split())
_SHORT = 15
"""Words that an answer to a short reference may have."""
_LONG = 8
"""Words from which on a reference is a description: others may say it in more ways."""
_UNBOUND = 5
"""Words in a row, without one that binds them, which are a list and no phrase."""
_ITEM = 4
"""Words that an item of a bare list may have; longer pieces are clauses of a sentence."""


def several_answers(answer: str, references: Sequence[str], asked: Asked) -> str:
    """Why a cleaned answer is none, since it is empty talk or several at once; else empty."""
    written = {word for text in references for word in _words(text)}
    if answer.endswith((":", "：")):
        return "announces an answer and gives none"
    if set(_words(answer)) <= (function_words(asked.language) | words("empty")) - written:
        return "says nothing"
    if {side(part, asked) for part in _BETWEEN.split(answer)} >= {True, False}:
        return "several answers at once"
    most = max((len(items(text)) for text in references), default=1)
    given = [part for item in items(answer) for part in _OR.split(item) if not is_blank(part)]
    if len(given) <= most or any(len(part.split()) > _ITEM for part in given):
        return ""
    if len(given) > most + 1 or words("offer") & set(_words(answer)) or "/" in answer:
        return "several answers at once"
    readers = (parse_quantity, parse_dates, parse_time)
    values = [any(read(part, asked.language) for read in readers) for part in given]
    is_list = most > 1 or all(values)
    return "more answers than there should be" if is_list else ""


class _Known:
    """What the question and the references have."""

    def __init__(self, references: Sequence[str], asked: Asked) -> None:
        self.references = references
        self.written = "\n".join(references)
        self.text = f"{asked.text}\n{self.written}"
        found, told = _words(asked.text), [_words(text) for text in references]
        self.asked = frozenset(found)
        self.words = self.asked.union(*told)
        self.asked_values = frozenset(_values(asked.text, found))
        values = (len(_values(text, own)) for text, own in zip(references, told, strict=True))
        self.values = max(values, default=0)
        self.length = max(map(len, told), default=0)
        self.long = self.length >= _LONG
        sides = {side(text, asked) for text in references}
        self.sided, self.denied = bool(sides - {None}), False in sides
        self.language = asked.language
        self.is_han = asked.language in ("zh", "ja")


@lru_cache(maxsize=256)
def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower().replace("’", "'") for word in _WORD.findall(text))


def _values(text: str, found: Sequence[str]) -> list[str]:
    """The numbers of a text, of which the words are found already."""
    return _NUMBER.findall(text) + [w for w in found if w in CARDINALS and w != "one"]


def unfit(answer: str, references: Sequence[str], asked: Asked) -> str:
    """What a cleaned answer has that a plain one has not; empty for a plain one."""
    known = _Known(references, asked)
    if len(_words(answer)) > max(_SHORT, 2 * known.length + 5):
        return "more words than an answer needs"
    if problem := several_answers(answer, references, asked):
        return problem
    if all(_is_denied(reference, answer) for reference in references):
        return "denies the reference, or compares with it"
    answer = without_announcement(answer)
    if any(mark in known.written for mark in "=^√\\_{"):
        return _formula_problem(answer, known)
    answer = _NAMED.sub("", answer)
    found = _words(answer)
    return (
        _value_problem(answer, found, known)
        or _letter_problem(answer, known)
        or _word_problem(answer, found, known)
        or _count_problem(answer, found, known)
        or ("only the question again" if _is_echo(answer, found, known) else "")
    )


def _is_denied(reference: str, answer: str) -> bool:
    """Whether every mention of a reference comes right after a negation or *than*."""
    found, wanted = _words(answer), _words(reference)
    places = [i for i in range(len(found)) if wanted and found[i : i + len(wanted)] == wanted]
    skipped = words("articles") | words("copulas")
    before = [["", *(w for w in found[:place] if w not in skipped)][-1] for place in places]
    denials = words("denials")
    return bool(places) and all(word in denials or word.endswith("n't") for word in before)


def _value_problem(answer: str, found: Sequence[str], known: _Known) -> str:
    """Whether a number is expected and nothing that can be one is said."""
    if not known.references or not all(_NUMBER.search(text) for text in known.references):
        return ""
    is_said = known.sided or any(char.isdigit() or char in HAN_DIGITS for char in answer)
    is_said = is_said or bool(set(found) & words("value_words") or _ROMAN.search(answer))
    is_said = is_said or any(plain(word) in calendar(known.language) for word in found)
    return "" if is_said or any(spoken_number(w, known.language) for w in found) else "no value"


def _letter_problem(answer: str, known: _Known) -> str:
    """Marks, letters and mixtures of both that no plain answer has."""
    allowed = set(known.written) | set(known.text) - set('?!;:"') | set(";" if known.long else "")
    body = re.sub(r"(?<=[^\W\d_])[.!。]$", "", answer)
    body = _QUOTE.sub(
        lambda quoted: quoted[0].translate({34: None, 0x300C: None, 0x300D: None}), body
    )
    for char in _PLAIN_MARK.sub("", body):
        if char not in allowed:
            return f"{char!r} in the answer"
    if not known.long and _SPAN.search(answer) and not _SPAN.search(known.text):
        return "a range"
    for char in sorted(set(answer) - allowed):
        latin = unicodedata.name(char, "").startswith("LATIN") or char in "πμΩ"
        if char.isalpha() and not latin and not (known.is_han and is_cjk(char)):
            return "another script than the question's and the references'"
    for word in _WORD.findall(answer):
        if word.lower() in known.words or without_accents(word).lower() in known.words:
            continue
        if _MIXED.search(word) and not any(is_cjk(char) for char in word):
            quantity = parse_quantity(word, known.language)
            is_measure = quantity and quantity.units
            if not is_measure and word.lower().lstrip("0123456789.,") not in _SUFFIXES:
                return "letters and digits in one word"
        if _CAPITAL_INSIDE.search(word):
            return "a capital within a word"
    return ""


def _word_problem(answer: str, found: Sequence[str], known: _Known) -> str:
    if len(found) == 1 and known.sided and found[0] not in known.words:
        return "one word that is not yes or no"
    banned = words("deny") | words("offer") | words("doubt")
    banned = banned if known.long else banned | words("loose")
    denials = [word for word in found if word in words("deny") or word.endswith("n't")]
    one_no = denials if known.denied and len(denials) == 1 else ()
    for place, word in enumerate(found):
        if word in words("asks") and word not in _words(known.written):
            return f"{word!r}: a question in the answer"
        if word in known.words or word in one_no:
            continue
        if word in words("talk"):
            return f"{word!r}: talk about answers"
        if word in banned or word.endswith("n't"):
            return f"{word!r}: no plain claim"
        if word in words("bounds") and known.values and not known.long:
            return f"{word!r} beside a number"
        if len(word) == 1 and word.isalpha() and word not in "aày" and not is_cjk(word):
            measured = place > 0 and found[place - 1][-1].isdigit()
            if not (measured or f"{word}." in answer.lower()):
                return "a letter that stands for nothing"
    groups = ("talk", "offer") if known.denied else ("talk", "deny", "offer")
    for phrase in (p for group in groups for p in phrases(group)) if known.is_han else ():
        if phrase in answer and phrase not in known.text:
            return f"{phrase!r}: no plain claim"
    return ""


def _count_problem(answer: str, found: Sequence[str], known: _Known) -> str:
    given = [value for value in _values(answer, found) if value not in known.asked_values]
    if len(given) > max(1, known.values):
        return "several values"
    little = function_words(known.language)
    counts = Counter(word for word in found if len(word) > 1 and word not in little)
    if any(count > (2 if word in known.words else 1) for word, count in counts.items()):
        return "a word said again"
    unbound = answer.islower() and not set(found) & little and "," not in answer
    if unbound and len(found) >= max(_UNBOUND, known.length + 3):
        return "a row of words"
    sentences = max((len(_SENTENCE.split(text)) for text in known.references), default=1)
    given = [text for text in _SENTENCE.split(answer.strip()) if text]
    if len(given) > sentences + (known.length > _SHORT):
        return "more sentences than an answer needs"
    return ""


def _is_echo(answer: str, found: Sequence[str], known: _Known) -> bool:
    """Whether nothing but the question is said, where that is no answer."""
    wanted = [_words(text) for text in known.references]
    if known.sided or found in wanted or any(set(text) <= known.asked for text in wanted):
        return False
    if known.is_han:
        return answer.strip("".join(PUNCTUATION) + "?？") in known.text.split("\n")[0]
    empty = known.asked | function_words(known.language) | words("reporting") | words("vague")
    return set(found) <= empty


def _formula_problem(answer: str, known: _Known) -> str:
    """A formula may have the references' names, those of functions, and one equals sign."""
    for char in answer:
        if not (char.isalnum() or char in _FORMULA or char in known.written):
            return f"{char!r} in the answer"
    if answer.count("=") > max(1, *(text.count("=") for text in known.references)):
        return "several equations"
    left, _, right = answer.rpartition("=")
    if left and not _NAME.search(left):
        return "an equation of numbers"
    if re.search(r"\d", known.written) and not re.search(r"\d", right):
        return "no value"
    sides = "\n".join(text.rpartition("=")[2] for text in known.references)
    if set(_NAME.findall(right.lower())) - set(_NAME.findall(sides.lower())) - _FUNCTIONS:
        return "names that the references do not have"
    return ""
