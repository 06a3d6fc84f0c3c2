"""The reader: what it does without its packages, without words, and on drawn words and pages."""

from __future__ import annotations

import importlib.util
import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from agents.ocr import OcrAgent, Reader
from vt_env.errors import MissingExtra
from vt_env.regions import Box
from vt_env.sources.pages import Recipe, draw_page


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
def test_a_page_of_a_real_size_is_read_where_its_print_stands(reader: Reader) -> None:
    page = draw_page("receipt", Recipe(1240, 1754, print=2.5), np.random.default_rng(0))
    words = reader.read(page.pixels)
    for entry in page.entries:
        (word,) = (w for w in words if w.text == entry.value.words)
        assert Box(*word.box).within(entry.value.box).area > 0.9 * entry.value.box.area
