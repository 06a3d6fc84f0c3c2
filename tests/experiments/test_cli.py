"""``vt`` as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.cli import COMMANDS, main, parser_of
from experiments.commands.list import LISTS
from experiments.commands.play import picture
from vt_env.env import VisionThinkEnv
from vt_env.regions import Box, Region
from vt_env.render import boxed


def lines(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Four rows on real files, one of whose pictures is cut short."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append({"id": f"q{i}", "image": f"{i}.png", "question": "What?", "answers": ["no"],
                     "kind": "even" if i % 2 == 0 else "odd", "source": "made"})  # fmt: skip
    cut = folder / "3.png"
    cut.write_bytes(cut.read_bytes()[:2000])
    (folder / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder / "data.jsonl"


def test_eval_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    argv = ["eval", "--agent", "oracle", "--data", "generated:n=40", "--out", str(out)]
    assert main(argv) == 0
    result = json.loads((out / "result.json").read_text())
    for key in ("n", "accuracy", "request_rate", "visual_tokens", "token_ratio", "format_rate",
                "unscored", "refused"):  # fmt: skip
        assert key in result
        assert all(key in part for part in result["by_kind"].values())
        assert all(key in part for part in result["by_source"].values())
    assert (result["n"], result["accuracy"], result["tokens"]) == (40, 1.0, "tiny")
    low, high = result["interval_95"]["accuracy"]
    assert low < 1.0 <= high
    assert result["token_ratio"] == pytest.approx(0.25 + result["request_rate"])
    assert result["provenance"]["seed"] == 0
    episodes = lines(out / "episodes.jsonl")
    assert len(episodes) == 40
    assert {"turns", "answer", "correct", "reward", "views"} <= episodes[0].keys()
    for name in ("plot.png", "plot.svg"):
        assert (out / name).stat().st_size > 1000
    assert "oracle" in capsys.readouterr().out


def test_eval_again_gives_the_same_and_batches_do_not_matter(tmp_path: Path) -> None:
    read = []
    for name, batch in (("a", "16"), ("b", "16"), ("c", "5")):
        argv = ["eval", "--agent", "random:p=0.5", "--data", "generated:n=23", "--seed", "3"]
        assert main([*argv, "--batch", batch, "--out", str(tmp_path / name)]) == 0
        read.append((tmp_path / name / "episodes.jsonl").read_text())
    assert read[0] == read[1] == read[2]


def test_eval_of_several_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "--data", "generated:n=30", "--out", str(tmp_path), "--limit", "10"]
    assert main([*argv, "--agent", "direct", "--agent", "random:p=0.5", "--overwrite"]) == 0
    compared = json.loads((tmp_path / "comparison.json").read_text())["agents"]
    assert compared.keys() == {"direct", "random:p=0.5"}
    assert json.loads((tmp_path / "direct" / "result.json").read_text())["n"] == 10
    assert (tmp_path / "random_p=0.5" / "episodes.jsonl").exists()
    assert "where asking pays" in capsys.readouterr().out


def test_a_broken_picture_is_refused_and_counted(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["eval", "--agent", "ocr", "--data", str(questions), "--out", str(out)]
    assert main(argv) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["n"], result["refused"], result["by_kind"]["odd"]["refused"]) == (11, 1, 1)
    assert result["refusals"][0]["id"] == "q3"
    assert "truncated" in result["refusals"][0]["reason"].lower()


def test_pictures_that_are_shown_in_part_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nobody looked at them on opening."""
    pages = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in (10, 20, 30)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "whole.png")
    told = {"question": "Which colour?", "references": ["red"], "kind": "scan"}
    rows = [told | {"id": name, "image": name} for name in ("pages.tif", "whole.png")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    data = f"jsonl:{tmp_path / 'rows.jsonl'},check=none"
    assert main(["eval", "--agent", "direct", "--data", data, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["partly_shown"], result["by_kind"]["scan"]["partly_shown"]) == (1, 1)
    assert "direct: 1 pictures are shown in part" in capsys.readouterr().out
    found = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert [row.get("partly_shown") for row in found] == [
        "a TIFF of several pages, of which only page 1 is shown",
        None,
    ]
    assert main(["judge", str(out), "--judge", "exact", "--out", str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / "result.json").read_text())["partly_shown"] == 1


def test_too_many_broken_pictures_stop_it(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(4, 9):
        path = questions.parent / f"{i}.png"
        path.write_bytes(path.read_bytes()[:2000])
    argv = ["eval", "--agent", "ocr", "--data", str(questions), "--out", str(tmp_path / "out")]
    assert main(argv) == 2
    assert "more than the share" in capsys.readouterr().err
    assert not (tmp_path / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["evl"], "there is no command 'evl'"),
        (["evl", "--agent", "direct"], "there is no command 'evl'; did you mean 'eval'?"),
        (["eval", "--data", "generated"], "required: --agent"),
        (["eval", "--agent", "drect", "--data", "generated"], "Did you mean 'direct'"),
        (["eval", "--agent", "direct", "--data", "generate"], "Did you mean 'generated'"),
        (["eval", "--agent", "direct", "--data", "no/such/file.jsonl"], "no/such/file.jsonl"),
        (["eval", "--agent", "direct", "--data", "generated", "--limit", "0"], "at least 1"),
        (["eval", "--agent", "direct", "--data", "generated", "--judge", "x"], "Unknown judge"),
        (["eval", "--agent", "direct", "--data", "generated", "--factor", "2"], "at most 1"),
        (["eval", "--agent", "direct", "--data", "generated", "--tokens", "gpt"], "Unknown"),
        (["eval", "--agent", "direct", "--data", "generated", "--max-refused", "2"], "from 0 to 1"),
        (["judge", "nowhere.jsonl"], "nowhere.jsonl"),
        (["play", "--image", "nowhere.png", "--question", "What?"], "no picture at"),
        (["play", "--question", "What?"], "belong to --image"),
        (["play", "--id", "nothing"], "no sample 'nothing'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if argv[:1] in (["eval"], ["judge"]):
        argv = [*argv, "--out", str(tmp_path / "out")]
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["eval", "judge"])
def test_without_the_extra_there_is_one_line(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    file = tmp_path / "in.jsonl"
    file.write_text('{"question": "a", "prediction": "b", "references": ["c"]}')
    options = {"eval": ["--agent", "direct", "--data", "generated:n=2"], "judge": [str(file)]}
    assert main([command, *options[command], "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "pip install" in error
    assert error.count("\n") == 1


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    argv = ["eval", "--agent", "direct", "--data", "generated:n=2", "--out", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "No space left" in capsys.readouterr().err


def test_results_are_not_overwritten_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["eval", "--agent", "direct", "--data", "generated:n=2", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    assert main(argv) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*argv, "--overwrite"]) == 0


def test_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"question": "What colour is it?", "ground_truth": "red", "prediction": "Red.", "id": 1},
        {"question": "How many?", "references": ["3", "three"], "prediction": 3, "label": True},
        {"question": "How many?", "references": 3, "prediction": "4", "label": False},
        {"question": "What is written?", "ground_truth": "a\ud800", "prediction": None},
        {
            "question": "How many?",
            "references": None,
            "ground_truth": "3",
            "prediction": "<answer>3</answer>",
        },
        {"question": "How many?", "references": "3", "prediction": "4</answer><answer>3</answer>"},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    assert main(["judge", str(file), "--judge", "auto", "--out", str(out)]) == 0
    judged = lines(out)
    assert [r["verdict"] for r in judged] == [True, True, False, False, True, False]
    assert judged[0]["id"] == 1
    assert all(r["judge"] and r["reason"] for r in judged)
    assert "labelled right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: expected one JSON object"),
        ("[]", "got a list"),
        ('{"question": "a"}', "lacks prediction, references or ground_truth"),
        ('{"question": "a", "prediction": "b", "references": [NaN]}', "a reference is empty"),
        ('{"question": "a", "prediction": "b", "references": ["c", " "]}', "a reference is empty"),
        ('{"question": "a", "prediction": "b", "ground_truth": ""}', "a reference is empty"),
        ('{"question": "a", "prediction": {}, "references": ["x"]}', "prediction must be text"),
        ('{"question": "a", "prediction": "x", "references": []}', "lacks references or"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_judge_stops_at_a_bad_row_and_writes_nothing(
    row: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = '{"question": "a", "prediction": "b", "references": ["c"]}\n'
    file.write_bytes((good + row + "\n").encode("utf-8", "surrogateescape"))
    assert main(["judge", str(file), "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_play_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "mine.png"
    Image.new("RGB", (640, 480), "red").save(image)
    typed = iter(["", "/look", "Red"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    argv = ["play", "--image", str(image), "--question", "What colour is it?", "--answer", "red"]
    assert main([*argv, "--save", str(tmp_path / "steps")]) == 0
    shown = capsys.readouterr().out
    assert "[image 320 x 240, 99 visual tokens]" in shown
    assert "[image 640 x 480, 391 visual tokens]" in shown
    assert "correct" in shown
    assert sorted(p.name for p in (tmp_path / "steps").iterdir()) == [
        "turn0.png", "turn1.png", "turn2.png"
    ]  # fmt: skip


def test_play_by_hand_looks_at_parts_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "mine.png"
    Image.new("RGB", (640, 480), "red").save(image)
    typed = iter(["/look", "/look 900 0 950 40", "/look 0 0 9 9 2", "/look 320 0 640 240", "Red"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    argv = ["play", "--image", str(image), "--question", "What colour is it?", "--answer", "red"]
    steps = tmp_path / "steps"
    assert main([*argv, "--protocol", "deepeyes", "--save", str(steps)]) == 0
    shown = capsys.readouterr().out
    for said in (
        "a place is four numbers, and a picture's own from 1 up: /look LEFT TOP RIGHT BOTTOM",
        "no pixel of a picture of 640 x 480 is in [900, 0, 950, 40]",
        "[image 320 x 240, 99 visual tokens, [320, 0, 640, 240] of picture 1]",
        "correct",
    ):
        assert said in shown
    assert sorted(path.name for path in steps.iterdir()) == ["turn0.png", "turn1.png", "turn2.png"]


def test_a_part_is_drawn_beside_its_box_on_the_source() -> None:
    env = VisionThinkEnv("generated:n=3,side=128", protocol="deepeyes")
    env.reset(seed=0)
    size = env.dialogue.picture.size
    env.step(env.dialogue.ask(Region(0, Box(0, 0, 64, 64), size), "Closer."))
    part = env.dialogue.views[-1]
    source = boxed(env.dialogue, part)
    assert source is not None
    assert source.getpixel((0, 30)) == source.getpixel((63, 63)) == (180, 60, 20)
    assert boxed(env.dialogue, env.dialogue.views[0]) is None
    lines = picture(part.image, source).splitlines()
    assert len(lines) == 16
    assert all(line.count("▀") == 64 and "  " in line for line in lines)


def test_play_without_a_reference_is_unscored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "mine.png"
    Image.new("RGB", (64, 64), "red").save(image)
    monkeypatch.setattr("builtins.input", lambda _: "red")
    assert main(["play", "--image", str(image), "--question", "What colour is it?"]) == 0
    assert "unscored: no --answer was given" in capsys.readouterr().out


def test_watching_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--agent", "request", "--seed", "4"]) == 0
    assert "request> <think>" in capsys.readouterr().out


def test_the_input_may_end_early(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nothing)
    assert main(["play"]) == 2
    assert "name an --agent" in capsys.readouterr().err


@pytest.mark.parametrize("kind", LISTS)
def test_names_are_listed_with_whole_sentences(kind: str, capsys) -> None:
    assert main(["list", kind]) == 0
    shown = capsys.readouterr().out
    assert "`" not in shown
    assert ":class:" not in shown
    if kind != "keys":
        abouts = [line.split("│")[2].strip() for line in shown.splitlines() if "│" in line]
        assert abouts
        assert all(abouts)
    if kind in ("recipes", "studies"):
        assert all(about[-1] in ".?" for about in abouts), abouts


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_no_wider_than_the_terminal(command: str, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = parser_of(command).format_help().splitlines()
    assert [line for line in told if len(line) > 80 and line[0] != " "] == []


@pytest.mark.parametrize("command", [[], ["eval"], ["play"], ["judge"]])
def test_everything_explains_itself(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *command, "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(done.stdout) > 300
