"""Who does what to whom, and which way: whether an answer keeps the roles of its question."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from vt_env.judges.lexicon import frame_words, phrases, words
from vt_env.judges.phrases import stem
from vt_env.judges.questions import Asked


def is_directed(before: list[str], is_number: bool, asked: Asked) -> bool:
    """Whether a preposition before a claim is called for: *rose to 5* does not tell by how much."""
    found = [word for word in before if word not in words("articles", "en")]
    last, verb = found[-1] if found else "", found[-2] if len(found) > 1 else ""
    if is_number and last in words("bounds"):
        return False
    if last in words("starts") - asked.word_set and asked.word_set & words("ways_asked"):
        return False
    if last == "of":
        return verb not in words("copulas", "en")
    pointing = words("prepositions") | words("directions") | words("directions_of")
    if last in asked.word_set & pointing:
        said = [word for word in asked.words if word not in words("articles", "en")]
        chosen = {w for w, n in itertools.pairwise(said) if stem(n) in asked.alternatives}
        is_free = last in asked.asking | chosen  # *on the left or right*
        return is_number or is_free or asked.words[0] in words("where")
    if last not in words("directions") or (last == "to" and verb in words("belongs")):
        return True
    if is_number:
        how_much = last == "by" and {"how", "much"} <= asked.word_set
        return how_much or last == "for" or (last == "to" and verb in words("sums"))
    if last in ("by", "as"):
        by_whom = asked.words[:1] and asked.words[0] in words("persons")
        is_done = verb in words("reporting", "en") and verb.endswith(("ed", "en", "made"))
        return bool(by_whom or is_done or (last == "by" and verb not in words("copulas")))
    where = words("whither") if last in ("to", "into", "towards") else {"where"}
    moved = where & asked.word_set
    return bool(moved) and not words("directions") & asked.word_set


def keeps_roles(before: list[str], after: list[str], asked: Asked) -> bool:
    """Whether words of the question stand around a claim as the question has them.

    A claim asked for with *who* comes before the verb, or after *by*; content words keep the order
    of the question, but for phrases that a preposition of it begins; no negation is dropped.
    """
    content = [stem(word) for word in asked.words]
    ahead = [stem(word) for word in before if _is_content(word, asked)]
    used = ahead + [stem(word) for word in after if _is_content(word, asked)]
    if asked.language in ("zh", "ja"):
        return not _drops_negation_han("".join(before), "".join(after), asked)
    if after[:1] and after[0] in words("origins") | {"of"} and _is_turned(after[1:], asked):
        return False
    if _is_elsewhere([*before, "", *after], asked) or _is_of_another(before, asked):
        return False
    than = next((word for word in ("than", "als") if word in asked.words), "")
    if ahead and than and than not in (*before, *after):  # no *B is … taller* for *A taller than B*
        behind = {stem(word) for word in asked.words[asked.words.index(than) + 1 :]}
        if behind.issuperset(ahead):
            return False
    if not _has_roles(asked):
        return True
    last = next((word for word in reversed(before) if word not in words("articles")), "")
    if last in words("agents") or last in words("being"):
        return True
    places = [content.index(word) for word in used]
    is_free = asked.language != "en" and not ahead
    if places != sorted(places) and not is_free:
        first = before[0] if before else ""
        shifted = first in words("prepositions") and first in asked.word_set
        return bool(ahead) and (shifted or len(ahead) < 2)
    auxiliaries = {stem(word) for word in words("copulas", "en", asked.language)}
    verb = next((word for word in content[1:] if word not in auxiliaries), "")
    return verb not in ahead or content[1:2] != [verb] or len(ahead) < 2


def _has_roles(asked: Asked) -> bool:
    """Whether a question asks who or what does something to somebody or something."""
    if not asked.words or asked.words[0] not in words("subjects"):
        return False
    if asked.words[0] in words("persons") or any(word.endswith("ing") for word in asked.words):
        return True
    return not any(word in words("copulas") | words("auxiliaries") for word in asked.words[1:4])


def _is_content(word: str, asked: Asked) -> bool:
    is_frame = word in frame_words(asked.language)
    return word[0].isalnum() and not is_frame and stem(word) in asked.stems


def _is_elsewhere(frame: list[str], asked: Asked) -> bool:
    """Whether a frame has another preposition of place before a word than the question."""

    def places(found: Sequence[str]) -> dict[str, str]:
        said = itertools.pairwise(word for word in found if word not in words("articles"))
        pairs = [(p, w) for p, w in said if p in words("place") and w not in words("things")]
        return {stem(word): place for place, word in pairs if word}

    there = places(asked.words)
    return any(there.get(word, place) != place for word, place in places(frame).items())


def _is_turned(after: list[str], asked: Asked) -> bool:
    """Whether a side is told of what the question asks for: *north of B* where B is to be found."""
    if not (asked.word_set & words("ways_asked") and asked.word_set & words("origins")):
        return False
    asked_for = itertools.pairwise(w for w in asked.words if w not in words("articles"))
    starts = {stem(n) for w, n in asked_for if w in words("origins") | {"of", "to"}}
    said = [stem(word) for word in after if _is_content(word, asked)]
    return bool(said) and said[0] not in starts


def _is_of_another(before: list[str], asked: Asked) -> bool:
    """Whether a frame says *invoice number* where the question says *order number*."""
    asked_for = {n: w for w, n in itertools.pairwise(asked.words) if n in words("heads")}
    return any(
        noun in words("things") and head in asked_for and stem(noun) not in asked.stems
        for noun, head in itertools.pairwise(before)
        if asked_for.get(head) not in frame_words(asked.language)
    )


def _drops_negation_han(before: str, after: str, asked: Asked) -> bool:
    """Whether a frame repeats what stands after a negation of the question, without it."""
    for denial in phrases("deny"):
        place = asked.text.find(denial)
        denied = asked.text[place + len(denial) :][:2]
        for said in (before, after) if place >= 0 and denied else ():
            if denied in said and f"{denial}{denied}" not in said:
                return True
    return False
