"""Pages: what is printed, where it stands, and that nothing but the seed decides."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vt_env.errors import ConfigError, MissingExtra
from vt_env.sources import open_source
from vt_env.sources.pages import KINDS, PagesSource, Recipe, draw_page, fonts, page_at
from vt_env.sources.pages.canvas import Canvas
from vt_env.sources.pages.forms import FORM_LABELS, RECEIPT_LABELS, value_for
from vt_env.sources.pages.page import HEIGHTS

RECIPES = st.builds(
    Recipe,
    width=st.integers(224, 500),
    height=st.integers(224, 500),
    difficulty=st.floats(0, 1),
    small=st.floats(0, 1),
)


def same(a, b):
    return (
        a.id == b.id
        and a.question == b.question
        and a.references == b.references
        and a.metadata == b.metadata
        and np.array_equal(a.image, b.image)
    )


def test_a_sample_is_complete():
    sample = PagesSource(1, seed=3, split="train", kinds="form")[0]
    assert sample.id == "train-3-000000"
    assert sample.image.shape == (224, 224, 3)
    assert sample.image.dtype == np.uint8
    assert (sample.source, sample.answer_type) == ("pages", "exact")
    known = sample.metadata
    assert (known["page"], known["print"]) == ("form", sample.kind)
    assert known["needs_high"] is (sample.kind == "small")
    assert known["names"][0] in FORM_LABELS
    assert known["names"][0] in sample.question
    json.dumps(dict(known))


@given(kind=st.sampled_from(sorted(KINDS)), recipe=RECIPES, seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_all_that_can_be_asked_for_stands_on_the_page(kind, recipe, seed):
    check(draw_page(kind, recipe, np.random.default_rng(seed)), recipe)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(
    ("width", "height", "enlarged"),
    [(448, 448, 1.0), (896, 896, 4.0), (1414, 2000, 1.0)],
)
def test_so_it_does_on_larger_pages(kind, width, height, enlarged):
    recipe = Recipe(width, height, enlarged)
    page = draw_page(kind, recipe, np.random.default_rng(0))
    check(page, recipe)
    for entry in page.entries:
        least, most = (edge * enlarged for edge in HEIGHTS[entry.print])
        assert least - 2 <= entry.value.box.height <= most + 8 * enlarged


@pytest.mark.parametrize("kind", ["receipt", "table", "bars", "lines"])
def test_a_large_page_is_filled_with_what_nobody_is_asked_about(kind):
    small, large = (
        draw_page(kind, Recipe(width, height, difficulty=0), np.random.default_rng(1))
        for width, height in ((224, 224), (800, 1100))
    )
    assert len(large.other) > 5 + len(small.other)


def check(page, recipe):
    assert page.pixels.shape == (recipe.height, recipe.width, 3)
    assert page.entries
    assert len({entry.names for entry in page.entries}) == len(page.entries)
    for entry in page.entries:
        for text in filter(None, (entry.value, entry.label)):
            left, top, right, bottom = text.box.edges
            assert 0 <= left < right <= recipe.width
            assert 0 <= top < bottom <= recipe.height
            assert len(text.centres) == len(text.words)
            assert all(left - 2 <= x <= right + 2 for x, _ in text.centres)
    boxes = [entry.value.box for entry in page.entries]
    assert not any(apart(a, b) < 0 for index, a in enumerate(boxes) for b in boxes[index + 1 :]), (
        "two values overlap"
    )
    assert not any(apart(a, b) < 0 for a in boxes for b in page.other), "print over a value"


def apart(a, b):
    """Pixels between two boxes, less than 0 where they overlap by more than a pixel of a turn."""
    return max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom) + 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_box_has_print_in_it_and_is_as_high_as_its_print(kind):
    recipe = Recipe(448, difficulty=0.0)
    for seed in range(3):
        page = draw_page(kind, recipe, np.random.default_rng(seed))
        for entry in page.entries:
            left, top, right, bottom = (round(edge) for edge in entry.value.box.edges)
            inside = page.pixels[top:bottom, left:right].astype(int)
            assert np.ptp(inside, axis=(0, 1)).max() > 60, "there is print"
            assert bottom - top <= HEIGHTS[entry.print][1] + 6  # a slash is higher than a digit
            assert bottom - top >= HEIGHTS[entry.print][0] - 2


def test_boxes_turn_with_the_page():
    """On a skewed page the darkest pixels of a black value on white are where its box says."""
    recipe = Recipe(difficulty=1.0)
    turned = 0
    for seed in range(40):
        skewed = draw_page("form", recipe, np.random.default_rng(seed))
        for entry in skewed.entries:
            left, top, right, bottom = (round(edge) for edge in entry.value.box.edges)
            rim = skewed.pixels[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3]
            grey, inner = rim.mean(-1), skewed.pixels[top:bottom, left:right].mean(-1)
            turned += np.median(inner) <= np.median(grey) + 3
            assert inner.min() <= grey.min() + 40
    assert turned > 100


def test_difficulty_is_noise_and_pale_ink():
    noise, ink = [], []
    for difficulty in (0.0, 0.5, 1.0):
        recipe, seeds = Recipe(difficulty=difficulty), range(20)
        pages = [draw_page("table", recipe, np.random.default_rng(seed)) for seed in seeds]
        steps = [np.median(np.abs(np.diff(page.pixels.astype(int), axis=1))) for page in pages]
        noise.append(np.mean(steps))
        ink.append(np.mean([Canvas(np.random.default_rng(seed), recipe).ink for seed in seeds]))
    assert noise[0] == 0
    for rising in (noise, ink):
        assert rising == sorted(set(rising))


def test_print_is_as_often_small_as_asked_for_under_every_label():
    counts = {}
    for sample in PagesSource(400, kinds="form+receipt"):
        counts.setdefault(sample.metadata["names"][0], []).append(sample.kind == "small")
    assert counts.keys() == {*FORM_LABELS, *RECEIPT_LABELS}
    assert 0.4 < np.mean([small for label in counts.values() for small in label]) < 0.6
    assert all(0.1 < np.mean(small) < 0.9 for small in counts.values())
    assert all(s.kind == "large" for s in PagesSource(30, small=0.0))
    assert all(s.kind == "small" for s in PagesSource(30, small=1.0))


def test_the_same_sample_whatever_n_is_and_whatever_was_asked_before():
    few, many = PagesSource(4, seed=9), PagesSource(500, seed=9)
    many[77]
    assert all(same(a, b) for a, b in zip(few, many, strict=False))
    assert same(many[3], many.by_id(few[3].id))


def test_splits_and_seeds_are_disjoint():
    pictures = [
        sample.image.tobytes()
        for seed in (0, 1, 2**32)
        for split in ("train", "validation", "test")
        for sample in PagesSource(10, seed=seed, split=split)
    ]
    assert len(set(pictures)) == 90


def test_a_page_is_the_one_that_the_fingerprint_knows():
    """Pages are the same on every machine: fonts of one release, arithmetic in whole numbers."""
    assert PagesSource(16).fingerprint() == PagesSource(16).fingerprint()
    prints = {
        PagesSource(16, **other).fingerprint()
        for other in ({}, {"seed": 1}, {"kinds": "sign"}, {"difficulty": 0.3}, {"small": 0.4})
    }
    assert len(prints) == 5


def test_no_global_generator_is_touched():
    random.seed(1)
    before = random.getstate()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    list(PagesSource(3))
    assert random.getstate() == before
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_a_page_of_the_source_is_the_one_that_is_drawn():
    recipe = Recipe()
    page, _ = page_at(("form", "receipt"), recipe, 5, "train", 7)
    source = PagesSource(8, seed=5, split="train", kinds="form+receipt")
    assert np.array_equal(source[7].image, page.pixels)


def test_enlarged_pages_have_larger_print():
    for scale in (2, 4):
        page = draw_page("form", Recipe(224 * scale, print=scale), np.random.default_rng(0))
        small = [entry for entry in page.entries if entry.print == "small"]
        for entry in small:
            assert entry.value.box.height >= scale * HEIGHTS["small"][0] - 2


def test_values_have_few_characters_of_a_known_alphabet():
    rng = np.random.default_rng(0)
    for label in {*FORM_LABELS, *RECEIPT_LABELS}:
        for _ in range(50):
            value = value_for(label, rng)
            assert 3 <= len(value) <= 6
            assert set(value) <= set("0123456789.:/")


def test_a_spec_opens_it():
    source = open_source("pages:n=3,kinds=table+sign,width=300,height=400,difficulty=0.5")
    assert len(source) == 3
    assert source[0].image.shape == (400, 300, 3)
    assert {sample.metadata["page"] for sample in source} <= {"table", "sign"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n": 0}, "n must be an integer from 1"),
        ({"seed": -1}, "seed must be"),
        ({"split": "trian"}, "Did you mean 'train'"),
        ({"kinds": "form+recipt"}, "Did you mean 'receipt'"),
        ({"width": 200}, "from 224"),
        ({"height": 5000}, "to 4096"),
        ({"width": 300, "print": 2.0}, "from 448"),
        ({"print": "big"}, "print must be a number"),
        ({"difficulty": 1.5}, "difficulty must be a number from 0 to 1"),
        ({"small": True}, "small must be a number"),
        ({"width": 224.0}, "whole number"),
    ],
)
def test_what_is_out_of_range_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        PagesSource(**settings)


def test_fonts_that_are_not_there_are_named(monkeypatch):
    fonts._file.cache_clear()
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        fonts._file("DejaVuSans")
