"""Yes or no: the side that an answer takes, also when it is a whole sentence."""

from __future__ import annotations

import itertools
import re

from vt_env.judges.phrases import stem
from vt_env.judges.questions import Asked
from vt_env.judges.tables import ALTERNATIVES, FUNCTION_WORDS, NEGATIONS

_YES = frozenset("yes yeah yep yup y".split())
_NO = frozenset("no nope nah n".split())
_TRUTH = {"true": True, "false": False}
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[0-9]+(?:[.,][0-9]+)*")
_FRAME = re.compile(r"(?:the )?(?:final |correct )?answer(?: is|:)?:?\s+", re.I)
_ANTONYMS = {
    word: other
    for pair in (
        "open closed|open shut|on off|left right|up down|full empty|day night|indoor outdoor|"
        "same different|more less|more fewer|high low|old young|hot cold|big small|large small|"
        "tall short|long short|increase decrease|rise fall|allow prohibit|allow forbid|clean dirty|"
        "wet dry|male female|inside outside|above below|light dark|awake asleep|alive dead|"
        "happy sad|wide narrow|thick thin|fast slow|new old|early late|near far|first last|"
        "top bottom|front back|win lose|positive negative|even odd|safe dangerous|heavy light|"
        "present absent|visible hidden|legal illegal|strong weak|true false|raw cooked|"
        "sunny cloudy|clear cloudy|before after|greater smaller|equal unequal|standing sitting"
    ).split("|")
    for word, other in (pair.split(), reversed(pair.split()))
}
_VERBS = frozenset(
    "is are was were be do does did has have had can could will would it's that's they're "
    "isn't aren't wasn't weren't don't doesn't didn't hasn't haven't can't cannot there's".split()
)
_DISTRUSTED = frozenset(
    "correct right label score grade judge judgement judgment mark accept reference answer output "
    "prediction verdict match equivalent idea doubt way problem comment".split()
)
"""Words that turn a yes or no into something else, unless the question has them."""
_SUBJECTS = frozenset("it he she they this that".split())
_HOLDS = frozenset("contains contain has have shows show".split())
_LIMITS = frozenset("only just all every fully entirely solely mostly".split())
_MAX_UNKNOWN = 2


def side(text: str) -> bool | None:
    """The side of a bare reference: yes/true or no/false, else ``None``."""
    word = text.strip().strip(".!\"'").lower()
    if word in _YES or word in _NO:
        return word in _YES
    return _TRUTH.get(word)


def names_both(text: str) -> bool:
    """Whether a text has a word for yes and a word for no."""
    words = {word.lower() for word in _WORD.findall(text)}
    return bool(words & _YES and words & _NO)


def side_taken(answer: str, asked: Asked, truth_words: bool) -> bool | None:
    """The side that a cleaned answer takes, or ``None`` when it takes none or both.

    A leading yes or no decides, unless what follows contradicts it: the other word, a negation
    after yes, the question affirmed after no. Without it, a sentence made of the question's own
    words says yes, and with exactly one negation no.

    Args:
        answer: The cleaned answer.
        asked: The question.
        truth_words: Whether ``true`` and ``false`` count as yes and no.
    """
    framed = _FRAME.match(answer)
    answer = answer[framed.end() :] if framed else answer
    words = [word.lower() for word in _WORD.findall(answer)]
    if not words or len(words) > 40 or answer.endswith("?"):
        return None
    first, rest = words[0], words[1:]
    if words[:3] == ["not", "at", "all"]:
        return False
    if first in _YES or first in _NO:
        lead = first in _YES
    elif truth_words and first in _TRUTH:
        lead = _TRUTH[first]
    else:
        return _declared(words, asked)
    if set(rest) & (_YES | ALTERNATIVES) - {lead and "yes"}:
        return None
    if answer.count(",") > 1 and not set(rest) & _VERBS:
        return None
    return lead if _consistent(lead, rest, asked) else None


def _negations(words: list[str]) -> int:
    return sum(word in NEGATIONS or word.endswith("n't") for word in words)


def _content(words: list[str]) -> list[str]:
    skipped = FUNCTION_WORDS | NEGATIONS | {"does", "do", "did", "any"}
    return [stem(word) for word in words if word not in skipped and not word.endswith("n't")]


def _asked_content(asked: Asked) -> list[str]:
    return _content([word.lower() for word in _WORD.findall(asked.text)])


def _is_subsequence(short: list[str], long: list[str]) -> bool:
    left = iter(long)
    return all(word in left for word in short)


def _consistent(lead: bool, rest: list[str], asked: Asked) -> bool:
    content, question = _content(rest), _asked_content(asked)
    if not rest:
        return True
    negations = _negations(rest)
    unknown = [word for word in content if word not in asked.stems]
    opposites = [word for word in rest if stem(_ANTONYMS.get(word, "")) in asked.stems]
    if len(unknown) > _MAX_UNKNOWN:
        return False
    if len(unknown) == len(content) > 0 and not opposites and (lead or not _is_reason(rest, asked)):
        return False
    if set(rest) & _DISTRUSTED - asked.stems:
        return False
    if lead:
        return not negations and not opposites
    if negations:
        return not any(
            _negations([before]) and word in opposites for before, word in itertools.pairwise(rest)
        )
    known = [word for word in content if word in asked.stems]
    if opposites or not known or not _is_subsequence(known, question):
        return True
    return bool(unknown) and known[-1] != question[-1]


def _is_reason(rest: list[str], asked: Asked) -> bool:
    """Whether a no is followed by what there is instead: *No, it contains meat*."""
    held = len(rest) > 2 and rest[0] in _SUBJECTS and rest[1] in _HOLDS
    return held and stem(rest[1]) not in asked.stems and not set(rest) & (_LIMITS | NEGATIONS)


def _declared(words: list[str], asked: Asked) -> bool | None:
    content, question = _content(words), _asked_content(asked)
    if not set(words) & _VERBS:
        return None
    if not content or not question or content[-1] != question[-1] or len(content[-1]) < 2:
        return None
    if not _is_subsequence(content, question) or set(words) & ALTERNATIVES:
        return None
    if set(words) & {"if", "whether", "but", "however", "unless", "wrong", "incorrect", "false"}:
        return None
    negations = _negations(words)
    return None if negations > 1 else not negations
