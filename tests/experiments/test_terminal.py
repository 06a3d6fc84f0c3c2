"""What data, models and files say is shown on the terminal and never obeyed; no number is cut."""

import io
import json
import logging
import re
import warnings

import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.commands.options import console
from experiments.screen import Screen
from experiments.tables import Column, Table
from experiments.terminal import guard_stderr, one_line, visible

HOSTILE = [
    "[/]",
    "[link=http://evil.example]here[/link]",
    "[bold]loud[/bold]",
    "\x1b[2Jgone",
    "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07",
    "\x9b31mred",
    "a\rb\x08c\x07",
    "\u202egnp.exe",
    "\u2066isolated\u2069",
    "\U000e0041tag",
    "two\u2028lines",
    ":smile:",
]
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\U000e0041]"
)


def assert_only_shown(text: str) -> None:
    """Nothing but printable characters and line breaks."""
    found = _OBEYED.search(text)
    assert found is None, repr(text[max(0, found.start() - 40) : found.end() + 40])


@pytest.fixture
def hostile(tmp_path):
    """A data set that is hostile in every field."""
    rows = []
    for i, text in enumerate(HOSTILE):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(
            {"id": f"{i}{text}", "image": f"{i}.png", "question": f"{text}?", "answers": [text],
             "kind": text, "source": text, "choices": []}
        )  # fmt: skip
    file = tmp_path / "da\x1b[31mta.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("text", HOSTILE)
def test_visible_text_is_printable_and_stays_so(text):
    assert_only_shown(visible(text))
    assert visible(visible(text)) == visible(text)
    assert "\n" not in one_line(f"{text}\n{text}")


def test_what_is_printable_stays():
    for text in ("Où est-ce ? 図 🙂 👩‍🔬 नमस्ते", "a\nb", "x\u00a0y", "`[/]` [link=x]"):
        assert visible(text) == text
    assert visible("a\tb\ud800") == "a b\\ud800"


def test_eval_and_judge(hostile, tmp_path, capsys):
    for agent in ("direct", "request"):
        out = tmp_path / agent
        options = ["--agent", agent, "--data", f"jsonl:{hostile}", "--out", str(out)]
        assert main(["eval", *options]) == 0
        shown = capsys.readouterr()
        assert_only_shown(shown.out + shown.err)
        assert "[/]" in shown.out
        assert "[link=http://evil.example]here[/link]" in shown.out
    assert main(["compare", str(tmp_path / "direct"), str(tmp_path / "request")]) == 0
    assert_only_shown("".join(capsys.readouterr()))
    rows = [
        {"question": t, "references": [t], "prediction": t, "kind": t, "label": False}
        for t in HOSTILE
    ]
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "[b]o\x1b.jsonl"
    assert main(["judge", str(tmp_path / "j.jsonl"), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert_only_shown(shown.out + shown.err)
    assert "[/]" in shown.out


def test_several_agents_and_a_report(hostile, tmp_path, capsys):
    agents = ["--agent", "direct", "--agent", "random:p=0.5"]
    data = ["--data", f"jsonl:{hostile}", "--out", str(tmp_path / "o")]
    assert main(["eval", *agents, *data]) == 0
    assert main(["report", str(tmp_path / "o"), "--out", str(tmp_path / "r.html")]) == 0
    assert_only_shown("".join(capsys.readouterr()))


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_play(hostile, number, monkeypatch, capsys):
    text = HOSTILE[number]
    monkeypatch.setattr("builtins.input", lambda _: f"<answer>{text}</answer>")
    assert main(["play", "--data", f"jsonl:{hostile}", "--id", f"{number}{text}"]) == 0
    assert_only_shown(capsys.readouterr().out)


@pytest.mark.parametrize("text", HOSTILE)
def test_complaints(text, tmp_path, capsys):
    for argv in (
        ["play", "--data", text],
        ["play", "--data", f"jsonl:{text}"],
        ["play", "--id", text],
        ["play", "--agent", text],
        ["play", text],
        ["play", f"--{text}"],
        [text],
        ["eval", "--agent", f"direct:{text}={text}", "--data", "generated", "--out", text],
        ["judge", text, "--out", str(tmp_path / "x")],
        ["serve", "--token-file", text],
    ):
        try:
            code = main(argv)
        except SystemExit as stop:
            code = stop.code
        told = capsys.readouterr()
        assert code in (1, 2), (argv, told)
        assert told.err.count("\n") == 1, (argv, told)
        assert_only_shown(told.err + told.out)


def test_warnings_and_logs_of_nobody(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    guard_stderr()
    logger = logging.getLogger("test.nobody")
    logger.propagate = False
    for text in HOSTILE:
        logger.warning("said: %s", text)
        assert_only_shown(warnings.formatwarning(text, UserWarning, "f.py", 1))
    assert_only_shown(capsys.readouterr().err)


def on_a_terminal(columns: int) -> Screen:
    screen = Screen()
    screen._force_terminal = True
    screen.file, screen.width = io.StringIO(), columns
    screen.no_color = True
    return screen


def shown(table: Table, columns: int) -> str:
    screen = on_a_terminal(columns)
    screen.show(table)
    return re.sub("\x1b\\[[0-9;]*m", "", screen.file.getvalue())


def numbers(rows: int = 3, more: int = 0) -> Table:
    heads = ["n", "accuracy", "95 %", "asks", "tokens", "share", "format", "unscored"]
    columns = [Column("agent", text=True), *map(Column, heads)]
    columns += [Column(f"more {i}") for i in range(more)]
    made = [
        [f"random:p=0.{i},answerer=ocr", f"10{i}", f"0.12{i}", f"0.10-0.2{i}", f"4{i}%",
         f"1234.{i}", f"0.3{i}", "100%", "0", *[""] * more]
        for i in range(rows)
    ]  # fmt: skip
    return Table("accuracy against visual tokens", columns, made)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_no_number_is_cut(columns):
    text = shown(numbers(), columns)
    assert "…" not in text
    for i in range(3):
        for number in (f"10{i}", f"0.12{i}", f"0.10-0.2{i}", f"4{i}%", f"1234.{i}", f"0.3{i}"):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text), (number, text)
    assert "100%" in text
    assert max(map(len, text.splitlines())) <= columns


def test_what_is_the_same_is_said_below():
    assert "the same in every row: format 100%, unscored 0" in shown(numbers(), 80)
    assert "the same" not in shown(numbers(), 200)


def test_one_row_keeps_its_numbers():
    text = shown(numbers(1), 60)
    assert all(number in text for number in ("100", "0.120", "0.10-0.20", "40%", "1234.0", "0.30"))


@pytest.mark.parametrize("columns", ["60", "80"])
def test_commands_on_a_narrow_terminal(columns, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    data = ["--data", "generated:n=12"]
    modes = ["--mode", "low", "--mode", "full", "--mode", "visionthink"]
    for argv in (
        ["eval", "--agent", "direct", "--agent", "oracle", *data, "--out", str(tmp_path / "a")],
        ["eval", "--agent", "oracle", *data, *modes, "--out", str(tmp_path / "m")],
        ["eval", "--agent", "oracle", *data, "--out", str(tmp_path / "o")],
        ["compare", str(tmp_path / "a" / "direct"), str(tmp_path / "o")],
    ):
        assert main(argv) == 0
        text = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
        assert "…" not in text, text


def test_what_is_piped_is_not_cut(capsys):
    table = numbers(more=20)
    screen = console()
    screen.file = io.StringIO()
    screen.show(table)
    text = screen.file.getvalue()
    assert "…" not in text
    assert "more 19" in text
    assert len(text.splitlines()) == 8
    screen.print("word " * 100)
    assert screen.file.getvalue().endswith("word " * 100 + "\n")
