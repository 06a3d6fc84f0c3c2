"""Word lists of the rules: data files beside this package, and calendar names from CLDR.

Nothing is read before it is asked for, so that importing the judges stays cheap.
"""

from __future__ import annotations

import itertools
import re
import tomllib
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "zh", "ja")
SPACED = ("en", "de", "fr", "es")
"""Languages that part words by spaces."""
_DEFAULT = "all"


@cache
def table(name: str) -> dict[str, Any]:
    """The content of the data file ``words/NAME.toml``."""
    file = Path(__file__).with_name("words") / f"{name}.toml"
    return tomllib.loads(file.read_text("utf-8"))


@cache
def pattern(name: str, *keys: str) -> re.Pattern[str]:
    """The expression under some keys of a data file, in any case; where none is, one of nothing."""
    found: Any = table(name)
    for key in keys:
        found = found.get(key, {})
    return re.compile(found.replace("\n", "") if found else "(?!)", re.I)


@cache
def words(group: str, *languages: str) -> frozenset[str]:
    """The words of a group of ``frames.toml`` in some languages (all spaced ones by default)."""
    content: dict[str, str] = table("frames")[group]
    wanted = (_DEFAULT, *(languages or SPACED))
    return frozenset(word for key in wanted for word in content.get(key, "").split())


@cache
def function_words(language: str) -> frozenset[str]:
    """Words of a language and of English that say nothing by themselves."""
    groups = "articles copulas prepositions pronouns answers scene things totals".split()
    return frozenset[str]().union(*(words(group, "en", language) for group in groups))


@cache
def frame_words(language: str) -> frozenset[str]:
    """Words of a language and of English that may stand around an answer."""
    return function_words(language) | words("reporting", "en", language)


@cache
def phrases(group: str) -> tuple[str, ...]:
    """The Chinese and Japanese phrases of a group, the longest first."""
    content: dict[str, str] = table("frames")[group]
    found = {part for key in ("zh", "ja", "cjk") for part in content.get(key, "").split()}
    return tuple(sorted(found, key=lambda part: (-len(part), part)))


@cache
def pairs(text: str) -> dict[str, str]:
    """A table from ``key=value`` words; an underscore in a value is a space."""
    parts = (pair.partition("=") for pair in text.split())
    return {key: value.replace("_", " ") for key, _, value in parts}


@cache
def english(name: str) -> dict[str, str]:
    """A table of ``english.toml``."""
    return pairs(table("english")[name])


@cache
def abbreviations() -> dict[tuple[str, ...], str]:
    """Long forms, as words, and the short form that stands for them."""
    return {tuple(long.split()): short for long, short in table("english")["abbreviations"].items()}


@lru_cache(maxsize=8192)
def plain(word: str) -> str:
    """A word in lower case without accents and full stops, as names are looked up."""
    split = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in split if not unicodedata.combining(c)).replace(".", "")


@cache
def months(language: str) -> dict[str, int]:
    """Names and short names of months in a language and in English, with the month's number."""
    return {"sept": 9, "sep": 9, **_calendar("months", language)}


@cache
def weekdays(language: str) -> dict[str, int]:
    """Names and short names of weekdays in a language and in English; Monday is 0."""
    listed = pairs(table("times")["weekdays"])
    return {**_calendar("days", language), **{name: int(day) for name, day in listed.items()}}


@cache
def calendar(language: str) -> frozenset[str]:
    """Names of months and weekdays in a language and in English."""
    return frozenset((*months(language), *weekdays(language)))


def _calendar(what: str, language: str) -> dict[str, int]:
    """CLDR's numbers of the names of months or days."""
    from babel import Locale

    found: dict[str, int] = {}
    contexts, widths = ("format", "stand-alone"), ("wide", "abbreviated")
    for spoken, context, width in itertools.product(("en", language), contexts, widths):
        forms: Any = getattr(Locale(spoken), what)[context][width]
        for number, name in sorted(forms.items()):
            if len(name := plain(str(name))) > 2 or what == "days":
                found.setdefault(name, number)
    return found
