"""Characters: what is folded together, and which texts are refused before any rule looks at them.

Everything here is linear in the length of the text and never raises, also for lone surrogates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_FOLDED = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f", " "),
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    **{"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅛": " 1/8"},
    **{"℃": "°C", "℉": "°F", "º": "°", "˚": "°", "µ": "μ", "Ω": "Ω", "…": "...", "⁄": "/"},
}
_FOLD_TABLE = str.maketrans(_FOLDED)
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_MARKUP = re.compile(
    r"<(?=[/!|a-zA-Z])[^<>]{0,80}>|<\||\|>|\[/?INST\]|<<SYS>>|```|\]\]|\}\s*\]|###"
)
_ROLE = re.compile(r"(?:^|\n)\s*(?:user|assistant|system|human|reference|question)\s*:", re.I)
_DIRECTIVE = re.compile(
    r"\b(?:ignore|disregard|forget|override|pretend)\b[^.\n]{0,40}"
    r"\b(?:above|previous|prior|instructions?|rules?|everything|all)\b"
    r"|\b(?:mark|grade|judge|score|rate|accept|output|print|return|respond|reply)\b[^.\n]{0,30}"
    r"\b(?:true|correct|right|full marks|pass|1)\b",
    re.I,
)
_SHORT = 300
LONGEST = 4_000
"""Longest text in characters that a rule reads."""


def fold(text: str) -> str:
    """Typographic variants made one: quotes, dashes, spaces, sub- and superscripts, fractions.

    Look-alike letters (Cyrillic, Greek, full width, mathematical) are left as they are on
    purpose: they are other letters.
    """
    text = unicodedata.normalize("NFC", text)
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run[0].translate(_SUPERSCRIPTS), text)
    return " ".join(text.translate(_FOLD_TABLE).split())


def without_accents(text: str) -> str:
    """Latin letters without their accents; every other character stays."""
    return "".join(
        char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char)
    )


def is_blank(text: str) -> bool:
    """Whether a text holds no letter and no digit at all."""
    return not any(char.isalnum() for char in text)


def usable(references: Sequence[str]) -> list[str]:
    """The references that a rule can work with: not blank, and at most 4000 characters."""
    return [text for text in references if text.strip() and len(text) <= LONGEST]


def objection(answer: str, references: Sequence[str], question: str = "") -> str | None:
    """Why an answer's characters disqualify it, or ``None``.

    An answer may have 300 characters, or twice as many as the longest reference, up to 4000.

    Args:
        answer: The answer as it was given.
        references: The accepted answers; what occurs in them is not held against the answer.
        question: The question; the same holds for its last 4000 characters.
    """
    if not answer.strip():
        return "empty answer"
    longest = max((len(reference) for reference in references), default=0)
    if len(answer) > min(LONGEST, max(_SHORT, 2 * longest)):
        return "answer too long"
    known = "\n".join((*(text[:LONGEST] for text in references), question[-LONGEST:]))
    if is_blank(answer):
        return "no letter and no digit"
    return _hidden(answer, known) or _lookalike(answer, known) or _marks(answer, known)


def _hidden(answer: str, known: str) -> str | None:
    for char in set(answer) - set(known) - set("\n\r\t"):
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn"):
            return f"hidden or control character U+{ord(char):04X}"
    if any(unicodedata.category(char)[0] == "M" for char in set(answer) - set(known)):
        return "combining mark"
    return None


def _lookalike(answer: str, known: str) -> str | None:
    for char in set(answer) - set(known):
        if char.isascii() or char in _FOLDED or char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻":
            continue
        plain = unicodedata.normalize("NFKC", char).casefold()
        if char.isalnum() and plain.isascii() and char.casefold() != "ß":
            return f"look-alike character U+{ord(char):04X}"
    if any(_mixes_scripts(word) for word in re.findall(r"[^\W\d_]+", answer) if word not in known):
        return "letters of several scripts in one word"
    return None


def _mixes_scripts(word: str) -> bool:
    if word.isascii():
        return False
    letters = [char for char in word.lstrip("μ") if char.isalpha()]
    scripts = {unicodedata.name(char, "?").split(" ")[0] for char in letters}
    return len(scripts - {"HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA"}) > 1


def _marks(answer: str, known: str) -> str | None:
    for pattern, what in (
        (_MARKUP, "tags or delimiters"),
        (_ROLE, "a chat role"),
        (_DIRECTIVE, "an instruction to the judge"),
    ):
        found = pattern.search(answer)
        if found and found[0] not in known:
            return f"{what} in the answer"
    return None
