"""What a model gets to see of a query, and which queries it is spared.

An answer is written by a policy that is paid for being accepted. Refused characters, empty talk
and several answers at once are decided here without a model; what is shown has its chat marks
broken, its control characters removed and its length capped.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass

from vt_env.judges.auto import several_answers
from vt_env.judges.base import Query, Verdict
from vt_env.judges.characters import LONGEST, objection, usable

_MARK = re.compile(r"<(?=[|/!a-zA-Z｜])|\|(?=>)|\[(?=/?INST\])|<(?=<)")
"""Where a chat mark begins or ends: a space after it keeps a tokenizer from seeing the mark."""
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
_MOST_REFERENCES = 20
_MOST_CHOICES = 26


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts of one query as a model sees them; two queries that show the same are the same.

    Attributes:
        question: The question, with its options a line each.
        references: The accepted answers, a line each.
        answer: The answer to be judged.
    """

    question: str
    references: str
    answer: str

    def mark(self) -> str:
        """A word to fence the answer with, new each time, that none of the texts holds."""
        while True:
            mark = f"#{secrets.token_hex(6)}#"
            if not any(mark in text for text in (self.question, self.references, self.answer)):
                return mark


def settle(query: Query, name: str) -> Verdict | None:
    """The verdict where no model is needed, signed with a judge's name; else ``None``."""
    references = usable(query.references)
    if not references:
        return Verdict(None, name, "no usable reference")
    given = query.answer.strip()
    if any(given == reference.strip() for reference in references):
        return Verdict(True, name, "equal to a reference")
    problem = objection(query.answer, query.references, query.question) or several_answers(query)
    return Verdict(False, name, problem) if problem else None


def shown(query: Query) -> Shown:
    """What a model sees of a query: of a question its last 4000 characters."""
    question = _plain(query.question[-LONGEST:])
    if query.choices:
        lettered = zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", query.choices[:_MOST_CHOICES], strict=False)
        options = "\n".join(f"{letter}. {_line(text)}" for letter, text in lettered)
        question = f"{question}\nOptions:\n{options}"
    references = usable(query.references)[:_MOST_REFERENCES]
    return Shown(question, "\n".join(map(_line, references)), _plain(query.answer))


def _plain(text: str) -> str:
    """A text without what cannot be seen, its chat marks broken by a space."""
    if not text.isascii() or not text.isprintable():
        text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSEEN)
    return _MARK.sub(lambda mark: mark[0] + " ", text).strip()


def _line(text: str) -> str:
    return " ".join(_plain(text).split())
