"""From a question and the words on a picture to an answer: one small strategy per kind of question.

The kind is told from the question's own words. Nothing is known of any particular picture. The
reader has two roles: an answerer for any scripted agent, and an agent of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agents.answerers import Guess
from agents.base import Conversation
from agents.ocr import charts, fields, receipts
from agents.ocr.closer import closer, is_whole
from agents.ocr.layout import SURE, doubtful, rows
from agents.ocr.reader import Reader, Word
from agents.scripted import Confident
from vt_env.pictures import View
from vt_env.samples import Sample

_STATEMENT = re.compile(r"^\W*(is|are|was|were|does|do|did|has|have|can|could)\b", re.IGNORECASE)
_COUNT = re.compile(r"\bhow many\b.*\b(in|on) (the|this) (image|picture|photo)", re.IGNORECASE)
_NEXT = re.compile(
    r"\b(?:after|follows)\b.*?[\"“'](?P<phrase>.+)[\"”']",
    re.IGNORECASE,
)
_PAPER = re.compile(r"\b(receipt|invoice|bill|slip)\b", re.IGNORECASE)
_TOTAL = re.compile(r"\b(total|amount|sum|paid|pay|cost)\b", re.IGNORECASE)
_DATE = re.compile(r"\b(date|day|when)\b", re.IGNORECASE)
_SHOP = re.compile(r"\b(shop|store|supermarket|restaurant|market)\b", re.IGNORECASE)
_ISSUER = re.compile(r"\b(company|issued|vendor|merchant|seller|name)\b", re.IGNORECASE)
_HIGHEST = re.compile(r"\b(highest|tallest|largest|greatest|biggest|most|maximum|peak)\b", re.I)
_LOWEST = re.compile(r"\b(lowest|shortest|smallest|least|minimum|fewest)\b", re.IGNORECASE)
_LINE = re.compile(r"\bend of the (?P<name>.+?) line\b", re.IGNORECASE)


def is_prior(question: str) -> bool:
    """Whether a question is about what is depicted, so that reading cannot answer it."""
    return bool(_STATEMENT.search(question) or _COUNT.search(question))


def prior(question: str) -> Guess:
    """A guess for a reader that cannot see: the commonest answer to this kind of question."""
    text = "1" if _COUNT.search(question) else "no"
    how = "This is about what is depicted, and I can only read: a guess from habit."
    return Guess(text, 0.1, how, sharper_helps=False)


def answer(
    question: str,
    words: Sequence[Word],
    image: NDArray[np.uint8] | None = None,
) -> Guess:
    """The best answer that the words allow.

    Args:
        question: In plain text.
        words: What was read on the picture, positions in pixels.
        image: The picture's pixels, uint8 [H, W, 3], for questions about a line of some colour.
    """
    if is_prior(question):
        return prior(question)
    if not words:
        return Guess.nothing("text")
    guess = _by_kind(question, words, image)
    return guess if guess.where else replace(guess, where=doubtful(words))


def _by_kind(question: str, words: Sequence[Word], image: NDArray[np.uint8] | None) -> Guess:
    if phrase := _NEXT.search(question):
        return next_word(phrase["phrase"], words)
    if _PAPER.search(question):
        return _on_paper(question, words)
    if line := _LINE.search(question):
        return charts.line_end(line["name"], words, image)
    if _HIGHEST.search(question) or _LOWEST.search(question):
        return charts.extreme(words, highest=_HIGHEST.search(question) is not None)
    return fields.value_of(question, words) or charts.value_of(question, words)


def _on_paper(question: str, words: Sequence[Word]) -> Guess:
    if _TOTAL.search(question):
        return receipts.total(words)
    if _DATE.search(question):
        return receipts.date(words)
    if _SHOP.search(question):
        return receipts.shop(words)
    if _ISSUER.search(question):
        return receipts.issuer(words)
    return Guess.nothing("answer of that kind")


def next_word(phrase: str, words: Sequence[Word]) -> Guess:
    """The word that follows a phrase in running text, over line ends too."""
    tokens = [(token, w) for row in rows(words) for w in row for token in w.text.split()]
    plain = [_plain(token) for token, _ in tokens]
    sought = [_plain(token) for token in phrase.split()]
    hits = [i for i in range(len(plain) - len(sought)) if plain[i : i + len(sought)] == sought]
    if not hits:
        return Guess.nothing("such phrase")
    token, _ = tokens[hits[0] + len(sought)]
    read = [word for _, word in tokens[hits[0] : hits[0] + len(sought) + 1]]
    trust = min(word.confidence for word in read) * (1.0 if len(hits) == 1 else 0.7)
    text = token.strip(".,;:!?\"'()") or token
    return Guess(text, trust, f"It comes after {phrase!r}.", where=doubtful(read))


def _plain(token: str) -> str:
    return re.sub(r"\W", "", token.lower())


_shared_reader = cache(Reader)
"""One reader for all agents of a process, so that a picture is read once, whoever looks at it."""


class OcrAnswerer:
    """Answers from the words it reads; it never looks at the sample.

    Args:
        threads: See :class:`agents.ocr.reader.Reader`.

    Raises:
        MissingExtra: If rapidocr or onnxruntime is not installed.
    """

    def __init__(self, threads: int = 2) -> None:
        self.reader = _shared_reader(int(threads))

    def guess(self, question: str, view: View, sample: Sample | None = None) -> Guess:
        """The best answer that the view's words allow; it reads only where reading can help."""
        return self.guess_of(question, [view])

    def guess_of(self, question: str, views: Sequence[View]) -> Guess:
        """The same of the last whole picture, with the parts of it that were shown since."""
        if is_prior(question):
            return prior(question)
        last = max(at for at, view in enumerate(views) if not at or is_whole(view))
        words = self.reader.read(views[last].array)
        for part in views[last + 1 :]:
            words = closer(words, views[last], self.reader.read(part.array), part)
        return answer(question, words, views[last].array)


class OcrAgent(Confident):
    """Reads the first view, and looks closer when it does not trust what it read.

    Where a tool shows parts, it looks at the words in doubt, and reads the rest as it was; else it
    asks for the original.

    Args:
        threshold: Answers directly at this confidence or above, in [0, 1].
        threads: See :class:`agents.ocr.reader.Reader`.

    Raises:
        ConfigError: If the threshold is out of range.
        MissingExtra: If rapidocr or onnxruntime is not installed.
    """

    name = "ocr"

    def __init__(self, threshold: float = SURE, threads: int = 2) -> None:
        self._reads = OcrAnswerer(threads)
        super().__init__(threshold, self._reads)

    def guess(self, conversation: Conversation) -> Guess:
        """Of all that was shown."""
        return self._reads.guess_of(conversation.question, conversation.images)
