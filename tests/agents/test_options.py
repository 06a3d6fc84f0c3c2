"""Options in a spec are those that the agent takes, of the types that it declares."""

from __future__ import annotations

from typing import Any

import pytest

from agents import make_agent
from vt_env.errors import ConfigError
from vt_env.specs import checked


class Base:
    def __init__(self, path: str, *, batch: int = 3, rate: float = 0.5, loud: bool = False) -> None:
        pass


class Derived(Base):
    def __init__(self, path: str, *, batch: int = 9, word: str = "", **settings: Any) -> None:
        super().__init__(path, batch=batch, **settings)


def open_ended(path: str, *, batch: int = 3, **settings: Any) -> None:
    pass


def test_values_become_what_is_declared():
    options = {"batch": 4, "rate": 1, "loud": True, "word": 12}
    made = checked("a", Derived, options)
    assert made == {"batch": 4, "rate": 1.0, "loud": True, "word": "12"}
    assert type(made["rate"]) is float


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"bach": 1}, "Did you mean 'batch'"),
        ({"batch": 1.5}, "a whole number as batch"),
        ({"batch": True}, "a whole number as batch"),
        ({"rate": "fast"}, "a number as rate"),
        ({"loud": "very"}, "true or false as loud"),
    ],
)
def test_others_are_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        checked("a", Derived, options)


def test_what_a_factory_leaves_open_is_its_own_business():
    assert checked("a", open_ended, {"anything": 1, "batch": 2}) == {"anything": 1, "batch": 2}
    with pytest.raises(ConfigError, match="whole number"):
        checked("a", open_ended, {"batch": "x"})


@pytest.mark.parametrize(
    "spec",
    ["transformers:x,temprature=1", "tiny:x,bath=1", "vllm:x,max_model_length=9", "random:q=1"],
)
def test_the_agents_here_refuse_what_they_do_not_take(spec):
    with pytest.raises(ConfigError, match="Unknown option of the agent"):
        make_agent(spec)
