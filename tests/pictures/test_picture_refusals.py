"""Every picture that is refused says why, from every entry point."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_cases import (
    encode,
    pixels,
    png,
    png_chunk,
    refused,
    scene,
)
from PIL import Image, PngImagePlugin

from vt_env.errors import ConfigError, DataError, PictureError
from vt_env.picture_files import FORMATS
from vt_env.picture_headers import content_format
from vt_env.pictures import Picture, PictureRules


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
    assert mode_of(whole) == "RGB"
    for broken in (data, whole[:20] + data, whole[:8] + data + whole[8:], whole[:-9] + data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata
            assert mode_of(broken) in ("RGB", None)


def mode_of(data: bytes) -> str | None:
    """Of the picture that the bytes hold; ``None`` if they are refused."""
    try:
        return Picture(data).original.image.mode
    except PictureError:
        return None


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
