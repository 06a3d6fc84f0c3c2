"""Codes that mean something only where the question asks for it: states, compass points, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

from vt_env.judges.lexicon import LANGUAGES, english, pairs, plain, table, words
from vt_env.judges.phrases import key, stem
from vt_env.judges.questions import Asked

_LONGEST = 40
_CODE = 2
"""Letters of a country's code; longer ones are regions."""


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
            if len(code) == _CODE:
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


@cache
def _cues(name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    cues = table("topics")[name]["cues"].split()
    return frozenset(stem(c) for c in cues if c.isascii()), tuple(
        c for c in cues if not c.isascii()
    )


def topic_codes(text: str, asked: Asked) -> Iterator[tuple[str, str]]:
    """The topics that a question asks for and a text has a code or a name of."""
    for name in table("topics") if len(text) <= _LONGEST else ():
        if name == "state":
            is_cued = "state" in asked.kinds
        else:
            stems, parts = _cues(name)
            is_cued = bool(stems & asked.stems) or any(cue in asked.text for cue in parts)
            barred = table("topics")[name].get("bars", "").split()
            is_cued = is_cued and not any(bar in asked.text.lower() for bar in barred)
            is_cued = is_cued and "letter" not in asked.kinds
        if is_cued and (found := _code(text, name, asked.language)):
            yield f"topic:{name}", " ".join(key(found)) if name == "state" else found


def same_code(text: str, other: str, language: str) -> bool:
    """Whether two texts are one thing of some topic, whatever is asked: ``Na`` and ``sodium``."""
    if max(len(text), len(other)) > 4 * _LONGEST:
        return False
    codes = (
        (_code(text, name, language), _code(other, name, language)) for name in table("topics")
    )
    return any(one and one == two for one, two in codes)


def _code(text: str, name: str, language: str) -> str:
    """What a text stands for in a topic; empty for nothing."""
    bare, codes = text.strip().rstrip(".。"), _codes(name, language)
    little = words("articles") | words("prepositions") - words("origins")
    little |= words("pronouns") if "subject" in table("topics")[name] else frozenset[str]()
    forms = [bare]
    while (rest := forms[-1].partition(" "))[0].lower() in little and len(rest[2]) > _CODE:
        forms.append(rest[2])
    for form in forms:
        low = form.lower().replace(".", "")
        for writing in (form, low, "-".join(low.split())):
            if found := codes.get(writing):
                return found
    return ""
