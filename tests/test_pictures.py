"""Pictures: every accepted kind shows the right pixels, every refused kind says why."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin

from vt_env.errors import ConfigError, DataError, PictureError
from vt_env.picture_files import FORMATS
from vt_env.picture_headers import content_format
from vt_env.pictures import Picture, PictureRules, View, shrunk_size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 61, height: int = 47, seed: int = 0) -> Image.Image:
    """A smooth coloured picture without any symmetry."""
    noise = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def pixels(data: object, **options: object) -> np.ndarray:
    return Picture(data, **options).original.array  # type: ignore[arg-type]


def off_by(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A hand-made PNG; ``extra`` chunks go before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


# --- formats and modes -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "PPM"])
def test_lossless_formats_come_back_exactly(kind: str) -> None:
    source = scene()
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(source, kind, **options)
    picture = Picture(data)
    assert picture.size == source.size
    np.testing.assert_array_equal(picture.original.array, np.asarray(source))
    assert picture.original.image.mode == "RGB"


def test_rgb_is_not_converted_or_copied() -> None:
    with_alpha_or_not = Picture(encode(scene(), "JPEG")).original
    assert isinstance(with_alpha_or_not.image, JpegImagePlugin.JpegImageFile)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_only_the_first_frame_of_many_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (12, 8), c) for c in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    shown = pixels(data)
    assert shown.shape == (8, 12, 3)
    assert (shown == RED).all()


def test_grey_becomes_three_equal_channels() -> None:
    grey = scene().convert("L")
    np.testing.assert_array_equal(
        pixels(encode(grey, "PNG")), np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    )


def test_one_bit_is_black_and_white() -> None:
    dots = Image.fromarray((np.indices((9, 11)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    for kind in ("PNG", "TIFF", "PPM", "BMP"):
        expected = np.repeat(np.asarray(dots.convert("L"))[..., None], 3, axis=2)
        np.testing.assert_array_equal(pixels(encode(dots, kind)), expected, err_msg=kind)


def test_palette_without_transparency() -> None:
    source = scene().quantize(16)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        np.testing.assert_array_equal(
            pixels(encode(source, kind)), np.asarray(source.convert("RGB")), err_msg=kind
        )


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_composited_on_white(mode: str, kind: str) -> None:
    # A plain convert("RGB") drops alpha, and what is hidden is usually black: dark text on a
    # transparent ground became black on black.
    image = Image.new("RGBA", (3, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (100, 100, 100, 128)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    shown = pixels(encode(image if kind == "WEBP" else image.convert(mode), kind, **options))
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[0, 1].tolist() == [0, 0, 0]
    assert abs(int(shown[0, 2, 0]) - 177) <= 1  # 100 * 128/255 + 255 * 127/255


def test_transparent_palette_entries_are_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.putpixel((1, 0), 1)
    for kind, transparency in (("PNG", 0), ("PNG", b"\x00\xff"), ("GIF", 0)):
        shown = pixels(encode(image, kind, transparency=transparency))
        assert shown.tolist() == [[[255, 255, 255], [200, 10, 20]]], (kind, transparency)


def test_half_transparent_palette_entry() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([0, 0, 0])
    assert abs(int(pixels(encode(image, "PNG", transparency=b"\x80"))[0, 0, 0]) - 127) <= 1


def test_a_transparent_colour_is_white() -> None:
    rgb = Image.new("RGB", (2, 1), (9, 9, 9))
    rgb.putpixel((1, 0), (1, 2, 3))
    shown = pixels(encode(rgb, "PNG", transparency=(9, 9, 9)))
    assert shown.tolist() == [[[255, 255, 255], [1, 2, 3]]]
    grey = Image.fromarray(np.array([[0, 7]], dtype=np.uint8))
    assert pixels(encode(grey, "PNG", transparency=0))[0, :, 0].tolist() == [255, 7]


def test_sixteen_bit_grey_is_scaled_not_saturated() -> None:
    # Pillow's own convert clips: everything above 255 of 65535 would be white.
    ramp = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    expected = [0, 1, 128, 255]
    little, big = Image.fromarray(ramp), Image.fromarray(ramp.astype(">u2"))
    wide = Image.fromarray(ramp.astype(np.int32))
    for kind, image in (("PNG", little), ("TIFF", little), ("TIFF", big), ("PPM", wide)):
        shown = pixels(encode(image, kind))
        assert shown[0, :, 0].tolist() == expected, (kind, image.mode)
        assert (shown == shown[..., :1]).all()


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    rows = b"\0" + struct.pack(">HHH", 0, 5140, 65535)
    data = png(3, 1, 16, 0, rows, png_chunk(b"tRNS", struct.pack(">H", 0)))
    assert pixels(data)[0, :, 0].tolist() == [255, 20, 255]


def test_sixteen_bit_rgb_png_is_scaled() -> None:
    rows = b"\0" + struct.pack(">HHH", 65535, 32896, 257) + struct.pack(">HHH", 0, 256, 65534)
    assert pixels(png(2, 1, 16, 2, rows)).tolist() == [[[255, 128, 1], [0, 1, 255]]]


def test_sixteen_bit_rgb_png_with_a_transparent_colour() -> None:
    # Pillow compares the 16-bit colour with 8-bit pixels, which never matches.
    ground, ink = (0x1234, 0x5678, 0x9ABC), (0, 0, 0)
    key = png_chunk(b"tRNS", struct.pack(">HHH", *ground))
    rows = b"\0" + struct.pack(">HHHHHH", *ground, *ink)
    assert pixels(png(2, 1, 16, 2, rows, key)).tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_twelve_bit_tiff_is_scaled_by_its_own_maximum() -> None:
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 130, 277: 1, 278: 1, 279: 3}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory
    data = head.ljust(130, b"\0") + bytes([0x80, 0x0F, 0xFF]) + b"\0" * 16
    assert pixels(data)[0, :, 0].tolist() == [128, 255]  # 0x800 and 0xFFF


def test_sixteen_bit_tiff_whose_zero_is_white() -> None:
    values = Image.fromarray(np.array([[0, 65535]], dtype=np.uint16))
    data = encode(values, "TIFF", tiffinfo={262: 0})
    assert pixels(data)[0, :, 0].tolist() in ([255, 0], [0, 255])
    tags = Image.open(io.BytesIO(data)).tag_v2  # type: ignore[attr-defined]
    assert pixels(data)[0, 0, 0] == (255 if tags[262] == 0 else 0)


def test_32_bit_integers_are_read_as_16_bit_ones() -> None:
    fits = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.int32))
    assert pixels(encode(fits, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    for value in (-1, 65536):
        with pytest.raises(PictureError, match=r"expected samples within 0\.\.65535 .*rescale"):
            pixels(encode(Image.fromarray(np.array([[value]], dtype=np.int32)), "TIFF"))


def test_floats_are_read_as_0_to_1() -> None:
    fits = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    assert pixels(encode(fits, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert pixels(encode(fits, "PPM"))[0, :, 0].tolist() == [0, 128, 255]  # a PFM
    for value in (-0.1, 1.5, float("nan"), float("inf")):
        with pytest.raises(PictureError, match=r"within 0\.\.1 .*rescale"):
            pixels(encode(Image.fromarray(np.array([[value]], dtype=np.float32)), "TIFF"))


def test_cmyk_jpeg_with_adobe_inversion_and_cmyk_tiff() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    jpeg = encode(cmyk, "JPEG", quality=95)
    assert b"Adobe" in jpeg  # its samples are stored inverted
    assert off_by(pixels(jpeg), np.asarray(Image.new("RGB", (16, 16), RED))) < 3
    np.testing.assert_array_equal(pixels(encode(cmyk, "TIFF")), np.full((16, 16, 3), RED))


def test_lab_tiff() -> None:
    lab = Image.new("LAB", (2, 2), (255, 128, 128))  # the brightest neutral
    assert pixels(encode(lab, "TIFF")).min() >= 250


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
def test_tiff_compressions(compression: str | None, tmp_path: Path) -> None:
    source = scene()
    path = tmp_path / "page.tif"
    source.save(path, compression=compression)
    tolerance = 6 if compression == "jpeg" else 0
    assert off_by(pixels(path), np.asarray(source)) <= tolerance
    assert off_by(pixels(path.read_bytes()), np.asarray(source)) <= tolerance


# --- orientation -----------------------------------------------------------------------------


def tagged(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    return encode(scene(), kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("first_look", ["lanczos", "reduce", "draft"])
def test_exif_orientation(kind: str, orientation: int, first_look: str) -> None:
    data = tagged(kind, orientation)
    picture = Picture(data, first_look=first_look)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert picture.size == ((61, 47) if orientation < 5 else (47, 61))
    small = picture.shrunk(0.5)
    assert small.size == ((30, 23) if orientation < 5 else (23, 30))
    np.testing.assert_array_equal(picture.original.array, expected)
    reference = Image.fromarray(expected).resize(small.size, Image.Resampling.LANCZOS)
    assert off_by(small.array, np.asarray(reference)) < 12  # another orientation: above 50


def test_nobody_turns_a_picture_twice() -> None:
    # Processors apply EXIF themselves; what we show carries no orientation any more.
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        shown = Picture(tagged(kind, 6)).original.image
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(shown)), shown)


def test_exif_after_the_pixels_of_a_png() -> None:
    plain, exif = encode(scene(), "PNG"), Image.Exif()
    exif[0x0112] = 6
    late = plain[:-12] + png_chunk(b"eXIf", exif.tobytes()[6:]) + plain[-12:]
    picture = Picture(late)
    assert picture.size == (47, 61)
    assert picture.original.size == (47, 61)


@pytest.mark.parametrize(
    "block", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_unreadable_exif_is_no_orientation(block: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on it
        assert Picture(encode(scene(), "JPEG", exif=block)).original.size == (61, 47)


def test_orientation_out_of_range_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert Picture(encode(scene(), "JPEG", exif=exif)).original.size == (61, 47)


# --- shrinking -------------------------------------------------------------------------------


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


# --- caching, sharing, threads ---------------------------------------------------------------


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


# --- refusals --------------------------------------------------------------------------------


def refused(data: object, pattern: str, rules: PictureRules = PictureRules()) -> None:  # noqa: B008
    """Header-only refusal, the same from every entry point, as our own error without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for first_look in ("lanczos", "draft"):
            picture = Picture(data, rules, first_look=first_look)  # type: ignore[arg-type]
            for use in (picture.check, lambda p=picture: p.original, lambda p=picture: p.size):
                with pytest.raises(PictureError, match=pattern):
                    use()
            with pytest.raises(PictureError, match=pattern):
                picture.shrunk(0.5)


def test_picture_errors_are_data_errors() -> None:
    assert issubclass(PictureError, DataError)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_truncated_files(kind: str, keep: float, tmp_path: Path) -> None:
    # open() and verify() accept a truncated JPEG; only a decode finds out.
    whole = encode(scene(301, 203), kind, **({"compression": "raw"} if kind == "TIFF" else {}))
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * keep)])
    for data in (path, path.read_bytes()):
        with pytest.raises(PictureError, match="damaged or incomplete"):
            Picture(data).check(decode=True)
        with pytest.raises(PictureError, match="damaged or incomplete"):
            Picture(data, first_look="draft").shrunk(0.5)


@given(data=st.binary(max_size=64), kind=st.sampled_from(FORMATS))
def test_damaged_data_never_escapes_as_another_error(data: bytes, kind: str) -> None:
    whole = encode(scene(), kind)
    for broken in (data, whole[:20] + data, whole[:8] + data + whole[8:], whole[:-9] + data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata
            with contextlib.suppress(PictureError):
                assert Picture(broken).original.image.mode == "RGB"


def test_empty_file_and_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    refused(path, r"empty\.jpg.*expected 1 to [\d,]+ bytes, got 0")
    refused(b"", "got 0")
    refused(b"hello, this is no picture", r"expected one of JPEG, PNG.*no known .*b'hello, this")
    path.write_text("just words")
    refused(path, r"no known picture format .*convert it first")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "HEIC"),
        (b"\0\0\0\x1cftypisom", "MP4"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"8BPS\0\1", "PSD"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_formats_outside_the_list_are_named(head: bytes, name: str, tmp_path: Path) -> None:
    assert content_format(head).startswith(name)
    path = tmp_path / "picture.png"
    path.write_bytes(head + b"\n" * 64)
    refused(path, f"expected one of .* got {re.escape(name)}.*convert it first")


def test_a_format_can_be_taken_off_the_list() -> None:
    rules = PictureRules(formats=("PNG",))
    refused(
        encode(scene(), "BMP"), r"one of PNG, got BMP; allow it in PictureRules\.formats", rules
    )
    assert Picture(encode(scene(), "PNG"), rules).size == (61, 47)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    for kind, name in (("PNG", "photo.jpg"), ("JPEG", "chart.png"), ("WEBP", "notes.pdf")):
        path = tmp_path / name
        path.write_bytes(encode(scene(), kind))
        assert Picture(path).original.size == (61, 47)
    assert Picture(path, PictureRules(formats=("WEBP",))).size == (61, 47)


def bombs() -> dict[str, bytes]:
    """Small files that promise 400 megapixels."""
    side, row = 20_000, b"\0" * 2501
    squeeze = zlib.compressobj(9)
    idat = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    whole_png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", idat)
    tiny = encode(Image.new("RGB", (8, 8)), "JPEG")
    at = tiny.index(b"\xff\xc0") + 5
    gif = encode(Image.new("P", (8, 8)), "GIF")
    frame = gif.index(b",", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    wide = struct.pack("<HH", side, side)
    disposing = b"!\xf9\x04\x08\0\0\0\0"  # asks Pillow to allocate the frame at once
    bmp = bytearray(encode(Image.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", side, side)
    tiff = encode(Image.new("L", (8, 8)), "TIFF")
    return {
        "PNG": whole_png + png_chunk(b"IEND", b""),
        "JPEG": tiny[:at] + struct.pack(">HH", side, side) + tiny[at + 4 :],
        "GIF screen": gif[:6] + wide + gif[10:],
        "GIF frame": gif[: frame + 5] + wide + gif[frame + 9 :],
        "GIF disposal": gif[:frame] + disposing + gif[frame : frame + 5] + wide + gif[frame + 9 :],
        "BMP": bytes(bmp),
        "PPM": b"P6 20000 20000 255\n",
        "TIFF": tiff.replace(_long(256, 8), _long(256, side)).replace(
            _long(257, 8), _long(257, side)
        ),
    }


def _long(tag: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, 4, 1, value)


def test_decompression_bombs_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    files = bombs()
    assert len(files["PNG"]) < 60_000

    def never(*_: object) -> None:
        raise AssertionError("decoded or allocated")

    monkeypatch.setattr(Image.core, "fill", never)
    monkeypatch.setattr(Image.core, "new", never)
    for data in files.values():
        limits = Image.MAX_IMAGE_PIXELS
        refused(data, r"expected at most 64,000,000 pixels, got 20000x20000")
        assert limits == Image.MAX_IMAGE_PIXELS


def test_the_limit_on_pixels_can_be_moved() -> None:
    data = encode(scene(), "PNG")
    assert Picture(data, PictureRules(max_pixels=61 * 47)).size == (61, 47)
    refused(data, r"at most 2,866 pixels, got 61x47 .* = 2,867", PictureRules(max_pixels=2866))
    big = np.zeros((9500, 9500), dtype=np.uint8)  # above Pillow's limit for its warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = Picture(encode(Image.fromarray(big), "PNG"), PictureRules(max_pixels=10**8))
        assert picture.original.size == (9500, 9500)


def test_limits_on_bytes_and_sides(tmp_path: Path) -> None:
    data = encode(scene(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    rules = PictureRules(max_bytes=100)
    refused(path, r"a\.png.*expected 1 to 100 bytes.*max_bytes", rules)
    refused(data, "expected 1 to 100 bytes", rules)
    refused(data, "sides of at least 48 pixels, got 61x47", PictureRules(min_side=48))


@pytest.mark.parametrize("size", [(201, 1), (1, 201), (4001, 20)])
def test_aspect_ratio(size: tuple[int, int]) -> None:
    for data in (encode(scene(*size), "PNG"), np.asarray(scene(*size))):
        refused(data, r"aspect ratio of at most 200:1, got .*crop or pad")
        assert Picture(data, PictureRules(max_aspect=300)).size == size


def test_missing_directory_special_and_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(tmp_path / "none.png", r"none\.png.*no such file; check the path")
    refused(tmp_path, "expected a file, got a directory")
    refused(Path("/dev/null"), "got a special file")
    refused(Path("nul\0byte.png"), "cannot be opened")
    locked = tmp_path / "locked.png"
    locked.write_bytes(encode(scene(), "PNG"))

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    refused(locked, r"cannot be opened .*Permission denied.*permissions")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
    ],
)
def test_arrays_of_wrong_type_or_shape(array: np.ndarray) -> None:
    pattern = r"expected sides of at least 1" if 0 in array.shape else r"uint8 \[H, W, 3\].*convert"
    refused(array, pattern)


def test_arrays_with_strides() -> None:
    base = np.array(scene())
    for view in (base[::2, ::-1], np.asfortranarray(base), base[..., ::-1]):
        np.testing.assert_array_equal(pixels(view), view)


@pytest.mark.parametrize("data", ["photo.jpg", 3, None, bytearray(b"x"), Image.new("RGB", (1, 1))])
def test_other_types(data: object) -> None:
    refused(data, r"expected a picture as pathlib\.Path, bytes or a uint8 array")


def test_zero_sides_in_a_header() -> None:
    with pytest.raises(PictureError):
        Picture(png(0, 4, 8, 0, b"")).check()


def test_a_png_with_a_compressed_text_bomb() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "0" * 70_000_000, zip=True)
    data = encode(scene(), "PNG", pnginfo=info)
    with pytest.raises(PictureError, match="cannot be read as PNG"):
        Picture(data).check()


@pytest.mark.parametrize(
    "options",
    [
        {"max_pixels": 0},
        {"max_bytes": -1},
        {"max_aspect": 0.5},
        {"min_side": 0},
        {"max_aspect": float("nan")},
    ],
)
def test_rules_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must be 1 or more"):
        PictureRules(**options)  # type: ignore[arg-type]


def test_rules_with_an_unknown_format() -> None:
    with pytest.raises(ConfigError, match=r"Unknown picture format 'JPG'\. Did you mean 'JPEG'"):
        PictureRules(formats=("JPG",))
