"""A box means the same pixels in every space, on every view, however often it was cut."""

import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from vt_env import Budget, ConfigError, Picture, Scene, View, token_counter
from vt_env.regions import SPACES, Box, Region, frame, inner_size
from vt_env.tools import Zoom

FAMILIES = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3.5", "glm-v", "gemma-4", "tiny")
RED = (255, 0, 0)

sides = st.integers(40, 5000)
shares = st.tuples(*[st.floats(0, 1)] * 4)


def box_of(share: tuple[float, ...], inside: Box) -> Box:
    """A box of at least a pixel inside another."""
    xs, ys = sorted(share[::2]), sorted(share[1::2])
    left, right = (inside.left + x * (inside.width - 1) for x in xs)
    top, bottom = (inside.top + y * (inside.height - 1) for y in ys)
    return Box(left, top, right + 1, bottom + 1)


@given(
    st.sampled_from(SPACES), st.sampled_from(FAMILIES), sides, sides, shares, shares,
    st.floats(0.2, 4),
)  # fmt: skip
def test_out_and_back_is_the_same_place(
    space: str, family: str, width: int, height: int, outer: tuple[float, ...],
    inner: tuple[float, ...], shown_scale: float,
) -> None:  # fmt: skip
    tokens = token_counter(family)
    cut = box_of(outer, Box.of((width, height))).whole()
    assume(max(cut.width, cut.height) <= 100 * min(cut.width, cut.height))
    region = Region(0, cut, (width, height))
    shown = (max(1, round(cut.width * shown_scale)), max(1, round(cut.height * shown_scale)))
    assume(max(shown) <= 100 * min(shown))
    on = frame(space, region, shown, tokens)
    box = box_of(inner, cut)
    back = on.to_source(on.from_source(box.edges))
    assert back == pytest.approx(box.edges, abs=1e-6 * max(width, height))
    # Whole numbers, as policies write them, are off by half a unit of the space at most.
    rounded = on.to_source([round(n) for n in on.from_source(box.edges)])
    for index, (a, b) in enumerate(zip(rounded, box.edges, strict=True)):
        unit = (on.extent.width, on.extent.height)[index % 2] / on.most[index % 2]
        assert abs(a - b) <= unit / 2 + 1e-6


@given(shares, shares, st.integers(64, 900), st.integers(64, 900))
def test_a_crop_of_a_crop_maps_back_exactly(
    first: tuple[float, ...], second: tuple[float, ...], width: int, height: int
) -> None:
    """The pixels of both ways of cutting are the same ones."""
    pixels = np.arange(width * height * 3, dtype=np.uint32).astype(np.uint8)
    picture = Picture(pixels.reshape(height, width, 3))
    outer = picture.crop(box_of(first, Box.of(picture.size)).whole())
    inner_box = box_of(second, Box.of(outer.size)).whole()
    on = frame("view", outer.region, outer.size)  # type: ignore[arg-type]
    direct = picture.crop(Box(*on.to_source(inner_box.edges)))
    assert np.array_equal(direct.array, np.asarray(outer.image.crop(inner_box.pixels)))


def marked(orientation: int) -> Picture:
    """A grey JPEG of 400 x 320 upright pixels, with a red mark at [240, 96, 304, 160]."""
    upright = Image.new("RGB", (400, 320), (200, 200, 200))
    upright.paste(RED, (240, 96, 304, 160))
    undone = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undone is None else upright.transpose(undone)
    exif = Image.Exif()
    exif[274] = orientation
    stream = io.BytesIO()
    stored.save(stream, "JPEG", quality=100, subsampling=0, exif=exif)
    return Picture(stream.getvalue())


def seen(view: View) -> Box:
    """The edges of the red mark, as a policy finds them in the pixels that it is shown."""
    red = (view.array[..., 0] > 200) & (view.array[..., 1] < 110)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", ["qwen2.5-vl", "qwen3-vl", "glm-v", "gemma-4"])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_box_drawn_on_what_was_shown_lands_on_the_same_pixels(
    orientation: int, space: str, family: str, factor: float
) -> None:
    """Find the mark in a view, say it in a space, zoom, find it in the crop, and zoom again."""
    picture, tokens = marked(orientation), token_counter(family)
    zoom = Zoom(space=space, picture="image", min_side=1)
    views = [picture.shrunk(factor)]
    for turn in range(3):
        view = views[-1]
        # What a policy does: numbers of what it sees, scaled as its convention has them.
        mark = seen(view).widened(8, 8).within(Box.of(view.size))
        numbers = {
            "view": mark.edges,
            "unit": [n / s for n, s in zip(mark.edges, view.size * 2, strict=True)],
            "thousand": [
                round(1000 * n / s) for n, s in zip(mark.edges, view.size * 2, strict=True)
            ],
            "model": [
                n * i / s
                for n, i, s in zip(
                    mark.edges, inner_size(tokens, view.size) * 2, view.size * 2, strict=True
                )
            ],
            "source": Box(240, 96, 304, 160).widened(16 >> turn, 16 >> turn).edges,
        }[space]
        scene = Scene([picture], views, tokens, Budget(9))
        (made,) = zoom.apply(scene, {"bbox_2d": numbers, "image": turn}).views
        assert made.asked_on is view
        assert made.region is not None
        found = frame("view", made.region, made.size).to_source(seen(made).edges)
        # Within a pixel of what was looked at, in which 1/1000 of a side can be one more.
        grain = 1 / factor if turn == 0 else 1.0
        assert found == pytest.approx((240, 96, 304, 160), abs=grain + 1.01)
        assert made.region.box.area < (80 + 34 / factor) ** 2
        views.append(made)


def test_the_spaces_that_users_mistook_are_an_eighth_apart() -> None:
    """DeepEyes issue 141: 4032 pixels become 3584 in the model, and its boxes cut the original."""
    tokens = token_counter("qwen2.5-vl:max_pixels=9633792")
    region = Region(0, Box.of((4032, 3024)), (4032, 3024))
    corner = frame("model", region, (4032, 3024), tokens).from_source((4032, 3024))
    assert corner == (3584, 2688)
    assert frame("source", region, (4032, 3024), tokens).to_source(corner) == (3584, 2688)


def test_families_of_tiles_have_no_pixels_of_their_own() -> None:
    with pytest.raises(ConfigError, match="does not; give space='view'"):
        Zoom(space="model").check(token_counter("internvl"))
    with pytest.raises(ConfigError, match="Unknown space of tool"):
        Zoom(space="percent")


@pytest.mark.parametrize(
    ("box", "grown"),
    [
        (Box(10, 10, 12, 12), Box(-3, -3, 25, 25)),
        (Box(99, 50, 100, 60), Box(72, 41, 100, 69)),
        (Box(0, 0, 100, 2), Box(0, 0, 100, 28)),
    ],
)
def test_small_boxes_grow_round_their_centre_and_stay_inside(box: Box, grown: Box) -> None:
    made = box.at_least(28, 28, Box(0, 0, 100, 100)).whole()
    assert made == grown or made == Box(0, 0, 28, 28)
    assert made.within(Box(0, 0, 100, 100)) == made


def test_overlap() -> None:
    assert Box(0, 0, 2, 2).overlap(Box(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert Box(0, 0, 2, 2).overlap(Box(5, 5, 6, 6)) == 0
    assert Region(0, Box(0, 0, 5, 10), (10, 10)).share == 0.5
