"""Sentences that are answers themselves: whether two of them say one thing in two forms.

What goes on may be told in the progressive or the present, with the question's subject, a pronoun
or none; a prohibition may be a noun; a reason may have a clause before it. All else is the same.
"""

from __future__ import annotations

import re

from vt_env.judges.lexicon import function_words, pattern, phrases, words
from vt_env.judges.phrases import key, stem
from vt_env.judges.questions import WORD, Asked
from vt_env.judges.sentences import sentence

_PLAIN = re.compile(r"(?:[^\W\d_]|(?<=[^\W\d_])[' -](?=[^\W\d_]))+[.!。！]?")
_ENDING = re.compile(r"[\s.!。！]+$")
_GERUND = {"en": re.compile(r"(\w{2,})ing"), "es": re.compile(r"(\w{2,}?)(?:ando|iendo|yendo)")}
_PRESENT = {"es": re.compile(r"(\w{2,}?)(?:an|en|a|e)")}
_INFINITIVE = re.compile(r"(\w{2,}?)(?:er|re|ir)")
_HAN_ASPECT = re.compile("正在|(?<=.)[着呢]|^在")
_POLITE = re.compile("(?<=[てで])(?:いるところ(?:です|だ)?|います|おります|る)$")
_PURPOSE = re.compile(r"^(?:in order to|so as to|to|um|pour|para) ", re.I)
_MOST_WORDS = 30


def more_than_another(answer: str, asked: Asked) -> str:
    """A comparison with the other choice of the question, without it: *A is larger than B*."""
    match = pattern("sentences", "comparisons", asked.language).fullmatch(_ENDING.sub("", answer))
    if match is None or not (asked.alternatives or asked.language in ("zh", "ja")):
        return answer
    known = asked.word_set | function_words(asked.language) | {"one", "ones"}
    other = match["other"]
    is_choice = other in asked.text or {w.lower() for w in WORD.findall(other)} <= known
    return f"{match['left']}{match['tail']}" if is_choice else answer


def same_statement(answer: str, reference: str, asked: Asked) -> bool:
    """Whether two cleaned texts are one statement in two forms."""
    if asked.word_set & words("verbatim") or len(answer.split()) > _MOST_WORDS:
        return False
    if not (_PLAIN.fullmatch(answer) and _PLAIN.fullmatch(reference)):
        return False
    if is_another_person(answer, reference):
        return False
    one, other = (_forbidden(text, asked.language) for text in (answer, reference))
    if one and other:
        return one == other
    if one or other:
        return False
    if asked.language in ("zh", "ja"):
        return _told_han(answer, asked) == _told_han(reference, asked) != ""
    told = _told(answer, asked), _told(reference, asked)
    is_sentence = "action" in asked.kinds or " " in reference.strip()
    return is_sentence and _same_told(*told, asked.language)


def is_another_person(answer: str, reference: str) -> bool:
    """Whether one text says *she* where the other one says *he*."""
    found = ({w.lower() for w in WORD.findall(t)} & words("genders") for t in (answer, reference))
    one, other = found
    return bool(one and other and one != other)


def _forbidden(text: str, language: str) -> tuple[str, ...]:
    """Stems of what a text forbids; empty where it forbids nothing."""
    match = pattern("sentences", "prohibitions", language).fullmatch(_ENDING.sub("", text))
    said = next((part for part in match.groups() if part), "") if match else ""
    return tuple(stem(word) for word in key(said)) if said else ()


def reason(text: str, asked: Asked) -> str:
    """What follows *because of* where the question asks why; else the whole text."""
    is_cued = asked.word_set & words("why") or any(p in asked.text for p in phrases("why"))
    match = pattern("sentences", "reasons", asked.language).search(text) if is_cued else None
    if match is None:
        return text
    before = sentence(text, asked)
    known = zip(before.matches, before.known, strict=True)
    is_frame = all(is_known for place, is_known in known if place.start() < match.start())
    return text[match.end() :].strip() if is_frame else text


def _told(text: str, asked: Asked) -> list[str]:
    """The words of a sentence, without a subject that the question has."""
    text = _PURPOSE.sub("", _ENDING.sub("", text), count=1)
    text = pattern("sentences", "progressive", asked.language).sub(" ", text)
    text = text.replace("'", "' ") if asked.language == "fr" else text
    little = words("articles", "en", asked.language) | words("now")
    found = [word.lower() for word in WORD.findall(text)]
    denied = [word for word in found if word in words("deny") or word.endswith("n't")]
    found = [word for word in found if word not in little]
    if denied or not ("action" in asked.kinds or asked.word_set & words("why")):
        return found
    little = subject(asked)
    if found and found[0] in words("pronouns", asked.language):
        return found[1:]
    while len(found) > 1 and stem(found[0]) in little:
        found = found[1:]
    return found


def subject(asked: Asked) -> set[str]:
    """Stems of the first noun of a question, and of the word before or after it."""
    empty = words("copulas") | words("auxiliaries") | words("articles") | words("wh")
    empty |= words("prepositions", asked.language)
    found: list[str] = []
    for word in asked.words:
        if word in words("prepositions", asked.language) | words("and") and found:
            break
        if word not in empty | words("doing") and not word.endswith("'s"):
            found.append(stem(word))
    return set(found[:2]) - asked.alternatives


def _same_told(given: list[str], wanted: list[str], language: str) -> bool:
    """Whether two sentences have the same words, but for a verb that tells what goes on."""
    if not given or len(given) != len(wanted):
        return False
    pairs = zip(given, wanted, strict=True)
    return all(
        key(g) == key(w) or _same_verb(g, w, language) or _same_verb(w, g, language)
        for g, w in pairs
    )


def _same_verb(going: str, present: str, language: str) -> bool:
    """Whether a verb in the progressive, or in French an infinitive, is another one's."""
    if language == "fr":
        match = _INFINITIVE.fullmatch(going)
        return match is not None and present in {match[1] + end for end in ("", "e", "t", "ent")}
    match = _GERUND[language].fullmatch(going) if language in _GERUND else None
    if match is None:
        return False
    if language == "en":
        return not present.endswith(("ed", "ing")) and stem(going) == stem(present)
    finite = _PRESENT[language].fullmatch(present)
    return finite is not None and finite[1] == match[1]


def _told_han(text: str, asked: Asked) -> str:
    """A Chinese or Japanese sentence without its subject and its marks of aspect."""
    text = _ENDING.sub("", text).replace(" ", "")
    if asked.language == "ja":
        subject, marker, rest = text.partition("は" if "は" in text else "が")
        is_known = marker and (f"{subject}は" in asked.text or subject in "彼女")
        text = rest if is_known and "action" in asked.kinds else text
        return _POLITE.sub("いる", text)
    if "action" in asked.kinds:
        size = next((n for n in range(len(text), 0, -1) if text[:n] in asked.text), 0)
        pronoun = re.match("[他她它]们?", text)
        text = text[pronoun.end() :] if pronoun else text[size:]
    return _HAN_ASPECT.sub("", text)
