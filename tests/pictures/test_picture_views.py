"""The first look: its size, how it is made, and that everything is made once."""

from __future__ import annotations

import copy
import io
import pickle
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_cases import (
    encode,
    off_by,
    scene,
)
from PIL import Image, JpegImagePlugin

from vt_env import Sample, make_task
from vt_env.errors import ConfigError, PictureError
from vt_env.pictures import Picture, PictureRules, View, shrunk_size


def test_lanczos_is_what_pillow_gives() -> None:
    data = encode(scene(301, 203), "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        expected = image.resize((150, 101), Image.Resampling.LANCZOS)
    view = Picture(data).shrunk(0.5)
    np.testing.assert_array_equal(view.array, np.asarray(expected))
    assert (view.method, repr(view)) == ("lanczos", "View(150x101, lanczos)")


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    factor=st.sampled_from([1.0, 0.5, 0.25, 0.125, 1 / 3, 0.3, 0.999, 0.01, 1 / 49]),
    kind=st.sampled_from(["JPEG", "PNG", "array"]),
)
def test_size_does_not_depend_on_the_method(
    width: int, height: int, factor: float, kind: str
) -> None:
    source = scene(width, height)
    data = np.asarray(source) if kind == "array" else encode(source, kind)
    expected = shrunk_size((width, height), factor)
    assert expected == (max(1, int(width * factor)), max(1, int(height * factor)))
    for first_look in ("lanczos", "reduce", "draft"):
        view = Picture(data, first_look=first_look).shrunk(factor)
        assert view.size == expected
        assert view.array.shape == (expected[1], expected[0], 3)


def test_the_method_used_is_recorded() -> None:
    jpeg, lossless, array = encode(scene(), "JPEG"), encode(scene(), "PNG"), np.asarray(scene())
    thin = encode(scene(1, 40), "JPEG")
    for data, first_look, factor, method in (
        (jpeg, "draft", 0.5, "draft"),
        (jpeg, "draft", 0.25, "draft"),
        (jpeg, "draft", 0.125, "draft"),
        (jpeg, "draft", 1 / 3, "reduce"),
        (jpeg, "draft", 0.4, "lanczos"),
        (lossless, "draft", 0.5, "reduce"),
        (array, "draft", 0.5, "reduce"),
        (thin, "draft", 0.5, "reduce"),
        (jpeg, "reduce", 0.5, "reduce"),
        (jpeg, "reduce", 0.4, "lanczos"),
        (jpeg, "lanczos", 0.5, "lanczos"),
        (jpeg, "draft", 1.0, "original"),
    ):
        got = Picture(data, first_look=first_look).shrunk(factor).method
        assert got == method, (first_look, factor)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_draft_looks_like_lanczos(options: dict[str, object], mode: str) -> None:
    data = encode(scene(304, 208).convert(mode), "JPEG", quality=92, **options)
    for factor in (0.5, 0.25, 0.125):
        draft = Picture(data, first_look="draft").shrunk(factor)
        exact = Picture(data).shrunk(factor)
        assert (draft.method, draft.size) == ("draft", exact.size)
        assert off_by(draft.array, exact.array) < 3


def test_draft_is_the_same_before_and_after_the_original_was_decoded() -> None:
    data = encode(scene(), "JPEG")
    first, second = Picture(data, first_look="draft"), Picture(data, first_look="draft")
    _ = second.original
    np.testing.assert_array_equal(first.shrunk(0.5).array, second.shrunk(0.5).array)
    np.testing.assert_array_equal(first.original.array, second.original.array)


def test_one_pixel_sides() -> None:
    for width, height in ((1, 1), (1, 7), (7, 1), (1, 200)):
        picture = Picture(encode(scene(width, height), "PNG"))
        assert picture.size == picture.original.size == (width, height)
        assert picture.shrunk(0.5).size == (max(1, width // 2), max(1, height // 2))


def test_shrinking_can_pass_the_aspect_limit() -> None:
    # 3x600 is 200:1 and accepted; its half is 1x300, which Qwen's processors refuse.
    picture = Picture(encode(scene(3, 600), "PNG"))
    picture.check()
    with pytest.raises(PictureError, match=r"shrunk by 0\.5 .*200:1, got 1x300"):
        picture.shrunk(0.5)


@pytest.mark.parametrize("factor", [0, -0.5, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("first_look", ["lanczos", "draft"])
def test_factor_out_of_range(factor: float, first_look: str) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        Picture(encode(scene(), "JPEG"), first_look=first_look).shrunk(factor)


def test_unknown_first_look() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'lanczos'"):
        Picture(b"", first_look="lancsos")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Records every decode of a JPEG by its size."""
    seen: list[tuple[int, int]] = []
    real: Callable[..., object] = JpegImagePlugin.JpegImageFile.load

    def load(self: JpegImagePlugin.JpegImageFile) -> object:
        if self.tile:
            seen.append(self.size)
        return real(self)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", load)
    return seen


def test_everything_is_made_once(loads: list[tuple[int, int]]) -> None:
    picture = Picture(encode(scene(), "JPEG"))
    picture.check()
    assert picture.size == (61, 47)
    assert loads == []  # the header is enough
    assert picture.shrunk(0.5) is picture.shrunk(0.5)
    assert picture.shrunk(1.0) is picture.original is picture.original
    assert picture.original.array is picture.original.array
    picture.check(decode=True)
    assert loads == [(61, 47)]


def test_draft_does_not_decode_the_original(loads: list[tuple[int, int]]) -> None:
    picture = Picture(encode(scene(), "JPEG"), first_look="draft")
    _ = picture.shrunk(0.5).array
    assert loads == [(31, 24)]


def test_threads_share_one_decode(loads: list[tuple[int, int]]) -> None:
    picture, start = Picture(encode(scene(640, 480), "JPEG")), threading.Barrier(8)

    def look(_: int) -> tuple[View, View]:
        start.wait()
        return picture.shrunk(0.5), picture.original

    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(look, range(8)))
    assert len(set(map(id, (v for pair in views for v in pair)))) == 2
    assert loads == [(640, 480)]


def test_arrays_are_read_only_and_detached() -> None:
    source = np.array(scene())
    picture = Picture(source)
    shown = picture.original.array
    source[:] = 0
    assert shown.any()
    with pytest.raises(ValueError, match="read-only"):
        shown[0, 0, 0] = 1
    assert shown.dtype == np.uint8


def test_pictures_travel_between_processes_without_their_cache() -> None:
    picture = Picture(encode(scene(), "JPEG"), PictureRules(max_aspect=3), first_look="draft")
    _ = picture.original
    for other in (pickle.loads(pickle.dumps(picture)), copy.deepcopy(picture)):
        assert (other.rules, other.first_look) == (picture.rules, "draft")
        np.testing.assert_array_equal(other.shrunk(0.5).array, picture.shrunk(0.5).array)


def test_files_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(scene(), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = Picture(path)
        assert picture.size == picture.original.size
        path.unlink()
        assert picture.shrunk(0.5).array.any()


@pytest.mark.parametrize("look", ["lanczos", "reduce", "draft"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", None])
def test_a_larger_picture_is_shrunk_before_anything_else(look, kind):
    pixels = np.asarray(scene(640, 480).convert("RGB"))
    data = pixels if kind is None else encode(scene(640, 480).convert("RGB"), kind)
    bound = Picture(data, PictureRules(shrink_above=76_800), first_look=look)
    assert bound.size == (320, 240)  # known from the header
    assert bound.original.size == (320, 240)
    assert bound.original.file is None
    assert bound.shrunk(0.5).size == (160, 120)
    assert bound.whole.of == (320, 240)
    free = Picture(data, PictureRules(shrink_above=640 * 480), first_look=look)
    assert free.original.size == (640, 480)


def test_a_bound_that_is_none():
    assert PictureRules(shrink_above=10**6).shown_size((1, 4_000_000)) == (1, 2_000_000)
    with pytest.raises(ConfigError, match="shrink_above must be 0 or more"):
        PictureRules(shrink_above=-1)


def test_a_box_in_pixels_and_a_bound_are_refused_together():
    box = {"answer_box": [0, 0, 2, 2]}
    boxed = Sample("s", "?", ("a",), np.zeros((8, 8, 3), np.uint8), metadata=box)
    with pytest.raises(ConfigError, match="leave out shrink_above"):
        make_task([boxed], rules=PictureRules(shrink_above=16)).begin(boxed)
