"""The reader: what it does without its packages, without words, and on drawn and real pictures."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from agents.ocr import OcrAgent, Reader
from vt_env.errors import MissingExtra

REAL = Path(__file__).parents[2] / "experiments" / "data" / "realvqa" / "images"


@pytest.fixture(scope="module")
def reader() -> Reader:
    pytest.importorskip("rapidocr")
    return Reader(threads=2)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the reader tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def drawn(text: str) -> np.ndarray:
    image = Image.new("RGB", (320, 80), "white")
    ImageDraw.Draw(image).text((20, 20), text, "black", ImageFont.load_default(32))
    return np.asarray(image)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "visionthink-gym\[ocr\]"'):
        OcrAgent(threads=7)


def test_a_drawn_word_is_read_offline_in_its_place(
    offline: None, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rapidocr")
    (word,) = Reader().read(drawn("Total 12.40"))
    assert word.text == "Total 12.40"
    assert 0.9 < word.confidence <= 1
    x0, y0, x1, y1 = word.box
    assert 10 < x0 < 25 < 180 < x1 < 230
    assert 10 < y0 < y1 < 70
    assert capfd.readouterr() == ("", "")


def test_an_empty_picture_has_no_words(reader: Reader) -> None:
    assert reader.read(np.full((60, 90, 3), 255, np.uint8)) == []
    assert reader.read(np.zeros((1, 1, 3), np.uint8)) == []


def test_two_readers_agree_and_a_picture_is_read_once(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = drawn("SUMME 8,99")
    words = reader.read(image)
    assert Reader(threads=2).read(image) == words
    monkeypatch.setattr(Reader, "_engine", None)
    assert reader.read(image.copy()) == words


def test_the_least_recent_picture_is_forgotten(reader: Reader) -> None:
    small = Reader(remember=1)
    small.__dict__["_engine"] = reader._engine
    for text in ("one", "two"):
        small.read(drawn(text))
    assert len(small._known) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text"),
    [("tesstest_phototest.tif", "point text"), ("chart_seattle_2012.png", "210.5")],
)
def test_real_pictures(reader: Reader, name: str, text: str) -> None:
    path = REAL / name
    if not path.exists():
        pytest.skip("the real pictures are not in this checkout")
    words = reader.read(np.asarray(Image.open(path).convert("RGB")))
    assert any(text in word.text for word in words)
