"""How long a verdict may take: processor time, of texts that differ every time."""

from __future__ import annotations

import itertools
import time

import pytest

from vt_env.judges import JUDGES, Query, make_judge

ASKING = ("openai", "transformers", "vllm", "cascade", "panel", "benchmark", "noisy", "conformance")
VARIANTS = ["relaxed", "anls", "substring", "yesno"]
NAMES = [name for name in JUDGES.names() if name not in ASKING]
NAMES += [f"{name}:official" for name in VARIANTS] + ["numeric:0.05", "mathvista:rules"]
UNITS = {
    "words": "in the image shown it is the total ",
    "numbers": "12,345.6 or 78 km ",
    "one word": "isis",
    "digits": "1234567890",
    "options": "(A) cat (B) dog ",
    "maths": r"\frac{x^{2}}{(x+1)}+",
    "brackets": "((((",
    "yes": "yes, there is a dog ",
    "commas": "1, ",
    "currency": "$5 ",
    "chinese": "一二三百万",
    "marks": "e\u0301",
}
QUESTION = "What is the total number of dogs in the image shown?"
_fresh = itertools.count()


def seconds(judge, text, n, references, choices=()):
    """Processor time of the fastest of five verdicts on a text of n characters."""
    best = float("inf")
    for _ in range(5):
        answer = f"{next(_fresh)} {text * (n // len(text) + 1)}"[:n]
        query = Query(QUESTION, references, answer, "", choices)
        start = time.process_time()
        judge.score([query])
        best = min(best, time.process_time() - start)
    return best


def slowness():
    """How much slower than usual this processor is just now; at least 1."""
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        sum(len(str(number)) for number in range(40_000))
        times.append(time.process_time() - start)
    return max(1.0, min(times) / 0.006)


@pytest.fixture(scope="module")
def judges():
    made = {}
    for name in NAMES:
        made[name] = make_judge(name)
        made[name].score([Query(QUESTION, ("5",), "five dogs")])  # imports, and tables
    yield made
    for judge in made.values():
        if hasattr(judge, "close"):
            judge.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", UNITS)
def test_a_thousand_characters_take_under_5_milliseconds(judges, name, unit):
    for references in (("5 dogs",), ("5 dogs " + UNITS[unit] * (600 // len(UNITS[unit])),)):
        assert any(  # what else the machine does only adds
            seconds(judges[name], UNITS[unit], 1_000, references) < 0.005 * slowness()
            for _ in range(4)
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length_alone(judges, name, unit):
    small, large = (seconds(judges[name], UNITS[unit], n, ("5",)) for n in (40_000, 160_000))
    assert large < max(10 * small, 0.02)  # 4 if linear, 16 if quadratic


@pytest.mark.parametrize("name", ["auto", "math", "numeric", "relaxed", "anls", "vqa", "substring",
                                  "yesno", "mcq", "exact"])  # fmt: skip
def test_the_strict_ones_refuse_a_megabyte_at_once(judges, name):
    assert seconds(judges[name], UNITS["words"], 1_000_000, ("5",), ()) < 0.02 * slowness()
