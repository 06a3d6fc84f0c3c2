"""What a question tells about its answer: its kind, units, order, names, alternatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from rapidfuzz.distance import Postfix, Prefix

from vt_env.judges.characters import fold, is_cjk
from vt_env.judges.lexicon import SPACED, pairs, pattern, table, words
from vt_env.judges.numerals import SCALES, spoken_number
from vt_env.judges.phrases import stem
from vt_env.judges.units import Unit, is_currency, parse_unit, period, units_in
from vt_env.maths.latex import delatex

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[0-9]+(?:[.,][0-9]+)*")
_UNIT_ASKED = re.compile(r"(?:多少|几|何)(?P<unit>[a-zA-Z]+|[\u3040-\u9fff]{1,6})")
_COUNTED = re.compile(r"\b(?:how many|wie ?viele|combien d[e']|cuánt[ao]s) ?(.*)", re.S)
_LIMIT = 2_000
_YEAR = 12
_ALIKE = 4
"""Letters that two forms of a word have in common at least, and in which they differ at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question as the rules see it."""

    text: str  # folded
    language: str  # en, de, fr, es, zh or ja
    words: tuple[str, ...]  # in lower case
    word_set: frozenset[str]
    stems: frozenset[str]  # of its words, and its numbers
    alternatives: frozenset[str]  # stems of what it asks to choose from; they may not be echoed
    echo: frozenset[str]  # stems of its words and of their synonyms, which an answer may echo
    asking: frozenset[str]  # words that end it or precede a question word: *sitting on*
    named: frozenset[str]  # stems of the words after a question word: *genus* of *which genus*
    opposites: frozenset[str]  # words that mean the opposite of one of its words
    units: tuple[Unit, ...]
    periods: tuple[Unit, ...]  # for money: *monthly*
    scales: frozenset[str]  # *million*
    kinds: frozenset[str]  # of answers that it asks for, see ``asks.toml``
    measures: frozenset[str]  # groups of dimensions that it asks for
    ordered: bool  # whether the order of a list matters
    names: bool  # whether exact word forms matter
    counted: frozenset[str]  # stems of what *how many* asks to count
    statement: bool  # whether it asks whether a statement is true

    def echoes(self, root: str) -> bool:
        """Whether a stem is of its words, of a synonym or, but in English, of another form."""
        if root in self.echo:
            return True
        if self.language not in ("de", "fr", "es") or root in self.alternatives:
            return False
        if spoken_number(root, self.language):
            return False
        for word in self.stems - self.alternatives:  # a verb or an adjective: *prend*, *prennent*
            common = Prefix.similarity(root, word)
            if common >= _ALIKE and max(len(root), len(word)) - common <= _ALIKE:
                return True
        return False

    @property
    def percent(self) -> bool:
        """Whether it asks for a percentage."""
        return bool(words("percent") & self.word_set) or "%" in self.text

    def group(self, unit: Unit) -> str:
        """The group of cues in ``asks.toml`` that asks for what a unit measures; else empty."""
        groups = pairs(table("asks")["dimension_of"]["groups"])
        return "money" if is_currency((unit,)) else groups.get(unit.dimension, "")

    def measures_unit(self, unit: Unit) -> bool:
        """Whether it asks for what a unit measures, or for something this does not tell."""
        group = self.group(unit)
        if group == "money":
            return "money" in self.measures and self.measures <= words("beside_money")
        if group == "months" and {"old", "age"} & self.word_set:
            return unit.factor == _YEAR
        return group in self.measures if group else not self.measures and not self.counted


@cache
def antonyms() -> dict[str, frozenset[str]]:
    """Stems of the words that each word is the opposite of."""
    pairs = [tuple(p.split("=")) for p in table("polarity")["other"]["antonyms"].split()]
    both = [*pairs, *((right, left) for left, right in pairs)]
    return {word: frozenset(stem(o) for w, o in both if w == word) for word, _ in both}


@cache
def _cues(section: str) -> dict[str, tuple[str, ...]]:
    """Every kind's cues as they are looked for: a word with a space around, a beginning, a part."""

    def read(cue: str) -> tuple[str, ...]:
        if is_cjk(cue[0]) or cue == "%":
            return (cue,)
        return (f" {cue[:-1]}",) if cue.endswith("*") else (f" {cue} ", f" {cue}s ")

    content: dict[str, str] = table("asks")[section]
    return {
        name: tuple(form for cue in text.split(",") for form in read(" ".join(cue.split())))
        for name, text in content.items()
    }


def _found(section: str, text: str) -> frozenset[str]:
    """The kinds or measures that a question has a cue of."""
    return frozenset(n for n, cues in _cues(section).items() if any(c in text for c in cues))


@lru_cache(maxsize=512)
def read_question(question: str) -> Asked:
    """Reads a question once; only its last 2000 characters count."""
    text = fold(delatex(fold(question[-_LIMIT:])))
    language = language_of(text)
    spaced = text.replace("'", "' ") if language == "fr" else text
    found = tuple(word.lower() for word in WORD.findall(spaced))
    plain = frozenset(found)
    stems = {stem(word) for word in found}
    if language in ("zh", "ja"):
        stems |= {char for char in text if is_cjk(char)}
    alternatives = _alternatives(text)
    groups = map(str.split, table("frames")["synonyms"].values())
    same = {stem(word) for group in groups if plain & set(group) for word in group}
    opposites = frozenset(word for word, of in antonyms().items() if of & stems)
    if plain & words("negations", "en", language):
        same |= {stem(word) for word in opposites}
    haystack = f" {' '.join(found)} {text.lower()}"
    patterns = {
        name for name in table("asks")["patterns"] if pattern("asks", "patterns", name).search(text)
    }
    return Asked(
        text=text,
        language=language,
        words=found,
        word_set=plain,
        stems=frozenset(stems),
        alternatives=alternatives,
        echo=frozenset(stems | same) - alternatives,
        asking=frozenset(
            w for w, n in zip(found, (*found[1:], "what"), strict=False) if n in words("wh")
        ),
        named=frozenset(stem(n) for w, n in pairwise(found) if w in words("wh")),
        opposites=opposites,
        units=_units(text),
        periods=tuple(unit for word in found for unit in period(word)),
        scales=frozenset(w.rstrip("s") for w in plain) & frozenset(SCALES),
        kinds=_found("kinds", haystack) | patterns,
        measures=_found("dimensions", haystack),
        ordered="ordered" in patterns or bool(plain & words("order_cues")),
        names=bool(plain & words("name_cues")),
        counted=_counted(text),
        statement="?" not in text and not plain & words("imperative"),
    )


@lru_cache(maxsize=512)
def language_of(text: str) -> str:
    """The language of a text: by script, else by its function words; English in doubt."""
    if any("\u3040" <= char <= "\u30ff" for char in text):
        return "ja"
    if any("\u4e00" <= char <= "\u9fff" for char in text):
        return "zh"
    if "¿" in text:
        return "es"
    found = [word.lower() for word in re.findall(r"[^\W\d_]+(?:'(?=\w))?", text)]
    counts = {spoken: sum(word in _function_words(spoken) for word in found) for spoken in SPACED}
    best = max(SPACED, key=lambda spoken: counts[spoken])
    return best if counts[best] > counts["en"] else "en"


@cache
def _function_words(language: str) -> frozenset[str]:
    groups = ("asking", "articles", "copulas", "prepositions", "pronouns", "deny")
    listed = (frozenset(table("frames")[group].get(language, "").split()) for group in groups)
    return frozenset[str]().union(*listed)


def _units(text: str) -> tuple[Unit, ...]:
    """The units that a question asks for, in Chinese and Japanese after *how many*."""
    for match in _UNIT_ASKED.finditer(text):
        for end in range(len(match["unit"]), 0, -1):
            if not match["unit"].isascii() and (found := parse_unit(match["unit"][:end])):
                return found
    return units_in(text)


def _counted(text: str) -> frozenset[str]:
    """Stems of the words after *how many*, up to a verb, a preposition or a sign."""
    match = _COUNTED.search(text.lower())
    closing = (words("copulas") | words("prepositions") | words("auxiliaries")) - {"of"}
    counted: list[str] = []
    for word in re.findall(r"[^\W_]+|[^\w\s]", match[1] if match else ""):
        if word in closing or not word.isalnum():
            break
        counted.append(stem(word))
    return frozenset(counted)


def _alternatives(text: str) -> frozenset[str]:
    """Words around an ``or`` (with a shared noun: two on each side), and items of a list."""
    found = [word.lower() for word in WORD.findall(text)]
    near: set[str] = set()
    for index, word in enumerate(found):
        if word in words("or"):
            little = words("articles") | words("prepositions")
            left = found[max(0, index - 2) : index]
            right = [w for w in found[index + 1 : index + 4] if w not in little][:2]
            parallel = left[-1:] and left[-1] in right
            near.update(left + right if parallel else left[-1:] + right[:1])
    for written in pattern("patterns", "han_choices").finditer(text):
        near.update(written[0])
        one, _, other = written[0].partition("还是")
        near -= set(one[len(one) - Postfix.similarity(one, other) :])
    for written in pattern("patterns", "choices").finditer(text):
        first, _, others = written[0].partition(",")
        opens = others.split()[0].lower() in words("articles")
        ahead = {w.lower() for w in WORD.findall(f"{text[: written.start()]}{first}")}
        is_asked = ahead & words("wh") and (opens or ahead & words("copulas"))
        near.update(word.lower() for word in WORD.findall(others if is_asked else written[0]))
    return frozenset(stem(word) for word in near)
