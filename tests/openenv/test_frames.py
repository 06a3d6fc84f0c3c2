"""What a client may send, and the sentence for everything else."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from hypothesis import given
from hypothesis import strategies as st

from trainers.openenv.guard import fault
from trainers.openenv.messages import TEXT_LIMIT

GOOD = [
    {"type": "reset"},
    {"type": "reset", "data": {}},
    {"type": "reset", "data": {"seed": 0, "episode_id": "e", "sample_id": "s", "index": 3}},
    {"type": "reset", "data": {"seed": None, "index": None}},
    {"type": "step", "data": {"text": ""}},
    {"type": "step", "data": {"text": "x" * TEXT_LIMIT, "metadata": {}}},
    {"type": "step", "data": {"text": "\U0001f600\x00"}},
    {"type": "state"},
    {"type": "close"},
]
BAD = [
    ([], "VALIDATION_ERROR", "got a list"),
    (None, "VALIDATION_ERROR", "got a NoneType"),
    ({}, "UNKNOWN_TYPE", "known: reset, step, state, close"),
    ({"type": ["step"]}, "UNKNOWN_TYPE", "unknown type"),
    ({"type": "mcp", "data": {}}, "UNKNOWN_TYPE", "'mcp'"),
    ({"type": "state", "data": {}}, "VALIDATION_ERROR", "unknown field 'data'"),
    ({"type": "step", "data": {"text": "a"}, "id": 1}, "VALIDATION_ERROR", "unknown field 'id'"),
    ({"type": "step"}, "VALIDATION_ERROR", "text: Field required"),
    ({"type": "step", "data": {"txt": "a"}}, "VALIDATION_ERROR", "txt: Extra inputs"),
    ({"type": "step", "data": {"text": 3}}, "VALIDATION_ERROR", "text: Input should be a valid"),
    ({"type": "step", "data": "a"}, "VALIDATION_ERROR", "data: Input should be a valid"),
    ({"type": "step", "data": {"text": "x" * (TEXT_LIMIT + 1)}}, "VALIDATION_ERROR", "at most"),
    ({"type": "reset", "data": {"seed": True}}, "VALIDATION_ERROR", "seed: Input should be"),
    ({"type": "reset", "data": {"seed": -1}}, "VALIDATION_ERROR", "greater than or equal to 0"),
    ({"type": "reset", "data": {"index": 2**63}}, "VALIDATION_ERROR", "less than"),
    ({"type": "reset", "data": {"index": "1"}}, "VALIDATION_ERROR", "index: Input should be"),
    ({"type": "reset", "data": {"sample": "1"}}, "VALIDATION_ERROR", "its fields: seed, episode"),
]
TEXTS = ["", "{", "nonsense", "[" * 100_000, "NaN", '{"type": NaN}', "1" * 5000]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: json.dumps(m)[:40])
def test_what_may_be_sent(message):
    assert fault(json.dumps(message)) is None


@pytest.mark.parametrize(("message", "code", "says"), BAD, ids=lambda m: json.dumps(m)[:40])
def test_what_may_not(message, code, says):
    problem = fault(json.dumps(message))
    assert problem is not None
    assert problem["code"] == code
    assert says in problem["message"]
    assert len(problem["message"]) < 1000


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: t[:10])
def test_no_json(text):
    problem = fault(text)
    assert problem is not None
    assert problem["code"] == "INVALID_JSON"


def test_half_a_surrogate_pair_and_a_binary_frame():
    assert "surrogate" in fault('{"type": "step", "data": {"text": "\\ud800"}}')["message"]
    assert "binary" in fault(None)["message"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | ANYTHING.map(json.dumps))
def test_anything_gets_silence_or_a_sentence(frame):
    problem = fault(frame)
    assert problem is None or json.dumps(problem)


@given(st.sampled_from(["reset", "step", "state", "close"]), ANYTHING)
def test_any_data_gets_silence_or_a_sentence(name, data):
    problem = fault(json.dumps({"type": name, "data": data}))
    assert problem is None or problem["message"].startswith((name, "the message", "the text"))
