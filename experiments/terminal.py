"""What reaches a terminal: text of data, models, servers and files is shown and never obeyed."""

from __future__ import annotations

import logging
import unicodedata
import warnings
from typing import Any

_KEPT = "\n\u200c\u200d"
"""Line breaks, and the joiners that scripts and emoji are made with."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories that a terminal obeys or does not show: controls, directions, surrogates, …"""


def visible(text: str) -> str:
    """The text with control characters, marks of direction and halves of pairs as escapes.

    What is printable stays as it is; a tab becomes a space. Escaping twice changes nothing more.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def one_line(text: object) -> str:
    """The same without line breaks."""
    return visible(" ".join(str(text).split()))


def _shown(c: str) -> str:
    if c == "\t":
        return " "
    if c in _KEPT or unicodedata.category(c) not in _HIDDEN:
        return c
    return c.encode("unicode_escape").decode("ascii")


def guard_stderr() -> None:
    """Let warnings, and log records that nobody handles, show their text and not obey it."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Visible())
    warnings.formatwarning = _warning


class _Visible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
    **_: Any,
) -> str:
    return f"{visible(filename)}:{lineno}: {category.__name__}: {one_line(message)}\n"
