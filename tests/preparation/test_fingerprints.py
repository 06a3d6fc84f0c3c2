"""Fingerprints: copies are known again, different pictures are not taken for copies."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from experiments.preparation.screening import (
    BITS,
    NEAR,
    Fingerprint,
    Index,
    fingerprint_of,
    look_of,
    text_key,
)
from vt_env import ConfigError, Picture
from vt_env.sources.pages import KINDS, Recipe, draw_page


@pytest.fixture(scope="module")
def pages():
    """Two pages of each kind."""
    sizes, kinds = ((640, 480), (620, 877)), sorted(KINDS)
    drawn = [
        draw_page(kind, Recipe(*size, print=2), np.random.default_rng(place))
        for place, (kind, size) in enumerate(itertools.product(kinds, sizes))
    ]
    return [Picture(page.pixels).original for page in drawn]


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def bits(one, two):
    return (one ^ two).bit_count()


def test_copies_are_near_and_others_are_not(pages):
    looks = [look_of(view.image) for view in pages]
    for view, look in zip(pages, looks, strict=True):
        assert bits(look, look_of(jpeg(view.image, 50))) <= NEAR
    assert min(bits(a, b) for a, b in itertools.combinations(looks, 2)) > 2 * NEAR


def receipt(seed):
    """A receipt of one shop: the same layout, other things bought."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (600, 1200), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    draw.text((180, 40), "SUPER MARKET", fill="black", font=font)
    for line in range(28):
        bought = "".join(rng.choice(list("ABCDEFGHIJKLMNOPRSTUVWXYZ "), size=rng.integers(8, 20)))
        draw.text((40, 100 + 36 * line), bought, fill="black", font=font)
        price = f"{rng.uniform(1, 99):.2f}"
        draw.text((460, 100 + 36 * line), price, fill="black", font=font)
    return page


def test_receipts_of_one_shop_are_not_the_same_picture():
    pages = [receipt(seed) for seed in range(40)]
    prints = [fingerprint_of(Picture(np.asarray(page)).original) for page in pages]
    coarse = [bits(a.look, b.look) for a, b in itertools.combinations(prints, 2)]
    assert min(coarse) <= NEAR, "the coarse hash tells them apart: this tests nothing"
    index = Index()
    for number, found in enumerate(prints):
        assert index.find(found) is None
        index.add(str(number), found)
    for number, page in enumerate(pages):
        for copy in (jpeg(page, 50), page.resize((300, 600))):
            look = fingerprint_of(Picture(np.asarray(copy)).original)
            assert index.find(look).name == str(number)
    index.close()


def test_pixels_are_compared_not_files(pages):
    image = pages[0].image
    for kind in ("PNG", "BMP", "TIFF"):
        file = io.BytesIO()
        image.save(file, kind)
        assert fingerprint_of(Picture(file.getvalue()).original) == fingerprint_of(pages[0])
    changed = np.asarray(image).copy()
    changed[0, 0, 0] ^= 1
    assert fingerprint_of(Picture(changed).original).pixels != fingerprint_of(pages[0]).pixels
    turned = np.ascontiguousarray(np.asarray(image).reshape(image.width, image.height, 3))
    assert fingerprint_of(Picture(turned).original).pixels != fingerprint_of(pages[0]).pixels


def test_a_flat_picture_looks_like_nothing():
    grey = np.full((40, 40, 3), 128, np.uint8)
    grey[3, 3] = 129
    assert look_of(Image.fromarray(grey)) is None
    one = np.zeros((1, 1, 3), np.uint8)
    assert look_of(Image.fromarray(one)) is None


def test_texts_are_compared_without_case_spacing_and_variants():
    assert text_key(" What  IS\nit? ") == text_key("what is it?")
    assert text_key("Ｃａｆé ①") == text_key("cafe\u0301 1")
    assert text_key("Straße") == text_key("STRASSE")
    assert text_key("何ですか") != text_key("誰ですか")
    assert len({text_key(t) for t in ("", "a", "a\ud800", "b")}) == 4


looks = st.one_of(st.integers(0, 2**BITS - 1), st.integers(0, 63), st.none())


@settings(max_examples=60, deadline=None)
@given(st.lists(looks, max_size=8), looks, st.integers(0, 8), st.integers(0, 62))
def test_the_index_finds_what_a_comparison_with_all_finds(seen, asked, near, flipped):
    index = Index(near)
    if asked is not None:
        seen = [*seen, asked ^ (1 << flipped)]
    for number, look in enumerate(seen):
        index.add(str(number), Fingerprint(bytes([number]), look))
    found = index.find(Fingerprint(b"other", asked))
    index.close()
    distances = [bits(look, asked) for look in seen if None not in (look, asked)]
    near_ones = [d for d in distances if d <= near]
    assert (found.bits if found else None) == (min(near_ones) if near_ones else None)


def test_equal_pixels_come_first_and_groups_are_apart():
    index = Index(3)
    index.add("alike", Fingerprint(b"a", 7), b"q1", b"q1")
    index.add("equal", Fingerprint(b"b", None), b"q1", b"q1")
    assert index.find(Fingerprint(b"b", 7), b"q1", b"q1").name == "equal"
    assert index.find(Fingerprint(b"b", 7), b"q2", b"q1").name == "alike"
    assert index.find(Fingerprint(b"b", 7), b"q2", b"q2") is None
    assert str(index.find(Fingerprint(b"c", 6), b"q2", b"q1")) == "'alike' (1 of 63 bits differ)"
    pixels_only = Index(None)
    pixels_only.add("one", Fingerprint(b"a", 7))
    assert pixels_only.find(Fingerprint(b"b", 7)) is None
    assert pixels_only.find(Fingerprint(b"a", None)).bits is None
    with pytest.raises(ConfigError, match="from 0 to 30"):
        Index(31)
