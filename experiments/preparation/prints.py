"""Fingerprints of pictures and questions, and an index of those seen.

Two pictures are *equal* if their pixels are, whatever the file. They look *alike* if their
perceptual hashes differ in few bits: 63 signs of the lowest frequencies of the picture in grey at
32 x 32, each against their median (the DCT hash of C. Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010, without its constant term). A compressed or resized copy
looks alike; a crop, a mirror image or a page with other words in the same places does not reliably.
How many bits copies and different pictures differ in: ``benchmarks/near.py``.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vt_env import ConfigError
from vt_env.pictures import View

NEAR = 4
"""Bits in which the hashes of copies may differ."""
BITS = 63
_SIDE, _LOW = 32, 8
_FLAT = 1.0
_WAVES = np.cos(
    np.pi / _SIDE * (np.arange(_SIDE) + 0.5)[None, :] * np.arange(_LOW)[:, None]
)  # [low frequencies, side]: rows of a DCT-II


@dataclass(frozen=True, slots=True)
class Print:
    """What is kept of one picture to know it again.

    Attributes:
        pixels: SHA-256 over size and pixels, cut to 16 bytes.
        look: The perceptual hash, of 63 bits; ``None`` for a picture that is all but flat.
    """

    pixels: bytes
    look: int | None


def print_of(view: View) -> Print:
    """The fingerprint of a picture at its full size."""
    size = "x".join(map(str, view.size))
    return Print(digest(size.encode(), view.array.tobytes()), look_of(view.image))


def look_of(image: Image.Image) -> int | None:
    """The perceptual hash; ``None`` where grey levels vary so little that noise would decide it."""
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.float64)
    if levels.std() < _FLAT:
        return None
    waves = (_WAVES @ levels @ _WAVES.T).ravel()[1:].round(6)
    above = np.packbits(np.append(waves > np.median(waves), False))
    return int.from_bytes(above.tobytes(), "big") >> 1


def digest(*parts: bytes) -> bytes:
    """16 bytes of SHA-256 over parts that cannot run into each other."""
    made = hashlib.sha256()
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.digest()[:16]


def text_key(text: str) -> bytes:
    """A text without its case, its spacing and Unicode's variants of the same characters."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return digest(plain.encode("utf-8", "surrogatepass"))


def check_near(near: int | None) -> None:
    """Refuse a number of bits in which any two pictures might differ.

    Raises:
        ConfigError: If it is out of range.
    """
    if near is not None and not 0 <= near < BITS // 2:
        raise ConfigError(f"near is a number of bits from 0 to {BITS // 2 - 1}, got {near}")


@dataclass(frozen=True, slots=True)
class Match:
    """Something seen before.

    Attributes:
        name: What it was.
        bits: In how many bits the hashes differ; ``None`` if the pixels are equal.
    """

    name: str
    bits: int | None

    def __str__(self) -> str:
        how = "the same pixels" if self.bits is None else f"{self.bits} of {BITS} bits differ"
        return f"{self.name!r} ({how})"


class Index:
    """Pictures seen, within groups; kept in a temporary file beside a small cache.

    Args:
        near: Bits in which the hashes of pictures that look alike may differ; ``None`` compares
            pixels only.

    Raises:
        ConfigError: If ``near`` is out of range.
    """

    def __init__(self, near: int | None = NEAR) -> None:
        check_near(near)
        self.near = near
        self._seen = sqlite3.connect("")
        self._seen.executescript(
            """PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
            CREATE TABLE equal (key BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID;
            CREATE TABLE alike (key BLOB, look INTEGER, name TEXT);
            CREATE INDEX bands ON alike (key);"""
        )

    def close(self) -> None:
        """Delete it."""
        self._seen.close()

    def add(self, name: str, picture: Print, equal: bytes = b"", alike: bytes = b"") -> None:
        """Remember a picture.

        Args:
            name: What a match says.
            picture: Its fingerprint.
            equal: The group in which equal pictures are found again.
            alike: The group in which alike ones are.
        """
        self._seen.execute(
            "INSERT OR IGNORE INTO equal VALUES (?, ?)", (digest(equal, picture.pixels), name)
        )
        rows = [(key, picture.look, name) for key in self._bands(picture, alike)]
        self._seen.executemany("INSERT INTO alike VALUES (?, ?, ?)", rows)

    def find(self, picture: Print, equal: bytes = b"", alike: bytes = b"") -> Match | None:
        """The first equal picture of a group, else the one that looks most alike, if any does."""
        row = self._seen.execute(
            "SELECT name FROM equal WHERE key = ?", (digest(equal, picture.pixels),)
        ).fetchone()
        if row:
            return Match(row[0], None)
        best: Match | None = None
        for key in self._bands(picture, alike):
            for look, name in self._seen.execute(
                "SELECT look, name FROM alike WHERE key = ?", (key,)
            ):
                bits = (look ^ (picture.look or 0)).bit_count()
                if bits <= (self.near or 0) and (best is None or bits < (best.bits or 0)):
                    best = Match(name, bits)
        return best

    def _bands(self, picture: Print, group: bytes) -> list[bytes]:
        """Keys of which hashes that differ in at most ``near`` bits share one.

        They cannot differ in each of ``near + 1`` bands.
        """
        if self.near is None or picture.look is None:
            return []
        count = self.near + 1
        bits = format(picture.look, f"0{BITS}b")
        return [digest(group, f"{i}:{bits[i::count]}".encode()) for i in range(count)]
