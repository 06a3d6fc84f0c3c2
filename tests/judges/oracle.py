"""An oracle for values: each is written in many notations, and equality is that of the values.

It shares no code with the judges. A kind draws parameters, changes them a little, tells what value
they are, and writes it in six languages; every writing means that value and no other, given the
kind's question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from oracle_numbers import ONES, chinese, figures, spoken

_DECIMAL_COMMA = ("de", "fr", "es")
_TWO_WAYS = re.compile(r"[0-9][.,][0-9]{3}(?![0-9])")
"""English figures that mean another number where a comma is the decimal sign."""
LANGUAGES = ("en", "de", "fr", "es", "zh", "ja")
Params = tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        draw: Random parameters.
        nudge: Parameters close to given ones.
        key: What two equal values have in common.
        write: All writings in a language.
        questions: A question by language.
    """

    draw: Callable[[random.Random], Params]
    nudge: Callable[[Params, random.Random], Params]
    key: Callable[..., Hashable]
    write: Callable[..., list[str]]
    questions: dict[str, str]


@dataclass(frozen=True)
class Pair:
    """A reference and an answer, and whether they are the same value."""

    kind: str
    language: str
    question: str
    reference: str
    answer: str
    equal: bool


def pair(rng: random.Random) -> Pair:
    """A random pair: four of ten are equal, most others are close."""
    name = rng.choice(list(KINDS))
    kind, language = KINDS[name], rng.choice(LANGUAGES)
    wanted = given = kind.draw(rng)
    how = rng.random()
    if how > 0.7:
        given = kind.draw(rng)
    elif how > 0.4:
        given = kind.nudge(wanted, rng)
    reference = rng.choice(kind.write(*wanted, language))
    written = rng.choice((language, language, "en"))
    answers = kind.write(*given, written)
    if written != language and language in _DECIMAL_COMMA:
        clear = [text for text in answers if not _TWO_WAYS.search(text)]
        answers = clear or kind.write(*given, language)
    answer = rng.choice([text for text in answers if text != reference] or answers)
    if rng.random() < 0.15:
        answer = rng.choice(FRAMES[language]).format(answer)
    equal = kind.key(*wanted) == kind.key(*given)
    return Pair(name, language, kind.questions[language], reference, answer, equal)


FRAMES = {
    "en": ["It is {}.", "The answer is {}.", "**{}**"],
    "de": ["Es ist {}.", "Die Antwort ist {}."],
    "fr": ["C'est {}.", "La réponse est {}."],
    "es": ["Es {}.", "La respuesta es {}."],
    "zh": ["答案是{}。", "{}。"],
    "ja": ["答えは{}です。", "{}です。"],
}


# Counts and measures


def _count_draw(rng: random.Random) -> Params:
    return (
        rng.choice(
            (rng.randint(0, 20), rng.randint(0, 99), rng.randint(100, 10 ** rng.randint(3, 7)))
        ),
    )


def _count_nudge(params: Params, rng: random.Random) -> Params:
    (n,) = params
    digits = list(str(n))
    rng.shuffle(digits)
    return (
        rng.choice((n + 1, abs(n - 1), n * 10, n // 10, n + 10, n * 1000, int("".join(digits)))),
    )


def _count_write(n: int, language: str) -> list[str]:
    words = spoken(n, language)
    found = figures(Fraction(n), language) + ([words] if words else [])
    if n and n % 1000 == 0 and language == "en" and n < 10**6:
        found.append(f"{n // 1000} thousand")
    if n and n % 100_000 == 0 and n >= 10**6:
        scale = {"en": "million", "de": "Millionen", "fr": "millions", "es": "millones"}.get(
            language
        )
        if scale and n != 10**6:
            found += [f"{text} {scale}" for text in figures(Fraction(n, 10**6), language)]
    return found


MEASURES: dict[str, dict[str, tuple[Fraction, dict[str, list[str]]]]] = {
    "length": {
        "mm": (Fraction(1, 1000), {"en": ["mm", "millimetres"], "de": ["mm", "Millimeter"]}),
        "cm": (Fraction(1, 100), {"en": ["cm", "centimeters"], "de": ["cm", "Zentimeter"],
                                  "fr": ["cm", "centimètres"], "zh": ["厘米", "公分"]}),
        "m": (Fraction(1), {"en": ["m", "metres", "meters"], "de": ["m", "Meter"],
                            "fr": ["m", "mètres"], "es": ["m", "metros"], "zh": ["米"],
                            "ja": ["メートル"]}),
        "km": (Fraction(1000), {"en": ["km", "kilometers"], "de": ["km", "Kilometer"],
                                "fr": ["km", "kilomètres"], "es": ["km", "kilómetros"],
                                "zh": ["公里", "千米"], "ja": ["キロメートル"]}),
        "ft": (Fraction(3048, 10000), {"en": ["ft", "feet"]}),
        "mi": (Fraction(1609344, 1000), {"en": ["miles"]}),
    },
    "mass": {
        "mg": (Fraction(1, 1000), {"en": ["mg", "milligrams"]}),
        "g": (Fraction(1), {"en": ["g", "grams"], "de": ["g", "Gramm"], "fr": ["g", "grammes"],
                            "es": ["g", "gramos"], "zh": ["克"], "ja": ["グラム"]}),
        "kg": (Fraction(1000), {"en": ["kg", "kilograms"], "de": ["kg", "Kilogramm"],
                                "fr": ["kg", "kilogrammes"], "es": ["kg", "kilogramos"],
                                "zh": ["公斤", "千克"], "ja": ["キログラム"]}),
        "lb": (Fraction(45359237, 100000), {"en": ["lb", "pounds"]}),
    },
}  # fmt: skip
_UNITS = {unit: (dim, factor, names) for dim, units in MEASURES.items()
          for unit, (factor, names) in units.items()}  # fmt: skip


def _measure_draw(rng: random.Random) -> Params:
    value = Fraction(rng.randint(2, 9999), rng.choice((1, 1, 1, 10, 100)))
    return value, rng.choice(list(_UNITS))


def _measure_nudge(params: Params, rng: random.Random) -> Params:
    value, unit = params
    other = rng.choice([u for u in _UNITS if u != unit])
    return rng.choice(((value, other), (value * 10, unit), (value + 1, unit), (value / 10, unit)))


def _measure_write(value: Fraction, unit: str, language: str) -> list[str]:
    dimension, factor, _ = _UNITS[unit]
    found: list[str] = []
    for dim, size, names in _UNITS.values():
        amount = value * factor / size
        if dim != dimension or not _is_short(amount) or amount == 1:
            continue
        for name in names.get(language, names["en"]):
            space = _space_before(name)
            found += [f"{text}{space}{name}" for text in figures(amount, language)]
    return found


def _space_before(name: str) -> str:
    return " " if name[0].isascii() else ""  # none before Chinese and Japanese units


def _is_short(value: Fraction) -> bool:
    return (value * 10**4).denominator == 1 and value < 10**8


_MONEY = {
    "dollar": (["${}"], {"en": ["{} dollars", "USD {}", "US${}"], "de": ["{} Dollar"],
                         "fr": ["{} dollars"], "es": ["{} dólares"], "zh": ["{}美元"]}),
    "euro": (["€{}"], {"en": ["{} euros", "EUR {}"], "de": ["{} Euro", "{} €"],
                       "fr": ["{} euros", "{} €"], "es": ["{} euros", "{} €"], "zh": ["{}欧元"],
                       "ja": ["{}ユーロ"]}),
    "pound": (["£{}"], {"en": ["GBP {}"]}),
    "yen": (["¥{}"], {"ja": ["{}円"], "en": ["{} yen"]}),
}  # fmt: skip


def _money_draw(rng: random.Random) -> Params:
    cents = rng.choice((100, 100, 100, 50, 5, 1)) * rng.randint(2, 5000)
    return Fraction(cents, 100), rng.choice(list(_MONEY))


def _money_nudge(params: Params, rng: random.Random) -> Params:
    value, currency = params
    other = rng.choice([c for c in _MONEY if c != currency])
    return rng.choice(
        ((value, other), (value * 10, currency), (value + 1, currency), (value / 10, currency))
    )


def _money_write(value: Fraction, currency: str, language: str) -> list[str]:
    signs, names = _MONEY[currency]
    amounts = figures(value, language)
    if value.denominator in (1, 2, 5, 10) and language == "en":
        amounts.append(f"{float(value):.2f}")
    return [form.format(text) for form in signs + names.get(language, []) for text in amounts]


def _percent_write(value: Fraction, language: str) -> list[str]:
    word = {"en": "percent", "de": "Prozent", "fr": "pour cent", "es": "por ciento"}.get(language)
    texts = figures(value, language)
    found = [f"{text}%" for text in texts] + [f"{text} %" for text in texts if language != "en"]
    found += [f"{text} {word}" for text in texts if word]
    if language == "zh" and value.denominator == 1:
        found.append(f"百分之{chinese(int(value), 'zh')}")
    return found


def _percent_nudge(params: Params, rng: random.Random) -> Params:
    (value,) = params
    return (rng.choice((value * 10, value / 10, value + 1, 100 - value, value / 100)),)


def _fraction_write(value: Fraction, language: str) -> list[str]:
    above, below = value.numerator, value.denominator
    found = [f"{above}/{below}", rf"\frac{{{above}}}{{{below}}}", f"{2 * above}/{2 * below}"]
    names = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 8: "eighth", 10: "tenth"}
    if language == "en" and below in names and above < below:
        name = names[below] if above == 1 else f"{names[below]}s"
        found += [f"{ONES['en'][above]} {name}"] if below != 2 else ["one half", "half"]
    if above > below:
        found.append(f"{above // below} {above % below}/{below}")
    if language == "zh":
        found.append(f"{chinese(below, 'zh')}分之{chinese(above, 'zh')}")
    return found + (figures(value, language) if _is_short(value) else [])


def _fraction_draw(rng: random.Random) -> Params:
    below = rng.choice((2, 3, 4, 5, 6, 7, 8, 10, 12))
    above = rng.choice([n for n in range(1, 3 * below) if Fraction(n, below).denominator == below])
    return (Fraction(above, below),)


def _fraction_nudge(params: Params, rng: random.Random) -> Params:
    (value,) = params
    below = value.denominator
    others = (
        1 / value,
        value + 1,
        value + Fraction(1, below),
        Fraction(value.numerator, below + 1),
    )
    return (next((o for o in rng.sample(others, 4) if o.denominator > 1), value),)


# Dates, times, durations

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
}


def _date_draw(rng: random.Random) -> Params:
    return rng.randint(1200, 2099), rng.randint(1, 12), rng.randint(1, 28)


def _date_nudge(params: Params, rng: random.Random) -> Params:
    year, month, day = params
    swapped = (year, day, month) if day <= 12 else (year, month, day - 1)
    return rng.choice(
        (swapped, (year + 1, month, day), (year, month % 12 + 1, day), (year, month, day % 28 + 1),
         (year + 100, month, day), (year, month, min(28, day + 10)))
    )  # fmt: skip


def _date_write(year: int, month: int, day: int, language: str) -> list[str]:
    found = [f"{year}-{month:02}-{day:02}"]
    if language in ("zh", "ja"):
        return [*found, f"{year}年{month}月{day}日"]
    name = _MONTHS[language].split()[month - 1]
    if language == "en":
        end = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        found += [f"{name} {day}, {year}", f"{day} {name} {year}", f"{name} {day}{end}, {year}",
                  f"{day}{end} of {name} {year}", f"{name[:3]} {day}, {year}"]  # fmt: skip
        if day > 12:
            found.append(f"{month}/{day}/{year}")
    found += {
        "de": [f"{day}. {name} {year}", f"{day}.{month}.{year}"],
        "fr": [f"{day} {name} {year}"],
        "es": [f"{day} de {name} de {year}"],
    }.get(language, [])
    return found


def _time_draw(rng: random.Random) -> Params:
    return rng.randint(0, 23), rng.choice((0, 15, 30, 45, rng.randint(0, 59)))


def _time_nudge(params: Params, rng: random.Random) -> Params:
    hour, minute = params
    return rng.choice(
        (((hour + 12) % 24, minute), ((hour + 1) % 24, minute), (hour, (minute + 30) % 60),
         (hour, (minute + 1) % 60), (minute % 24, hour))
    )  # fmt: skip


def _time_write(hour: int, minute: int, language: str) -> list[str]:
    half, twelve = ("am" if hour < 12 else "pm"), (hour - 1) % 12 + 1
    found = [f"{hour:02}:{minute:02}"] if hour == 0 or hour > 12 else []
    found.append(f"{twelve}:{minute:02} {half}")
    if language == "en":
        found += [f"{twelve}:{minute:02} {half[0]}.m.", f"{twelve}:{minute:02}{half.upper()}"]
        found += [f"{twelve} {half}"] if not minute else []
    if hour > 12:
        found += {
            "de": [f"{hour}:{minute:02} Uhr"],
            "fr": [f"{hour}h{minute:02}"],
            "zh": [f"{hour}点{minute}分" if minute else f"{hour}点"],
            "ja": [f"{hour}時{minute}分" if minute else f"{hour}時"],
        }.get(language, [])
    return found


_SPANS = {
    "en": ("hours", "minutes", "seconds", "h", "min"),
    "de": ("Stunden", "Minuten", "Sekunden", "h", "min"),
    "fr": ("heures", "minutes", "secondes", "h", "min"),
    "es": ("horas", "minutos", "segundos", "h", "min"),
    "zh": ("小时", "分钟", "秒", "小时", "分钟"),
    "ja": ("時間", "分", "秒", "時間", "分"),
}


def _span_draw(rng: random.Random) -> Params:
    return (
        60 * rng.choice((rng.randint(2, 59), 15 * rng.randint(5, 200), 60 * rng.randint(2, 48))),
    )


def _span_nudge(params: Params, rng: random.Random) -> Params:
    (seconds,) = params
    return (rng.choice((seconds + 60, seconds * 60, max(120, seconds // 60), seconds + 3600,
                        seconds + 43200, seconds + 86400, seconds * 10)),)  # fmt: skip


def _span_write(seconds: int, language: str) -> list[str]:
    hour, minute, second, h, m = _SPANS[language]
    space = "" if language in ("zh", "ja") else " "
    found = [f"{seconds}{space}{second}"] if seconds < 10**5 else []
    if seconds % 60 == 0:
        found.append(f"{seconds // 60}{space}{minute}")
        hours, minutes = divmod(seconds // 60, 60)
        if hours > 1 and minutes > 1:
            found += [f"{hours}{space}{hour}{space}{minutes}{space}{minute}",
                      f"{hours}{space}{h}{space}{minutes}{space}{m}"]  # fmt: skip
    amount = Fraction(seconds, 3600)
    if amount > 1 and (amount * 4).denominator == 1:
        found += [f"{text}{space}{hour}" for text in figures(amount, language)]
    return found or [f"{seconds}{space}{second}"]


def _asked(*texts: str) -> dict[str, str]:
    return dict(zip(LANGUAGES, texts, strict=True))


KINDS = {
    "count": Kind(_count_draw, _count_nudge, lambda n: n, _count_write, _asked(
        "How many visitors came?", "Wie viele Besucher kamen?", "Combien de visiteurs sont venus ?",
        "¿Cuántos visitantes vinieron?", "来了多少名游客？", "来場者は何人ですか？")),
    "measure": Kind(_measure_draw, _measure_nudge,
                    lambda v, u: (_UNITS[u][0], v * _UNITS[u][1]), _measure_write, _asked(
        "What does the label say?", "Was steht auf dem Etikett?", "Que dit l'étiquette ?",
        "¿Qué dice la etiqueta?", "标签上写着什么？", "ラベルには何と書いてありますか？")),
    "money": Kind(_money_draw, _money_nudge, lambda *p: p, _money_write, _asked(
        "How much does it cost?", "Wie viel kostet es?", "Combien ça coûte ?", "¿Cuánto cuesta?",
        "它多少钱？", "いくらですか？")),
    "percent": Kind(lambda rng: (Fraction(rng.randint(1, 999), rng.choice((1, 1, 10))),),
                    _percent_nudge, lambda v: v, _percent_write, _asked(
        "What percentage agreed?", "Wie viel Prozent stimmten zu?", "Quel pourcentage approuve ?",
        "¿Qué porcentaje está de acuerdo?", "同意的百分比是多少？", "賛成は何パーセントですか？")),
    "fraction": Kind(_fraction_draw, _fraction_nudge, lambda v: v, _fraction_write, _asked(
        "What is the value of the marked point?", "Welchen Wert hat der markierte Punkt?",
        "Quelle est la valeur du point marqué ?", "¿Cuál es el valor del punto marcado?",
        "标记点的值是多少？", "印の点の値はいくつですか？")),
    "date": Kind(_date_draw, _date_nudge, lambda *p: p, _date_write, _asked(
        "What is the date on the letter?", "Welches Datum steht auf dem Brief?",
        "Quelle est la date de la lettre ?", "¿Cuál es la fecha de la carta?",
        "信上的日期是什么？", "手紙の日付はいつですか？")),
    "time": Kind(_time_draw, _time_nudge, lambda *p: p, _time_write, _asked(
        "At what time does it start?", "Um wie viel Uhr beginnt es?",
        "À quelle heure débute-t-il ?", "¿A qué hora empieza?",
        "几点开始？", "何時に始まりますか？")),
    "duration": Kind(_span_draw, _span_nudge, lambda s: s, _span_write, _asked(
        "How long does it take?", "Wie lange dauert es?", "Combien de temps cela dure-t-il ?",
        "¿Cuánto tiempo dura?", "需要多长时间？", "どのくらいの時間がかかりますか？")),
}  # fmt: skip
