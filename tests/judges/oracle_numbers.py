"""The oracle's numbers, in words and in figures of six languages."""

from __future__ import annotations

from fractions import Fraction

ONES = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen".split(),
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn".split(),
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
    "seize dix-sept dix-huit dix-neuf".split(),
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce "
    "quince dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés "
    "veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve".split(),
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety".split(),
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(),
    "fr": "vingt trente quarante cinquante soixante".split(),
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa".split(),
}


def spoken(n: int, language: str) -> str | None:
    """A count in words; ``None`` above 99 (English: 999,999; Chinese, Japanese: 99,999,999)."""
    if language in ("zh", "ja"):
        return chinese(n, language)
    if language == "en" and n > 99:
        return _english(n)
    if n > 99:
        return None
    ones = ONES[language]
    if n < len(ones):
        return ones[n]
    tens, one = divmod(n, 10)
    if language == "fr":
        return _french(n)
    ten = _TENS[language][tens - 2]
    if not one:
        return ten
    if language == "de":
        return f"{'ein' if one == 1 else ones[one]}und{ten}"
    return f"{ten} y {ones[one]}" if language == "es" else f"{ten}-{ones[one]}"


def _english(n: int) -> str | None:
    for size, word in ((1000, "thousand"), (100, "hundred")):
        if n >= size:
            if n >= 1_000_000:
                return None
            head, rest = divmod(n, size)
            joint = " and " if size == 100 or rest < 100 else " "
            return f"{spoken(head, 'en')} {word}" + (f"{joint}{spoken(rest, 'en')}" if rest else "")
    return spoken(n, "en")


def _french(n: int) -> str:
    ones, tens = ONES["fr"], _TENS["fr"]
    if n >= 80:
        return "quatre-vingts" if n == 80 else f"quatre-vingt-{ones[n - 80]}"
    ten, one = (tens[4], n - 60) if n >= 60 else (tens[n // 10 - 2], n % 10)
    if not one:
        return ten
    return f"{ten} et {ones[one]}" if one in (1, 11) else f"{ten}-{ones[one]}"


_FIGURES = "零一二三四五六七八九"


def chinese(n: int, language: str) -> str | None:
    """A count in Chinese or Japanese numerals; ``None`` from a hundred million on."""
    if n >= 10**8:
        return None
    if n >= 10**4:
        head, rest = divmod(n, 10**4)
        zero = "零" if language == "zh" and 0 < rest < 1000 else ""
        return f"{chinese(head, language)}万{zero}" + (
            chinese(rest, language) or "" if rest else ""
        )
    if n == 0:
        return "零" if language == "zh" else "〇"
    text, gap = "", False
    for size, word in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        figure, n = divmod(n, size)
        if not figure:
            gap = bool(text)
            continue
        zero = "零" if gap and language == "zh" else ""
        gap = False
        silent = figure == 1 and word and (language == "ja" or (word == "十" and not text))
        text += zero + ("" if silent else _FIGURES[figure]) + word
    return text


def figures(value: Fraction, language: str) -> list[str]:
    """A decimal in figures, with and without thousands separators, as a language writes it."""
    sign, value = ("-" if value < 0 else ""), abs(value)
    places = next(p for p in range(12) if (value * 10**p).denominator == 1)
    digits = str(int(value * 10**places)).rjust(places + 1, "0")
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    point = "," if language in ("de", "fr", "es") else "."
    if places == 3 and point == ",":  # 1,234 may be a thousand
        return [f"{sign}{whole},{part}0"]
    found = [f"{sign}{whole}" + (point + part if part else "")]
    grouped = f"{int(whole):,}"
    if len(whole) > 3:
        separator = {"de": ".", "es": ".", "fr": " "}.get(language, ",")
        if part or separator != ".":
            found.append(
                f"{sign}{grouped.replace(',', separator)}" + (point + part if part else "")
            )
    return found
