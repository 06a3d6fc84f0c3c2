"""Totals, dates and issuers of receipts and invoices, in English, Malay and German."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from agents.answerers import Guess
from agents.ocr.layout import below, doubtful, right_of
from agents.ocr.reader import Word

_AMOUNT = re.compile(
    r"(?<![\d.,/:])-?\d{0,3}(?:[.,]?\d{3})*[.,]\d{2}(?![\d%]|[.,/:]\d)",
)
_GRAND = re.compile(
    r"(grand|final|nett?|rounded)\s*total|total\s*(payable|due|amount|amt|to pay)"
    r"|(amount|amt|balance)\s*(due|payable|paid)|zu\s*zahlen|zahlbetrag|rechnungsbetrag"
    r"|gesamt(summe|betrag)|endsumme",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"\W*(total|summe|sum|jumlah|gesamt|betrag|rounding|rounded)"
    r"(\W|\d|rm|myr|usd|s?gd|euro?)*",
    re.IGNORECASE,
)
_INCLUSIVE = re.compile(r"total\b.*\binc", re.IGNORECASE)
_VAGUE = re.compile(r"\btotal\b|\bsumme\b", re.IGNORECASE)
_PAID = re.compile(r"^\W*(cash|card|credit|visa|master|eur|paid|amount)\b|karte", re.IGNORECASE)
_NOT_TOTAL = re.compile(
    r"sub\W*total|excl|qty|quantity|discount|disc\b|change|adj|item|tax\s*total|total\s*tax"
    r"|included in|zwischen|netto|mwst|steuer|ust\b|points|saving|supplies|gst\s*(amt|payable)",
    re.IGNORECASE,
)


def total(words: Sequence[Word]) -> Guess:
    """The amount beside the label that promises most to be the grand total.

    An amount that is printed again elsewhere (as payment, say) is preferred.
    """
    printed = Counter(amount for word in words for amount in amounts(word.text))
    found: list[tuple[float, float, str, Word, Word]] = []
    for label in words:
        weight = _label_weight(label.text)
        beside = _amounts_beside(label, words) if weight else []
        if not beside:
            continue
        amount, word = beside[-1]
        weight += 0.04 if printed[amount] > 1 else 0.0
        weight -= 0.3 if len(beside) > 1 else 0.0  # a row of a table, often of taxes
        found.append((weight, min(word.confidence, label.confidence), amount, label, word))
    if not found:
        return Guess.nothing("total")
    weight, read, amount, label, word = max(found, key=lambda f: (f[0], f[1]))
    how = f"The amount beside {label.text!r}."
    return Guess(amount, read * max(0.0, min(1.0, weight)), how, where=doubtful([label, word]))


def _label_weight(text: str) -> float:
    """How much a label promises the grand total, 0 to 1."""
    if _NOT_TOTAL.search(text):
        return 0.0
    if _GRAND.search(text) or _BARE.fullmatch(text):
        return 0.95
    if _INCLUSIVE.search(text):
        return 0.9
    if _VAGUE.search(text):
        return 0.6
    return 0.5 if _PAID.search(text) else 0.0


def _amounts_beside(label: Word, words: Sequence[Word]) -> list[tuple[str, Word]]:
    """The amounts in a label's own text and to its right, each with the word that it is in."""
    row = (label, *right_of(label, words))
    return [(amount, word) for word in row for amount in amounts(word.text)]


def amounts(text: str) -> list[str]:
    """Amounts of money as printed, without the currency; letters read for digits are mended."""
    text = re.sub(r"(?<=\d)[oO](?=[\d.,])|(?<=[.,\d])[oO](?=\d|\b)", "0", text)
    text = re.sub(r"(?<=RM)[Il](?=\d)", "1", text)
    text = re.sub(r"(?<=[A-Za-z$€:])(?=-?\d)", " ", text)
    return [found.lstrip() for found in _AMOUNT.findall(text) if any(c.isdigit() for c in found)]


_MONTH = r"(?:jan|feb|m[aä]r|apr|ma[yi]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*"
_YEAR = r"(?:(?:19|20)\d{2}|\d{2}(?!\d))"
_DATE = re.compile(
    rf"(?<!\d)(?:(?P<day>\d{{1,2}})(?P<sep>[./-])(?P<month>\d{{1,2}})(?P=sep){_YEAR}"
    r"|(?:19|20)\d{2}[./-](?P<month2>\d{1,2})[./-](?P<day2>\d{1,2})(?!\d)"
    rf"|(?P<day3>\d{{1,2}})[ .-]*{_MONTH}[ .,-]*{_YEAR})",
    re.IGNORECASE,
)
_DATE_LABEL = re.compile(r"\b(date|datum|tarikh)\b", re.IGNORECASE)


def date(words: Sequence[Word]) -> Guess:
    """The date printed most often; among equals one beside or under its label, then the first."""
    labels = [word for word in words if _DATE_LABEL.search(word.text)]
    near = {id(w) for n in labels for w in (n, *right_of(n, words), *below(n, words))}
    found = [
        (match.group(), word)
        for word in words
        for match in _DATE.finditer(word.text)
        if _plausible(match)
    ]
    if not found:
        return Guess.nothing("date")
    often = Counter(_digits(text) for text, _ in found)
    text, word = max(found, key=lambda f: (often[_digits(f[0])], id(f[1]) in near))
    certain = 1.0 if id(word) in near or often[_digits(text)] > 1 else 0.95
    agreed = 1.0 if len(often) == 1 else 0.9
    how = "The date printed first or most often."
    return Guess(text, word.confidence * certain * agreed, how, where=doubtful([word]))


def _plausible(match: re.Match[str]) -> bool:
    day = match["day"] or match["day2"] or match["day3"]
    month = match["month"] or match["month2"] or "1"
    low, high = sorted((int(day), int(month)))
    return 1 <= low <= 12 and high <= 31


def _digits(text: str) -> str:
    """Day, month and two-digit year of a date as printed, for comparing."""
    return re.sub(r"\D", "", re.sub(r"(?:19|20)(\d{2})$", r"\1", text))


_LEGAL = re.compile(
    r"\b((?i:sdn\.?\s*bhd|s/b|berhad|enterprise|trading|gmbh|ltd|limited|inc|llc|corp|plc|co)"
    r"|AG|KG|OHG|e\.\s?K)\b\.?(?![\w.])",
)
_ADDRESS = re.compile(
    r"\b(jalan|jln|lot|no|taman|street|road|floor|str|stra(ss|ß)e|weg|tel|fax|phone|mobile|email"
    r"|e-mail|www|gst|reg|tax|invoice|receipt|company|owned|date|uhr|mo|karte|ust|id)\b"
    r"|(?<!\d)\d{5}(?!\d)|stra(ss|ß)e|www\.|@",
    re.IGNORECASE,
)


def issuer(words: Sequence[Word]) -> Guess:
    """The name at the head of a receipt, up to its legal form and without its number."""
    word = _head_name(words)
    if word is None:
        return Guess.nothing("name")
    text = re.sub(r"\s*\([^)]*\d[^)]*\)?\s*", " ", word.text).strip(" ,:-") or word.text
    legal = list(_LEGAL.finditer(text))
    text = text[: legal[-1].end()] if legal else text
    trust = word.confidence * (0.95 if legal else 0.85)
    return Guess(text, trust, "The name at the head.", where=doubtful([word]))


def shop(words: Sequence[Word]) -> Guess:
    """The name a shop goes by: the first word of its legal name, else the head of the receipt."""
    legal = [word for word in words if _LEGAL.search(word.text)]
    word = min(legal, key=lambda w: w.box[1]) if legal else _head_name(words)
    if word is None:
        return Guess.nothing("name")
    first = re.match(r"[\w.&'-]+", word.text)
    text = first.group() if first else word.text
    how = "The first word of the legal name." if legal else "The name at the head."
    trust = word.confidence * (0.95 if legal else 0.85)
    return Guess(text, trust, how, where=doubtful([word]))


def _head_name(words: Sequence[Word]) -> Word | None:
    """The word that looks most like a name among those in the upper quarter."""
    level = [w for w in words if w.box[2] - w.box[0] > w.height]
    letters = [w for w in level if sum(c.isalpha() for c in w.text) >= 4]
    if not letters:
        return None
    top = min(w.box[1] for w in words)
    tall = max(1.0, max(w.box[3] for w in words) - top)
    usual = max(1.0, median(w.height for w in letters))
    head = [w for w in letters if w.box[1] - top <= 0.25 * tall] or letters[:1]
    return max(head, key=lambda w: _name_score(w, (w.box[1] - top) / tall, usual))


def _name_score(word: Word, depth: float, usual: float) -> float:
    """By legal form, size against the usual height, and depth below the top (0 to 1)."""
    legal = 0.8 if _LEGAL.search(word.text) else 0.0
    size = 0.4 * min(2.0, word.height / usual)
    return legal + size - 3.0 * depth - (1.0 if _ADDRESS.search(word.text) else 0.0)
