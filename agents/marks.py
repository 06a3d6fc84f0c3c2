"""Marks of chat templates inside texts, which would forge a turn or a picture."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

_MARK = re.compile(r"<\|(?=[a-z_]{1,32}\|>)")


def safe(content: Any, marks: Collection[str] = ()) -> Any:
    """A message's content in which every mark has a space that breaks it.

    Args:
        content: Text, or blocks in chat format.
        marks: Those of a model that do not look like ``<|word|>``, each beginning with ``<``.
    """
    if isinstance(content, str):
        text = _MARK.sub("< |", content)
        for mark in marks:
            text = text.replace(mark, f"< {mark[1:]}")
        return text
    return [{**b, "text": safe(b["text"], marks)} if "text" in b else dict(b) for b in content]
