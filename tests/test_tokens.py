"""Visual tokens: the same grids as the real image processors, on many sizes and bounds."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vt_env.errors import ConfigError, PictureError
from vt_env.tokens import FAMILIES, TokenCounter, token_counter

QWEN = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")
BOUNDS = ("", ":min_pixels=3136,max_pixels=1003520", ":min_pixels=200704,max_pixels=401408")

SIDES = (1, 2, 13, 14, 27, 28, 29, 41, 42, 43, 47, 48, 49, 100, 224, 333, 640, 1023, 1280, 4000)
SIZES = [
    *(s for s in itertools.product(SIDES, SIDES) if max(s) <= 200 * min(s)),
    (1, 200),
    (200, 1),
    (4000, 20),
    (20, 4000),
    (12000, 9000),
    (30000, 30000),
    (65535, 400),
    (1024, 2048),
    (200, 300),
]
PICTURES = [s for s in SIZES if s[0] * s[1] <= 12_000]
assert len(SIZES) >= 200
assert len(PICTURES) >= 60


@cache
def real_processor(spec: str) -> Any:
    """The processor that transformers makes for a family, set to the same bounds.

    All three families are served by one class (see transformers' auto mapping); patch size and
    bounds come from the checkpoint. ``size=`` is how the bounds are set: ``max_pixels=`` given to a
    call has been ignored without a word by some releases.
    """
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    counter = token_counter(spec)
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": counter.min_pixels, "longest_edge": counter.max_pixels},
        patch_size=counter.patch,
        merge_size=counter.merge,
    )


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("family", QWEN)
def test_every_size_agrees_with_the_processor(family: str, bounds: str) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    counter, processor = token_counter(family + bounds), real_processor(family + bounds)
    for width, height in SIZES:
        rows, columns = counter.grid(width, height)
        assert rows * columns == processor.get_number_of_image_patches(height, width)
        high, wide = smart_resize(
            height, width, counter.factor, counter.min_pixels, counter.max_pixels
        )
        assert counter.resized(width, height) == (wide, high), (width, height)
        assert counter.count(width, height) * counter.merge**2 == rows * columns


@pytest.mark.parametrize(
    "spec",
    [
        "qwen2-vl:max_pixels=50176",
        "qwen2.5-vl",
        "qwen2.5-vl:min_pixels=784,max_pixels=6272",
        "qwen3-vl:min_pixels=4096,max_pixels=65536",
    ],
)
def test_the_grid_that_comes_back(spec: str) -> None:
    counter, processor = token_counter(spec), real_processor(spec)
    for width, height in PICTURES:
        picture = np.zeros((height, width, 3), dtype=np.uint8)
        batch = processor.preprocess(picture, input_data_format="channels_last")
        assert tuple(batch["image_grid_thw"][0].tolist()) == (1, *counter.grid(width, height))
        assert len(batch["pixel_values"]) == counter.count(width, height) * counter.merge**2


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (640, 480), (333, 777), (4000, 20)])
@pytest.mark.parametrize("family", QWEN)
def test_the_grid_under_checkpoint_bounds(family: str, size: tuple[int, int]) -> None:
    picture = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    grid = real_processor(family).preprocess(picture, input_data_format="channels_last")
    assert tuple(grid["image_grid_thw"][0].tolist()) == (1, *FAMILIES[family].grid(*size))


@pytest.mark.parametrize("model_type", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_one_processor_class_serves_all_three(model_type: str) -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    assert IMAGE_PROCESSOR_MAPPING_NAMES[model_type]["pil"] == "Qwen2VLImageProcessorPil"


@pytest.mark.parametrize("size", [*PICTURES, (200, 1), (3, 400), (4000, 3000)])
def test_other_geometries_are_those_of_their_processors(size: tuple[int, int]) -> None:
    from transformers import Gemma4ImageProcessorPil, Glm4vImageProcessorPil
    from transformers.models.gemma4.image_processing_pil_gemma4 import (
        get_aspect_ratio_preserving_size as fitted,
    )

    width, height = size
    glm = token_counter("glm-v")
    assert isinstance(glm, TokenCounter)
    rows, columns = glm.grid(width, height)
    assert rows * columns == Glm4vImageProcessorPil().get_number_of_image_patches(height, width)
    gemma = Gemma4ImageProcessorPil()
    for budget in (70, 280, 1120):
        counter = token_counter(f"gemma-4:budget={budget}")
        patches = 9 * counter.count(width, height)
        wide_high = fitted(height, width, gemma.patch_size, budget * 9, gemma.pooling_kernel_size)
        assert patches == wide_high[0] * wide_high[1] // gemma.patch_size**2
    whole = token_counter("gemma-4").count(2048, 1024)
    assert whole == token_counter("gemma-4").count(1024, 512) == 253


def test_known_counts() -> None:
    whole, capped = token_counter("qwen2.5-vl"), token_counter("qwen2.5-vl:max_pixels=1003520")
    assert [whole.count(w, h) for w, h in ((512, 1024), (1024, 2048))] == [666, 2701]
    assert [capped.count(w, h) for w, h in ((512, 1024), (1024, 2048))] == [666, 1250]
    # Below the lower bound a request buys nothing: half the sides cost as much as the whole.
    third = token_counter("qwen3-vl")
    assert third.count(100, 150) == third.count(200, 300) == 70


def test_tiny_resizes_nothing_it_is_meant_for() -> None:
    tiny = token_counter("tiny")
    assert (tiny.factor, tiny.count(32, 32), tiny.count(16, 16)) == (8, 16, 4)
    for width, height in itertools.product(range(8, 257, 8), repeat=2):
        assert tiny.resized(width, height) == (width, height)


@st.composite
def counters(draw: st.DrawFn) -> TokenCounter:
    patch, merge = draw(st.sampled_from([(14, 2), (16, 2), (4, 2), (7, 1), (8, 3)]))
    low = draw(st.integers(1, 10**6))
    high = draw(st.integers(max(low, (patch * merge) ** 2), 10**8))
    return TokenCounter("any", patch, merge, low, high)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    short = draw(st.integers(1, 3000))
    size = short, draw(st.integers(short, 200 * short))
    return size if draw(st.booleans()) else size[::-1]


@given(counter=counters(), size=sizes())
def test_properties(counter: TokenCounter, size: tuple[int, int]) -> None:
    wide, high = counter.resized(*size)
    factor = counter.factor
    assert wide % factor == high % factor == 0
    assert min(wide, high) >= factor
    assert counter.resized(*size[::-1]) == (high, wide)
    assert counter.count(*size) == wide * high // factor**2
    assert counter.grid(*size) == (high // counter.patch, wide // counter.patch)
    # Enlarging to the lower bound rounds up, by less than one token on either side, and may so pass
    # the upper bound; shrinking never makes a side shorter than one token.
    room = (wide - factor) * (high - factor) < counter.min_pixels
    assert wide * high <= counter.max_pixels or min(wide, high) == factor or room
    shrunk = round(size[0] / factor) * round(size[1] / factor) * factor**2 > counter.max_pixels
    assert wide * high >= counter.min_pixels or shrunk


@given(counter=counters(), size=sizes())
def test_agrees_with_the_processor_anywhere(counter: TokenCounter, size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    expected = smart_resize(*size[::-1], counter.factor, counter.min_pixels, counter.max_pixels)
    assert counter.resized(*size) == expected[::-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_refused_sizes(family: str) -> None:
    counter = FAMILIES[family]
    for size in ((201, 1), (1, 201), (4001, 20)):
        with pytest.raises(PictureError, match=r"at most 200:1, got .*crop or pad"):
            counter.count(*size)
    assert counter.count(200, 1) >= 1
    for size in ((0, 5), (5, 0), (-1, -1)):
        with pytest.raises(PictureError, match="at least 1 pixel"):
            counter.grid(*size)


def test_specs() -> None:
    assert token_counter("qwen2.5-vl") is not token_counter("qwen2-vl")
    assert token_counter("qwen2.5-vl") == FAMILIES["qwen2.5-vl"]
    changed = token_counter("qwen3-vl: min_pixels = 4096 , max_pixels=65536")
    assert (changed.patch, changed.min_pixels, changed.max_pixels) == (16, 4096, 65536)
    assert hash(changed) == hash(token_counter("qwen3-vl:max_pixels=65536,min_pixels=4096"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("qwen25-vl", r"Unknown visual-token family 'qwen25-vl'\. Did you mean 'qwen2\.5-vl'"),
        ("", "Unknown visual-token family ''"),
        ("tiny:max_pixel=9", "Did you mean 'max_pixels'"),
        ("tiny:patch=8", "Unknown option of the visual-token family 'tiny' 'patch'"),
        ("tiny:max_pixels", "takes nothing without a name"),
        ("tiny:max_pixels=1e6", "a whole number as max_pixels, got 1000000.0"),
        ("tiny:max_pixels=many", "a whole number as max_pixels, got 'many'"),
        ("tiny:max_pixels=-64", "max_pixels must be 1 or more, got -64"),
        ("tiny:min_pixels=0", "min_pixels must be 1 or more, got 0"),
        ("tiny:max_pixels=100,max_pixels=200", "gives max_pixels twice"),
        ("tiny:min_pixels=500,max_pixels=400", r"at least min_pixels \(500\)"),
        ("qwen3-vl:min_pixels=1,max_pixels=1023", "the 1024 pixels of one token, got 1023"),
    ],
)
def test_bad_specs(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        token_counter(spec)


def test_bad_geometry() -> None:
    with pytest.raises(ConfigError, match="patch must be 1 or more"):
        TokenCounter("mine", patch=0, merge=2, min_pixels=1, max_pixels=1)


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), most=st.integers(1, 12))
def test_tiles_are_those_of_transformers(width: int, height: int, most: int) -> None:
    processors = pytest.importorskip("transformers")
    processor = processors.GotOcr2ImageProcessorPil(size={"height": 448, "width": 448})
    asked = {"crop_to_patches": True, "max_patches": most}
    tiles = processor.get_number_of_image_patches(height, width, asked)
    assert token_counter(f"internvl:most={most}").count(width, height) == 256 * tiles


def test_half_the_sides_cost_as_many_tiles_unless_grids_of_one_shape_compete() -> None:
    counter = token_counter("internvl")
    assert counter.count(1280, 960) == counter.count(640, 480) == 13 * 256
    assert counter.count(1000, 1000) == 10 * 256
    assert counter.count(500, 500) == 256


@pytest.mark.parametrize("spec", ["internvl:most=0", "internvl:max_pixels=3", "internvl:tile=x"])
def test_wrong_tiles(spec: str) -> None:
    with pytest.raises(ConfigError):
        token_counter(spec)
