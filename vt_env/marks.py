"""Marks of chat templates and of this protocol inside texts, which would forge a turn.

A mark is broken by a space after its ``<``: a reader still sees what was written, and no tokenizer
takes it for the mark.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any


def safe(content: Any, marks: Collection[str] = ()) -> Any:
    """A message's content in which every mark has a space that breaks it.

    Args:
        content: Text, or blocks in chat format.
        marks: Those of a model that do not look like ``<|word|>``, each beginning with ``<``.
    """
    if isinstance(content, str):
        text = break_marks(content)
        for mark in marks:
            text = text.replace(mark, f"< {mark[1:]}")
        return text
    return [{**b, "text": safe(b["text"], marks)} if "text" in b else dict(b) for b in content]


CHAT_MARK = re.compile(r"<\|[A-Za-z0-9_]{1,64}\|>")
"""What chat templates of most families begin and end turns and pictures with."""

_CHAT = re.compile(r"<(?=\|[A-Za-z0-9_]{1,64}\|>)")
_ANY = re.compile(r"<(?=[|｜]|/?(?!(?:think|answer|tool_call)>)[A-Za-z_][\w-]*>)")
_LONGEST = 500


def break_marks(text: str) -> str:
    """The text with every chat mark broken."""
    return _CHAT.sub("< ", text)


def quotable(text: str, most: int = _LONGEST, lines: bool = False) -> str:
    """A text as it may stand in the environment's own words, though it quotes a policy or a tool.

    Chat marks, and tags other than those that the environment itself names, are broken; what is no
    printable character becomes a space or U+FFFD.

    Args:
        text: Any.
        most: Characters that are left; a longer text is cut, with an ellipsis.
        lines: Whether line breaks stay.
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    kept = "\n" if lines else ""
    shown = "".join(
        c if c.isprintable() or c in kept else " " if c.isspace() else "\ufffd" for c in cut
    )
    return _ANY.sub("< ", shown)
