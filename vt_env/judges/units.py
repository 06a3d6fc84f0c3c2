"""Units of measurement: names, dimensions, and exact factors between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as its dimension and its size in that dimension's base unit."""

    dimension: str
    factor: Fraction

    def per(self, other: Unit) -> Unit:
        """This unit divided by another one."""
        return Unit(f"{self.dimension}/{other.dimension}", self.factor / other.factor)

    def power(self, exponent: int) -> Unit:
        """This unit to a power; a cubed length is a volume."""
        return Unit(f"{self.dimension}^{exponent}", self.factor**exponent)


# dimension | factor | exact symbols (case matters) | names (any case, plural with s)
_TABLE = """
length|1|m|metre meter
length|1000|km Km KM|kilometre kilometer
length|1/100|cm|centimetre centimeter
length|1/1000|mm|millimetre millimeter
length|1/1000000|μm um|micrometre micrometer micron
length|1/1000000000|nm|nanometre nanometer
length|0.0254|in " ''|inch inches
length|0.3048|ft '|foot feet
length|0.9144|yd|yard
length|1609.344|mi|mile
length|9460730472580800|ly|light-year lightyear
mass|1|g|gram gramme
mass|1000|kg Kg KG|kilogram kilogramme kilo
mass|1/1000|mg|milligram
mass|1/1000000|μg mcg|microgram
mass|1000000|t|tonne
ton|1||ton
mass|0.45359237*1000|lb lbs|pound
mass|28.349523125|oz|ounce
time|1|s sec secs|second
time|1/1000|ms|millisecond
time|1/1000000|μs|microsecond
time|60|min mins|minute
time|3600|h hr hrs|hour
time|86400|d|day
time|604800|wk wks|week
months|1|mo|month
months|12|yr yrs|year
months|120||decade
months|1200||century centuries
length^3|1/1000|l L|litre liter
length^3|1/1000000|ml mL cc|millilitre milliliter
length^3|1/100000|cl cL|centilitre centiliter
length^3|1/10000|dl dL|decilitre deciliter
gallon|1|gal|gallon
fluid|1|floz|fl_oz
cup|1||cup
length^2|10000|ha|hectare
length^2|4046.8564224||acre
length/time|1609.344/3600|mph|
length/time|1000/3600|kph kmh kmph|
length/time|1852/3600|kn kt|knot
mass*accel|1|N|newton
mass*accel|1000|kN|kilonewton
energy|1|J|joule
energy|1000|kJ|kilojoule
energy|1000000|MJ|megajoule
energy|3600|Wh|watt-hour
energy|3600000|kWh|kilowatt-hour
calorie|1|cal|calorie
calorie|1000|kcal Cal|kilocalorie
power|1|W|watt
power|1/1000|mW|milliwatt
power|1000|kW KW|kilowatt
power|1000000|MW|megawatt
power|1000000000|GW|gigawatt
horsepower|1|hp|horsepower
voltage|1|V|volt
voltage|1/1000|mV|millivolt
voltage|1000|kV|kilovolt
current|1|A|ampere amp
current|1/1000|mA|milliampere milliamp
charge|1|Ah|
charge|1/1000|mAh|
resistance|1|Ω|ohm
resistance|1000|kΩ|kiloohm kilohm
resistance|1000000|MΩ|megaohm megohm
frequency|1|Hz hz|hertz
frequency|1000|kHz khz|kilohertz
frequency|1000000|MHz|megahertz
frequency|1000000000|GHz|gigahertz
pressure|1|Pa|pascal
pressure|100|hPa|hectopascal
pressure|1000|kPa|kilopascal
pressure|1000000|MPa|megapascal
pressure|100000|bar|
pressure|100|mbar|millibar
pressure|101325|atm|atmosphere
psi|1|psi|
mmHg|1|mmHg|
celsius|1|°C C|celsius centigrade
fahrenheit|1|°F F|fahrenheit
kelvin|1|K|kelvin
angle|1|°|degree deg
radian|1|rad|radian
bit|1|bit|bit
bit|8|B|byte
bit|8000|KB kB kb|kilobyte
bit|8000000|MB mb|megabyte
bit|8000000000|GB gb|gigabyte
bit|8000000000000|TB tb|terabyte
bit|1000|Kbit kbit|kilobit
bit|1000000|Mbit Mb|megabit
bit|1000000000|Gbit Gb|gigabit
bit/time|1000|kbps Kbps|
bit/time|1000000|Mbps|
bit/time|1000000000|Gbps|
amount|1|mol|mole
amount|1/1000|mmol|millimole
concentration|1|M|molar
decibel|1|dB|decibel
pixel|1|px|pixel
pixel|1000000|MP|megapixel
rpm|1|rpm RPM|
percent|1/100|%|percent per_cent pct
point|1|pp|percentage_point pct_point
permille|1/1000|‰|permille
usd|1|$ US$ USD|dollar buck us_dollar u.s._dollar
usd|1/100|¢|cent
eur|1|€ EUR|euro
gbp|1|£ GBP|pound pound_sterling
gbp|1/100||penny pence
jpy|1|JPY|yen
cny|1|CNY RMB|yuan renminbi
inr|1|₹ INR Rs|rupee
krw|1|₩ KRW|won
rub|1|₽ RUB|rouble ruble
chf|1|CHF|franc
sek|1|SEK|krona
brl|1|BRL R$|real
aud|1|AUD A$ AU$|australian_dollar
cad|1|CAD C$ CA$|canadian_dollar
mxn|1|MXN|peso
"""
CURRENCIES = frozenset(
    "usd eur gbp jpy cny inr krw rub chf sek brl aud cad mxn".split(),
)


def _fraction(text: str) -> Fraction:
    if "*" in text:
        left, right = text.split("*")
        return Fraction(left) * Fraction(right)
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


@cache
def _tables() -> tuple[dict[str, tuple[Unit, ...]], dict[str, tuple[Unit, ...]]]:
    symbols: dict[str, tuple[Unit, ...]] = {}
    names: dict[str, tuple[Unit, ...]] = {}
    for line in _TABLE.strip().splitlines():
        dimension, factor, short, long = line.split("|")
        unit = Unit(dimension, _fraction(factor))
        for symbol in short.split():
            symbols[symbol] = (*symbols.get(symbol, ()), unit)
        for name in long.split():
            spaced = name.replace("_", " ")
            for form in (spaced, spaced + "s", spaced.replace("-", " ")):
                names[form] = (*names.get(form, ()), unit)
    symbols["¥"] = (*names["yen"], *names["yuan"])
    symbols["μ"] = ()
    for extra, base in {"degrees celsius": "celsius", "years old": "year", "sq": ""}.items():
        if base:
            names[extra] = names[base]
    return symbols, names


_SIMPLE_POWER = re.compile(r"(?P<base>[^\W\d]+)\s?\^?(?P<power>[23])$")
_WORD_POWER = re.compile(r"(?P<word>square|sq\.?|cubic|cu\.?) (?P<base>[a-zA-Z]+)$", re.I)
_AFTER_POWER = re.compile(r"(?P<base>[a-zA-Z]+) (?P<word>squared|cubed)$", re.I)
_PER = re.compile(r"\s?/\s?|\s+per\s+|(?<=[a-z])\s?\*\s?(?=s\^-1)")


def parse_unit(text: str) -> tuple[Unit, ...]:
    """The units a text can mean as a whole; empty when it means none.

    Symbols are compared with their case (``mW`` is not ``MW``), names without it. Powers
    (``m^2``, ``square metres``) and quotients (``km/h``, ``miles per hour``) are composed.
    """
    text = text.strip().rstrip(".").strip()
    if not text or len(text) > 40:
        return ()
    whole = _lookup(text)
    if whole:
        return whole
    parts = _PER.split(text)
    if len(parts) == 2 and all(parts):
        above, below = parse_unit(parts[0]), parse_unit(parts[1])
        return tuple(a.per(b) for a in above for b in below)
    return ()


def _lookup(text: str) -> tuple[Unit, ...]:
    symbols, names = _tables()
    found = symbols.get(text) or names.get(text.lower())
    if found:
        return found
    for pattern in ("degrees ", "degree ", "deg ", "° ", "°"):
        if text.lower().startswith(pattern) and (rest := _lookup(text[len(pattern) :])):
            return tuple(u for u in rest if u.dimension in ("celsius", "fahrenheit", "angle"))
    for pattern in (_SIMPLE_POWER, _WORD_POWER, _AFTER_POWER):
        if match := pattern.match(text):
            power = match.groupdict().get("power") or match["word"][0].lower()
            exponent = {"2": 2, "s": 2, "3": 3, "c": 3}[power]
            if pattern is _AFTER_POWER:
                exponent = 2 if match["word"].lower() == "squared" else 3
            return tuple(u.power(exponent) for u in _lookup(match["base"]))
    return ()


def is_currency(units: tuple[Unit, ...]) -> bool:
    """Whether a unit can be a currency."""
    return any(unit.dimension in CURRENCIES for unit in units)


_AMBIGUOUS_WORDS = frozenset(
    "in second seconds real point points won cal foot cup cups bar bit d t a c f k m s h g l b v w "
    "n j kn kt".split()
)
_TOKEN = re.compile(r"[^\W\d_]+(?:/[^\W\d_]+)?(?:\^[23])?|[°%$€£¥₹¢‰]+[CF]?")


def units_in(text: str) -> tuple[Unit, ...]:
    """The units that a question asks for.

    Those after *in* or *how many* and those in brackets if there are any, else every unit that it
    names. Short ambiguous words count only where they are asked for.
    """
    found: list[Unit] = []
    strong: list[Unit] = []
    for bracket in re.findall(r"[(\[]([^()\[\]]{1,40})[)\]]", text):
        inner = bracket.strip().removeprefix("in ")
        strong.extend(parse_unit(inner))
    tokens = _TOKEN.findall(text)
    for index, token in enumerate(tokens):
        introduced = index > 0 and tokens[index - 1].lower() in ("in", "many")
        if token.lower() in _AMBIGUOUS_WORDS and (not introduced or token.lower() == "in"):
            continue
        pair = f"{token} {tokens[index + 1]}" if index + 1 < len(tokens) else ""
        (strong if introduced else found).extend(parse_unit(pair) or parse_unit(token))
    return tuple(dict.fromkeys(strong or found))
