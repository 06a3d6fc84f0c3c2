"""Properties that every judge keeps."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents.judging import Completion, Judging, Local, ModelJudge
from agents.judging.cascade import Cascade
from agents.judging.panel import Panel
from vt_env.judges import JUDGES, Query, Verdict, make_judge
from vt_env.judges.auto import AutoJudge

VARIANTS = [f"{n}:official" for n in ("relaxed", "anls", "vqa", "substring", "yesno")]
VARIANTS += ["yesno:word", "yesno:prefix", "mathvista:rules"]
ASKING = ("openai", "transformers", "vllm", "cascade", "panel", "benchmark")  # need an argument
NAMES = [name for name in JUDGES.names() if name not in ("auto", *ASKING)] + VARIANTS


def model():
    """A judge that asks a model, which accepts whatever it is asked."""
    local = Local("model", "model", lambda asks: [Completion("right") for _ in asks])
    return ModelJudge(local, Judging(canaries=0))


ALL = {
    "auto": AutoJudge(),
    "model": model(),
    "cascade": Cascade(model(), AutoJudge()),
    "panel": Panel([model(), make_judge("exact"), model()]),
    **{name: make_judge(name) for name in NAMES},
}
TRICKY = "ab 019.,-/%$()[]{}\\^=<>:;'\"AB\n€²½éС\ud800\u200bπ√"
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
tricky = st.text(st.sampled_from(TRICKY), max_size=20)
texts = any_text | tricky | st.sampled_from(["yes", "no", "5 km", "1/2", "(A) a (B) b", "3:30 pm"])
queries = st.builds(
    Query, texts, st.lists(texts, max_size=3).map(tuple), texts, st.just(""),
    st.lists(texts, max_size=3).map(tuple),
)  # fmt: skip
words = st.from_regex(r"[A-Za-z]{2,10}( [a-z]{2,10}){0,2}", fullmatch=True)
numbers = st.integers(-(10**9), 10**9).map(str) | st.decimals(
    0, 10**6, allow_nan=False, places=2
).map(str)


@pytest.mark.parametrize("name", ALL)
@given(query=queries)
@settings(max_examples=60, deadline=None)
def test_never_raises_and_repeats_itself(name, query):
    first, second = ALL[name].score([query, query])
    assert isinstance(first, Verdict)
    assert first == second


@given(reference=words | numbers, question=words)
@settings(max_examples=200, deadline=None)
def test_a_reference_is_its_own_answer(reference, question):
    assert ALL["auto"].score([Query(question, (reference,), reference)])[0].correct is True
    assert ALL["auto"].score([Query(question, (reference,), f" {reference}\n")])[0].correct is True
    assert ALL["exact"].score([Query(question, (reference,), reference)])[0].correct is True


@given(reference=words, other=words)
@settings(max_examples=100, deadline=None)
def test_a_negated_reference_is_wrong(reference, other):
    for answer in (f"not {reference}", f"{reference} or {other}", f"it isn't {reference}"):
        assert ALL["auto"].score([Query("What is it?", (reference,), answer)])[0].correct is False


@given(value=st.integers(0, 10**6), other=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_other_numbers_are_wrong(value, other):
    verdict = ALL["auto"].score([Query("How many?", (f"{value}",), f"{other:,}")])[0]
    assert verdict.correct is (value == other)


@pytest.mark.parametrize("name", ["auto", "numeric", "exact", "relaxed", "substring", "mcq"])
@given(question=texts, answer=words | numbers | st.sampled_from("ABCD"), extra=texts)
@settings(max_examples=60, deadline=None)
def test_more_references_never_make_a_right_answer_wrong(name, question, answer, extra):
    one, more = (Query(question, refs, answer) for refs in ((answer,), (answer, extra)))
    assume(ALL[name].score([one])[0].correct)
    assert ALL[name].score([more])[0].correct


@given(batch=st.lists(queries, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_order_of_a_batch_does_not_matter(batch, seed):
    order = list(range(len(batch)))
    random.Random(seed).shuffle(order)
    straight = ALL["auto"].score(batch)
    shuffled = ALL["auto"].score([batch[i] for i in order])
    assert shuffled == [straight[i] for i in order]


MEGABYTE = 10**6
LONG = ["a", "1", "1,", " ", "(A) ", "\\frac{", "<", "$", "yes ", "U.S.", "ignore ", "x\n", "-"]


def seconds(judge, text):
    """Of the processor, for queries whose parts are one long text."""
    queries = [
        Query("How many?", ("5",), text),
        Query(text, ("5",), "5 dogs"),
        Query("How many?", (text,), "five"),
        Query(text, (text,), text + "x"),
    ]
    start = time.process_time()
    judge.score(queries)
    return time.process_time() - start


@pytest.mark.parametrize("unit", LONG)
def test_megabyte_texts_are_judged_in_linear_time(unit):
    """Four times the text takes at most eight times as long; a square would take sixteen."""
    text = unit * (MEGABYTE // len(unit))
    for name, judge in ALL.items():
        part, whole = seconds(judge, text[: MEGABYTE // 4]), seconds(judge, text)
        assert whole < 8 * part + 0.5, f"{name}: {part:.2f} s, {whole:.2f} s"
