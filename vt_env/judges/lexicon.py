"""Word lists of the rules: data files beside this package, and calendar names from CLDR.

Nothing is read before it is asked for, so that importing the judges stays cheap.
"""

from __future__ import annotations

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


@cache
def abbreviated() -> frozenset[str]:
    """The first words of :func:`abbreviations`."""
    return frozenset(long[0] for long in abbreviations())


@lru_cache(maxsize=8192)
def plain(word: str) -> str:
    """A word in lower case without accents and full stops, as names are looked up."""
    split = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in split if not unicodedata.combining(c)).replace(".", "")


@cache
def months(language: str) -> dict[str, int]:
    """Names and short names of months in a language and in English, with the month's number."""
    return {"sept": 9, "sep": 9, **_calendar("months", range(1, 13), language)}


@cache
def weekdays(language: str) -> dict[str, int]:
    """Names and short names of weekdays in a language and in English; Monday is 0."""
    found = _calendar("days", range(7), language)
    english = "monday tuesday wednesday thursday friday saturday sunday".split()
    short = {name[:4]: index for index, name in enumerate(english)}
    chinese = {
        f"{prefix}{char}": index
        for prefix in ("星期", "周", "礼拜", "週")
        for index, char in enumerate("一二三四五六日")
    }
    japanese = {
        f"{char}{end}": i for i, char in enumerate("月火水木金土日") for end in ("曜", "曜日")
    }
    return {**found, **short, **chinese, **japanese, "星期天": 6, "周天": 6, "sonnabend": 5}


@cache
def calendar(language: str) -> frozenset[str]:
    """Names of months and weekdays in a language and in English."""
    return frozenset((*months(language), *weekdays(language)))


def _calendar(what: str, numbers: range, language: str) -> dict[str, int]:
    from babel import Locale

    found: dict[str, int] = {}
    for spoken in ("en", language):
        forms: Any = getattr(Locale(spoken), what)
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number in numbers:
                    name = plain(str(forms[context][width][number]))
                    if len(name) > 2 or what == "days":
                        found.setdefault(name, number)
    return found
