"""Answer sentences: one claim, and the words around it.

A sentence is cut into what is claimed and its frame: function words of a closed list, words of the
question, and spans that say where the answer was seen, at which place, or why. A negation, a hedge,
a number that the question does not have, or an unknown word means that the sentence is not
understood, and what is not understood is not accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice

from vt_env.judges.characters import is_cjk
from vt_env.judges.codes import topic_codes
from vt_env.judges.compounds import items
from vt_env.judges.lexicon import (
    calendar,
    frame_words,
    function_words,
    pattern,
    phrases,
    plain,
    words,
)
from vt_env.judges.numerals import HAN_DIGITS, spoken_number, whole_number
from vt_env.judges.phrases import key, singular, stem
from vt_env.judges.questions import WORD, Asked
from vt_env.judges.roles import is_directed, keeps_roles
from vt_env.judges.units import parse_unit

TOKEN = re.compile(
    r"[0-9]+(?:[.,:/][0-9]+)*|[\u3040-\u30ff\u3400-\u9fff々〇]|[^\W\d_\u3040-\u9fff]+(?:'[^\W\d_]+)*|\S"
)
PUNCTUATION = frozenset(".,:;!\"'()*`，。、：；！「」『』《》")
_CLOSING = PUNCTUATION - {"(", "「", "『", "《"}
_ELISION = re.compile(r"\b([ldsnjmtc]|qu)'(?!après)(?=\w)", re.I)
_OPENING_MARKS = frozenset(":\"'(`*「《.,;!-")
_MOST_TOKENS = 60
_SLACK = 14
"""Tokens that a claim may have more than three times as many as its reference has."""


def is_blocked(word: str, language: str) -> bool:
    """Whether a word may turn a sentence around: a negation or a hedge."""
    if is_cjk(word[0]):
        return any(word in phrases(group) for group in ("deny", "offer"))
    return word.endswith("n't") or word in words("deny", "en", language) | words(
        "offer", "en", language
    )


class _Sentence:
    """An answer as tokens (``low`` in lower case, ``roots`` their stems), with what each may be.

    It may stand in a frame (``known``), in a span that says where the answer was seen
    (``spanned``), or after a claim (``tail``).
    """

    def __init__(self, answer: str, asked: Asked) -> None:
        if asked.language == "fr":
            answer = _ELISION.sub(r"\1' ", answer)
        self.text, self.asked = answer, asked
        self.matches = list(islice(TOKEN.finditer(answer), _MOST_TOKENS + 1))
        if len(self.matches) > _MOST_TOKENS:
            self.text, self.matches = "", []
        self.written = [match[0] for match in self.matches]
        self.low = [word.lower() for word in self.written]
        self.roots = [stem(word) for word in self.low]
        self.covered = {  # by Chinese or Japanese frame phrases
            place
            for phrase in (() if self.text.isascii() else phrases("phrases"))
            for match in re.finditer(f"(?={re.escape(phrase)})", self.text)
            for place in range(match.start(), match.start() + len(phrase))
        }
        self.spanned = self._in_spans("sources")
        self.tail = self._in_spans("tails")
        inner = self._in_spans("places")
        places = enumerate(zip(self.spanned, inner, strict=True))
        self.known = [any(within) or self._is_known(i) for i, within in places]
        self.values = [_is_value_word(word, asked) for word in self.written]

    def _in_spans(self, kind: str) -> list[bool]:
        """Which tokens belong to harmless spans of a kind."""
        found = [False] * len(self.low)
        spans = pattern("sentences", kind, self.asked.language)
        for span in spans.finditer(self.text.rstrip(" .!。")):
            within = range(*span.span())
            inside = [i for i, match in enumerate(self.matches) if match.start() in within]
            is_whole = len(inside) >= len(found) - 1
            if kind == "tails" and self._turns(inside):
                continue
            if not is_whole and all(self._is_harmless(i) for i in inside):
                for i in inside:
                    found[i] = True
        return found

    def _turns(self, inside: list[int]) -> bool:
        """Whether a place is another one than the question's: *under the table* for *on* it."""
        little = words("articles") | words("prepositions") | words("directions_of")
        content = {self.roots[i] for i in inside if self.low[i] not in little}
        return bool(content & self.asked.stems) and self.low[inside[0]] not in self.asked.word_set

    def _is_harmless(self, index: int) -> bool:
        """Whether an unknown word in a span can change nothing of the claim."""
        word, asked = self.low[index], self.asked
        if any(char.isdigit() for char in word):
            return False
        groups = ("doubt", "pivots", "talk", "numbers", "and")
        if is_blocked(word, asked.language) or any(word in words(group) for group in groups):
            return False
        return self.roots[index] not in asked.alternatives

    def _is_known(self, index: int) -> bool:
        word, asked, low = self.low[index], self.asked, self.low
        if len(word) == 1 and self.written[index].isupper() and word in asked.alternatives:
            return False  # *A* or *B*, and no article or preposition
        if is_cjk(word[0]):
            is_echo = word in asked.echo and word not in HAN_DIGITS
            return is_echo or self.matches[index].start() in self.covered
        if word == "-":
            ends = self.text[self.matches[index].start() - 1 : self.matches[index].end() + 1]
            return ends == " - " or (len(ends) == 3 and ends[2].isalpha())
        if word == "a" and asked.language == "en":
            noun = self.written[index + 1] if index + 1 < len(low) else ""
            is_noun = len(noun) > 1 or (noun != "" and noun in "$€£¥")
            is_label = self.written[index] == "A" and "A" in WORD.findall(asked.text)
            return is_label or (is_noun and (index == 0 or self.written[index] == "a"))
        around = " ".join(low[max(0, index - 1) : index + 2])
        if word in words("and", "en", asked.language):
            return around in asked.text.lower()
        if " ".join(low[max(0, index - 1) : index + 1]) in ("to be", "at least", "at most"):
            return f"{low[index - 1]} {word}" in asked.text.lower()
        if is_blocked(word, asked.language):
            return f" {' '.join(low[index : index + 2])}" in asked.text.lower()
        is_new = self.roots[index] not in asked.echo
        if is_new and word in asked.opposites - function_words(asked.language):
            return False
        if is_new and word in words("poses"):
            return not (asked.counted or asked.word_set & words("poses"))
        is_frame = word in PUNCTUATION or word in frame_words(asked.language)
        return is_frame or asked.echoes(self.roots[index])

    def claims(self, reference: str) -> Iterator[str]:
        """What the sentence may claim: a part in a frame, the longest first."""
        wanted = {match.lower() for match in TOKEN.findall(reference)}
        roots = {stem(word) for word in wanted}
        limit = 3 * len(wanted) + _SLACK
        pairs = zip(self.values, self.roots, strict=True)
        anchors = [value or root in roots for value, root in pairs]
        for i, word in enumerate(self.low[:-1]):
            anchors[i] = anchors[i] or (self.values[i + 1] and word in words("range_openers"))
        size = len(self.low)
        count = len(items(reference))
        free = [count > 1 and whole_number(w, self.asked.language) == count for w in self.low]
        for start in self._starts(anchors, free):
            for end in self._ends(anchors, start):
                if end - start > limit or end - start == size:
                    continue
                claim = self.text[self.matches[start].start() : self.matches[end - 1].end()]
                before, after = self.low[:start], self.low[end:]
                if "," in claim and before[-1:] == ["("]:
                    continue
                is_number = spoken_number(claim, self.asked.language) is not None
                is_number = is_number or (any(c.isdigit() for c in claim) and "=" not in claim)
                if not is_directed(before, is_number, self.asked):
                    continue
                if keeps_roles(before, after, self.asked) and not self._drops_negation(start, end):
                    yield claim

    def _drops_negation(self, start: int, end: int) -> bool:
        """Whether the frame states what the question denies: *it has* for *what has it not*."""
        denies = words("negations", "en", self.asked.language)
        if not self.asked.word_set & denies or set(self.low) & (denies | self.asked.opposites):
            return False
        frame = [*self.roots[:start], *self.roots[end:]]
        return any(root in self.asked.stems for root in frame)

    def _starts(self, anchors: list[bool], free: list[bool]) -> Iterator[int]:
        """Where a claim can begin: before it, everything is known, or counts a list's items."""
        for start, known in enumerate(self.known):
            known = known or free[start]
            is_start = (not known or anchors[start]) and self.low[start] not in _CLOSING
            if is_start and not self.spanned[start] and self._can_begin(start):
                yield start
            if not known and not _is_head(self.low[start], self.asked):
                return

    def _ends(self, anchors: list[bool], start: int) -> Iterator[int]:
        """Where a claim can end, the latest first: after it, everything is known."""
        frame = frame_words(self.asked.language)
        for end in range(len(self.low), start, -1):
            last = end - 1
            is_noun = self.roots[last] in self.asked.stems and self.low[last] not in frame
            is_core = not self.known[last]
            if (is_core or anchors[last] or is_noun) and self._can_end(end):
                yield end
            if is_core and not self.tail[last]:
                return

    def _is_cut(self, index: int) -> bool:
        """Whether no space parts two tokens that belong together: ``7x``, ``十七``."""
        if self.matches[index - 1].end() != self.matches[index].start():
            return False
        ends = self.written[index - 1][-1], self.written[index][0]
        return all(char.isalnum() and not is_cjk(char) for char in ends)

    def _can_begin(self, start: int) -> bool:
        """Whether a claim can begin here: at the start, or after a word that introduces one."""
        if start == 0:
            return True
        last, asked = self.low[start - 1], self.asked
        if self._is_cut(start):
            return False
        if asked.language in ("zh", "ja") or last in _OPENING_MARKS:
            return True
        is_opener = last in _openers(asked.language) or last in asked.word_set & words("directions")
        if is_opener or _is_head(last, asked):
            return True
        root, first = self.roots[start - 1], self.low[start]
        if first in words("range_openers"):
            return root in asked.echo
        is_label = len(first) == 1 or any(c.isdecimal() for c in first) or root in asked.named
        is_counted = not asked.counted or root in asked.counted
        is_first = start == 1 or self.low[start - 2] in frame_words(asked.language)
        if is_first and root in asked.stems and is_label and is_counted:
            return True
        if not asked.echoes(root):
            return self.spanned[start - 1]
        if any(topic_codes(" ".join(self.low[start : start + 2]), asked)):
            return True
        is_verb = last.endswith(("ed", "s", "t", "ing")) and last not in asked.words
        return is_verb or asked.language != "en"

    def _can_end(self, end: int) -> bool:
        """Whether a claim can end here: what follows must not belong to it or open another one."""
        low, written, asked = self.low, self.written, self.asked
        if end == len(low):
            return True
        if is_cjk(written[end][0]):  # no unit of a number
            is_digit = low[end - 1][-1].isdecimal() or low[end - 1] in HAN_DIGITS
            return not is_digit or self.matches[end].start() in self.covered
        if self._is_cut(end):
            return False
        follows, last = low[end], low[end - 1]
        if written[end][0].isupper() and written[end - 1][0].isalpha() and asked.language != "de":
            return follows in words("categories") or "name" in asked.word_set
        if follows in "'\"" and follows not in low[: end - 1]:
            return False
        if (follows == "!" and last[-1].isdecimal()) or (
            follows == "uhr" and "clock" not in asked.kinds
        ):
            return False
        if follows in ",;" and end + 1 < len(low):
            scene = words("scene", "en", asked.language) | words("prepositions")
            return self.spanned[end + 1] or low[end + 1] in scene
        if follows in ("to", "into") and follows not in asked.word_set:
            return False
        if last[-1].isdecimal() or last in words("numbers"):
            return follows in PUNCTUATION or follows in frame_words(asked.language)
        return end + 1 < len(low) or follows not in words("copulas", "en", asked.language)


@cache
def _openers(language: str) -> frozenset[str]:
    """Function words after which a claim can begin."""
    if language != "en":
        return frame_words(language)
    groups = "articles copulas prepositions answers reporting poses".split()
    return frozenset(("see", "say", "that")).union(*(words(group, "en") for group in groups))


def _is_head(word: str, asked: Asked) -> bool:
    """Whether an answer can directly follow a noun: *the word coffee*, *the year 2010*."""
    if asked.counted:
        return word in words("number_heads")
    is_place = word in words("places") and stem(word) in asked.stems
    return is_place or singular(word) in words("heads")


@lru_cache(maxsize=8192)
def _is_value_word(word: str, asked: Asked) -> bool:
    """Whether a claim may begin or end with a word, since it is of a value."""
    if any(char.isdigit() for char in word) or word in HAN_DIGITS:
        return True
    if not word[0].isalpha():
        return word not in PUNCTUATION
    low, bare, language = word.lower(), plain(word), asked.language
    if low in ("am", "pm", "uhr", "a", "no", "none"):
        return True
    if bare in calendar(language) or any(topic_codes(word, asked)):
        return True
    return bool(parse_unit(word)) or spoken_number(word, language) is not None


sentence = lru_cache(maxsize=2048)(_Sentence)
"""The tokens of a cleaned answer, read once for all references."""


def claims(answer: str, reference: str, asked: Asked) -> Iterator[str]:
    """The parts of a cleaned sentence that stand in a frame, the longest first.

    The reference bounds how long a claim can be, and tells where it can begin.
    """
    read = sentence(answer, asked)
    low = read.low
    if len(low) < 2 or low[0] in words("wh") or is_echo(answer, reference, asked):
        return
    if low[-1] in words("articles") | words("prepositions") and low[-1] not in asked.word_set:
        return
    if any(word in answer and word not in asked.text for word in phrases("adversatives")):
        return
    yield from read.claims(reference)


def is_echo(answer: str, reference: str, asked: Asked) -> bool:
    """Whether an answer is only a longer piece of the question than the reference."""
    wanted = {stem(word) for word in TOKEN.findall(reference)}
    if wanted <= asked.alternatives or (wanted & asked.alternatives and is_cjk(reference[0])):
        return False
    bare = answer.strip("".join(PUNCTUATION))
    if is_cjk(answer[0]) and bare in asked.text:
        return len(bare) > len(reference)
    found = key(answer)
    echo = f" {' '.join(found)} " in f" {' '.join(key(asked.text))} "
    return echo and len(found) > len(key(reference))
