"""Whether a sentence states one answer and nothing else.

An answer may come in a sentence. It is found without any model: the sentence is cut into what is
claimed and the words around it, and these may only be function words of a closed list, words of
the question, or the answer again. A negation, an alternative, a number that the question does not
have, or any unknown word around the claim means that the sentence is not understood, and what is
not understood is not accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vt_env.judges.phrases import key, stem
from vt_env.judges.questions import Asked
from vt_env.judges.sameness import clean
from vt_env.judges.tables import (
    ALTERNATIVES,
    ARTICLES,
    COPULAS,
    DIMENSIONS,
    DIRECTIONS,
    EXTREMES,
    FUNCTION_WORDS,
    HEADS,
    NEGATIONS,
    NUMBER_WORDS,
    OPENERS,
    PREPOSITIONS,
    REPORTING,
    SCENE,
    TOTALS,
    TURNS,
)

_TOKEN = re.compile(r"[0-9]+(?:[.,:/][0-9]+)*|[^\W\d_]+(?:'[^\W\d_]+)*|\S")
_PUNCTUATION = frozenset(".,:;!\"'()*`")
_BLOCKED = NEGATIONS | ALTERNATIVES
_CLAUSE = re.compile(r"(?:,? so |[.!;] (?=\S)|, (?:which is|i\.e\.) | - |\s\((?=[^()]*\)[ .!]*$))")
_ASIDE = re.compile(r"\s?(?:\(([^()]{1,60})\)|- ([^-]{1,30}) -)(?=[\s.,]|$)")
_DANGLING = frozenset(("from", "to", "of", "for", "with", "as", "into"))
_RESTARTS = frozenset("it they he she i we you this these those there here so therefore".split())
_PLACES = frozenset(
    stem(word)
    for word in "section page room level chapter platform gate flight vitamin place rank".split()
)
_SUMS = frozenset(("amounts", "comes", "equal", "adds", "equals", "stands"))
_MAX_TOKENS = 60
_MAX_CLAUSES = 3

Same = Callable[[str, str, Asked], bool]


def states(answer: str, reference: str, asked: Asked, same: Same) -> bool:
    """Whether a cleaned answer states the reference: as it is, in a sentence, or in clauses."""
    if answer.endswith("?") and not reference.endswith("?"):
        return False
    if same(answer, reference, asked):
        return True
    if not _echo_free(answer) or _is_echo(answer, reference, asked):
        return False
    if _in_sentence(answer, reference, asked, same):
        return True
    if (match := _ASIDE.search(answer)) and _repeats(match[1] or match[2], reference, asked, same):
        return states(answer[: match.start()] + answer[match.end() :], reference, asked, same)
    clauses = [part.strip(" ().;!") for part in _CLAUSE.split(answer)]
    clauses = [part for part in clauses if part]
    return 2 <= len(clauses) <= _MAX_CLAUSES and all(
        same(part, reference, asked) or _in_sentence(part, reference, asked, same)
        for part in clauses
    )


def _repeats(aside: str, reference: str, asked: Asked, same: Same) -> bool:
    """Whether an aside is the reference again, alone or as the result of a sum."""
    sum_, equals, result = aside.rpartition("=")
    if equals and re.fullmatch(r"[0-9 .,+*/×-]+", sum_):
        aside = result.strip()
    return same(aside, reference, asked)


def _echo_free(answer: str) -> bool:
    first = answer.split(" ", 1)[0].lower()
    return first not in ("what", "which", "who", "whose", "where", "when", "why", "how", "if")


def _is_echo(answer: str, reference: str, asked: Asked) -> bool:
    """Whether an answer is only a longer piece of the question than the reference."""
    words = key(answer)
    echo = f" {' '.join(words)} " in f" {' '.join(key(asked.text))} "
    return echo and len(words) > len(key(reference))


def _in_sentence(answer: str, reference: str, asked: Asked, same: Same) -> bool:
    """Whether some claim in a sentence is the reference, with only known words around it."""
    found = list(_TOKEN.finditer(answer))
    if len(found) < 2 or len(found) > _MAX_TOKENS:
        return False
    written = [match[0] for match in found]
    words = [word.lower() for word in written]
    if words[-1] in ARTICLES | PREPOSITIONS and words[-1] not in _words(asked):
        return False
    known = [_known(written, words, index, asked) for index in range(len(words))]
    before = _runs([f or _is_head(word, asked) for f, word in zip(known, words, strict=True)])
    after = list(reversed(_runs(list(reversed(known)))))
    for start in range(len(found)):
        if not before[start]:
            break
        if words[start] in ".,:;!" or not _can_begin(words, start, asked):
            continue
        for end in range(len(found), start, -1):
            if not after[end - 1]:
                break
            if end - start == len(found) or not _can_end(written, end):
                continue
            if _is_glued(found, start) or _is_glued(found, end):
                continue
            claim = answer[found[start].start() : found[end - 1].end()]
            if start and words[start - 1] == "(" and "," in claim:
                continue
            if not _is_directed(words, start, claim, asked):
                continue
            if same(claim, reference, asked):
                return True
    return False


def _is_glued(found: list[re.Match[str]], index: int) -> bool:
    """Whether no space parts two tokens of letters or digits: ``7x``."""
    if not 0 < index < len(found):
        return False
    left, right = found[index - 1], found[index]
    glued = left.end() == right.start()
    return glued and left[0][-1].isalnum() and right[0][0].isalnum()


def _runs(known: list[bool]) -> list[bool]:
    """Whether everything before each position is known."""
    result, fine = [True], True
    for word in known:
        fine = fine and word
        result.append(fine)
    return result[:-1]


def _known(written: list[str], words: list[str], index: int, asked: Asked) -> bool:
    """Whether a word may stand around a claim."""
    word = words[index]
    if word == "a":
        noun = written[index + 1] if index + 1 < len(words) else ""
        is_article = index == 0 or written[index] == "a"
        is_noun = len(noun) > 1 and noun.islower() and noun not in FUNCTION_WORDS - TOTALS
        return is_article and is_noun
    pair = f"{words[index - 1]} {word}" if index else ""
    if pair in TURNS:
        return pair in asked.text.lower()
    if any(word in group and group & _words(asked) for group in EXTREMES):
        return True
    if word in DIMENSIONS:
        return bool(DIMENSIONS[word] & _words(asked))
    if word == "and":
        return " ".join(words[max(0, index - 1) : index + 2]) in asked.text.lower()
    if word in _PUNCTUATION or word in FUNCTION_WORDS or word in REPORTING:
        return True
    if word in _BLOCKED or word.endswith("n't"):
        return _asked_negation(words, index, asked)
    root = stem(word)
    return root in asked.stems and root not in asked.alternatives


def _asked_negation(words: list[str], index: int, asked: Asked) -> bool:
    """Whether a negation stands before the same word as in the question (*had no rain*)."""
    pair = " ".join(words[index : index + 2])
    return words[index] in NEGATIONS and " " in pair and f" {pair}" in asked.text.lower()


def _can_begin(words: list[str], start: int, asked: Asked) -> bool:
    """Whether a claim can begin here: at the start, or after a word that introduces one."""
    if start == 0:
        return True
    last = words[start - 1]
    if last in DIRECTIONS and last in _words(asked):
        return True
    if start == 1 and last in _DANGLING:
        return False
    if last in OPENERS or last in REPORTING or last in ":\"'(`*" or _is_head(last, asked):
        return True
    if start == 1 and stem(last) in asked.stems and any(c.isdecimal() for c in words[start]):
        return True
    if last in ".,;!":
        return all(w in FUNCTION_WORDS or w in _PUNCTUATION for w in words[:start])
    if words[start] in PREPOSITIONS or words[start] in ("a", "an", "the"):
        return last not in PREPOSITIONS
    return _is_verb_of(last, asked)


def _is_directed(words: list[str], start: int, claim: str, asked: Asked) -> bool:
    """Whether a preposition before a claim is called for: *rose to 5* does not tell by how much."""
    before = [word for word in words[:start] if word not in ARTICLES]
    last, verb = before[-1] if before else "", before[-2] if len(before) > 1 else ""
    text = _words(asked)
    if verb in DIMENSIONS and last in PREPOSITIONS:
        return False
    if last in text or (last == "of" and verb not in COPULAS):
        return True
    if last not in DIRECTIONS | {"of"}:
        return True
    if any(c.isdecimal() for c in claim) or NUMBER_WORDS & set(claim.lower().split()):
        summed = last == "to" and verb in _SUMS
        return summed or last == "for" or (last == "by" and {"how", "much"} <= text)
    participle = verb in REPORTING and verb.endswith(("ed", "en", "made"))
    if last in ("by", "as"):
        return participle or (last == "by" and asked.names)
    moved = last in ("from", "to", "into") and "where" in text and not DIRECTIONS & text
    return moved and stem(verb) in asked.stems


def _words(asked: Asked) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", asked.text.lower()))


def _is_head(word: str, asked: Asked) -> bool:
    if asked.counted:
        return word in ("number", "value")
    return word in HEADS or word.removesuffix("s") in HEADS or stem(word) in asked.stems & _PLACES


def _is_verb_of(word: str, asked: Asked) -> bool:
    return (
        word.endswith(("ed", "s")) and stem(word) in asked.stems and word not in asked.text.lower()
    )


def _can_end(written: list[str], end: int) -> bool:
    """Whether a claim can end here: what follows must not belong to it or open another one."""
    if end == len(written):
        return True
    words, follows = [word.lower() for word in written], written[end].lower()
    if written[end][0].isupper() and written[end - 1][0].isalpha():
        return False
    if follows in ("'", '"') and follows not in words[: end - 1]:
        return False
    if follows == "!" and words[end - 1][-1].isdecimal():
        return False
    if follows in ",;":
        return end + 1 == len(words) or words[end + 1] in SCENE | PREPOSITIONS
    if follows in ".!" and end + 1 < len(words):
        return all(word in _PUNCTUATION or word in SCENE for word in words[end:])
    if follows in ("and", "to", "into") or follows in _RESTARTS:
        return False
    if words[end - 1][-1].isdecimal() or words[end - 1] in NUMBER_WORDS:
        return follows in FUNCTION_WORDS or follows in REPORTING or follows in _PUNCTUATION
    return not (follows in COPULAS and end + 1 == len(words))


_SEGMENT = re.compile(
    r"\\boxed\s*\{.{1,150}\}|\$[^$]{1,150}\$|\\\(.{1,150}?\\\)|\\\[.{1,150}?\\\]", re.S
)


def claimed_expression(answer: str, asked: Asked) -> str:
    """The one marked-up expression that an answer states, cleaned; else the cleaned answer."""
    found = _SEGMENT.findall(answer)
    if len(found) == 1:
        frame = answer.replace(found[0], " 0 ")
        if _in_sentence(clean(frame), "0", asked, lambda claim, _, __: claim == "0"):
            return clean(found[0])
    return clean(answer)
