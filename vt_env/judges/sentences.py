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
    COPULAS,
    FUNCTION_WORDS,
    HEADS,
    NEGATIONS,
    NUMBER_WORDS,
    OPENERS,
    PREPOSITIONS,
    REPORTING,
    SCENE,
)

_TOKEN = re.compile(r"[0-9]+(?:[.,:/][0-9]+)*|[^\W\d_]+(?:'[^\W\d_]+)*|\S")
_PUNCTUATION = frozenset(".,:;!\"'()*`")
_BLOCKED = NEGATIONS | ALTERNATIVES
_CLAUSE = re.compile(r"(?:,? so |[.!;] (?=\S)|, (?:which is|i\.e\.) | - |\s\((?=[^()]*\)[ .!]*$))")
_ASIDE = re.compile(r"\s?(?:\(([^()]{1,60})\)|- ([^-]{1,30}) -)(?=[\s.,]|$)")
_DANGLING = frozenset(("from", "to", "of", "for", "with", "as", "into"))
_RESTARTS = frozenset("it they he she i we you this these those there here so therefore".split())
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
    known = [_known(words, index, asked) for index in range(len(words))]
    before = _runs([fine or _is_head(word) for fine, word in zip(known, words, strict=True)])
    after = list(reversed(_runs(list(reversed(known)))))
    for start in range(len(found)):
        if not before[start]:
            break
        if not _can_begin(words, start, asked):
            continue
        for end in range(len(found), start, -1):
            if not after[end - 1]:
                break
            if end - start == len(found) or not _can_end(written, end):
                continue
            claim = answer[found[start].start() : found[end - 1].end()]
            if same(claim, reference, asked):
                return True
    return False


def _runs(known: list[bool]) -> list[bool]:
    """Whether everything before each position is known."""
    result, fine = [True], True
    for word in known:
        fine = fine and word
        result.append(fine)
    return result[:-1]


def _known(words: list[str], index: int, asked: Asked) -> bool:
    """Whether a word may stand around a claim."""
    word = words[index]
    if word == "a":
        nouns = words[index + 1 : index + 2]
        return bool(nouns) and len(nouns[0]) > 1 and nouns[0] not in FUNCTION_WORDS
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
    if start == 1 and last in _DANGLING:
        return False
    if last in OPENERS or last in REPORTING or last in ":\"'(`*" or _is_head(last):
        return True
    if start == 1 and stem(last) in asked.stems and any(c.isdecimal() for c in words[start]):
        return True
    if last in ".,;!":
        return all(w in FUNCTION_WORDS or w in _PUNCTUATION for w in words[:start])
    if words[start] in PREPOSITIONS or words[start] in ("a", "an", "the"):
        return last not in PREPOSITIONS
    return _is_verb_of(last, asked)


def _is_head(word: str) -> bool:
    return word in HEADS or word.removesuffix("s") in HEADS


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
    if follows in ",;":
        return end + 1 == len(words) or words[end + 1] in SCENE | PREPOSITIONS
    if follows in ".!" and end + 1 < len(words):
        return all(word in _PUNCTUATION or word in SCENE for word in words[end:])
    if follows == "and" or follows in _RESTARTS:
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
