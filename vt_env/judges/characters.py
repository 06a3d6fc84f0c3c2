"""Characters: what is folded together, and which texts are refused before any rule looks at them.

Everything here is linear in the length of the text and never raises, also for lone surrogates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from vt_env.judges.lexicon import pattern

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_FOLDED = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    **{"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅛": " 1/8"},
    **{"º": "°", "˚": "°", "⁄": "/", "·": "·", "≠": "≠", "‼": "!!"},
}
_FOLD_TABLE = str.maketrans(_FOLDED)
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_MARKUP = re.compile(
    r"<(?=[/!|a-zA-Z])[^<>]{0,80}>|<\||\|>|\[/?INST\]|<<SYS>>|```|\]\]|\}\s*\]|###"
)
_ROLE = re.compile(r"(?:^|\n)\s*(?:user|assistant|system|human|reference|question)\s*:", re.I)
_CONFUSABLE = frozenset("аеорсухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧοινκρυ")
"""Cyrillic and Greek letters that look like Latin ones."""
_SHORT = 300
LONGEST = 4_000
"""Longest text in characters that a rule reads."""


def fold(text: str) -> str:
    """Writings of one character made one: accents, widths, quotes, dashes, spaces, fractions.

    Compatibility forms (full width, ``µ``, ``㎏``, mathematical letters) become the plain ones;
    superscripts become powers. Letters of other scripts are left as they are on purpose.
    """
    if text.isascii():
        return " ".join(text.replace("`", "'").split())
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text.translate(_FOLD_TABLE)).translate(_FOLD_TABLE)
    return " ".join(text.split())


def without_accents(text: str) -> str:
    """Latin letters without their accents; every other character stays."""
    if text.isascii():
        return text
    return "".join(
        char for char in unicodedata.normalize("NFD", text) if not "\u0300" <= char <= "\u036f"
    )


def is_blank(text: str) -> bool:
    """Whether a text holds no letter and no digit at all."""
    return not any(char.isalnum() for char in text)


def is_cjk(char: str) -> bool:
    """Whether a character is Chinese or Japanese."""
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or char in "々〇"


def usable(references: Sequence[str]) -> list[str]:
    """The references that a rule can work with: not blank, and at most 4000 characters."""
    return [text for text in references if len(text) <= LONGEST and text.strip()]


def is_too_long(answer: str, references: Sequence[str]) -> bool:
    """Whether an answer has over 300 characters, over twice the longest reference, or over 4000."""
    longest = max((len(reference) for reference in references), default=0)
    return len(answer) > min(LONGEST, max(_SHORT, 2 * longest))


def objection(answer: str, references: Sequence[str], question: str = "") -> str | None:
    """Why an answer's characters disqualify it, or ``None``.

    What the references or the last 4000 characters of the question have is not held against it.
    """
    if is_too_long(answer, references):
        return "answer too long"
    if not answer.strip():
        return "empty answer"
    if is_blank(answer):
        return "no letter and no digit"
    known = "\n".join((*(text[:LONGEST] for text in references), question[-LONGEST:]))
    for char in sorted(set(answer) - set(known) - set("\n\r\t")):
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn"):
            return f"hidden or control character U+{ord(char):04X}"
    for char in sorted(set(unicodedata.normalize("NFC", answer)) - set(known)):
        if unicodedata.category(char)[0] == "M":
            return "combining mark"
    plain = "" if answer.isascii() else unicodedata.normalize("NFKC", answer)
    for word in re.findall(r"[^\W\d_]{2,}", plain):
        foreign = set(word) & _CONFUSABLE
        if foreign and any(char.isascii() for char in word) and word not in known:
            return f"look-alike character U+{ord(min(foreign)):04X}"
    for what, marks in (
        ("tags or delimiters", _MARKUP),
        ("a chat role", _ROLE),
        ("an instruction to the judge", pattern("patterns", "directive")),
    ):
        if any(found[0] not in known for found in marks.finditer(answer)):
            return f"{what} in the answer"
    return None
