"""The report: everything on one page, nothing of it executable, nothing left out unsaid."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape
from PIL import Image
from results import DATA, EVIL, POLICIES, is_fine, number, play, row, write

from experiments.cli import main
from experiments.commands.demo import Plan
from experiments.episodes import Notes, shown_rows
from experiments.report import Report, ReportConfig, make_report
from experiments.report.gallery import Arms, marks_of
from experiments.report.reading import key_of, read_results
from experiments.report.text import island, shown
from vt_env import ConfigError


class Markup(HTMLParser):
    """Every tag and attribute of a page, and its data."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.islands: dict[str, Any] = {}
        self._island = ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        found = dict(attrs)
        self._island = found["id"] or "" if found.get("type") == "application/json" else ""

    def handle_data(self, data: str) -> None:
        if self._island and data.strip():
            self.islands[self._island] = json.loads(data)


def made(folder: Path, **config: Any) -> tuple[Report, Markup]:
    report = make_report([folder], folder / "report.html", ReportConfig(**config))
    return report, Markup(report.page)


def alone(tmp_path: Path, *rows: dict[str, Any], **told: Any) -> tuple[Report, Markup]:
    write(tmp_path / "run", rows, agent="someone", **told)
    return made(tmp_path / "run")


def test_the_page_holds_everything(tmp_path: Path) -> None:
    report, page = made(play(tmp_path))
    text = report.page.read_text("utf-8")
    assert [p["name"] for p in page.islands["meta"]["policies"]] == [
        "mixed",
        "low",
        "always-request",
    ]
    assert len(page.islands["samples"]) == 12
    assert all(len(page.islands[f"episodes-{i}"]) == 12 for i in range(3))
    assert len(page.islands["pictures"]) == 24  # both views of each
    assert page.tags.count("script") == 7  # six islands and the page's own
    loaded = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/", "#")) for value in loaded)
    assert report.notes == []
    for figure in report.figures:
        for suffix in (".png", ".svg"):
            assert figure.path.with_suffix(suffix).stat().st_size > 1000
    names = [figure.path.name for figure in report.figures]
    assert names == ["report-accuracy", "report-requests"]
    for word in ("Summary", "0.667", "always-request", "default-src &#39;none&#39;"):
        assert word in text


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    report, _ = made(play(tmp_path))
    first = report.page.read_bytes()
    assert made(tmp_path)[0].page.read_bytes() == first


def test_marks_come_from_both_arms(tmp_path: Path) -> None:
    _, page = made(play(tmp_path))
    samples = page.islands["samples"]
    for episode in page.islands["episodes-0"]:
        sample_id = samples[episode["sample"]]["id"]
        asked, fine = number(sample_id) % 2 == 0, is_fine(sample_id)
        marks = set(episode.get("marks", []))
        assert ("needless" in marks) == (asked and not fine)
        assert ("missed" in marks) == (not asked and fine)
        assert ("wrong" in marks) == (not asked and fine)
        assert (episode["low"], episode["high"]) == (not fine, True)
    told = page.islands["meta"]["policies"][0]["told"]
    assert "low, which never asks" in told
    assert "always-request, which always sees" in told


def test_without_the_arms_marks_are_unknown_and_it_is_said(tmp_path: Path) -> None:
    _, page = made(play(tmp_path, ["mixed"]))
    (policy,) = page.islands["meta"]["policies"]
    assert policy["counts"]["needless"] == {"found": 0, "unknown": 6}
    assert policy["counts"]["missed"] == {"found": 0, "unknown": 2}  # only wrong answers can be
    assert policy["told"].count("cannot be known") == 2


def test_an_arm_on_other_data_or_of_another_agent_tells_nothing(tmp_path: Path) -> None:
    play(tmp_path, ["mixed"])
    write(tmp_path / "low", [row()], agent="other", mode="low", data=DATA.format(n=12))
    write(tmp_path / "full", [row()], agent="same", mode="full", data="elsewhere.jsonl")
    _, page = made(tmp_path)
    names = {p["name"]: p for p in page.islands["meta"]["policies"]}
    assert names["mixed"]["told"].count("cannot be known") == 2


@pytest.mark.parametrize(
    ("changed", "low", "high", "needless", "missed"),
    [
        ({"requested": True}, True, True, True, False),
        ({"requested": True}, False, True, False, False),
        ({"requested": True}, None, True, None, False),
        ({"requested": True, "futile_request": True}, None, None, True, False),
        ({"correct": False}, False, True, False, True),
        ({"correct": False}, False, False, False, False),
        ({"correct": False}, False, None, False, None),
        ({"correct": None}, False, True, False, None),
        ({"correct": False, "visual_tokens": 16}, False, True, False, False),
        ({"requested": ..., "correct": False}, True, True, None, None),
    ],
)
def test_marks(
    changed: dict[str, Any],
    low: bool | None,
    high: bool | None,
    needless: bool | None,
    missed: bool | None,
    tmp_path: Path,
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row(**changed)))
    (episode,) = shown_rows(tmp_path / "rows.jsonl", Notes())
    arms = Arms("low", "high", {key_of(episode): low}, {key_of(episode): high})
    marks = marks_of(episode, arms)
    assert (marks.needless, marks.missed) == (needless, missed)


# ------------------------------------------------------------------------------------ pictures


def test_more_pictures_than_the_cap_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    report, page = made(play(tmp_path), pictures=3)
    drawn = [s for s in page.islands["samples"] if "picture" in s]
    assert len(drawn) == 3
    assert all(s["size"] == [32, 32] for s in page.islands["samples"])
    assert any("9 samples are shown by size alone" in note for note in report.notes)
    notable = {e["sample"] for e in page.islands["episodes-0"] if e.get("marks")}
    assert {page.islands["samples"].index(s) for s in drawn} <= notable


def test_shared_and_huge_pictures_are_embedded_once_and_small(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(pixels).resize((4000, 3000)).save(tmp_path / "large.jpg", quality=60)
    rows = [
        {"id": f"q{i}", "image": "large.jpg", "question": "What?", "answers": ["x"]}
        for i in range(4)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    played = [
        row(id=f"q{i}", question="What?", references=["x"], views=[[2000, 1500]]) for i in range(4)
    ]
    _, page = alone(tmp_path, *played, data=str(data))
    (uri,) = page.islands["pictures"]
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 100_000
    assert [s["size"] for s in page.islands["samples"]] == [[4000, 3000]] * 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere/data.jsonl", "cannot be opened"),
        ("hf:someone/something", "not opened unasked"),
        ("", "does not name its data"),
        ("generated:n=20", "has no such sample"),
        ("generated:what=1", "cannot be opened"),
    ],
)
def test_where_the_data_is_gone_the_page_shows_sizes(tmp_path: Path, data: str, said: str) -> None:
    seen = row(views=[[16, 16], [32, 32]], requested=True)
    report, page = alone(tmp_path, seen, data=data)
    assert page.islands["pictures"] == []
    assert page.islands["samples"][0]["size"] == [32, 32]
    assert said in " ".join(report.notes)


@pytest.mark.parametrize("change", ["question", "size", "broken"])
def test_a_picture_that_is_another_by_now_is_not_shown(tmp_path: Path, change: str) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    line = {"id": "s1", "image": "a.png", "question": "What is it?", "answers": ["a cat"]}
    seen = row(views=[[32, 24]])
    if change == "question":
        line["question"] = "Something else?"
    elif change == "size":
        Image.new("RGB", (10, 99)).save(tmp_path / "a.png")
    else:
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "data.jsonl").write_text(json.dumps(line) + "\n")
    report, page = alone(tmp_path, seen, data=str(tmp_path / "data.jsonl"))
    assert page.islands["pictures"] == []
    assert page.islands["samples"][0]["why"]
    assert report.notes


# ------------------------------------------------------------------------------------ odd input


def test_hostile_text_is_text(tmp_path: Path) -> None:
    evil = row(
        id=EVIL, question=EVIL, references=[EVIL], kind=EVIL, source=EVIL, judge=EVIL, reason=EVIL,
        flaws=[EVIL], turns=[{"text": f"<think>{EVIL}</think><answer>{EVIL}</answer>"}, EVIL],
        answer=EVIL, metadata={EVIL: EVIL},
    )  # fmt: skip
    write(tmp_path, [evil], agent=EVIL, data=EVIL, provenance={"command": EVIL})
    _, page = made(tmp_path, title=EVIL, lead=EVIL)
    assert page.tags.count("script") == 5
    assert page.tags.count("img") == 2  # the plots
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.islands["samples"][0]["question"].startswith("</script><script>")


@settings(deadline=None)
@given(st.recursive(st.text() | st.none() | st.booleans() | st.integers(), st.lists))
def test_an_island_has_no_markup_and_is_what_it_was(value: Any) -> None:
    text = island(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_shown_text_is_valid_and_has_no_marks_that_reorder(text: str) -> None:
    made = shown(text)
    made.encode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\u2028\u2029\u202a-\u202e\u2066-\u2069]", made)
    assert not set(escape(made)) & set("<>\"'")


def test_other_scripts_stay_as_they_are() -> None:
    for text in ("می‌خواهم", "שלום עולם", "数字は四十七", "👩‍👧", "47\u00a0%"):
        assert shown(text) == text.replace("\u00a0", " ")


def test_right_to_left_and_other_scripts_come_through(tmp_path: Path) -> None:
    words = ["كم عدد القطط؟", "数字は何ですか", "Сколько?", "$x_1$", "_hidden", "{}"]
    rows = [row(id=f"i{i}", question=w, kind=w, source=w) for i, w in enumerate(words)]
    _, page = alone(tmp_path, *rows)
    assert [s["question"] for s in page.islands["samples"]] == words


def test_one_episode(tmp_path: Path) -> None:
    report, page = alone(tmp_path, row())
    assert len(page.islands["episodes-0"]) == 1
    assert [f.path.name for f in report.figures] == ["report-accuracy", "report-requests"]


def test_all_unscored(tmp_path: Path) -> None:
    rows = [row(id=f"s{i}", correct=None, reward=None) for i in range(3)]
    report, page = alone(tmp_path, *rows)
    assert page.islands["meta"]["policies"][0]["counts"]["unscored"]["found"] == 3
    assert [f.path.name for f in report.figures] == ["report-requests"]  # nothing to plot against


def test_missing_and_old_fields(tmp_path: Path) -> None:
    tmp_path.joinpath("episodes.jsonl").write_text('{"id": "a", "question": "What?"}\n{}\n')
    report, page = made(tmp_path)
    assert [s["id"] for s in page.islands["samples"]] == ["a", "line 2"]
    assert "numbers computed from the episodes" in " ".join(report.notes)
    assert report.figures == []


def test_without_a_result_numbers_come_from_the_episodes(tmp_path: Path) -> None:
    write(tmp_path, [row(), row(id="s2", correct=False)])
    (tmp_path / "result.json").unlink()
    report, _ = made(tmp_path)
    assert report.results.policies[0].numbers is not None
    assert report.results.policies[0].numbers["accuracy"] == 0.5
    assert "computed from the episodes" in " ".join(report.notes)


def test_numbers_that_are_none_of_the_kind(tmp_path: Path) -> None:
    write(tmp_path, [row(), row(id="s2")], agent="someone")
    lines = [
        row(visual_tokens=float("nan"), reward={"total": float("inf")}, views="16x16", turns=3),
        row(id="s2", correct="yes", references="a cat", flaws=[1], step="x", visual_tokens=10**400),
    ]
    text = "".join(json.dumps(r) + "\n" for r in lines)
    (tmp_path / "episodes.jsonl").write_text(text + "not json\n[1]\n" + "[" * 9999 + "\n{")
    result = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**result, "accuracy": float("nan")}))
    report, page = made(tmp_path)
    assert len(page.islands["episodes-0"]) == 2
    told = " ".join(report.notes)
    for word in ("'visual_tokens' is not a whole number from 0 up", "no JSON", "no object",
                 "not finite", "'views' is not", "'correct' is not",
                 "'references' is not"):  # fmt: skip
        assert word in told


def test_a_training_run(tmp_path: Path) -> None:
    steps = [
        {"step": i, "rollout/request_rate": 0.5, "reward/mean": i / 10, "env/accuracy": None}
        for i in range(1, 9)
    ]
    steps[3]["reward/mean"] = float("nan")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(s) + "\n" for s in steps))
    example = {"step": 4, "id": "x", "question": "What?", "turns": ["<answer>1</answer>"],
               "answer": "1", "correct": True, "requested": False, "reward": 1.5}  # fmt: skip
    (tmp_path / "episodes.jsonl").write_text(json.dumps(example) + "\n")
    (tmp_path / "recipe.toml").write_text('[data]\nvalidation = "generated:n=3"\n')
    report, page = made(tmp_path)
    assert [f.path.name for f in report.figures] == ["report-training"]
    (episode,) = page.islands["episodes-0"]
    assert (episode["step"], episode["turns"]) == (4, [["", "answers", "1"]])


def test_a_run_that_has_shown_no_episode_yet(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward/mean": 1.0}\n{"step": 2, "rew')
    report, page = made(tmp_path)
    assert page.islands["meta"] == {"policies": []}
    assert "There are no episodes here" in report.page.read_text()


@pytest.mark.parametrize("kind", ["missing", "empty", "no episodes", "file"])
def test_nothing_to_report_is_an_error(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    if kind == "file":
        folder.write_text("")
    elif kind != "missing":
        folder.mkdir()
    if kind == "no episodes":
        (folder / "episodes.jsonl").write_text("")
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert "nothing to report" in error or "expected a folder of results at" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_full_disk_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "run", [row()], agent="someone")
    argv = ["report", str(tmp_path / "run"), "--out", str(tmp_path / "page.html")]
    assert main(argv) == 0
    before = (tmp_path / "page.html").read_bytes()
    capsys.readouterr()
    whole = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if path.name.startswith("page.html") and "w" in mode:
            return whole(Path("/dev/full"), mode, *more, **options)
        return whole(path, mode, *more, **options)

    monkeypatch.setattr(Path, "open", full)
    assert main([*argv, "--overwrite", "--title", "x" * 100_000]) == 1
    assert "No space left" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_bytes() == before


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(tmp_path / "a")
    play(tmp_path / "b", ["mixed"])
    argv = ["report", str(tmp_path / "a"), str(tmp_path / "b"), "--pictures", "2"]
    assert main([*argv, "--episodes", "20", "--title", "Both"]) == 0
    said = capsys.readouterr().out
    assert "note: 2 pictures are embedded" in said
    assert "note: 20 of 48 episodes" in said
    page = Markup(tmp_path / "a" / "report.html")
    names = [p["name"] for p in page.islands["meta"]["policies"]]
    assert names == ["a: mixed", "low", "always-request", "b: mixed"]
    with pytest.raises(ConfigError, match="must be a file"):
        make_report([tmp_path / "a"], tmp_path)


def test_a_demo_s_policies_have_the_names_of_its_table(tmp_path: Path) -> None:
    """A table adds to a result what it takes others to know; names were specs with paths then."""
    play(tmp_path / "policies" / "zoom")
    results = sorted((tmp_path / "policies").rglob("result.json"))
    leaves = [path for path in results if (path.parent / "episodes.jsonl").exists()]
    table = {
        f"policy {number}": {**json.loads(path.read_text("utf-8")), "bootstrap_95": {}}
        for number, path in enumerate(leaves)
    }
    assert len(table) > 1
    (tmp_path / "result.json").write_text(json.dumps({"policies": table}), "utf-8")
    names = [policy.name for policy in read_results([tmp_path]).policies]
    assert names == list(table)


@pytest.mark.slow
def test_a_page_as_large_as_the_demos_stays_under_three_megabytes(tmp_path: Path) -> None:
    """The demo's modes, kinds and cap of episodes."""
    (task,) = Plan.load("laptop").tasks.values()
    modes = [word for mode in task.modes for word in ("--mode", mode)]
    data = DATA.format(n=300)
    argv = ["eval", "--agent", "random:p=0.4", "--data", data, "--out", str(tmp_path), *modes]
    assert main(argv) == 0
    report, page = made(tmp_path)
    assert any("of 2,100 episodes" in note for note in report.notes)
    assert page.islands["pictures"]
    assert report.page.stat().st_size < 3_000_000


@pytest.mark.slow
def test_weights_and_biases_gets_the_same_tables_plots_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    data = tmp_path / "wandb-data"
    monkeypatch.setenv("WANDB_DATA_DIR", str(data))
    play(tmp_path / "run")
    assert main(["report", str(tmp_path / "run"), "--wandb", "offline"]) == 0
    written = [*data.rglob("*"), *(tmp_path / "run" / "wandb").rglob("*")]
    files = [path.read_bytes() for path in written if path.is_file()]
    tables = [json.loads(f) for f in files if f.startswith(b"{") and b'"columns"' in f]
    found = {tuple(table["columns"][:3]): table for table in tables}
    policies = found["policy", "n", "accuracy"]["data"]
    assert [line[:2] for line in policies] == [[name, 12] for name in POLICIES]
    assert {line[1] for line in found["policy", "by", "group"]["data"]} == {"source", "kind"}
    episodes = [table["data"] for table in tables if table["columns"][:2] == ["id", "picture"]]
    pictures = [p for lines in episodes for _, p, *_ in lines if isinstance(p, dict)]
    assert {picture["path"] for picture in pictures if picture["_type"] == "image-file"}
    assert {len(lines) for lines in episodes} == {12}
    page = (tmp_path / "run" / "report.html").read_bytes()
    plots = [path.read_bytes() for path in (tmp_path / "run").glob("report-*.png")]
    assert len(plots) == 2
    assert all(file in files for file in [page, *plots])
