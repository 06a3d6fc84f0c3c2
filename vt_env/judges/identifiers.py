"""Texts in which every character counts but the writing is free: web addresses, phone numbers."""

from __future__ import annotations

import re

from vt_env.judges.dates import parse_dates

_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?P<rest>[\w+%-]+(?:[.@][\w+%-]+)*\.[a-z]{2,}(?:/\S+?)?)/?", re.I
)
_PHONE = re.compile(r"\+?[0-9]*(?:[-. ]?\(?[0-9]{2,5}\)?)+")


def same_address(answer: str, reference: str) -> bool | None:
    """Whether two web or mail addresses are one; ``None`` where one of the texts is none."""
    given, wanted = _ADDRESS.fullmatch(answer), _ADDRESS.fullmatch(reference)
    if given is None or wanted is None:
        return None
    return given["rest"].lower() == wanted["rest"].lower()


def same_phone(answer: str, reference: str) -> bool | None:
    """Whether two grouped phone numbers have the same digits; ``None`` where one is none."""
    digits = [_phone_digits(text) for text in (answer, reference)]
    return digits[0] == digits[1] if all(digits) else None


def _phone_digits(text: str) -> str:
    digits = re.sub(r"[-. ()]", "", text)
    fits = 9 <= len(digits.lstrip("+")) <= 15 and len(text) <= 30
    return digits if fits and _PHONE.fullmatch(text) and not parse_dates(text) else ""
