"""What is not rolled out: samples that occur twice, or in an evaluation set.

A sample is a *duplicate* of an earlier one if both ask the same and show equal pixels, or ask the
same, accept the same answer and show pictures that look alike. Pictures that look alike under the
same question with different answers are kept: forms and charts differ in their small print. It is
*contaminated* if its picture is equal or looks alike to one of an evaluation set, whatever is asked
there.

Two pictures are *equal* if their pixels are, whatever the file. They look *alike* if their
perceptual hashes differ in few bits: signs of the lowest frequencies of the picture in grey, each
against their median (the DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010, without its constant term). A coarse one of 63 bits finds pictures of
the same layout; a fine one of 255 bits, of which those count that are certain in both, then tells
pages apart that have other words in the same places, as receipts and forms do. A compressed or
resized copy looks alike; a crop or a mirror image does not. How far copies and different pictures
are apart: ``benchmarks/near.py``.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments.preparation.rule import CONTAMINATED, DUPLICATE, PLAYED, REFUSED
from vt_env import ConfigError, Picture, PictureError, Protocol, Sample, Source
from vt_env.pictures import View

NEAR = 4
"""Bits in which the coarse hashes of copies may differ."""
BITS, FINE_BITS = 63, 255
_FLAT = 1.0


def _waves(side: int, low: int) -> NDArray[np.float64]:
    """Rows of a DCT-II: [low frequencies, side]."""
    return np.cos(np.pi / side * (np.arange(side) + 0.5)[None, :] * np.arange(low)[:, None])


_COARSE, _FINE = _waves(32, 8), _waves(64, 16)


FINE = 0.1
"""Share of the fine bits that are certain in both in which copies may differ."""
_CERTAIN = 64 * 64 / 4 / 8
"""A wave of an eighth of a grey level: what is weaker depends on how a copy was made."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of one picture to know it again.

    Attributes:
        pixels: SHA-256 over size and pixels, cut to 16 bytes.
        look: The coarse perceptual hash, of 63 bits; ``None`` for a picture that is all but flat.
        fine: The fine one: 255 signs, and before them 255 bits that say which are certain.
    """

    pixels: bytes
    look: int | None
    fine: int = 0


def fingerprint_of(view: View) -> Fingerprint:
    """The fingerprint of a picture at its full size."""
    size = "x".join(map(str, view.size))
    look = look_of(view.image)
    fine = 0 if look is None else fine_of(view.image)
    return Fingerprint(digest(size.encode(), view.array.tobytes()), look, fine)


def look_of(image: Image.Image) -> int | None:
    """The coarse hash; ``None`` where grey levels vary so little that noise would decide it."""
    levels = _grey(image, 32)
    return None if levels.std() < _FLAT else _hash(levels, _COARSE)


def fine_of(image: Image.Image) -> int:
    """The fine hash; see :class:`Fingerprint`."""
    found = (_FINE @ _grey(image, 64) @ _FINE.T).ravel()[1:]
    return _bits(abs(found) > _CERTAIN) << FINE_BITS | _bits(found > 0)


def fine_apart(one: int, other: int) -> float:
    """Share of the bits that are certain in both fine hashes in which they differ."""
    both = (one & other) >> FINE_BITS
    return ((one ^ other) & both).bit_count() / max(1, both.bit_count())


def _grey(image: Image.Image, side: int) -> NDArray[np.float64]:
    grey = image.convert("L").resize((side, side), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float64)


def _hash(levels: NDArray[np.float64], waves: NDArray[np.float64]) -> int:
    found = (waves @ levels @ waves.T).ravel()[1:].round(6)
    return _bits(found > np.median(found))


def _bits(flags: NDArray[np.bool_]) -> int:
    """Flags as a number, whose number is one less than a multiple of 8."""
    return int.from_bytes(np.packbits(np.append(flags, False)).tobytes(), "big") >> 1


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
    """Refuse a number of bits in which any two pictures might differ."""
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

    @property
    def what(self) -> str:
        """What has been seen, in words."""
        return "the picture" if self.bits is None else "a picture that looks alike"

    def __str__(self) -> str:
        how = "the same pixels" if self.bits is None else f"{self.bits} of {BITS} bits differ"
        return f"{self.name!r} ({how})"


class Index:
    """Pictures seen, within groups; kept in a temporary file beside a small cache.

    Args:
        near: Bits in which the hashes of pictures that look alike may differ; ``None`` compares
            pixels only.
    """

    def __init__(self, near: int | None = NEAR) -> None:
        check_near(near)
        self.near = near
        self._seen = sqlite3.connect("")
        self._seen.executescript(
            """PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
            CREATE TABLE equal (key BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID;
            CREATE TABLE alike (key BLOB, look INTEGER, fine BLOB, name TEXT);
            CREATE INDEX bands ON alike (key);"""
        )

    def close(self) -> None:
        """Delete it."""
        self._seen.close()

    def add(self, name: str, picture: Fingerprint, equal: bytes = b"", alike: bytes = b"") -> None:
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
        fine = picture.fine.to_bytes(64, "big")
        rows = [(key, picture.look, fine, name) for key in self._bands(picture, alike)]
        self._seen.executemany("INSERT INTO alike VALUES (?, ?, ?, ?)", rows)

    def find(self, picture: Fingerprint, equal: bytes = b"", alike: bytes = b"") -> Match | None:
        """The first equal picture of a group, else the one that looks most alike, if any does."""
        row = self._seen.execute(
            "SELECT name FROM equal WHERE key = ?", (digest(equal, picture.pixels),)
        ).fetchone()
        if row:
            return Match(row[0], None)
        best: Match | None = None
        for key in self._bands(picture, alike):
            for look, fine, name in self._seen.execute(
                "SELECT look, fine, name FROM alike WHERE key = ?", (key,)
            ):
                bits = (look ^ (picture.look or 0)).bit_count()
                near = bits <= (self.near or 0) and (best is None or bits < (best.bits or 0))
                if near and fine_apart(int.from_bytes(fine, "big"), picture.fine) <= FINE:
                    best = Match(name, bits)
        return best

    def _bands(self, picture: Fingerprint, group: bytes) -> list[bytes]:
        """Keys of which hashes that differ in at most ``near`` bits share one.

        They cannot differ in each of ``near + 1`` bands.
        """
        if self.near is None or picture.look is None:
            return []
        count = self.near + 1
        bits = format(picture.look, f"0{BITS}b")
        return [digest(group, f"{i}:{bits[i::count]}".encode()) for i in range(count)]


class Screen:
    """Decides of each sample, in the order of the data, whether it is rolled out.

    Args:
        protocol: At the low resolution: its picture must be showable so.
        near: See :class:`Index`.
    """

    def __init__(self, protocol: Protocol, near: int | None) -> None:
        self.protocol = protocol
        self._index = Index(near)
        self.close = self._index.close

    def hold_out(self, source: Source) -> Iterator[dict[str, str]]:
        """Remember an evaluation set.

        Yields:
            ``set``, ``id`` and ``reason`` of each sample whose picture is refused, so that nothing
            can be found in it.
        """
        for sample in source:
            try:
                picture = fingerprint_of(Picture(sample.image, self.protocol.rules).original)
            except PictureError as error:
                yield {"set": source.name, "id": sample.id, "reason": str(error)}
                continue
            for group in (b"held", b"asked" + text_key(sample.question)):
                self._index.add(f"{source.name}/{sample.id}", picture, group, group)

    def row(self, number: int, sample: Sample) -> dict[str, Any]:
        """The row of a sample, without rollouts, and its fingerprints remembered."""
        row: dict[str, Any] = {
            "id": sample.id,
            "n": number,
            "status": PLAYED,
            "kind": sample.kind,
            "source": sample.source,
        }
        try:
            picture = self._look(sample)
        except PictureError as error:
            return row | {"status": REFUSED, "reason": str(error)}
        question = text_key(sample.question)
        alike = question + text_key(sample.references[0])
        row |= {
            "pixels": picture.pixels.hex(),
            "look": None if picture.look is None else f"{picture.look:016x}",
            "fine": f"{picture.fine:0128x}",
            "equal": question.hex(),
            "alike": alike.hex(),
        }
        if found := self._index.find(picture, b"held", b"held"):
            group = b"asked" + question
            both = self._index.find(picture, group, group)
            what = f"{found.what} occurs in {found}"
            what = f"the question and {both.what} occur in {both}" if both else what
            return row | {"status": CONTAMINATED, "reason": what}
        if found := self._index.find(picture, b"seen" + question, b"seen" + alike):
            return row | {"status": DUPLICATE, "reason": f"the same as {found}"}
        self._index.add(sample.id, picture, b"seen" + question, b"seen" + alike)
        return row

    def remember(self, row: Mapping[str, Any]) -> None:
        """Take a row of an earlier part of this preparation as seen."""
        if row["status"] == PLAYED:
            look = None if row["look"] is None else int(row["look"], 16)
            picture = Fingerprint(bytes.fromhex(row["pixels"]), look, int(row["fine"], 16))
            groups = (b"seen" + bytes.fromhex(row[key]) for key in ("equal", "alike"))
            self._index.add(row["id"], picture, *groups)

    def _look(self, sample: Sample) -> Fingerprint:
        if sample.more_images:
            raise PictureError("samples of several pictures are not prepared; play them unprepared")
        picture = Picture(sample.image, self.protocol.rules, first_look=self.protocol.first_look)
        picture.shrunk(self.protocol.factor)
        return fingerprint_of(picture.original)
