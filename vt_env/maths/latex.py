r"""LaTeX written in a line of plain signs: ``\frac{1}{2}`` becomes ``1/2``.

It is the one place that knows LaTeX: text rules and the parser of expressions read what it makes.
What is not known is left as it is, and a text that still holds a backslash is no expression.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_WRAPPERS = "boxed fbox text textbf textit mathrm mathbf mathit operatorname mbox emph underline"
_WRAPPER = re.compile(
    rf"\\(?:{'|'.join(_WRAPPERS.split())})\s*\{{([^{{}}\\]*(?:\\[%$,; ]?[^{{}}\\]*)*)\}}"
)
_ARGUMENT = r"\s*(?:\{([^{}]{1,80})\}|([0-9a-zA-Z]))"
_FRACTION = re.compile(rf"\\[dt]?frac(?![a-zA-Z]){_ARGUMENT}{_ARGUMENT}")
_ROOT = re.compile(rf"\\sqrt(?![a-zA-Z])(?:\s*\[([^\[\]{{}}]{{1,20}})\])?{_ARGUMENT}")
_BINOMIAL = re.compile(rf"\\binom(?![a-zA-Z]){_ARGUMENT}{_ARGUMENT}")
_EXPONENT = re.compile(r"\^\{([^{}]{1,40})\}(?=([0-9.(^!]|[a-zA-Z](?![a-zA-Z]))?)")
_INDEX = re.compile(r"_\{([0-9a-zA-Z]{1,20})\}")
_BESIDE = re.compile(r"[0-9a-zA-Zπ^!({\\√]| ?\\[a-zA-Z]")
_BEFORE = re.compile(r"[a-zA-Zπ)}^/√!]$|(?<![0-9])[0-9]+/ ?$|[\^_√][0-9.]+ ?$|\\[a-zA-Z]+ ?$")
_ATOM = re.compile(r"-?[0-9.]+|[a-zπ]|√[0-9]+")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_DOLLARS = re.compile(r"\$\$?([^$]{1,300})\$\$?(?![0-9])")
_SUM = r"[0-9.,() ]*[0-9)] ?[:+*/=<>^] ?[-0-9.,()+*/=<>^: ]*[0-9)]$"
_PRICE = re.compile(rf"(?!{_SUM})(?=[^\\]* )[0-9][0-9.,]*\s[^\\]*")
"""A number and words between two dollar signs, which are no mathematics."""
_KEPT = str.maketrans({"\ue000": "$", "\ue001": "{", "\ue002": "}"})
_DEEPEST, _LONGEST = 6, 2_000


@cache
def _known() -> dict[str, Any]:
    """The content of ``latex.toml``."""
    return tomllib.loads(Path(__file__).with_name("latex.toml").read_text("utf-8"))


@cache
def functions() -> frozenset[str]:
    """Names of functions, which stand for themselves."""
    return frozenset(_known()["functions"].split())


def delatex(text: str) -> str:
    """A text without the LaTeX that has a plain equivalent; over 2000 characters it stays as it is.

    ``$`` is kept where it is a currency sign.
    """
    if len(text) > _LONGEST or not any(sign in text for sign in ("\\", "$", "^", "{,}")):
        return text
    commands: dict[str, str] = _known()["symbols"] | {name: f" {name}" for name in functions()}
    text = re.sub(r"\\[()\[\]]", " ", text).replace("{,}", ",")
    text = text.replace(r"\$", "\ue000").replace(r"\{", "\ue001").replace(r"\}", "\ue002")
    text = _DOLLARS.sub(lambda m: m[0] if _PRICE.fullmatch(m[1]) else m[1], text)
    text = re.sub(r"\\[,;:! ]|~", " ", re.sub(r"\\([%&#_])", r"\1", text))
    text = _without_braces(re.sub(r"\^\s*(?:\{\s*(?:\\circ|°)\s*\}|\\circ|°)", "°", text))
    text = _COMMAND.sub(lambda m: commands.get(m[1], m[0]), text)
    if "\\" not in text:
        text = re.sub(r"\{([0-9a-zA-Z.]{1,20})\}", r"\1", text)
    return " ".join(text.translate(_KEPT).split())


def _without_braces(text: str) -> str:
    """A text without the commands and exponents that have their arguments in braces."""
    for _ in range(_DEEPEST):
        before = text
        text = _WRAPPER.sub(r"\1", text)
        text = _INDEX.sub(r"_\1", _EXPONENT.sub(_exponent, text))
        text = _FRACTION.sub(_fraction, _ROOT.sub(_root, text))
        text = _BINOMIAL.sub(lambda m: f" binom({m[1] or m[2]}, {m[3] or m[4]})", text)
        if text == before:
            break
    return text


def _fraction(match: re.Match[str]) -> str:
    """A fraction in a line, in brackets where what stands beside it would take a part of it."""
    above, below = match[1] or match[2], match[3] or match[4]
    plain = f"{_atom(above)}/{_atom(below)}"
    before = match.string[max(0, match.start() - 20) : match.start()]
    is_signed = plain[0] == "-" and bool(before.strip())  # |x| times -1/x is no difference
    if is_signed or _BESIDE.match(match.string, match.end()) or _BEFORE.search(before):
        return f"({plain})"
    if not before[-1:].isdecimal():
        return plain
    return f" {plain}" if f"{above}{below}".isdecimal() else f"({plain})"


def _root(match: re.Match[str]) -> str:
    radicand = match[2] or match[3]
    if match[1]:
        return f" root({match[1]}, {radicand})"
    goes_on = _BESIDE.match(match.string, match.end())
    atom = _atom(radicand)
    return f"√({atom})" if goes_on and atom[0] not in "(√" else f"√{atom}"


def _exponent(match: re.Match[str]) -> str:
    inside = match[1]
    if inside in ("st", "nd", "rd", "th"):
        return inside
    is_plain = not match[2] and re.fullmatch(r"[+-]?(?:[0-9]+|[a-z])", inside)
    return f"^{inside}" if is_plain else f"^({inside})"


def _atom(inside: str) -> str:
    inside = inside.strip()
    return inside if _ATOM.fullmatch(inside) else f"({inside})"


_ENDS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), (r"\boxed{", "}"), ("**", "**"))


def undelimited(text: str) -> str:
    r"""A text without what only marks it as mathematics or as the answer: ``$``, ``\boxed{}``."""
    before, text = "", text.strip().removesuffix(".").strip()
    while text != before:
        before = text
        for start, end in _ENDS:
            inner = text[len(start) : len(text) - len(end)]
            if text.startswith(start) and text.endswith(end) and _is_whole(inner, start):
                text = inner.strip().removesuffix(".").strip()
    return text


def _is_whole(inner: str, start: str) -> bool:
    """Whether what stands between two delimiters is one piece."""
    if start != r"\boxed{":
        return start not in inner
    depth = 0
    for char in inner:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0
