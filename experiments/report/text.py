"""Text of models and data on its way into the page: shown as what it is, never run.

Two steps, and no third way in: :func:`shown` makes any text one that a screen can show, which the
templates do to all that they escape, and :func:`island` writes data as JSON that HTML cannot
misread. The page's script puts texts into elements as text.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

LONGEST = 2_000
"""Characters of a text that are kept."""

_KEPT = {"\n", "\u200c", "\u200d", "\u200e", "\u200f"}  # joiners and marks that scripts need
_IN_JSON = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def shown(text: str, longest: int = LONGEST) -> str:
    """Text that a screen can show, cut if it is very long.

    What has no shape (control characters, lone surrogates, marks that reorder what stands around
    them) becomes U+FFFD; spaces of all kinds, and what Arabic, Persian, Indic scripts and emoji
    need to join, stay.
    """
    left = len(text) - longest
    if left > 0:
        text = f"{text[:longest]}… ({left:,} more characters)"
    return text if text.isprintable() else "".join(map(_shape, text))


def _shape(character: str) -> str:
    if character.isprintable() or character in _KEPT:
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return "\ufffd"


def all_shown(value: Any) -> Any:
    """A JSON value with every text in it as :func:`shown` makes it."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list | tuple):
        return [all_shown(item) for item in value]
    if isinstance(value, dict):
        return {shown(str(key), 80): all_shown(item) for key, item in value.items()}
    return value


def island(value: Any) -> str:
    """JSON for a ``<script type="application/json">``: no ``<``, ``>`` or ``&`` in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_IN_JSON)
