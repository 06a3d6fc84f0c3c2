"""What the first bytes of a picture file say: its format, its size, which way is up.

Nothing here decodes. Whatever these functions meet in a damaged file (a missing byte, a missing
tag), they raise as it comes; :func:`vt_env.picture_files.open_picture` turns it into a refusal.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO

from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

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
    else:
        block = image.info.get("exif")
        if block is None and isinstance(image, PngImagePlugin.PngImageFile):
            block = _late_png_exif(file)
        exif = Image.Exif()
        try:
            exif.load(block or b"")
            value = exif.get(_ORIENTATION_TAG, 1)
        except Exception:  # a damaged EXIF block: Pillow raises whatever its parser met
            value = 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _late_png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF chunk of a PNG that has it behind the pixels, found by hopping over chunks."""
    resume = file.tell()
    try:
        file.seek(8)
        while len(header := file.read(8)) == 8 and header[4:] != b"IEND":
            length = int.from_bytes(header[:4], "big")
            if header[4:] == b"eXIf":
                return file.read(length)
            file.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        file.seek(resume)


def gif_size(file: BinaryIO) -> tuple[int, int]:
    """Size of a GIF: its screen, or its first frame where that reaches further."""

    def number() -> int:
        return int.from_bytes(file.read(2), "little")

    def skip_palette(flags: int) -> None:
        if flags & 0x80:
            file.seek(3 << ((flags & 7) + 1), io.SEEK_CUR)

    file.seek(6)
    width, height, flags = number(), number(), file.read(1)[0]
    file.seek(2, io.SEEK_CUR)
    skip_palette(flags)
    while (block := file.read(1)) == b"!":  # extensions, each a label and a chain of sub-blocks
        file.seek(1, io.SEEK_CUR)
        while length := file.read(1)[0]:
            file.seek(length, io.SEEK_CUR)
    if block == b",":
        left, top = number(), number()
        width, height = max(width, left + number()), max(height, top + number())
    file.seek(0)
    return width, height
