"""Pages as JPEG files, for benchmarks that decode pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from experiments.preparation.writing import IMAGES, write_jsonl
from vt_env.sources.pages import PagesSource
from vt_env.sources.pages.page import Pixels

__all__ = ["IMAGES", "SIZES", "write"]

SIZES = ((640, 480), (1240, 1754), (2000, 1414))
"""Width and height in pixels: a photograph, and two scans."""


def write(folder: Path, n: int) -> Path:
    """Write data that ``jsonl:FOLDER`` opens, with its pictures in ``FOLDER/images``.

    Args:
        folder: What is there is replaced.
        n: Pages of each of :data:`SIZES`, with one question about each.
    """
    samples = (
        replace(sample, id=f"{sample.id}-{width}x{height}", image=_jpeg(sample.image))
        for width, height in SIZES
        for sample in PagesSource(n, width=width, height=height, print=2)
    )
    return write_jsonl(folder, ((sample, {}) for sample in samples), "pages")


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()
