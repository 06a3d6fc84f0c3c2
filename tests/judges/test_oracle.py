"""The judge against an oracle: what differs in value is never accepted."""

import random
from fractions import Fraction

import pytest
from oracle import KINDS, LANGUAGES, pair
from oracle_numbers import figures, spoken

from vt_env.judges import Query, make_judge

N = 2_000


@pytest.mark.parametrize(
    ("n", "language", "words"),
    [
        (0, "en", "zero"), (21, "en", "twenty-one"), (342, "en", "three hundred and forty-two"),
        (12_007, "en", "twelve thousand and seven"), (21, "de", "einundzwanzig"),
        (71, "fr", "soixante et onze"), (80, "fr", "quatre-vingts"),
        (99, "fr", "quatre-vingt-dix-neuf"),
        (31, "es", "treinta y uno"), (16, "es", "dieciséis"), (10, "zh", "十"),
        (110, "zh", "一百一十"),
        (305, "zh", "三百零五"), (12_345, "zh", "一万二千三百四十五"), (10_001, "zh", "一万零一"),
        (1_100, "ja", "千百"), (100, "de", None),
    ],
)  # fmt: skip
def test_the_oracle_speaks(n, language, words):
    assert spoken(n, language) == words


def test_the_oracle_writes_figures():
    assert figures(Fraction(2469, 2), "en") == ["1234.5", "1,234.5"]
    assert figures(Fraction(2469, 2), "de") == ["1234,5", "1.234,5"]
    assert figures(Fraction(1234), "es") == ["1234"]
    assert figures(Fraction(1234), "fr") == ["1234", "1 234"]


def test_the_oracle_knows_what_is_equal():
    rng = random.Random(1)
    pairs = [pair(rng) for _ in range(N)]
    assert 0.3 < sum(p.equal for p in pairs) / N < 0.55
    assert {(p.kind, p.language) for p in pairs} == {(k, x) for k in KINDS for x in LANGUAGES}
    assert sum(p.equal and p.reference != p.answer for p in pairs) > N / 5


def test_no_other_value_is_accepted():
    rng = random.Random(20250713)
    pairs = [pair(rng) for _ in range(N)]
    verdicts = make_judge("auto").score(
        [Query(p.question, (p.reference,), p.answer) for p in pairs]
    )
    judged = list(zip(pairs, verdicts, strict=True))
    assert [p for p, verdict in judged if verdict.correct and not p.equal] == []
    english = [verdict.correct for p, verdict in judged if p.equal and p.language == "en"]
    assert sum(map(bool, english)) / len(english) > 0.9
