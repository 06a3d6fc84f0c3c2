"""Small files that would keep a decoder busy, and rare ones that must look right."""

import io
import struct
import time
from collections.abc import Callable

import numpy as np
import pytest
from picture_cases import encode, png, png_chunk, scene
from PIL import Image, PngImagePlugin, features

from vt_env import Picture, PictureError
from vt_env.picture_files import FORMATS
from vt_env.picture_headers import (
    LONGEST_COMMENT,
    MOST_BLOCKS,
    MOST_EXTENSIONS,
    MOST_SCANS,
    has_second_frame,
)

GIF = encode(scene(8, 8).convert("P"), "GIF")
GIF_HEAD = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)


def gif(extension: bytes) -> Callable[[int], bytes]:
    return lambda n: GIF[:GIF_HEAD] + extension * n + GIF[GIF_HEAD:]


def gif_long_comment(n: int) -> bytes:
    return gif(b"!\xfe" + b"\xff" + b"x" * 255 + b"\xff" + b"y" * 255 + b"\0")(n)


JPEG = encode(scene(600, 600), "JPEG", progressive=True)
SCAN = JPEG[JPEG.rindex(b"\xff\xda") : -2]


def jpeg_scans(n: int) -> bytes:
    return JPEG[:-2] + SCAN * (n // 50) + JPEG[-2:]


def jpeg_exif(n: int) -> bytes:
    segment = b"\xff\xe1\xff\xfeExif\0\0" + bytes(65534 - 8)
    return JPEG[:2] + segment * (n // 10) + JPEG[2:]


def ppm_comments(n: int) -> bytes:
    return b"P6 2 2 " + b"#\n" * 100 * n + b"255\n" + bytes(12)


def plain_ppm(n: int) -> bytes:
    return b"P3 2 2 255\n" + b"#\n" * 100 * n + b"1 2 3 " * 4


def png_text(n: int) -> bytes:
    return png(2, 2, 8, 0, b"\0\1\2" * 2, png_chunk(b"prVt", b"") * 100 * n)


def tiff_tags(n: int) -> bytes:
    """Every tag's value is the whole file."""
    body = encode(scene(40, 40), "TIFF")
    (offset,) = struct.unpack("<I", body[4:8])
    (count,) = struct.unpack("<H", body[offset : offset + 2])
    entries = body[offset + 2 : offset + 2 + 12 * count]
    number = min(n // 10, 900)
    more = b"".join(struct.pack("<HHII", 50000 + i, 7, len(body), 0) for i in range(number))
    return b"II*\0" + struct.pack("<I", len(body)) + body[8:] + struct.pack(
        "<H", count + number
    ) + entries + more + bytes(4)  # fmt: skip


def exif_tags(n: int) -> bytes:
    rows = b"".join(struct.pack("<HHII", 40000 + i % 9, 7, 60000, 0) for i in range(min(n, 5000)))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", min(n, 5000)) + rows
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + JPEG[2:]


FLOODS: dict[str, Callable[[int], bytes]] = {
    "gif, empty comments": gif(b"!\xfe\0"),
    "gif, short comments": gif(b"!\xfe\x01x\0"),
    "gif, long comments": gif_long_comment,
    "gif, applications": gif(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"),
    "jpeg, scans": jpeg_scans,
    "jpeg, exif": jpeg_exif,
    "jpeg, tags of exif": exif_tags,
    "ppm, comments": ppm_comments,
    "ppm in text, comments": plain_ppm,
    "png, chunks": png_text,
    "tiff, tags": tiff_tags,
}


def cpu_seconds(data: bytes) -> tuple[float, bool]:
    """Of a look at the header and of a decode, and whether the picture was refused."""
    begun = time.process_time()
    try:
        picture = Picture(data)
        _ = picture.size
        _ = picture.original
    except PictureError:
        return time.process_time() - begun, True
    return time.process_time() - begun, False


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_read_in_linear_time_or_refused(flood: str) -> None:
    small, _ = cpu_seconds(FLOODS[flood](2_500))
    large, _ = cpu_seconds(FLOODS[flood](10_000))
    assert large < 4 * 2 * small + 0.25
    huge, _ = cpu_seconds(FLOODS[flood](40_000))
    assert huge < 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (FLOODS["gif, empty comments"](MOST_EXTENSIONS + 1), "4,096 extensions"),
        (gif_long_comment(LONGEST_COMMENT // 510 + 1), "65,536 bytes of comments"),
        (JPEG[:-2] + SCAN * MOST_SCANS + JPEG[-2:], "100 scans"),
        (jpeg_exif(3000), "bytes before the first scan"),
        (ppm_comments(400), "65,536 bytes of header"),
        (plain_ppm(50), "4,096 comments"),
        (png_text(1001), "100,000 chunks"),
        (tiff_tags(9000), "tags claim more than"),
    ],
)
def test_a_refusal_says_what_there_is_too_much_of(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        _ = Picture(data).original


@pytest.mark.parametrize("first_look", ["lanczos", "draft"])
def test_scans_are_bounded_however_the_first_look_is_made(first_look: str) -> None:
    data = JPEG[:-2] + SCAN * MOST_SCANS + JPEG[-2:]
    with pytest.raises(PictureError, match="scans"):
        Picture(data, first_look=first_look).shrunk(0.5)


def test_what_editors_write_is_accepted() -> None:
    thumbnails = b"\xff\xe2" + struct.pack(">H", 60002) + b"\xff\xda" * 30_000
    for data in (
        JPEG[:-2] + SCAN * 20 + JPEG[-2:],
        JPEG[:2] + thumbnails + JPEG[2:],
        gif(b"!\xfe\x04made\0")(20),
        encode(scene(), "GIF", comment=b"x" * 2000),
        encode(scene(), "TIFF", compression="tiff_lzw"),
        b"P3 2 1 255 # made\n1 2 3 4 5 6",
    ):
        assert Picture(data).original.array.any()


# ------------------------------------------------------------------ rare ones


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("order", "name"), [("II", "exif"), ("MM", "exif"), ("II", "APP1")])
def test_orientation_in_a_pngs_raw_profile(orientation: int, order: str, name: str) -> None:
    end = "<" if order == "II" else ">"
    block = order.encode() + struct.pack(end + "HIH", 42, 8, 1)
    block += struct.pack(end + "HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    digits = (b"Exif\0\0" + block).hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    info = PngImagePlugin.PngInfo()
    info.add_text(
        f"Raw profile type {name}", f"\n{name}\n{len(digits) // 2:8}\n{lines}\n", zip=True
    )
    image = scene(60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = Picture(encode(image, "PNG", exif=exif)).original.array
    found = Picture(encode(image, "PNG", pnginfo=info)).original.array
    assert np.array_equal(found, expected)
    assert (found.shape[0] == 60) == (orientation > 4)


@pytest.mark.parametrize("text", ["", "exif", "exif 9 zz", "exif\n8\n45786966", "\0\0"])
def test_a_raw_profile_that_is_none_turns_nothing(text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", text)
    assert Picture(encode(scene(60, 40), "PNG", pnginfo=info)).size == (60, 40)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_grey_of_a_png_is_white(depth: int) -> None:
    """Its value counts in the file's own bits."""
    top = 2**depth - 1
    hidden = 0 if depth == 1 else 1
    shades = [hidden, top] * (4 // depth or 1)
    packed = 0
    for shade in shades:
        packed = packed << depth | shade
    row = packed.to_bytes(len(shades) * depth // 8 or 1, "big")
    if len(shades) * depth < 8:
        row = bytes([packed << (8 - len(shades) * depth)])
    data = png(len(shades), 1, depth, 0, b"\0" + row, png_chunk(b"tRNS", struct.pack(">H", hidden)))
    assert Picture(data).original.array[0, :, 0].tolist() == [255] * len(shades)
    other = png(len(shades), 1, depth, 0, b"\0" + row, png_chunk(b"tRNS", struct.pack(">H", top)))
    assert Picture(other).original.array[0, 0, 0] == hidden * 255 // top


def twelve_bits(samples: list[int]) -> bytes:
    """A grey TIFF of one row whose samples are packed into 12 bits each."""
    packed = 0
    for sample in samples:
        packed = packed << 12 | sample
    body = packed.to_bytes(len(samples) * 12 // 8, "big")
    tags = {256: (4, len(samples)), 257: (4, 1), 258: (3, 12), 259: (3, 1), 262: (3, 1),
            273: (4, 8), 277: (3, 1), 278: (4, 1), 279: (4, len(body))}  # fmt: skip
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, (kind, v) in tags.items())
    pad = len(body) % 2
    head = b"II*\0" + struct.pack("<I", 8 + len(body) + pad)
    return head + body + bytes(pad) + struct.pack("<H", len(tags)) + rows + bytes(4)


def test_twelve_bits_fill_the_scale() -> None:
    seen = Picture(twelve_bits([0, 4095, 2048, 1024])).original.array[0, :, 0].tolist()
    assert seen == [0, 255, 128, 64]


@pytest.mark.parametrize(("most", "top"), [(4095, 4095), (1023, 1023), (4000, 65535), (0, 65535)])
def test_twelve_bits_in_sixteen_fill_the_scale_where_the_file_says_so(most: int, top: int) -> None:
    samples = np.array([[0, 256, 1023]], np.uint16)
    data = encode(Image.fromarray(samples), "TIFF", tiffinfo={281: most})
    assert Picture(data).original.array[0, :, 0].tolist() == [
        round(float(value) * 255 / top) for value in samples[0]
    ]


def test_a_tiff_of_several_pages_says_so() -> None:
    pages = io.BytesIO()
    scene(20, 20).save(pages, "TIFF", save_all=True, append_images=[scene(20, 20, 1)])
    several, one = Picture(pages.getvalue()), Picture(encode(scene(20, 20), "TIFF"))
    assert "only page 1 is shown" in several.notice
    assert np.array_equal(several.original.array, one.original.array)
    assert one.notice == Picture(encode(scene(), "PNG")).notice == ""


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_says_so(kind: str) -> None:
    frames = [scene(20, 20, seed) for seed in range(3)]
    moving, still = io.BytesIO(), Picture(encode(frames[0], kind))
    frames[0].save(moving, kind, save_all=True, append_images=frames[1:])
    assert Picture(moving.getvalue()).notice.startswith("an animation, of which only the first")
    assert still.notice == ""


def test_a_gif_is_not_read_for_ever_to_know_whether_it_moves() -> None:
    """Sub-blocks of one byte, far more than a picture has; the trailer is cut off as well."""
    endless = GIF[:-2] + b"\1\0" * (2 * MOST_BLOCKS)
    read = Counted(endless)
    assert not has_second_frame(read)
    assert read.times < 2 * MOST_BLOCKS
    assert Picture(GIF[:-2]).notice == ""


class Counted(io.BytesIO):
    """A file that counts how often it is read."""

    times = 0

    def read(self, size: int | None = -1) -> bytes:
        self.times += 1
        return super().read(size)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot read AVIF")
def test_avif_where_pillow_reads_it() -> None:
    assert "AVIF" in FORMATS
    exif = Image.Exif()
    exif[0x0112] = 6
    image = scene(60, 40)
    shown = Picture(encode(image, "AVIF", quality=100, exif=exif)).original
    turned = image.transpose(Image.Transpose.ROTATE_270)
    assert shown.size == (40, 60)
    assert np.abs(shown.array.astype(int) - np.asarray(turned)).mean() < 4
