"""Constructed policies, of which it is known what their calls are worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from results import row, write

from experiments.diagnosis import ALL, by_group, diagnose, miscalibration, sentences, table
from experiments.report import make_report
from experiments.report.diagnosed import draw_checkpoints
from experiments.report.reading import read_results
from vt_env import DataError

RNG = np.random.default_rng(0)
N = 4000
HARD = RNG.random(N) < 0.4
"""What cannot be read without a call."""


def rows(right, asked=None, tokens=None):
    asked = np.zeros(N, bool) if asked is None else asked
    tokens = np.full(N, 16) if tokens is None else tokens
    return [
        {"id": str(i), "kind": "hard" if HARD[i] else "easy", "correct": bool(right[i]),
         "requested": bool(asked[i]), "visual_tokens": int(tokens[i])}
        for i in range(N)
    ]  # fmt: skip


def everything(asked, right, random=None):
    return {
        "visionthink": rows(right, asked, 16 + 8 * asked),
        "no-tool": rows(~HARD),
        "oracle-crop": rows(np.ones(N, bool)),
        "random-crop": rows(~HARD if random is None else random),
    }


def test_a_policy_that_asks_where_it_must() -> None:
    d = diagnose(everything(HARD, np.ones(N, bool)))
    share = HARD.mean()
    assert d.call_gain.value == pytest.approx(share)
    assert d.call_harm.value == 0
    assert (d.hits.value, d.worth.value) == (1, 1)
    assert d.needed.value == d.rate.value == pytest.approx(share)
    assert d.survives["random-crop"].value == 0
    assert d.survives["oracle-crop"].value == 1
    assert d.price.value == pytest.approx(8)
    low, high = d.call_gain.interval_95
    assert low < share < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / N), rel=0.15)


def test_a_policy_that_always_asks_and_is_confused_by_a_tenth() -> None:
    confused = RNG.random(N) < 0.1
    d = diagnose(everything(np.ones(N, bool), ~confused))
    assert d.call_harm.value == pytest.approx((confused & ~HARD).mean())
    assert d.call_gain.value == pytest.approx((HARD & ~confused).mean())
    assert d.hits.value == 1
    assert d.worth.value == pytest.approx(HARD.mean())
    parts = d.call_gain.value - d.call_harm.value + d.schema_gain.value - d.schema_harm.value
    assert d.accuracy.value - d.without.value == pytest.approx(parts)
    assert d.price.value == pytest.approx(8 * N / (N * (d.call_gain.value - d.call_harm.value)))


def test_a_gain_that_is_not_the_tools() -> None:
    """Asking makes it think twice: what it is shown does not matter."""
    d = diagnose(everything(HARD, np.ones(N, bool), random=np.ones(N, bool)))
    assert d.survives["random-crop"].value == 1
    assert any("a place elsewhere instead, 100%" in line for line in sentences({ALL: d}))


def test_a_policy_that_never_asks_only_has_a_schema() -> None:
    lucky = HARD & (RNG.random(N) < 0.2)
    d = diagnose(everything(np.zeros(N, bool), ~HARD | lucky))
    assert d.rate.value == d.call_gain.value == d.call_harm.value == 0
    assert d.schema_gain.value == pytest.approx(lucky.mean())
    assert d.worth.value is None
    assert d.price.value is None
    assert d.survives == {}


def test_by_kind_and_as_a_table() -> None:
    found = by_group(everything(HARD, np.ones(N, bool)), "kind")
    assert {kind: d.needed.value for kind, d in found.items()} == {"hard": 1, "easy": 0}
    assert table(found).markdown().count("\n") == 3
    assert found["hard"].record()["call_gain"]["value"] == 1


def test_calibration_compares_asking_with_need_kind_by_kind() -> None:
    """A coin that asks as often as calls are needed is right on the whole, and wrong by kind."""
    coin = RNG.random(N) < HARD.mean()
    told = everything(coin, ~HARD | coin)
    kinds = by_group(told, "kind")
    found = {ALL: diagnose(told), **kinds}
    assert found[ALL].surplus.value == pytest.approx(coin.mean() - HARD.mean())
    assert abs(found[ALL].surplus.value) < 0.03
    assert kinds["hard"].surplus.value == pytest.approx(coin[HARD].mean() - 1)
    assert kinds["easy"].surplus.value == pytest.approx(coin[~HARD].mean())
    off = HARD.mean() * (1 - coin[HARD].mean()) + (1 - HARD.mean()) * coin[~HARD].mean()
    assert miscalibration(found) == pytest.approx(off)
    (line,) = [line for line in sentences(found) if "off the need" in line]
    assert "beyond need about easy" in line
    assert "too little about hard" in line
    perfect = everything(HARD, np.ones(N, bool))
    assert miscalibration({ALL: diagnose(perfect), **by_group(perfect, "kind")}) == 0
    assert miscalibration({ALL: found[ALL]}) is None


def told_in(folder: Path, agent: str, given, data: str = "") -> None:
    """A folder as ``vt eval --mode`` leaves it."""
    found = {ALL: diagnose(given), **by_group(given, "kind")}
    write(folder / "visionthink", [row()], agent=agent, mode="visionthink")
    record = {name: one.record() for name, one in found.items()}
    folder.joinpath("result.json").write_text(
        json.dumps({"agent": agent, "data": data, "diagnosis": record})
    )


def test_the_report_tells_it_by_kind_and_over_checkpoints(tmp_path: Path) -> None:
    for step, share in ((100, 0.5), (20, 1.0)):
        asked = HARD | (RNG.random(N) < share)
        told_in(tmp_path / f"at{step}", f"tiny:runs/a/checkpoint/step-{step:06}",
                everything(asked, np.ones(N, bool)))  # fmt: skip
    report = make_report([tmp_path], tmp_path / "report.html")
    names = [figure.name for figure in report.figures]
    assert {"diagnosis", "checkpoints"} <= set(names)
    page = report.page.read_text()
    assert page.count("calls are needed") == 2
    assert 'scope="row" dir="auto" title="hard"' in page
    svg = (tmp_path / "report-checkpoints.svg").read_text()
    assert "asks" in svg
    for name in ("diagnosis", "checkpoints"):  # at 390 pixels a letter of 10 points has 9
        drawn = (tmp_path / f"report-{name}.svg").read_text()
        assert float(drawn.partition('width="')[2].partition("pt")[0]) < 430
    one = make_report([tmp_path / "at20"], tmp_path / "one.html")
    assert "checkpoints" not in [f.name for f in one.figures]
    assert not [note for note in one.notes if "diagnosis" in note]


@pytest.mark.parametrize("broken", [[], {}, {"all": 3}, {"all": {"n": "x"}}, "text"])
def test_a_diagnosis_that_is_none_is_left_out_and_said(tmp_path: Path, broken: object) -> None:
    write(tmp_path / "visionthink", [row()], agent="a", mode="visionthink")
    (tmp_path / "result.json").write_text(json.dumps({"agent": "a", "diagnosis": broken}))
    report = make_report([tmp_path], tmp_path / "report.html")
    assert any("a diagnosis that is not as it should be" in note for note in report.notes)
    assert "Does looking closer help" not in report.page.read_text()


def test_unscored_samples_are_left_out() -> None:
    given = everything(HARD, np.ones(N, bool))
    for one in given["visionthink"][:100]:
        one["correct"] = None
    d = diagnose(given)
    assert d.n == N - 100
    nothing = {mode: [] for mode in given}
    assert sentences({ALL: diagnose(nothing)}) == [
        "No sample is scored in both runs, so nothing can be said."
    ]


def test_episodes_of_one_question_are_no_evidence_by_themselves() -> None:
    """Four equal episodes a question say no more than one: the intervals are those of one."""
    once = {mode: found[:400] for mode, found in everything(HARD, RNG.random(N) < 0.8).items()}
    again = {
        mode: [
            {**one, "id": f"{one['id']}#{number}", "repeat": {"of": one["id"], "number": number}}
            for one in found
            for number in range(4)
        ]
        for mode, found in once.items()
    }
    apart = {mode: [{**one, "repeat": None} for one in found] for mode, found in again.items()}
    one, four, loose = (diagnose(given) for given in (once, again, apart))
    assert (one.n, four.n) == (400, 1600)
    for name in ("call_gain", "call_harm", "needed", "worth", "price"):
        first, second = (getattr(d, name) for d in (one, four))
        assert second.value == pytest.approx(first.value)
        assert second.interval_95 == pytest.approx(first.interval_95)
    widths = [d.call_gain.interval_95[1] - d.call_gain.interval_95[0] for d in (four, loose)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_a_sample_unscored_elsewhere_about_which_nothing_was_asked_does_not_count() -> None:
    given = everything(HARD, np.ones(N, bool))
    at = int(np.flatnonzero(~HARD)[0])
    given["random-crop"][at]["correct"] = None
    assert diagnose(given).survives["random-crop"].value == 0
    assert diagnose(given).left_out == {}


def test_what_is_unscored_elsewhere_is_left_out_of_what_that_mode_tells_and_counted() -> None:
    """Counted as wrong, a tenth of unscored answers made calls look needed a tenth less often."""
    whole = everything(HARD, np.ones(N, bool))
    given = {mode: [dict(one) for one in found] for mode, found in whole.items()}
    unscored = RNG.random(N) < 0.1
    for mode in ("oracle-crop", "random-crop"):
        for at in np.flatnonzero(unscored):
            given[mode][at]["correct"] = None
    d, before = diagnose(given), diagnose(whole)
    assert d.n == before.n
    assert d.needed.value == pytest.approx(HARD[~unscored].mean())
    assert (d.surplus.value, d.hits.value, d.worth.value) == (0, 1, 1)
    assert d.survives["random-crop"].value == 0
    assert d.survives["oracle-crop"].value == 1
    counts = {"oracle-crop": unscored.sum(), "random-crop": (unscored & HARD).sum()}
    assert d.left_out == counts
    (line,) = [line for line in sentences({ALL: d}) if "left out of it" in line]
    assert f"{counts['random-crop']} by random-crop" in line


def test_samples_that_do_not_say_where_the_answer_is_tell_nothing_of_need() -> None:
    given = everything(HARD, np.ones(N, bool))
    given["oracle-crop"] = given["oracle-crop"][:1000]
    d = diagnose(given)
    assert d.needed.value == pytest.approx(HARD[:1000].mean())
    assert d.left_out == {"oracle-crop": N - 1000}
    given["oracle-crop"] = []
    assert diagnose(given).needed.value is None


def test_a_call_that_cannot_be_moved_is_left_out_and_overlaps_are_told() -> None:
    given = everything(HARD, np.ones(N, bool), random=np.ones(N, bool))
    asked = np.flatnonzero(HARD)
    for place, at in enumerate(asked):
        still = place % 4 == 0
        given["random-crop"][at] |= {"overlap": [1.0] if still else [0.0, 0.5], "correct": still}
    d = diagnose(given)
    assert d.survives["random-crop"].value == 0
    assert d.overlap.value == pytest.approx(0.25)
    assert d.left_out == {"random-crop": len(asked[::4])}
    assert "That place still showed 25% of what was asked for." in sentences({ALL: d})


def test_a_share_below_nothing_is_told_in_words() -> None:
    worse = ~HARD & (RNG.random(N) < 0.5)
    always = everything(np.ones(N, bool), np.ones(N, bool), random=worse)
    d = diagnose(always)
    assert d.survives["random-crop"].value < 0
    (line,) = [line for line in sentences({ALL: d}) if "elsewhere" in line]
    assert "nothing of the calls' gain is left: they put more answers wrong than right" in line


def test_benchmarks_that_share_ids_are_told_together_and_apart() -> None:
    one = everything(HARD, np.ones(N, bool))
    both = {
        mode: [{**r, "source": name} for name in ("first", "second") for r in found]
        for mode, found in one.items()
    }
    d = diagnose(both)
    assert d.n == 2 * N
    apart = by_group(both, "source")
    assert {name: found.n for name, found in apart.items()} == {"first": N, "second": N}
    low, high = d.call_gain.interval_95
    share = HARD.mean()
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 2 / N), rel=0.15)
    assert "By benchmark, its" in " ".join(sentences({ALL: d, **apart}, "benchmark"))


def test_checkpoints_on_several_benchmarks_are_drawn_apart(tmp_path: Path) -> None:
    """One of them stood for all."""
    for name in ("vstar", "treebench"):
        for step in (100, 200):
            told_in(tmp_path / f"{name}{step}", f"tiny:a/step-{step:06}",
                    everything(HARD, np.ones(N, bool)), f"benchmark:{name},path=x")  # fmt: skip
    found = read_results([tmp_path]).diagnosed
    assert {one.name for one in found} == {
        f"tiny:a/step-{step:06}: {name}" for name in ("vstar", "treebench") for step in (100, 200)
    }
    assert draw_checkpoints(found, tmp_path / "drawn") is not None
    svg = (tmp_path / "drawn.svg").read_text()
    assert "tiny:a: vstar: asks" in svg
    assert "tiny:a: treebench: asks" in svg


def test_runs_on_other_samples_are_refused() -> None:
    given = everything(HARD, np.ones(N, bool))
    with pytest.raises(DataError, match="no-tool is missing"):
        diagnose({"visionthink": given["visionthink"]})
    with pytest.raises(DataError, match="random-crop was not played"):
        diagnose({**given, "random-crop": given["random-crop"][1:]})
