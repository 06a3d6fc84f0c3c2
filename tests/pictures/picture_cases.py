"""Pictures that the tests make, and what is asked of one that is refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from vt_env.errors import PictureError
from vt_env.pictures import Picture, PictureRules

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
