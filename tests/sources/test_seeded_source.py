"""Sources drawn from a seed: what they keep, and for how long."""

import pickle

import numpy as np
import pytest

from vt_env import open_source
from vt_env.sources import seeded

SPECS = ("pages:n=4,split={}", "generated:n=4,split={}")


@pytest.mark.parametrize("spec", SPECS)
def test_test_pictures_are_drawn_once_and_training_pictures_are_not_kept(spec):
    for split, kept in (("train", False), ("validation", True), ("test", True)):
        source = open_source(spec.format(split))
        assert (source[0].image is source[0].image) == kept


@pytest.mark.parametrize("spec", SPECS)
def test_only_so_many_bytes_are_kept(spec, monkeypatch):
    whole = open_source(spec.format("test"))
    monkeypatch.setattr(seeded, "KEPT", 2 * np.asarray(whole[0].image).nbytes)
    source = open_source(spec.format("test"))
    first, again = list(source), list(source)
    assert [a.image is b.image for a, b in zip(first, again, strict=True)] == [True] * 2 + [
        False
    ] * 2
    for one, same in zip(again, whole, strict=True):
        assert np.array_equal(np.asarray(one.image), np.asarray(same.image))


@pytest.mark.parametrize("spec", SPECS)
def test_nobody_can_change_a_picture_that_is_kept(spec):
    pixels = open_source(spec.format("test"))[0].image
    assert isinstance(pixels, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0


@pytest.mark.parametrize("spec", SPECS)
def test_another_process_is_sent_no_picture(spec):
    source = open_source(spec.format("test"))
    before = len(pickle.dumps(source))
    list(source)
    assert len(pickle.dumps(source)) == before
    assert pickle.loads(pickle.dumps(source))[0].id == source[0].id
