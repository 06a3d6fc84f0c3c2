"""A folder of real pictures with questions, which the variable VT_REAL_PICTURES names."""

import io
import os

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

from experiments.preparation.screening import NEAR, look_of
from vt_env import Picture, Source, open_source


@pytest.fixture(scope="module")
def real() -> Source:
    folder = os.environ.get("VT_REAL_PICTURES")
    if not folder:
        pytest.skip("VT_REAL_PICTURES names no folder of pictures")
    return open_source(folder, check="decode")


def test_it_opens_whole_and_is_played(real: Source) -> None:
    assert not real.refused
    check_env(gym.make("vt_env:VisionThink-v0", data=real).unwrapped)


def test_a_compressed_copy_looks_alike(real: Source) -> None:
    image = Picture(real[0].image).original.image
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    one, other = look_of(image), look_of(Image.open(file).convert("RGB"))
    assert one is not None
    assert other is not None
    assert (one ^ other).bit_count() <= NEAR
