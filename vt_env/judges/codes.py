"""Texts in which every character counts but the writing is free: addresses, versions, numbers.

And codes that mean something only where the question asks for it: states, compass points, sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

from vt_env.judges.lexicon import LANGUAGES, english, pairs, plain, table, words
from vt_env.judges.phrases import key, stem
from vt_env.judges.questions import Asked

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
_LONGEST_NAME = 40
_LETTERS = 2
"""Letters of a country's code; longer ones are regions."""


def read_address(text: str) -> str:
    """A web, mail or IP address in one writing: host without case, path as it is; else empty."""
    if _IP.fullmatch(text):
        return text
    match = _ADDRESS.fullmatch(text) if len(text) <= _LONGEST else None
    return f"{match['host'].lower()}{(match['path'] or '').rstrip('/')}" if match else ""


def read_version(text: str) -> str:
    """A version or dotted number, number by number (``3.10`` is not ``3.1``); else empty."""
    match = _VERSION.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    return match["code"].lower().replace(" ", "") if match else ""


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


@cache
def _codes(name: str, language: str) -> dict[str, str]:
    """Codes and names of a topic in a language and in English, with what they stand for."""
    entry = table("topics")[name]
    codes = english("states") if name == "state" else pairs(entry["en"])
    found = codes | {value: value for value in codes.values()}
    found |= pairs(entry.get(language, "")) if language != "en" else {}
    names = _countries() if name == "country" else _cities(language) if name == "city" else {}
    bare = {plain(form): code for form, code in found.items() if form.islower()}
    return bare | found | names


@cache
def _countries() -> dict[str, str]:
    """Names of countries in every language, from CLDR."""
    from babel import Locale

    found: dict[str, str] = {}
    for language in LANGUAGES:
        territories = cast("Mapping[str, str]", Locale(language).territories)
        for code, name in territories.items():
            if len(code) == _LETTERS:
                found |= dict.fromkeys((plain(name), name.lower()), code)
    return found


@cache
def _cities(language: str) -> dict[str, str]:
    """Names of the cities of time zones in a language and in English, from CLDR."""
    from babel import Locale

    found: dict[str, str] = {}
    for spoken in ("en", language):
        zones = cast("Mapping[str, Mapping[str, str]]", Locale(spoken).time_zones)
        for zone, entry in zones.items():
            here = zone.rpartition("/")[2].replace("_", " ")
            names = (entry.get("city", here), here)
            found |= dict.fromkeys((w for n in names for w in (plain(n), n.lower())), zone)
    return found


def _is_cued(name: str, asked: Asked) -> bool:
    """Whether a question asks for a topic."""
    topic = table("topics")[name]
    if name == "state" or "letter" in asked.kinds:
        return name == "state" and "state" in asked.kinds
    barred = any(bar in asked.text.lower() for bar in topic.get("bars", "").split())
    cues = topic["cues"].split()
    return not barred and any(
        stem(cue) in asked.stems if cue.isascii() else cue in asked.text for cue in cues
    )


def topic_codes(text: str, asked: Asked) -> Iterator[tuple[str, str]]:
    """The topics that a question asks for and a text has a code or a name of."""
    for name in table("topics") if len(text) <= _LONGEST_NAME else ():
        if _is_cued(name, asked) and (found := _code(text, name, asked.language)):
            yield f"topic:{name}", " ".join(key(found)) if name == "state" else found


def _code(text: str, name: str, language: str) -> str:
    """What a text stands for in a topic; empty for nothing."""
    bare, codes = text.strip().rstrip(".。"), _codes(name, language)
    little = words("articles") | words("prepositions") - words("origins")
    little |= words("pronouns") if "subject" in table("topics")[name] else frozenset[str]()
    forms = [bare]
    while (rest := forms[-1].partition(" "))[0].lower() in little and len(rest[2]) > _LETTERS:
        forms.append(rest[2])
    for form in forms:
        low = form.lower().replace(".", "")
        for writing in (form, low, "-".join(low.split())):
            if found := codes.get(writing):
                return found
    return ""
