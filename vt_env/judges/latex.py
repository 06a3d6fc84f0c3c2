r"""LaTeX made plain, as far as the text rules need it: ``\frac{1}{2}`` becomes ``1/2``.

What is not known is left as it is; a text that still holds a backslash is for the maths judge.
"""

from __future__ import annotations

import re

_WRAPPERS = (
    r"\boxed",
    r"\fbox",
    r"\text",
    r"\textbf",
    r"\textit",
    r"\mathrm",
    r"\mathbf",
    r"\mathit",
    r"\operatorname",
    r"\mbox",
    r"\emph",
    r"\underline",
)
_WRAPPER = re.compile(r"\\([a-zA-Z]+)\s*\{([^{}\\]*(?:\\[%$,; ]?[^{}\\]*)*)\}")
_FRACTION = re.compile(
    r"\\[dt]?frac\s*(?:\{([^{}]{1,80})\}|([0-9]))\s*(?:\{([^{}]{1,80})\}|([0-9]))"
)
_SQRT = re.compile(r"\\sqrt\s*(?:\{([^{}]{1,80})\}|([0-9]))")
_SYMBOLS = {
    r"\times": "×",
    r"\cdot": "*",
    r"\div": "/",
    r"\circ": "°",
    r"\degree": "°",
    r"\pi": "π",
    r"\pm": "±",
    r"\infty": "∞",
    r"\theta": "θ",
    r"\alpha": "α",
    r"\beta": "β",
    r"\mu": "μ",
    r"\Omega": "Ω",
    r"\leq": "≤",
    r"\le": "≤",
    r"\geq": "≥",
    r"\ge": "≥",
    r"\neq": "≠",
    r"\ne": "≠",
    r"\approx": "≈",
    r"\cup": "∪",
    r"\in": "∈",
    r"\left": "",
    r"\right": "",
    r"\quad": " ",
    r"\qquad": " ",
    r"\pounds": "£",
    r"\euro": "€",
}
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_ESCAPED = re.compile(r"\\([%$&#_{}])")
_SPACE = re.compile(r"\\[,;:! ]|~")
_DOLLARS = re.compile(r"\$\$?([^$]{1,300})\$\$?(?![0-9])")
_PRICE = re.compile(r"[0-9][0-9.,]*(?:\s.*)?")
_SUM = re.compile(r"[0-9.,() ]*[0-9)] ?[:+*/=<>^] ?[-0-9.,()+*/=<>^: ]*[0-9)]")
_LIMIT = 2_000


def delatex(text: str) -> str:
    """A text without the LaTeX that has a plain equivalent.

    Args:
        text: Any text; longer than 2000 characters is returned as it is.

    Returns:
        The plain text; ``$`` is kept where it is a currency sign.
    """
    if len(text) > _LIMIT or not ("\\" in text or "$" in text or "^" in text):
        return text
    text = re.sub(r"\\\(|\\\)|\\\[|\\\]", " ", text)
    text = text.replace("{,}", ",").replace(r"\$", "\ue000").replace(r"\{", "\ue001")
    text = text.replace(r"\}", "\ue002")
    text = _DOLLARS.sub(lambda m: m[0] if _is_price(m[1]) else m[1], text)
    text = _unwrap(_SPACE.sub(" ", _ESCAPED.sub(r"\1", text)))
    text = _COMMAND.sub(lambda m: _SYMBOLS.get(m[0], m[0]), text)
    text = re.sub(r"\^\s*(?:\{\s*°\s*\}|°)", "°", text)
    text = re.sub(r"\^\{([^{}]{1,40})\}", _exponent, text)
    text = re.sub(r"\{([0-9a-zA-Z.]{1,20})\}", r"\1", text) if "\\" not in text else text
    text = text.replace("\ue000", "$").replace("\ue001", "{").replace("\ue002", "}")
    return " ".join(text.split())


def _is_price(inside: str) -> bool:
    if "\\" in inside or _SUM.fullmatch(inside):
        return False
    return " " in inside and _PRICE.fullmatch(inside) is not None


def _exponent(match: re.Match[str]) -> str:
    inside = match[1]
    if inside in ("st", "nd", "rd", "th"):
        return inside
    return f"^{inside}" if re.fullmatch(r"[+-]?(?:[0-9]+|[a-z])", inside) else f"^({inside})"


def _unwrap(text: str) -> str:
    for _ in range(6):
        before = text
        text = _WRAPPER.sub(_inner, text)
        text = re.sub(r"(?<=[0-9])(?=\\[dt]?frac)", " ", text)
        text = _FRACTION.sub(lambda m: f"{_atom(m[1] or m[2])}/{_atom(m[3] or m[4])}", text)
        text = _SQRT.sub(lambda m: f"√{_atom(m[1] or m[2])}", text)
        if text == before:
            break
    return text


def _inner(match: re.Match[str]) -> str:
    return match[2] if "\\" + match[1] in _WRAPPERS else match[0]


def _atom(inside: str) -> str:
    inside = inside.strip()
    return inside if re.fullmatch(r"-?[0-9.]+|[a-zπ]|√[0-9]+", inside) else f"({inside})"
