"""Errors travel: a pool of processes waits for ever for an error that cannot be unpickled."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator

import pytest

import agents.rollout  # noqa: F401 - each defines errors
import trainers.errors  # noqa: F401
from vt_env.errors import MissingExtra, PictureError, VisionThinkError


def below(kind: type[VisionThinkError]) -> Iterator[type[VisionThinkError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


ALL = sorted(set(below(VisionThinkError)), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__qualname__)
def test_an_error_arrives_as_it_was_sent(kind: type[VisionThinkError]) -> None:
    wanted = inspect.signature(kind.__init__).parameters.values()
    names = [p.name for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    sent = kind(*(names or ["what is wrong"]))
    sent.add_note("a note")
    arrived = pickle.loads(pickle.dumps(sent))
    assert type(arrived) is kind
    assert (str(arrived), vars(arrived)) == (str(sent), vars(sent))


def test_all_packages_are_looked_at() -> None:
    modules = {kind.__module__ for kind in ALL}
    assert {"vt_env.errors", "agents.rollout", "trainers.errors"} <= modules
    assert {MissingExtra, PictureError} <= set(ALL)
