"""What the header of a picture file says: its format, its size, which way is up; and its cost.

Pillow and the libraries under it go through comments, tags and scans in ways whose cost is a
product of two of their numbers; a small file of very many holds a process for minutes. The bounds
keep a decoder's work linear in the file. No picture of a camera, a scanner or an editor comes near
them.

Nothing here decodes. Whatever these functions meet in a damaged file (a missing byte, a missing
tag), they raise as it comes; :func:`vt_env.picture_files.open_picture` turns it into a refusal.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import BinaryIO, Literal, NamedTuple

from PIL import ImageFile, PngImagePlugin, TiffImagePlugin

from vt_env.errors import PictureError

MOST_SCANS = 100
MOST_EXTENSIONS = 4096
MOST_BLOCKS = 2**17
MOST_CHUNKS = 100_000
MOST_TAGS = 1000
LONGEST_COMMENT = 2**16
LONGEST_HEADER = {"JPEG": 2**24, "PPM": 2**16}

_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
               16: 8, 17: 8, 18: 8}  # fmt: skip
_PIECE = 2**20
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def too_much(name: str, what: str, most: int) -> PictureError:
    """The refusal of a picture that would keep a decoder busy."""
    return PictureError(
        f"{name}: expected at most {most:,} {what}, got more; save it anew with an image editor"
    )


def bound_header(kind: str, file: BinaryIO, name: str) -> None:
    """Refuses a file whose header alone would take long; it is read from its start.

    Args:
        kind: One of :data:`vt_env.picture_files.FORMATS`.
        file: The encoded picture; its place is where it was afterwards.
        name: What to call it in an error.

    Raises:
        PictureError: If there are too many comments, chunks or tags.
    """
    checks = {"JPEG": _jpeg_header, "PNG": _png_header, "TIFF": _tiff_tags, "PPM": _ppm_header}
    if kind in checks:
        file.seek(0)
        checks[kind](file, name)
        file.seek(0)


def bound_decoding(kind: str, file: BinaryIO, name: str) -> None:
    """Refuses a file that would take long to decode; reads it once, in pieces.

    Raises:
        PictureError: If a JPEG has too many scans, or a PPM in text too many comments.
    """
    if kind not in ("JPEG", "PPM"):
        return
    place = file.tell()
    file.seek(0)
    if kind == "JPEG":
        # Behind each FF of the data stands a 00, so this pair is a scan or lies in a header.
        if _count(file, b"\xff\xda") > MOST_SCANS and _jpeg_scans(file) > MOST_SCANS:
            raise too_much(name, "scans", MOST_SCANS)
    elif file.read(2) in (b"P1", b"P2", b"P3") and _count(file, b"#") > MOST_EXTENSIONS:
        raise too_much(name, "comments", MOST_EXTENSIONS)
    file.seek(place)


def _count(file: BinaryIO, sought: bytes) -> int:
    """How often some bytes stand in the rest of a file."""
    found, last = 0, b""
    while piece := file.read(_PIECE):
        found += (last + piece).count(sought)
        last = piece[-len(sought) + 1 :] if len(sought) > 1 else b""
    return found


def _jpeg_scans(file: BinaryIO) -> int:
    """Scans of a JPEG, those of pictures inside its headers apart."""
    file.seek(0)
    data, place, scans = file.read(), 2, 0
    while mark := _JPEG_MARKER.search(data, place):
        scans += data[mark.end() - 1] == 0xDA
        place = mark.end() + int.from_bytes(data[mark.end() : mark.end() + 2], "big")
    return scans


def _jpeg_header(file: BinaryIO, name: str) -> None:
    """Segments up to the first scan: Pillow joins those of EXIF one by one."""
    file.seek(2)
    most = LONGEST_HEADER["JPEG"]
    while len(mark := file.read(4)) == 4 and mark[0] == 0xFF and mark[1] != 0xDA:
        if mark[1] == 0xFF:  # fill bytes
            file.seek(-3, io.SEEK_CUR)
        else:
            file.seek(int.from_bytes(mark[2:], "big") - 2, io.SEEK_CUR)
        if file.tell() > most:
            raise too_much(name, "bytes before the first scan", most)


def _png_header(file: BinaryIO, name: str) -> None:
    kinds = takewhile(lambda kind: kind != b"IDAT", (kind for kind, _ in _png_chunks(file)))
    if sum(1 for _ in kinds) == MOST_CHUNKS:
        raise too_much(name, "chunks", MOST_CHUNKS)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of chunks, at most :data:`MOST_CHUNKS`; the file is at the data of each."""
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            return
        length, place = int.from_bytes(header[:4], "big"), file.tell()
        yield header[4:], length
        file.seek(place + length + 4)


def _tiff_tags(file: BinaryIO, name: str) -> None:
    """Tags whose values overlap would be read, and kept, again and again."""
    length = file.seek(0, io.SEEK_END)
    entries = tiff_directory(file).entries
    if len(entries) > MOST_TAGS:
        raise too_much(name, "tags", MOST_TAGS)
    if sum(_TIFF_BYTES.get(kind, 1) * number for _, kind, number, _ in entries) > length:
        raise PictureError(
            f"{name}: its tags claim more than the {length:,} bytes that it has; save it anew"
        )


class Directory(NamedTuple):
    """The first directory of a TIFF.

    Attributes:
        entries: Of each its tag, type, number of values, and the bytes of its value or offset.
        following: Where the next directory is; 0 if there is none.
        byteorder: Of the whole file.
    """

    entries: list[tuple[int, int, int, bytes]]
    following: int
    byteorder: Literal["little", "big"]


def tiff_directory(file: BinaryIO) -> Directory:
    """The first directory of a TIFF, or of an EXIF block, which is one.

    Raises:
        struct.error: If it is cut off.
    """
    file.seek(0)
    head = file.read(8)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    offset, number, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")

    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    file.seek(8 if big else 4)
    file.seek(read(offset)[0])
    (count,) = read(number)
    size = struct.calcsize(order + entry)
    rows = file.read(size * min(count, 2**16))
    entries = list(struct.iter_unpack(order + entry, rows[: len(rows) - len(rows) % size]))
    byteorder: Literal["little", "big"] = "little" if order == "<" else "big"
    following = int.from_bytes(file.read(struct.calcsize(order + offset)), byteorder)
    return Directory(entries, following, byteorder)


def _ppm_header(file: BinaryIO, name: str) -> None:
    """Pillow reads it byte by byte."""
    most = LONGEST_HEADER["PPM"]
    head = file.read(most)
    words = re.sub(rb"#[^\r\n]*", b" ", head).split(None, 4)
    needed = 3 if words[:1] in ([b"P1"], [b"P4"]) else 4
    if len(head) == most and len(words) < needed:
        raise too_much(name, "bytes of header", most)


# First bytes -> what the file is. Formats that are never accepted are here so as to be named.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS or PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS or PostScript"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"icns", "ICNS"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"version https://git-lfs", "Git LFS pointer (the file itself was not downloaded)"),
)
_ORIENTATION_TAG = 0x0112
_WIDTH_TAG, _HEIGHT_TAG = 256, 257
_COMMENT = 0xFE
_WHOLE = {1: 1, 3: 2, 4: 4}  # bytes of the TIFF types that are whole numbers


def content_format(head: bytes) -> str:
    """Names a file's format from its first bytes.

    Args:
        head: The first bytes; a few hundred are enough.

    Returns:
        A name in :data:`vt_env.picture_files.FORMATS`, the name of another well-known format, or
        ``""``.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if b"avif" in head[8 : int.from_bytes(head[:4], "big")]:
            return "AVIF"
        return {b"avi": "AVIF", b"hei": "HEIC", b"mif": "HEIC"}.get(brand[:3], "MP4 or similar")
    if re.match(rb"P[1-6f][\s#]", head):
        return "PPM"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML (perhaps the error page of a failed download)"
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        return "SVG" if b"<svg" in text or b"doctype svg" in text else "XML"
    return ""


def stored_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Width and height as stored. Some versions of Pillow give a TIFF's after its orientation."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2[_WIDTH_TAG]), int(image.tag_v2[_HEIGHT_TAG])
    return image.size


def orientation(image: ImageFile.ImageFile, file: BinaryIO) -> int:
    """EXIF orientation, 1 to 8; absent, unreadable or out of range is 1. Decodes nothing."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION_TAG, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    block = image.info.get("exif")
    if block is None and isinstance(image, PngImagePlugin.PngImageFile):
        block = _late_png_exif(file)
        for name in ("exif", "APP1"):
            block = block or _raw_profile(image.info.get(f"Raw profile type {name}"))
    return _exif_orientation(block or b"")


def _exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block; 1 where there is none, or none that can be read."""
    try:
        entries, _, byteorder = tiff_directory(io.BytesIO(block.removeprefix(b"Exif\0\0")))
    except struct.error:
        return 1
    for tag, kind, number, value in entries:
        if tag == _ORIENTATION_TAG and number == 1 and kind in _WHOLE:
            read = int.from_bytes(value[: _WHOLE[kind]], byteorder)
            return read if 1 <= read <= 8 else 1
    return 1


def _raw_profile(text: object) -> bytes:
    """The EXIF block that ImageMagick writes into a PNG as text: name, length, hexadecimals."""
    if not isinstance(text, str):
        return b""
    *_, digits = text.split(None, 2) or [""]
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _late_png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF chunk of a PNG that has it behind the pixels, found by hopping over chunks."""
    resume = file.tell()
    try:
        found = (file.read(length) for kind, length in _png_chunks(file) if kind == b"eXIf")
        return next(found, None)
    finally:
        file.seek(resume)


def unfold_grey(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Brings the transparent grey of a PNG of 1, 2 or 4 bits to the 8 that Pillow decodes to."""
    grey = image.info.get("transparency")
    if not isinstance(image, PngImagePlugin.PngImageFile) or not isinstance(grey, int):
        return
    resume = file.tell()
    file.seek(24)
    depth, colour = file.read(2)
    file.seek(resume)
    if colour == 0 and depth < 8:
        image.info["transparency"] = grey * 255 // (2**depth - 1)


def notice_of(kind: str, image: ImageFile.ImageFile, file: BinaryIO) -> str:
    """What is not shown of a picture; empty where all is."""
    resume = file.tell()
    try:
        if kind == "TIFF":
            several = tiff_directory(file).following > 0
            return "a TIFF of several pages, of which only page 1 is shown" if several else ""
        moves = has_second_frame(file) if kind == "GIF" else getattr(image, "n_frames", 1) > 1
        return "an animation, of which only the first frame is shown" if moves else ""
    finally:
        file.seek(resume)


def has_second_frame(file: BinaryIO) -> bool:
    """Whether a GIF goes on after its first frame, as far as :data:`MOST_BLOCKS` blocks tell.

    Pillow would say so after joining all comments on the way, which is quadratic.
    """
    blocks = islice(_gif_blocks(file), MOST_BLOCKS)
    frames = (kind for kind, _ in blocks if kind == b",")
    return next(islice(frames, 1, None), None) is not None


def gif_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Size of a GIF: its screen, or its first frame where that reaches further.

    Raises:
        PictureError: If more comments stand before it than Pillow joins in good time.
    """
    file.seek(6)
    width, height = struct.unpack("<2H", file.read(4))
    extensions = comments = label = 0
    for kind, number in _gif_blocks(file):
        if kind == b",":
            left, top, across, down = struct.unpack("<4H", file.read(8))
            width, height = max(width, left + across), max(height, top + down)
            break
        if kind == b"!":
            extensions, label = extensions + 1, number
        elif label == _COMMENT:
            comments += number
        if extensions > MOST_EXTENSIONS:
            raise too_much(name, "extensions", MOST_EXTENSIONS)
        if comments > LONGEST_COMMENT:
            raise too_much(name, "bytes of comments", LONGEST_COMMENT)
    file.seek(0)
    return width, height


def _gif_blocks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """What a GIF is made of, as far as it goes.

    Yields:
        ``b","`` of a frame, with the file at its place and size; ``b"!"`` of an extension with its
        label; and behind either ``b""`` for each sub-block with its length in bytes.
    """

    def number() -> int:
        return int.from_bytes(file.read(1), "little")  # 0 where the file is cut off

    def skip_palette(flags: int) -> None:
        file.seek(3 << ((flags & 7) + 1) if flags & 0x80 else 0, io.SEEK_CUR)

    file.seek(10)
    flags = number()
    file.seek(2, io.SEEK_CUR)
    skip_palette(flags)
    while (kind := file.read(1)) in (b",", b"!"):
        if kind == b",":
            place = file.tell()
            yield kind, 0
            file.seek(place + 8)
            skip_palette(number())
            file.seek(1, io.SEEK_CUR)  # the size of its codes
        else:
            yield kind, number()
        while length := number():
            place = file.tell()
            yield b"", length
            file.seek(place + length)
