"""Plausible wrong input: each is one line with what was expected, and exit code 2."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from experiments.cli import main

PLAY = [
    ("--agnt direct", "unknown option '--agnt'; did you mean '--agent'?"),
    ("--nothing=1", "unknown option '--nothing'"),
    ("--data", "expected a value after it"),
    ("--data ''", "--data: expected a value, got ''"),
    ("--id ''", "--id: expected a value"),
    ("--agent ''", "--agent: expected a value"),
    ("--tokens ''", "--tokens: expected a value"),
    ("--seed x", "expected a whole number from 0 up, got 'x'"),
    ("--seed -1", "expected a whole number from 0 up, got '-1'"),
    ("--seed 1.5", "expected a whole number from 0 up, got '1.5'"),
    ("--seed 99999999999999999999999999", "expected a whole number from 0 up"),
    ("--factor x", "expected a number, got 'x'"),
    ("--factor 0", "factor must be above 0 and at most 1"),
    ("--factor nan", "factor must be above 0 and at most 1"),
    ("--max-turns x", "expected a whole number, got 'x'"),
    ("--max-turns 0", "max_turns must be at least 1"),
    ("--tokens gpt", "Unknown visual-token family 'gpt'"),
    ("--tokens qwen2.5-vl:max_pixels=x", "takes a whole number as max_pixels, got 'x'"),
    ("--prompt nope.txt", "prompt 'nope.txt' is neither"),
    ("--prompt folder", "Is a directory"),
    ("--prompt notes.txt", "is not TOML"),
    ("--tool resize", "Did you mean 'resize_image'?"),
    ("--first-look lancsoz", "Did you mean 'lanczos'? Known: draft, lanczos, reduce"),
    ("--first-look tokens:x", "expected a whole number of at least 1, as tokens:256"),
    ("--first-look side:64 --factor 0.5", "both say how large the first view is; give one"),
    ("--stage tests", "known: training, evaluation"),
    ("--max-pictures 0", "max_pictures must be at least 1"),
    ("--over-budget lost", "known: wrong, unscored"),
    ("--protocol visionthnk", "did you mean 'visionthink'?"),
    ("--judge exct", "Did you mean 'exact'?"),
    ("--image folder --question q", "expected a picture's file, and folder is a folder"),
    ("--image notes.txt --question q", "play: picture 'notes.txt': expected one of JPEG"),
    ("--image notes.txt", "--image needs a --question"),
    ("--image notes.txt --question q --id 3", "--id belongs to --data"),
    ("--save notes.txt", "cannot write to notes.txt: notes.txt is no folder"),
    ("--save notes.txt/x", "is no folder"),
    ("--agent drect", "Did you mean 'direct'?"),
    ("--agent random:p=2", "p must be between 0 and 1"),
    ("--data generate", "Did you mean 'generated'?"),
    ("--data generated:sed=1", "Did you mean 'seed'?"),
    ("--data generated:n=1e9", "takes a whole number as n, got 1000000000.0"),
    ("--data jsonl:nope", "found nothing at nope"),
    ("--data jsonl:empty.jsonl", "has no rows"),
    ("--data jsonl:binary.jsonl", "not UTF-8 text"),
    ("--data notes.txt", "expected a .jsonl, .csv or .tsv file"),
    ("--data folder:folder", "it has no files"),
    ("--data two.csv", "no image column"),
    ("--data two.csv,columns=x", "columns is field:column"),
    ("--data two.csv,root=nope", "root is the folder that pictures lie in"),
    ("--data two.csv,rules=x", "rules is a vt_env.pictures.PictureRules"),
    ("--data two.csv,limt=1", "Did you mean 'limit'?"),
    ("--data hf:nope", "found nothing at"),
    ("--data http://x/y.jsonl", "Unknown source 'http'"),
    ("extra", "unexpected 'extra'"),
    ("--data generated n=1", "unexpected 'n=1'"),
]
EVAL = [
    ("", "required: --agent, --data"),
    ("--agent direct", "required: --data"),
    ("--agent direct --data generated --gpus 1", "say how many --shards, too"),
    ("--gpus -1", "expected a whole number from 0 up"),
    ("--batch 0", "expected a whole number of at least 1"),
    ("--limit x", "expected a whole number of at least 1"),
    ("--shard 2/2", "expected I/N with 0 <= I < N"),
    ("--agent direct --data generated --mode lw", "Unknown mode 'lw'"),
    ("--merge", "expected one or more values after it"),
    ("--merge folder", "folder holds no evaluation"),
    ("--agent direct --data training:zwz,path=notes.txt", "found a file at notes.txt"),
    ("--agent direct --suite zoom", "of visualprobe-easy, visualprobe-medium"),
    ("--suite table2", "invalid choice: 'table2'"),
    ("--data generated:n=2 --agent direct --out notes.txt", "notes.txt is a file"),
]
OTHER = [
    ("", "required: COMMAND"),
    ("evl", "there is no command 'evl'; did you mean 'eval'?"),
    ("--verson", "unknown option '--verson'; did you mean '--version'?"),
    ("list", "expected one of recipes, studies"),
    ("list recipe", "did you mean 'recipes'?"),
    ("judge notes.txt", "expected one of --out, --sample and --labels"),
    ("judge nope --out o --variant fixed", "go with lmms:PATH"),
    ("judge folder --out o --resume", "--resume is for a file of answers"),
    ("compare nope", "expected two results"),
    ("train laptop", "required: --out"),
    ("judge nope --out o", "cannot read nope"),
    ("judge --fle x", "unknown option '--fle'"),
    ("compare nope nope", "cannot read nope"),
    ("report folder", "nothing to report in folder"),
    ("report nope", "expected a folder of results at nope, and there is none"),
    ("report notes.txt", "expected a folder of results at notes.txt, and that is a file"),
    ("view nope", "expected a folder of results at nope, and there is none"),
    ("restore nope", "expected a folder of results at nope, and there is none"),
    ("restore notes.txt", "and that is a file"),
    ("compare folder folder --page folder", "--page must be a file, but folder is a folder"),
    ("train based.toml --print-config", "there is no base of based.toml, 'nope'"),
    ("train laptop steps=1 foo --out o", "expected key=value"),
    ("train laptop steps=1 --out o foo", "unexpected 'foo'; settings are written key=value"),
    ("serve --port x", "expected a whole number, got 'x'"),
    ("serve --sessions 0", "at least 1"),
    ("serve --prt 1", "did you mean '--port'?"),
    ("serve --token-file nope", "cannot read the token from nope"),
    ("serve --reward x", "--reward wants KEY=VALUE"),
    ("serve --reward token_price=dear", "token_price must be a number, got 'dear'"),
    ("serve --reward token_price=nan", "token_price must be a finite number"),
    ("serve --reward wrong_pays=no", "wrong_pays must be true or false, got 'no'"),
]
ALL = [
    *((f"play {words}", says) for words, says in PLAY),
    *((f"eval --out o {words}", says) for words, says in EVAL),
    *OTHER,
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few files that are no data."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("notes\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(128, 256)))
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    (tmp_path / "based.toml").write_text('base = "nope"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("words", "says"), ALL, ids=[words or "nothing" for words, _ in ALL])
def test_wrong_input(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["" if word == "''" else word for word in words.split()]
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    told = capsys.readouterr().err
    assert code == 2, told
    assert told.count("\n") == 1
    assert says in told
    assert "__init__" not in told


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("vt ")


def test_a_path_that_the_system_refuses_is_wrong_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "roo/w")

    monkeypatch.setattr("experiments.commands.play.task_of", denied)
    assert main(["play"]) == 2
    assert capsys.readouterr().err == "vt play: cannot use roo/w: Permission denied\n"


def test_a_checkpoint_that_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    for path in ("/nosuch", "./nosuch", "runs/nosuch/checkpoint"):
        assert main(["play", "--agent", f"transformers:{path}"]) == 2
        assert f"there is no folder {path!r}" in capsys.readouterr().err


def test_commands_of_play(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["/help", "/hint", "/look", "/look", "<answer>/usr/bin</answer>"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    assert main(["play", "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "/quit   end without an answer" in shown
    assert "there is no command /hint" in shown
    assert "nothing can be asked for any more: type an answer" in shown
    assert "wrong, " in shown
    typed = iter(["/quit"])
    assert main(["play"]) == 0
    assert "no answer was given, so nothing was judged" in capsys.readouterr().out
