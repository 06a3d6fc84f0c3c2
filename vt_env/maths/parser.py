"""Mathematical text read whole, by a closed grammar, into a tree.

A maths library reads what it knows and drops the rest: ``7 ∨ 8`` as 7, ``10.0.0.1`` as 10. So a
text in plain signs (``latex`` has written it in a line) is read here first. What is not listed
below, or could be read in two ways, is no expression: ``1/2x``, ``x^2^3``, ``e^2x``, ``2,5``,
``007``, ``f(2)``, primes, bases, words, bars that do not pair.

    list      = relation {"," relation}
    relation  = sum {("=" | "<" | ">" | "≤" | "≥" | "≠" | "∈") sum}
    sum       = ["+" | "-"] product {("+" | "-" | "∪") product}
    product   = power {["*" | "/"] power}            nothing unwritten after a "/"
    power     = atom ["!"] ["^" exponent]
    atom      = number | letter | "(" list ")" | "{" list "}" | "[" list "]" | "|" sum "|"
              | "√" atom | "root(" degree "," sum ")" | "binom(" sum "," sum ")" | function

Numbers are decimals, also repeating and with thousands separators, and mixed numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from vt_env.maths.latex import functions

LONGEST = 200
"""Longest text in characters that is read."""
_OF_TWO = {"root": "root", "binom": "binomial"}
_DEEPEST = 20
_RELATIONS = frozenset("=<>≤≥≠∈")
_SETS = frozenset(("tuple", "set"))
_NO_VALUES = _SETS | {"list", "relation", "∪"}
_SINGLE = ("number", "variable", "constant")
_CALLED = frozenset("fghFGHP")
"""Letters before a bracket that are more likely a function than a factor."""
_VOWELS = frozenset("aeiouy")
_LETTERS_ONLY = re.compile(r"[\s,()\[\]{}]*(?:[a-zA-Z][\s,()\[\]{}]*){2,}|\s*")
"""Not a product of variables but a word or a name, or nothing."""
_FUNCTION_VALUE = re.compile(r"\s*([a-zA-Z]'{0,3}\([a-z](?:, ?[a-z])?\))\s*(?==)")
_OUTSIDE, _INSIDE = (
    re.compile(
        r"\s*(?:(?P<number>[0-9]+ [0-9]+/[0-9]+(?![0-9.,/])|[0-9]+\.[0-9]*\\overline\{?[0-9]+\}?"
        rf"{grouped}|[0-9]*\.[0-9]+|[0-9]+)"
        r"|(?P<word>[a-zA-Z]+|[α-ωϕ])(?:_(?P<index>[0-9]+|[a-zA-Z](?![a-zA-Z])))?"
        r"|(?P<sign>[<>!]=|[-+*/^=<>()\[\]{}|,!×·⋅÷−√∞≤≥≠∪∈∅]))"
    )
    for grouped in (r"|[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?", "")
)
"""Tokens: in brackets a comma parts two values, outside of them it may group thousands."""
_SAME_SIGN = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "<=": "≤", ">=": "≥", "!=": "≠"}
_GOES_ON = re.compile(r"[._']|[eE][0-9]|\\overline")


class NotRead(ValueError):
    """A text is not wholly made of what the grammar knows."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression, and its operands in order.

    Kinds: ``number``, ``variable``, ``constant``, ``+``, ``*``, ``/``, ``^``, ``-`` (one part),
    ``root`` (degree, radicand), ``function`` (named), ``log`` (base, argument), ``!``,
    ``binomial``, ``abs``; ``relation`` (the signs are its name), ``tuple`` (the brackets are its
    name), ``set``, ``list``, ``∪``. The value is of a number, or the base of a logarithm.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)

    def walk(self) -> Iterator[Node]:
        """This part and all parts within it."""
        yield self
        for part in self.parts:
            yield from part.walk()


def parse(text: str) -> Node | None:
    """The tree of a text of at most 200 characters that is one expression, else ``None``."""
    if len(text) > LONGEST or _LETTERS_ONLY.fullmatch(text):
        return None
    try:
        return _Parser(_cut(text)).whole()
    except NotRead:
        return None


def _cut(text: str) -> list[Node]:
    """The tokens of a text; a sign is a kind of its own."""
    tokens, place, depth = list[Node](), 0, 0
    if match := _FUNCTION_VALUE.match(text):
        tokens.append(Node("variable", name=match[1].replace(" ", "")))
        place = match.end()
    text = text.rstrip()
    while place < len(text):
        match = (_INSIDE if depth else _OUTSIDE).match(text, place)
        if match is None:
            raise NotRead(f"unknown: {text[place]}")
        place = match.end()
        if written := match["number"]:
            before = tokens[-1].kind if tokens else "none"
            if before in (*_SINGLE, ")", "]", "}") or (" " in written and before in "^√"):
                raise NotRead(f"two values side by side, or a product: {written}")
            if _GOES_ON.match(text, place) or (not depth and re.match(",[0-9]", text[place:])):
                raise NotRead(f"a number that goes on: {written}")
            tokens.append(Node("number", value=_value(written)))
        elif word := match["word"]:
            if word in _CALLED and text[place:].lstrip()[:1] == "(":
                raise NotRead("a function that is not known")
            tokens += _name(word, match["index"] or "")
        else:
            sign = _SAME_SIGN.get(match["sign"], match["sign"])
            depth += (sign in "([{") - (sign in ")]}")
            tokens.append(Node("constant", name=sign) if sign in "∞∅" else Node(sign))
    return tokens


def _name(word: str, index: str) -> list[Node]:
    """The tokens of a word; several for letters that stand for a product."""
    is_named = not index or (word == "log" and index.isdecimal())
    if is_named and word in functions() - {"det"} | _OF_TWO.keys():
        base = Fraction(index) if index else Fraction(0)
        return [Node("function", name=word, value=base)]
    if not index and word in ("e", "π", "pi"):
        return [Node("constant", name="e" if word == "e" else "π")]
    if not index and word == "sqrt":
        return [Node("√")]
    if len(word) == 1 and word not in "eπ":
        return [Node("variable", name=f"{word}_{index}" if index else word)]
    product = len(word) == 2 or (len(word) == 3 and not set(word) & _VOWELS)
    if index or not product or not word.islower():
        raise NotRead(f"a word: {word}")
    return [token for letter in word for token in _name(letter, "")]


def _value(written: str) -> Fraction:
    if " " in written:
        whole, above, below = (int(part) for part in re.split("[ /]", written))
        if not 0 < above < below:
            raise NotRead(f"no mixed number: {written}")
        return whole + Fraction(above, below)
    head, _, period = written.partition(r"\overline")
    if not period:
        digits = written.replace(",", "")
        if len(digits) > 1 and digits[0] == "0" and digits.isdecimal():
            raise NotRead(f"a code: {written}")
        return Fraction(digits)
    period, (whole, _, fixed) = period.strip("{}"), head.partition(".")
    return (int(whole + fixed) + Fraction(int(period), 10 ** len(period) - 1)) / 10 ** len(fixed)


def _made(kind: str, *parts: Node, name: str = "") -> Node:
    """An operation on values; lists, sets and relations are none."""
    if any(part.kind in _NO_VALUES for part in parts):
        raise NotRead(f"{kind} of what is no value")
    return Node(kind, parts, name)


def _joined(kind: str, parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else _made(kind, *parts)


class _Parser:
    """A method for each rule of the grammar, which takes its tokens from the left."""

    def __init__(self, tokens: list[Node]) -> None:
        self._tokens, self._place = [*tokens, Node("end")], 0
        self._depth, self._in_bars = 0, False

    def whole(self) -> Node:
        node = self._list("list")
        self._need("end")
        return node

    def _peek(self) -> str:
        """Kind of the next token."""
        return self._tokens[self._place].kind

    def _take(self, *kinds: str) -> Node | None:
        if self._peek() not in kinds:
            return None
        self._place += 1
        return self._tokens[self._place - 1]

    def _need(self, *kinds: str) -> Node:
        if token := self._take(*kinds):
            return token
        raise NotRead(f"expected one of {kinds}, got {self._peek()}")

    def _ended(self, node: Node, *kinds: str) -> Node:
        """A part that may be read in two ways where a token of some kinds follows."""
        if self._peek() in kinds:
            raise NotRead(f"{node.kind} and then {self._peek()}")
        return node

    def _list(self, kind: str, name: str = "") -> Node:
        items = [self._relation()]
        while self._take(","):
            items.append(self._relation())
        return items[0] if len(items) == 1 else Node(kind, tuple(items), name)

    def _relation(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotRead("nested too deeply")
        sides, signs = [self._sum()], ""
        while token := self._take(*_RELATIONS):
            signs += token.kind
            sides.append(self._sum())
        self._depth -= 1
        return Node("relation", tuple(sides), signs) if signs else sides[0]

    def _sum(self) -> Node:
        sign, signs, terms = self._take("+", "-"), set[str](), list[Node]()
        while True:
            terms.append(self._signed(sign, self._product()))
            sign = self._take("+", "-", "∪")
            if sign is None:
                break
            signs.add(sign.kind)
        if signs == {"∪"} and all(term.kind in _SETS for term in terms):
            return Node("∪", tuple(terms))
        if "∪" in signs:
            raise NotRead("a union is of sets, a sum of values")
        return _joined("+", terms)

    def _signed(self, sign: Node | None, node: Node) -> Node:
        return _made("-", node) if sign and sign.kind == "-" else node

    def _product(self) -> Node:
        factors, divided = [self._power()], False
        while True:
            if self._take("*"):
                factors.append(self._power())
                divided = False
            elif divided and (self._peek() == "/" or self._begins_factor()):
                raise NotRead("a factor after a fraction bar, or another bar")
            elif self._take("/"):
                factors[-1] = _made("/", factors[-1], self._power())
                divided = True
            elif self._begins_factor():
                factors.append(self._power())
            else:
                return _joined("*", factors)

    def _begins_factor(self) -> bool:
        bar = () if self._in_bars else ("|",)
        return self._peek() in ("variable", "constant", "function", "(", "√", *bar)

    def _power(self) -> Node:
        start = self._peek()
        node = self._function() if start == "function" else self._atom()
        node = _made("!", node) if self._take("!") else node
        if start == "function":
            return self._ended(node, "^")
        if not self._take("^"):
            return node
        is_bare = self._peek() in _SINGLE
        node = _made("^", node, self._exponent())
        if is_bare and start in ("number", "constant") and self._begins_factor():
            raise NotRead("an exponent that may go on")
        return node

    def _exponent(self) -> Node:
        sign = self._take("-", "+")
        if self._peek() not in (*_SINGLE, "(", "√"):
            raise NotRead("no exponent")
        return self._signed(sign, self._ended(self._atom(), "^", "!"))

    def _atom(self) -> Node:
        token = self._need(*_SINGLE, "(", "[", "{", "|", "√")
        match token.kind:
            case "(" | "[":
                return self._bracketed(token.kind)
            case "{":
                inner = self._list("set")
                self._need("}")
                return Node("set", (inner,)) if inner.kind != "set" else inner
            case "|":
                if self._in_bars:
                    raise NotRead("bars within bars")
                self._in_bars = True
                inner = self._sum()
                self._in_bars = False
                self._need("|")
                return _made("abs", inner)
            case "√":
                return _made("root", Node("number", value=Fraction(2)), self._radicand())
            case _:
                return token

    def _bracketed(self, opening: str) -> Node:
        inner = self._list("tuple", opening)
        closing = self._need(")", "]").kind
        if inner.kind == "tuple" and inner.name == opening:
            return Node("tuple", inner.parts, opening + closing)
        if opening + closing != "()" or inner.kind in ("relation", "list"):
            raise NotRead("brackets around one value")
        return inner

    def _radicand(self) -> Node:
        if self._peek() == "(":
            return self._atom()
        return self._ended(self._need(*_SINGLE), "^", "!", *_SINGLE, "(")

    def _function(self) -> Node:
        token = self._need("function")
        if token.name in _OF_TWO:
            pair = self._atom()
            if pair.kind != "tuple" or pair.name != "()" or len(pair.parts) != 2:
                raise NotRead(f"{token.name} takes two arguments")
            return _made(_OF_TWO[token.name], *pair.parts)
        exponent = self._exponent() if self._take("^") else None
        if exponent and (exponent.kind != "number" or exponent.value < 2):
            raise NotRead("an inverse or a reciprocal")
        argument = self._argument()
        if token.value:
            node = _made("log", Node("number", value=token.value), argument)
        else:
            node = _made("function", argument, name=token.name)
        return _made("^", node, exponent) if exponent else node

    def _argument(self) -> Node:
        """What a function is of: in brackets, or one number and one letter, as in ``sin 2x``."""
        if self._peek() in ("(", "|", "√"):
            return self._atom()
        factors = [token] if (token := self._take("number")) else []
        if node := self._take("variable", "constant"):
            factors.append(_made("^", node, self._exponent()) if self._take("^") else node)
        if not factors:
            raise NotRead("no argument")
        return self._ended(_joined("*", factors), *_SINGLE, "(", "/", "^", "!")
