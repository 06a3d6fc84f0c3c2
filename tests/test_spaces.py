"""The spaces hold what flows and nothing else."""

import copy
import pickle

import numpy as np
import pytest

from vt_env import ToolCall
from vt_env.spaces import ImageSpace, Turn, UnicodeText


@pytest.mark.parametrize("space", [ImageSpace(), UnicodeText(), Turn()])
def test_samples_belong_and_repeat(space) -> None:  # type: ignore[no-untyped-def]
    space.seed(3)
    first = [space.sample() for _ in range(50)]
    space.seed(3)
    np.testing.assert_equal(first, [space.sample() for _ in range(50)])
    assert all(x in space for x in first)
    assert copy.deepcopy(space) == space == pickle.loads(pickle.dumps(space))


def test_what_belongs() -> None:
    assert np.zeros((1, 1, 3), np.uint8) in ImageSpace()
    for other in (np.zeros((0, 1, 3), np.uint8), np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8)):
        assert other not in ImageSpace()
    assert ToolCall("a") in Turn()
    assert ToolCall("a") not in UnicodeText()
    assert "\ud800" in UnicodeText()
    assert 3 not in Turn()
    assert UnicodeText() != Turn()
    assert repr(Turn()) == "Turn()"
