"""How an answer states a reference: as it stands, shortened, in a sentence, or with an aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from vt_env.judges.lexicon import (
    calendar,
    frame_words,
    function_words,
    pattern,
    plain,
    table,
    words,
)
from vt_env.judges.phrases import stem
from vt_env.judges.questions import WORD, Asked
from vt_env.judges.readings import is_value, same
from vt_env.judges.sentences import claims, is_blocked
from vt_env.judges.statements import (
    is_another_person,
    more_than_another,
    reason,
    same_statement,
    subject,
)

Same = Callable[[str, str, Asked], "bool | None"]

_LABELLED = re.compile(r"[(]?[A-Ha-h][).:] (?=\w{2})")
_LABEL = re.compile(
    r"(?P<label>[^\W\d_]{2,14})(?P<dot>\.?):? ?(?:(?:number|no|nr|núm|n°)\b\.?:? ?)?"
    r"(?P<value>(?=\S*[0-9])\S.{0,60})",
    re.I,
)
_ONE_OF = re.compile(r"(?:the|an?) (.{2,40}) ones?\.?", re.I)
_OF_A_SCALE = re.compile(r"(?<=[0-9])(?: ?/ ?| out of | von | sur | de )(?:5|10|100)(?: stars?)?\b")
_ASIDE = re.compile(r"\s?(?:\(([^()]{1,60})\)|- ([^-]{1,30}) -)(?=[\s.,]|$)")
_CLAUSE = re.compile(r"(?:,? so |[.!;] (?=\S)|, (?:which is|i\.e\.) | - |\s\((?=[^()]*\)[ .!]*$))")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|\S")
_SUM = re.compile(r"[0-9 .,+*/×-]+= *")
_MEASURED = re.compile(r"(?P<value>[-+]?[0-9][0-9.,]* ?%) (?P<tail>[a-z]+(?: [a-z]+)?)")
_FEWEST = 3
"""Words from which on a reference can be a sentence."""
_MOST_WHY = 40
_MOST_CLAUSES = 3
_MOST_CLAIMS = 8


def states(answer: str, reference: str, asked: Asked, same: Same = same) -> bool | None:
    """Whether a cleaned answer states a cleaned reference; ``False`` where another value."""
    if "?" in answer and "?" not in reference:
        return None
    verdict = same(answer, reference, asked)
    if verdict:
        return True
    other = False
    for claim in claims(answer, reference, asked):
        found = same(claim, reference, asked)
        if found:
            return True
        other = other or (found is False and is_value(claim, asked))
    if other and is_value(reference, asked):
        return False
    if any(states(part, reference, asked, same) for part in _parts(answer, reference, asked, same)):
        return True
    clauses = [part for text in _CLAUSE.split(answer) if (part := text.strip(" ().;!"))]
    if 2 <= len(clauses) <= _MOST_CLAUSES and all(
        any(same(part, reference, asked) for part in (text, *claims(text, reference, asked)))
        for text in clauses
    ):
        return True
    return verdict


def _parts(answer: str, reference: str, asked: Asked, same: Same) -> Iterator[str]:
    """An answer without an aside that repeats the reference, its announcement, its argument."""
    if match := _ASIDE.search(answer):
        rest = f"{answer[: match.start()]}{answer[match.end() :]}".strip()
        aside = _SUM.sub("", match[1] or match[2])
        if rest.strip(" .,") and states(aside, reference, asked, same):
            yield rest
    if (bare := without_announcement(answer)) != answer:
        yield bare
    if (labelled := _LABELLED.match(answer)) and not _LABELLED.match(reference):
        yield answer[labelled.end() :]
    bare = _OF_A_SCALE.sub("", answer) if asked.word_set & words("ratings") else answer
    compared = more_than_another(answer, asked)
    for value in (without_label(answer, asked), reason(answer, asked), bare, compared):
        if value != answer:
            yield value
    if match := _ONE_OF.fullmatch(answer):
        yield match[1]
    if last := concluded(answer):
        why = _WORD.findall(last[0].lower())
        if len(why) <= _MOST_WHY and not any(is_blocked(word, asked.language) for word in why):
            yield last[1]


def without_label(answer: str, asked: Asked) -> str:
    """An answer without a word of the question, maybe cut short, before a number: *Tel. 555*."""
    match = _LABEL.fullmatch(answer)
    label = plain(match["label"]) if match else ""
    others = calendar(asked.language) | frame_words(asked.language) | words("bounds")
    if match is None or label in others:
        return answer
    is_short = bool(match["dot"]) and len(label) > 1
    if asked.counted and stem(label) not in asked.counted | {"pop"}:
        return answer
    for word in asked.words:
        written = plain(word)
        is_named = (
            written == label
            or (label.endswith("nr") and written.startswith(label[:-2]))
            or written in table("frames")["labels"].get(label, "").split()
        )
        if is_named or (is_short and written.startswith(label)):
            return answer if stem(word) in asked.alternatives else match["value"]
    return answer


def concluded(answer: str) -> tuple[str, str] | None:
    """An argument, and the clause after *so* that it ends in."""
    match = pattern("patterns", "concluded").fullmatch(answer)
    return (match["why"], match["claim"].strip()) if match else None


def without_announcement(answer: str) -> str:
    """An answer without *The correct answer is* before it."""
    match = pattern("patterns", "announced").match(answer)
    return answer[match.end() :].strip() if match and match.end() < len(answer) else answer


def shorter(reference: str, asked: Asked) -> Iterator[str]:
    """A reference without words that the question has: ``4th floor`` for *which floor*.

    What is left is never a function word, and never a part of a list.
    """
    if "," in reference:
        return
    named = asked.stems - asked.alternatives
    if match := _MEASURED.fullmatch(reference):
        *more, last = match["tail"].split()
        compared = any(word.endswith("er") or word in words("bounds") for word in more)
        is_asked = stem(last) in named or (last == "off" and "discount" in asked.stems)
        if is_asked and not compared:
            yield match["value"]
    empty = words("articles") | words("prepositions") | words("deny") | words("copulas")
    first, _, rest = reference.partition(" ")
    head, _, last = reference.rpartition(" ")
    found = head.lower().split()
    is_whole = not set(found) <= empty | words("degrees") and found[-1] not in empty
    if is_whole and stem(last) in named and last != "City":
        yield head
    is_label = any(char.isdigit() for char in rest) or (len(rest) == 1 and rest.isupper())
    if is_label and stem(first) in named:
        yield rest
    if rest and first.lower() in words("locatives"):
        yield rest
    if (cause := reason(reference, asked)) != reference:
        yield cause


def _claimed(reference: str, answer: str, asked: Asked) -> Iterator[str]:
    """What a reference that is a sentence claims, if the two differ in words of the question."""
    said, written = ({*WORD.findall(text.lower())} for text in (answer, reference))
    if len(written) < _FEWEST or re.search(r"[0-9,;]", reference):
        return
    empty = function_words(asked.language) - words("place")
    differing = {word for word in (said ^ written) - empty if stem(word) not in subject(asked)}
    if said & words("past") - written or differing or is_another_person(answer, reference):
        return
    open_ended = words("articles") | words("prepositions") | words("place")
    for claim in islice(claims(reference, answer, asked), _MOST_CLAIMS):
        found = _WORD.findall(claim.lower())
        if found[-1] not in open_ended and not set(found) <= empty | asked.word_set:
            yield claim


def how_stated(answer: str, reference: str, asked: Asked) -> tuple[bool | None, str]:
    """Whether and how a cleaned answer states a cleaned reference."""
    verdict = states(answer, reference, asked)
    if verdict:
        return True, "states the reference"
    if any(states(answer, short, asked) for short in shorter(reference, asked)):
        return True, "states the reference without a word of the question"
    if any(states(answer, claim, asked) for claim in _claimed(reference, answer, asked)):
        return True, "states what the reference claims"
    if verdict is None and same_statement(answer, reference, asked):
        return True, "says the same as the reference"
    return verdict, "another value" if verdict is False else ""
