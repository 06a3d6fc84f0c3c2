"""Texts in which every character counts but the writing is free: addresses, versions, numbers."""

from __future__ import annotations

import re

_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?P<host>[\w+%-]+(?:[.@][\w+%-]+)*\.[a-zA-Z]{2,})(?P<path>/\S*?)?/?"
)
_VERSION = re.compile(
    r"(?:(?:version|versión|ver\.?|v\.?|バージョン|版本) ?)?"
    r"(?P<code>[0-9]+(?:\.[0-9]+)*(?:[-.]?(?:rc|beta|b|a|alpha|sp) ?[0-9]*)?)",
    re.I,
)
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]+|/[0-9]+)?")
_PHONE = re.compile(r"\+?[0-9()]+(?:[-. /]{1,3}[0-9()]+)*")
_PLATE = re.compile(
    r"(?=.*[0-9])(?!.*[a-z]{2})(?:[A-Za-z0-9]+(?:[-. ·][A-Za-z0-9]+)*"
    r"|[\u4e00-\u9fff][A-Z][-. ·]?[A-Z0-9]+)"
)
_SPLIT = re.compile(r"[-. ·/()_]+")
_LONGEST = 80
_SHORT_PLATE = 4


def read_address(text: str) -> str:
    """A web or mail address in one writing: host without case, path as it stands; else empty."""
    match = _ADDRESS.fullmatch(text) if len(text) <= _LONGEST else None
    return f"{match['host'].lower()}{(match['path'] or '').rstrip('/')}" if match else ""


def read_version(text: str) -> str:
    """A version or dotted number, number by number (``3.10`` is not ``3.1``); else empty."""
    match = _VERSION.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    return match["code"].lower().replace(" ", "") if match else ""


def read_ip(text: str) -> str:
    """An IP address; else empty."""
    return text if _IP.fullmatch(text) else ""


def read_phone(text: str, least: int = 7) -> str:
    """The digits of a telephone number of at least so many digits; else empty."""
    digits = _SPLIT.sub("", text) if len(text) <= 30 and _PHONE.fullmatch(text) else ""
    return digits if least <= len(digits.lstrip("+")) <= 16 else ""


def read_plate(text: str) -> str:
    """Letters and digits of a plate, flight, model, or serial number; else empty.

    Hyphens, dots and spaces count only between digits (``12-3`` is not ``1-23``) and in a code of
    up to three characters (``A-1`` is not ``A1``).
    """
    if len(text) > 30 or not _PLATE.fullmatch(text):
        return ""
    text = re.sub(r"(?<=[0-9])[-. ·]+(?=[0-9])", "|", text.upper())
    joined = _SPLIT.sub("", text)
    return joined if len(joined) >= _SHORT_PLATE else _SPLIT.sub("-", text)
