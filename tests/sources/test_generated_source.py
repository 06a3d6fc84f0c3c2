import json
import random

import numpy as np
import pytest
from PIL import Image

from vt_env.errors import ConfigError
from vt_env.regions import Box
from vt_env.sources import GeneratedSource, open_source
from vt_env.sources.drawing import COLOURS, CORNERS, SHAPES, TEXTURES, Recipe, draw
from vt_env.sources.generated import KINDS, MIXES, parse_mix, references


def same(a, b):
    return (
        a.id == b.id
        and a.references == b.references
        and a.metadata == b.metadata
        and np.array_equal(a.image, b.image)
    )


def half(pixels):
    side = len(pixels) // 2
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def test_a_sample_is_complete():
    sample = GeneratedSource(1, seed=3, split="train", kinds="small_number")[0]
    assert sample.id == "train-3-000000"
    assert sample.image.shape == (32, 32, 3)
    assert sample.image.dtype == np.uint8
    number = sample.metadata["number"]
    assert sample.references == (number, f"{number[0]} {number[1]}")
    assert (sample.kind, sample.source, sample.answer_type) == (
        "small_number",
        "generated",
        "exact",
    )
    assert sample.metadata["number_size"] == "small"
    assert sample.metadata["needs_high"] is True
    json.dumps(dict(sample.metadata))


def test_the_same_sample_whatever_n_is_and_whatever_was_asked_before():
    few, many = GeneratedSource(5, seed=9), GeneratedSource(500, seed=9)
    many[77]
    assert all(same(a, b) for a, b in zip(few, many, strict=False))
    assert same(many[4], many.by_id(few[4].id))


def test_no_global_generator_is_touched():
    random.seed(1)
    before = random.getstate()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    list(GeneratedSource(3))
    assert random.getstate() == before
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_splits_and_seeds_are_disjoint():
    pictures = [
        sample.image.tobytes()
        for seed in (0, 1, 2**32, 2**32 + 1)
        for split in ("train", "validation", "test")
        for sample in GeneratedSource(100, seed=seed, split=split)
    ]
    assert len(set(pictures)) == 1200


@pytest.mark.parametrize("mix", MIXES)
def test_kinds_come_in_their_shares(mix):
    n = 4000
    source = GeneratedSource(n, kinds=mix)
    kinds = [sample.kind for sample in source]
    for kind, share in MIXES[mix].items():
        assert kinds.count(kind) / n == pytest.approx(share, abs=4 * (share / n) ** 0.5)


def test_the_default_mix_is_half_fine_and_the_oracle_ratios_are_as_documented():
    assert GeneratedSource(1).fine_share == pytest.approx(0.5)
    ratios = {mix: 0.25 + GeneratedSource(1, kinds=mix).fine_share for mix in ("half", "laptop")}
    assert ratios == pytest.approx({"half": 0.75, "laptop": 0.675})


def test_big_and_small_numbers_are_asked_for_in_the_same_words():
    questions = {kind: {s.question for s in GeneratedSource(20, kinds=kind)} for kind in KINDS}
    numbers = [questions[kind] for kind in ("big_number", "small_number", "faint_number")]
    assert numbers == [{"What number is it?"}] * 3
    assert len({KINDS[kind].question for kind in KINDS}) == 5


def test_answers_are_balanced_and_do_not_depend_on_the_kind():
    for kind, values in (("colour", list(COLOURS)), ("texture", TEXTURES)):
        answers = [s.references[0] for s in GeneratedSource(1500, kinds=kind)]
        shares = [answers.count(value) / 1500 for value in values]
        assert shares == pytest.approx([1 / len(values)] * len(values), abs=0.05)
    sizes = [s.metadata["number_size"] for s in GeneratedSource(1500, kinds="colour+texture")]
    assert sizes.count("big") / 1500 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("side", [32, 48, 64])
def test_the_picture_shows_what_the_attributes_say(side):
    rng = np.random.default_rng(0)
    for _ in range(60):
        pixels, attributes, _ = draw(rng, Recipe(side=side, noise=0))
        assert attributes["shape"] in SHAPES
        saturation = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
        rows, columns = np.nonzero(saturation > 40)
        top, left = rows.mean() < side / 2, columns.mean() < side / 2
        assert attributes["corner"] == CORNERS[2 * (not top) + (not left)]
        middle = pixels[rows, columns].mean(axis=0)
        nearest = min(COLOURS, key=lambda name: np.abs(middle - COLOURS[name]).sum())
        assert nearest == attributes["colour"]


@pytest.mark.parametrize("texture", ["horizontal", "vertical", "checker"])
def test_hatching_is_almost_lost_at_half_size(texture, monkeypatch):
    """A hatched patch against a plain one in the same picture, at full and at half size.

    What is left is at the patch's edge, where the resampling kernel reaches out of the hatching.
    """
    full, small = [], []
    for seed in range(50):
        pair = []
        for drawn in (texture, "plain"):
            monkeypatch.setattr("vt_env.sources.drawing.TEXTURES", (drawn,) * 4)
            pair.append(draw(np.random.default_rng(seed), Recipe(noise=0))[0])
        for gaps, (a, b) in ((full, pair), (small, [half(pixels) for pixels in pair])):
            gap = np.abs(a.astype(int) - b)
            gaps.append((gap.max(), gap[gap > 0].mean()))
    assert min(full)[0] >= 40
    assert max(small)[0] <= 20
    assert np.mean(small, axis=0)[1] < 0.1 * np.mean(full, axis=0)[1]


@pytest.mark.parametrize("texture", ["rows", "columns", "checker"])
def test_the_inside_of_hatching_halves_to_flat_grey(texture):
    y, x = np.mgrid[:32, :32]
    pattern = {"rows": y, "columns": x, "checker": x + y}[texture] % 2 * 90 + 40
    inside = half(np.repeat(pattern[..., None], 3, axis=2).astype(np.uint8))[3:-3, 3:-3]
    assert np.ptp(inside) <= 1
    assert inside.mean() == pytest.approx(85, abs=1)


def test_what_is_left_of_a_faint_number_at_half_size_is_its_contrast(monkeypatch):
    """Without noise: the means of its checkered dots against the quadrant that it stands on."""
    monkeypatch.setattr("vt_env.sources.drawing.TEXTURES", ("plain",) * 4)
    for seed in range(60):
        pixels, attributes, _ = draw(np.random.default_rng(seed), Recipe(noise=0), "faint")
        contrast = int(attributes["number_contrast"])
        assert 4 <= contrast <= 40
        assert attributes["number_size"] == "big"
        grey = pixels.astype(int).mean(axis=2)
        dots = grey.reshape(16, 2, 16, 2).swapaxes(1, 2)
        checkered = np.abs(dots[..., 0, 0] - dots[..., 0, 1]) == 100
        checkered &= np.abs(dots[..., 0, 0] - dots[..., 1, 1]) == 0
        assert 14 <= checkered.sum() <= 26  # dots of two digits
        row, column = (int(v.min()) // 8 * 16 for v in np.nonzero(checkered))
        plate = np.median(grey[row : row + 16, column : column + 16][0])
        left = plate - dots[checkered].mean(axis=(1, 2))
        assert np.ptp(left) == 0
        assert contrast == left[0]


def test_contrasts_of_faint_numbers_are_spread_evenly():
    contrasts = [int(s.metadata["number_contrast"]) for s in GeneratedSource(2000, kinds="close")]
    assert (min(contrasts), max(contrasts)) == (4, 40)
    assert np.mean(contrasts) == pytest.approx(22, abs=0.8)


def test_a_warm_up_can_ask_several_questions_of_one_picture():
    """Of pictures that were drawn for another question; an answer to one is wrong for the rest."""
    seen = {"colour": "red", "shape": "circle", "corner": "top left"}
    seen |= {"number": "47", "texture": "checker"}
    assert {name: references(kind, seen) for name, kind in KINDS.items()} == {
        "colour": ("red",),
        "shape": ("circle",),
        "corner": ("top left",),
        "big_number": ("47", "4 7"),
        "small_number": ("47", "4 7"),
        "faint_number": ("47", "4 7"),
        "texture": ("checker", "checkerboard"),
    }
    for seed in range(50):
        _, drawn, _ = draw(np.random.default_rng(seed), Recipe(), "small")
        accepted = [references(kind, drawn) for kind in KINDS.values()]
        assert drawn.keys() >= seen.keys()
        assert len({answer for answers in accepted for answer in answers}) >= 6


def test_snap_and_hard_are_parameters():
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    faint, *_ = draw(rng, Recipe(noise=0), "small")
    black, *_ = draw(again, Recipe(noise=0, hard=False, snap=1), "small")
    assert black.min() <= 60 < faint.min() + 60
    assert not np.array_equal(faint, black)


def test_fingerprints_tell_settings_apart():
    sources = [
        GeneratedSource(20),
        GeneratedSource(21),
        GeneratedSource(20, seed=1),
        GeneratedSource(20, split="train"),
        GeneratedSource(20, kinds="laptop"),
        GeneratedSource(20, noise=3),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert sources[0].fingerprint() == GeneratedSource(20).fingerprint()


def test_mixes():
    assert parse_mix("texture+colour") == {"colour": 0.5, "texture": 0.5}
    assert parse_mix({"texture": 3, "shape": 1, "colour": 0}) == {"shape": 0.25, "texture": 0.75}
    for bad in ("color", "", {"colour": -1}, {"colour": 0}, {"colour": float("nan")}):
        with pytest.raises(ConfigError):
            parse_mix(bad)
    with pytest.raises(ConfigError, match="Did you mean 'colour'"):
        parse_mix("color")


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"n": True},
        {"seed": -1},
        {"seed": 1.5},
        {"split": "val"},
        {"side": 31},
        {"side": 30},
        {"noise": -1},
        {"noise": 129},
        {"noise": float("nan")},
        {"snap": 0},
        {"snap": 9},
        {"n": 99_999_999_999},
        {"limit": 0},
    ],
)
def test_settings_out_of_range(options):
    with pytest.raises(ConfigError):
        open_source("generated", **options)


@pytest.mark.parametrize(
    "kind", ["colour", "big_number", "small_number", "texture", "faint_number"]
)
def test_what_is_asked_about_is_where_it_is_said_to_be(kind):
    """Something stands in the box, and of a coloured shape nothing stands outside."""
    for sample in GeneratedSource(20, kinds=kind, noise=0.0):
        left, top, right, bottom = sample.metadata["answer_box"]
        assert sample.answer_box.within(Box(0, 0, 32, 32)) == sample.answer_box
        inside = sample.image[top:bottom, left:right]
        ground = sample.image[0, 0] if kind == "faint_number" else np.median(sample.image, (0, 1))
        assert (np.abs(inside - ground.astype(float)).max(-1) > 10).mean() > 0.15
        if kind == "colour":  # every coloured pixel of the picture is in the box
            spread = sample.image.max(-1).astype(int) - sample.image.min(-1)
            spread[top:bottom, left:right] = 0
            assert spread.max() < 10
