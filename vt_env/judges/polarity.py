"""Yes or no: the side that an answer takes, also when it is a whole sentence."""

from __future__ import annotations

import itertools
import re
from functools import cache

from vt_env.judges.lexicon import function_words, pattern, phrases, table, words
from vt_env.judges.matching import concluded, without_announcement
from vt_env.judges.phrases import stem
from vt_env.judges.questions import WORD, Asked, antonyms

_SHORT = {"y": True, "n": False}
_ELLIPSIS = re.compile(r"(?:it|he|she|they|there) (?P<verb>[a-z]+?)(?P<not>n't| not)?")
"""*She is*, of which the question has the verb."""
_PARTED = re.compile(r"\s*[,.;:!)(\"'*-]")
"""What parts a leading yes or no from the rest: *No lamp* is something else than *No, …*."""
_STATEMENT = re.compile(
    r"(?:the |this |that |it )(?:statement |claim |sentence |is |'s )*(?:is )?"
    r"(?P<side>true|false|correct|incorrect)"
)


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


@cache
def _listed(name: str) -> frozenset[str]:
    return frozenset(table("polarity")["other"][name].split())


@cache
def _sides(language: str) -> dict[str, bool]:
    """The words for yes and no of a language and of English."""
    return {
        word: value
        for name, value in (("yes", True), ("no", False))
        for spoken in ("en", language)
        for word in table("polarity")[name][spoken].split()
    }


@cache
def _truth() -> dict[str, bool]:
    return {w: value for name, value in (("true", True), ("false", False)) for w in _listed(name)}


def is_closed(asked: Asked) -> bool:
    """Whether a question asks for yes or no."""
    if "yesno" in asked.kinds:
        return True
    return (
        not asked.word_set & words("wh")
        and pattern("patterns", "open_han").search(asked.text) is None
    )


def uses_truth(reference: str, asked: Asked) -> bool:
    """Whether *true* and *false* count as yes and no."""
    told = pattern("patterns", "true_or_false").search(f"{reference} {asked.text}") is not None
    return told or asked.statement or "yesno" in asked.kinds


def side(text: str, asked: Asked) -> bool | None:
    """The side of a bare reference, where the question asks for one; else ``None``."""
    word = text.strip().strip(".!\"'。").lower()
    known = _truth() | _SHORT | _sides(asked.language)
    return known.get(word) if is_closed(asked) else None


def side_taken(answer: str, asked: Asked, truth: bool) -> bool | None:
    """The side that a cleaned answer takes, or ``None`` when it takes none or both.

    A leading yes or no decides, with ``truth`` also true or false, unless what follows contradicts
    it: the other word, a negation after yes, the question affirmed after no. Without it, a sentence
    made of the question's own words says yes, and with exactly one negation no.
    """
    answer = without_announcement(answer).strip().lstrip("\"'(*")
    bare = answer.strip(" .!\"'。)*").lower()
    if answer.endswith(("?", "？")) or not answer[:1].isalpha():
        return None
    found = _words(answer.replace("'", "' ") if asked.language == "fr" else answer)
    is_han = asked.language in ("zh", "ja")
    lead = _lead(answer, asked, truth)
    if lead is not None:
        value, rest = lead
        if is_han:
            return value if _agrees_han(value, rest, asked) else None
        follows = _words(rest)[:1]
        if not follows or _PARTED.match(rest) or follows[0] in _listed("follows"):
            by_truth = truth and found[0] in _truth()
            return value if _agrees(value, rest, asked, by_truth) else None
    elif (short := _ELLIPSIS.fullmatch(bare)) and asked.words[:1] == (short["verb"],):
        return not short["not"]
    elif truth and (stated := _STATEMENT.fullmatch(bare)):
        return stated["side"] in ("true", "correct")
    elif last := concluded(answer):
        value, before = side_taken(last[1], asked, truth), _declared(_words(last[0]), asked)
        return value if before in (None, value) and len(_words(last[1])) == 1 else None
    return _declared_han(answer, asked) if is_han else _declared(found, asked)


def _lead(text: str, asked: Asked, truth: bool) -> tuple[bool, str] | None:
    """The yes or no that a text begins with, and what follows."""
    sides = _sides(asked.language) | (_truth() if truth else {})
    if asked.language in ("zh", "ja"):
        led = (word for word in sides if text.lower().startswith(word))
        word = max(led, key=len, default="")
        return (sides[word], text[len(word) :]) if word else None
    match = re.match(r"[^\W\d_]+", text)
    value = sides.get(match[0].lower()) if match else None
    return (value, text[match.end() :]) if match and value is not None else None


def _agrees_han(value: bool, rest: str, asked: Asked) -> bool:
    """Whether nothing after a Chinese or Japanese yes or no takes it back."""
    said = rest.strip("。.！!，,、 ")
    denies = any(word in said for word in phrases("deny"))
    if not said or (all(char in asked.text for char in said) and not denies):
        return True
    if rest[0] not in "，,。.、！!" or any(char in rest for char in phrases("offer")):
        return False
    if not value and not denies:
        sides = _sides("zh") | _sides("ja")
        return not any(said.lstrip("，,、 ").startswith(w) for w in sides if sides[w])
    return value != denies


def _agrees(value: bool, rest: str, asked: Asked, by_truth: bool) -> bool:
    """Whether nothing after a leading yes or no takes it back or makes another word of it."""
    found = _words(rest)
    if not found:
        return True
    sides = _sides(asked.language)
    doubts = _listed("doubts") | words("doubt") - words("deny") - _listed("harmless")
    doubts |= words("talk") - _listed("harmless") | words("distrusted")
    if set(found) & (doubts - asked.word_set):
        return False
    if any(sides.get(word) or (value and sides.get(word) is False) for word in found):
        return False
    if rest.count(",") > 1 and not set(found) & _listed("verbs"):
        return False
    return _consistent(value, found, asked, by_truth)


def _negations(found: list[str]) -> int:
    denials = words("deny") - _listed("denials_no")
    return sum(word in denials or word.endswith("n't") for word in found)


def _content(found: list[str], asked: Asked) -> list[str]:
    skipped = function_words(asked.language) | words("deny") | {"does", "do", "did", "any"}
    skipped -= antonyms().keys()
    pairs = zip(found, [*found[1:], ""], strict=False)
    found = [word for word, n in pairs if not (word in ("on", "off") and n in words("articles"))]
    return [stem(word) for word in found if word not in skipped and not word.endswith("n't")]


def _is_subsequence(short: list[str], long: list[str]) -> bool:
    left = iter(long)
    return all(word in left for word in short)


def _consistent(value: bool, rest: list[str], asked: Asked, by_truth: bool) -> bool:
    content, question = _content(rest, asked), _content(list(asked.words), asked)
    negations = _negations(rest)
    known = [word for word in content if word in asked.stems]
    opposites = asked.opposites & set(rest)
    if content and not known:  # what can follow is a place, or another thing
        is_place = rest[0] in words("prepositions") | words("directions_of")
        if negations or not (is_place or not (value or set(rest) & _listed("limits"))):
            return False
    if by_truth:
        turned = negations + _negations(list(asked.words)) + bool(opposites)
        return value is (turned % 2 == 0)
    if value:
        return not negations and not opposites
    if negations:
        pairs = itertools.pairwise(rest)
        return not any(_negations([before]) and word in opposites for before, word in pairs)
    if not known or not _is_subsequence(known, question):
        return True
    missing = any(word not in known for word in question)
    return missing and len(known) < len(content)


def _declared_han(answer: str, asked: Asked) -> bool | None:
    """The side of a Chinese or Japanese sentence made of the question's own characters."""
    denials = [word for word in phrases("deny") if word in answer and word not in asked.text]
    for word in (*denials, *_listed("verbs_han")):
        answer = answer.replace(word, "")
    said = answer.strip("。.！! ")
    return not denials if said and all(char in asked.text for char in said) else None


def _declared(found: list[str], asked: Asked) -> bool | None:
    """The side of a sentence made of the question's own words, or with the opposite of one."""
    turned = [w for w in found if w in asked.opposites and stem(w) not in asked.stems]
    said = [min(antonyms()[word] & asked.stems) if word in turned else word for word in found]
    content, question = _content(said, asked), _content(list(asked.words), asked)
    negations = _negations(found) + len(turned)
    if not content or set(found) & (_listed("doubts") | words("past") - asked.word_set):
        return None
    if asked.language != "en":
        missing = set(question) - set(content)
        is_whole = len(missing) <= (not asked.alternatives) and set(content) <= set(question)
        return negations == 0 if len(found) > 2 and is_whole and negations < 2 else None
    if not set(found) & _listed("verbs") or content[-1] != question[-1] or len(content[-1]) < 2:
        return None
    if negations > 1 or not _is_subsequence(content, question):
        return None
    denied = _negations(list(asked.words)) if asked.statement else 0
    return (negations + denied) % 2 == 0
