"""Every accepted kind of picture, in every mode and orientation, shows the right pixels."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from picture_cases import (
    BLUE,
    GREEN,
    RED,
    encode,
    off_by,
    pixels,
    png,
    png_chunk,
    scene,
)
from PIL import Image, ImageOps, JpegImagePlugin

from vt_env.errors import PictureError
from vt_env.pictures import Picture


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
