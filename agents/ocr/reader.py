"""Reads the words of a picture with rapidocr's detector and recogniser, on the CPU.

Coordinates are pixels of the picture that was passed in, x to the right and y down.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vt_env.errors import ConfigError, MissingExtra

_DETECTOR_SIDE = 1536
"""The detector sees at most this many pixels on the longer side; the recogniser sees them all."""

_ENLARGE_BELOW = 1000
"""A picture whose longer side is shorter is enlarged: the detector misses letters of a few pixels.
This invents no detail; it only brings the letters to the size the detector was trained on."""

_LARGEST_SIDE = 8000
_MOST_PIXELS = 25_000_000
"""A larger picture is shrunk to that many: the engine takes some 40 bytes a pixel."""

_BYTES_PER_WORD = 400


@dataclass(frozen=True, slots=True)
class Word:
    """A run of text on one line, as the detector cut it: a word, a number or several words.

    Attributes:
        text: What was read.
        confidence: The recogniser's mean character probability, 0 to 1.
        box: (x0, y0, x1, y1) in pixels.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]

    @property
    def height(self) -> float:
        """In pixels."""
        return self.box[3] - self.box[1]

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class Reader:
    """Words of pictures. The models ship inside rapidocr's wheel; nothing is downloaded.

    The same picture and thread count give the same words. Calls from several threads queue up.

    Args:
        threads: Threads of the inference engine; more than the machine's cores counts as unset.
            They wait by spinning: with other work on the same cores, 1 is faster than 2.
        remember: Bytes that the words of pictures may take, those least recently used forgotten
            first. 128 MiB are the words of some thousands of scans: as many agents as a command
            has read each picture once.

    Raises:
        ConfigError: With less than one thread.
        MissingExtra: When rapidocr or onnxruntime is not installed.
    """

    def __init__(self, threads: int = 2, remember: int = 2**27) -> None:
        if threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        for package in ("rapidocr", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, "ocr", "Reading text in pictures")
        self.threads = threads
        self.remember = remember
        self._known: OrderedDict[bytes, list[Word]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def read(self, image: NDArray[np.uint8]) -> list[Word]:
        """The words of a picture, from top to bottom.

        Args:
            image: RGB, uint8 [H, W, 3].

        Returns:
            A fresh list; empty when there is nothing to read.
        """
        key = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        key.update(np.ascontiguousarray(image).data)
        with self._lock:
            words = self._known.pop(key.digest(), None)
            if words is None:
                words = self._read(image)
                self._size += _size(words)
            self._known[key.digest()] = words
            while self._size > self.remember and len(self._known) > 1:
                self._size -= _size(self._known.popitem(last=False)[1])
        return list(words)

    @cached_property
    def _engine(self) -> Any:
        from rapidocr import RapidOCR

        return RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.max_side_len": _LARGEST_SIDE,
                "Det.limit_type": "max",
                "Det.limit_side_len": _DETECTOR_SIDE,
                "Rec.rec_batch_num": 1,  # no padding: faster here, and no word depends on another
                "EngineConfig.onnxruntime.intra_op_num_threads": self.threads,
            }
        )

    def _read(self, image: NDArray[np.uint8]) -> list[Word]:
        height, width = image.shape[:2]
        scale = max(1.0, min(2.0, _ENLARGE_BELOW / max(height, width)))
        scale = min(scale, (_MOST_PIXELS / (height * width)) ** 0.5)
        if scale != 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        found = self._engine(np.ascontiguousarray(image[:, :, ::-1]))  # the engine expects BGR
        if found.txts is None:
            return []
        rows = zip(found.txts, found.scores, found.boxes, strict=True)
        return [Word(text.strip(), float(score), _bounds(box, scale)) for text, score, box in rows]


def _size(words: list[Word]) -> int:
    """About how many bytes the words of a picture take, the key and the list included."""
    return _BYTES_PER_WORD * (1 + len(words)) + sum(4 * len(word.text) for word in words)


def _bounds(corners: NDArray[np.float32], scale: float) -> tuple[float, float, float, float]:
    low, high = corners.min(axis=0) / scale, corners.max(axis=0) / scale
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
