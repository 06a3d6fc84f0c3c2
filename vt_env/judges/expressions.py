"""Mathematical form: what looks like mathematics, and what is written alike."""

from __future__ import annotations

import re

_SIGNS = re.compile(
    r"[=^√π∞≤≥≠±∪∈<>θ\\]|(?<![^\W\d_])[a-z]\s?[-+*/]\s?[(0-9a-z](?![a-z])|[0-9)]\s?[+*×]\s?[(0-9a-z]"
    r"|[0-9)]\s-\s[(0-9a-z](?![a-z])|\)\s?[/(]|^[\[(]\s?-?[0-9./]+\s?,.*[\])]$|^[0-9]+[a-z]$|\||^-\s?[a-z(](?![a-z])|[0-9a-z)]!$"
)
_LONE = re.compile(r"(?<![0-9a-zA-Zπ)'])\(([0-9]+|[a-zπ])\)(?![0-9a-zA-Zπ(])")
"""One value in brackets that no product or function needs: not the 5 of ``2(5)``."""
_LONGEST = 200


def is_mathematical(text: str) -> bool:
    """Whether a cleaned text has a sign that only mathematics uses."""
    return len(text) <= _LONGEST and _SIGNS.search(text) is not None


def normal_form(text: str) -> str:
    """An expression without what never changes its meaning: spaces and written-out products."""
    text = re.sub(r"\\[,;!]", "", text)
    text = re.sub(r"(?<![0-9])\s+|\s+(?![0-9])", "", text)
    text = text.replace("·", "*").replace("×", "*").replace("−", "-")
    text = re.sub(r"(?<=[0-9a-zπ)])\*(?=[a-zπ(√\\])", "", text)
    return _LONE.sub(r"\1", text).rstrip(".")


def same_form(answer: str, reference: str) -> bool:
    """Whether two expressions are written alike."""
    given = normal_form(answer)
    return bool(given) and given == normal_form(reference)
