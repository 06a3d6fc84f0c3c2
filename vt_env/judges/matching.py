"""How an answer states a reference: as it stands, shortened, in a sentence, or with an aside.

Where both are sentences: what goes on may be told in the progressive or the present, with the
question's subject, a pronoun or none; a prohibition may be a noun. All else is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from vt_env.judges.lexicon import (
    calendar,
    frame_words,
    function_words,
    pattern,
    phrases,
    plain,
    table,
    words,
)
from vt_env.judges.phrases import key, stem
from vt_env.judges.questions import WORD, Asked
from vt_env.judges.readings import is_value, same
from vt_env.judges.sentences import claims, is_blocked, sentence

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
_PLAIN = re.compile(r"(?:[^\W\d_]|(?<=[^\W\d_])[' -](?=[^\W\d_]))+[.!。！]?")
_ENDING = re.compile(r"[\s.!。！]+$")
_GERUND = {"en": re.compile(r"(\w{2,})ing"), "es": re.compile(r"(\w{2,}?)(?:ando|iendo|yendo)")}
_PRESENT = {"es": re.compile(r"(\w{2,}?)(?:an|en|a|e)")}
_INFINITIVE = re.compile(r"(\w{2,}?)(?:er|re|ir)")
_HAN_ASPECT = re.compile("正在|(?<=.)[着呢]|^在")
_POLITE = re.compile("(?<=[てで])(?:いるところ(?:です|だ)?|います|おります|る)$")
_PURPOSE = re.compile(r"^(?:in order to|so as to|to|um|pour|para) ", re.I)
_MOST_WORDS = 30
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
    are_plain = _PLAIN.fullmatch(answer) and _PLAIN.fullmatch(reference)
    if not are_plain or is_another_person(answer, reference):
        return False
    one, other = (_forbidden(text, asked.language) for text in (answer, reference))
    if one or other:
        return one == other
    if asked.language in ("zh", "ja"):
        return _told_han(answer, asked) == _told_han(reference, asked) != ""
    given, wanted = _told(answer, asked), _told(reference, asked)
    is_sentence = "action" in asked.kinds or " " in reference.strip()
    if not (given and is_sentence and len(given) == len(wanted)):
        return False
    return all(
        key(g) == key(w) or _same_verb(g, w, asked.language) or _same_verb(w, g, asked.language)
        for g, w in zip(given, wanted, strict=True)
    )


def is_another_person(answer: str, reference: str) -> bool:
    """Whether one text says *she* where the other one says *he*."""
    texts = (answer, reference)
    one, other = ({w.lower() for w in WORD.findall(t)} & words("genders") for t in texts)
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
