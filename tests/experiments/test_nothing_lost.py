"""Whatever a command is told, and whenever it is killed: nothing of anybody's is lost.

Every command is run in folders with somebody's files, by the names that it writes itself; with
valid and with wrong settings; beside its own finished results; and killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from experiments.cli import main
from trainers.results import STAMPS, Stamp, begin, kept, restore
from trainers.runs import OWNS

pytest.importorskip("torch")
pytest.importorskip("transformers")

MINE = (
    *("notes.txt", "result.json", "episodes.jsonl", "metrics.jsonl", "recipe.toml", "plot.png"),
    *("train/data.jsonl", "warmup/model.safetensors", "policies/trained/episodes.jsonl"),
    *("jsonl/samples.jsonl", "hf/data.arrow", "cold-start/transcripts.jsonl", "settings.json"),
    *("checkpoint/model.pt", "checkpoint/step-000001/weights.bin", "openrlhf/run.json"),
    *("report.html", "report-accuracy.png", "table.md", "config.json", ".lock", "direct/x"),
)
"""Names of somebody's files."""

DATA = "generated:n=6"
TINY = (
    *("model.agent=tiny", "steps=2", "rollout.prompts=2", "rollout.group_size=2"),
    *("rollout.max_new_tokens=4", "rollout.probes=0", "data.train=generated:n=8,split=train"),
    *("data.validation=generated:n=4,split=validation", "optimiser.minibatches=1"),
    *("checkpoint.every=1", "evaluation.every=0", "tracking.wandb=off", "optimiser.warmup_steps=0"),
)
WARMUP = ("reading=0", "vision_steps=1", "vision_batch=2", "steps=1", "batch=2")


def files(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, links by where they lead."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}".encode()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def somebody_s(folder: Path, names: Sequence[str] = MINE) -> Path:
    """A folder with somebody's files, and a link out of it."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"somebody's {name}")
    (folder / "link").symlink_to("..")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    assert main(["warmup", *WARMUP, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played") / "a"
    assert main(["eval", "--agent", "direct", "--data", DATA, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def commands(tiny: Path, played: Path, tmp_path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """The words of each command that has a folder of results, and wrong ones, without ``--out``."""
    study = tmp_path / "study.toml"
    study.write_text('recipe = "laptop"\nseeds = [1]\n[arms.a]\n')
    train = ["train", "laptop", f"model.path={tiny}", *TINY]
    evaluate = ["eval", "--agent", "direct", "--data"]
    prepare = ["prepare", "--agent", "direct", "--rollouts", "1", "--gap", "1", "--unequal",
               "--format", "jsonl", "--data"]  # fmt: skip
    return {
        "train": (train, [*train, "data.train=nothing:x"]),
        "eval": ([*evaluate, DATA], [*evaluate, "generated:n=0"]),
        "eval several": (
            [*evaluate, DATA, "--agent", "request"],
            [*evaluate, DATA, "--agent", "x"],
        ),
        "eval modes": ([*evaluate, DATA, "--mode", "low"], [*evaluate, DATA, "--mode", "x"]),
        "judge": (["judge", str(played)], ["judge", str(played), "--judge", "x"]),
        "prepare": ([*prepare, DATA], [*prepare, DATA, "--classes", "x"]),
        "warmup": (["warmup", *WARMUP], ["warmup", "stepz=1"]),
        "demo": (
            ["demo", "--plan", "laptop", *TINY[1:], "--warmup-steps", "1", "--samples", "40"],
            ["demo", "--samples", "2"],
        ),
        "study": (["study", str(study)], ["study", "nothing"]),
    }


COMMANDS = ("train", "eval", "eval several", "eval modes", "judge", "prepare", "warmup",
            "demo", "study")  # fmt: skip
OVERWRITING = COMMANDS[:8]
QUICK = ("train", "eval", "eval several", "judge", "prepare", "warmup")


def flags(name: str) -> list[list[str]]:
    resume = [] if name in ("warmup", "study", "judge") else [["--resume"]]
    return [[], *resume, *([["--overwrite"]] if name in OVERWRITING else [])]


@pytest.mark.parametrize("name", COMMANDS)
def test_somebody_s_folder_is_never_touched(commands, name: str, tmp_path: Path, capsys) -> None:
    for valid in commands[name]:
        for number, flag in enumerate(flags(name)):
            out = somebody_s(tmp_path / f"out{number}", MINE[number::3])
            before = files(out)
            assert main([*valid, *flag, "--out", str(out)]) == 2
            assert files(out) == before
            assert len(capsys.readouterr().err.strip().splitlines()) == 1
            shutil.rmtree(out)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow)
                                  for n in OVERWRITING])  # fmt: skip
def test_beside_our_results_nothing_is_touched_and_wrong_settings_cost_nothing(
    commands, name: str, tmp_path: Path, capsys
) -> None:
    valid, wrong = commands[name]
    out = tmp_path / "out"
    ends = 1 if name == "demo" else 0  # two steps reach no target
    assert main([*valid, "--out", str(out)]) == ends
    for path in ("notes.txt", "more/notes.txt", "checkpoint/model.pt", "link"):
        (out / path).parent.mkdir(exist_ok=True)
        if path == "link":
            (out / path).symlink_to(tmp_path)
        else:
            (out / path).write_text("mine")
    before = files(out)
    assert main([*valid, "--out", str(out)]) == 2
    assert main([*wrong, "--overwrite", "--out", str(out)]) == 2
    assert files(out) == before
    assert main([*valid, "--overwrite", "--out", str(out)]) == ends, capsys.readouterr().err
    after = files(out)
    assert before.keys() == after.keys()
    for path in ("notes.txt", "more/notes.txt", "checkpoint/model.pt", "link"):
        assert after[path] == before[path]
    assert kept(out) is None


def test_what_is_read_is_not_overwritten(tiny: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    prepare = ["prepare", "--agent", "direct", "--rollouts", "1", "--gap", "1", "--unequal",
               "--format", "jsonl", "--out", str(out), "--data"]  # fmt: skip
    assert main([*prepare, DATA]) == 0
    run = tmp_path / "run"
    train = ["train", "laptop", *TINY, "--out", str(run)]
    assert main([*train, f"model.path={tiny}"]) == 0
    (model,) = run.glob("checkpoint/step-000002/model")
    before = files(tmp_path)
    for words in (
        [*prepare, f"jsonl:{out / 'jsonl'}", "--overwrite"],
        [*prepare, str(out / "jsonl"), "--overwrite"],
        [*train, f"model.path={model}", "--overwrite"],
    ):
        capsys.readouterr()
        assert main(words) == 2
        assert "is to be read, and lies in" in " ".join(capsys.readouterr().err.split())
    assert files(tmp_path) == before


def test_single_files_are_never_replaced_unasked(played: Path, tmp_path: Path, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"question": "How many?", "references": ["1"], "prediction": "1", "score": NaN}\n'
        '{"question": "How many?", "references": ["1"], "prediction": "2", "x": {"y": Infinity}}\n'
    )
    judge = ["judge", str(rows), "--judge", "exact", "--out"]
    judged = tmp_path / "judged.jsonl"
    assert main([*judge, str(judged)]) == 0
    assert [json.loads(line)["verdict"] for line in judged.read_text().splitlines()] == [
        True,
        False,
    ]
    for words in (
        judge,
        ["compare", str(played), str(played), "--out"],
        ["report", str(played), "--out"],
        ["judge", str(judged), "--sample"],
    ):
        out = tmp_path / f"out-{words[0]}{words[-1]}.html"
        out.write_text("mine")
        flagged = [[], ["--overwrite"]]
        for flag in flagged:
            assert main([*words, str(out), *flag]) == 2
            assert out.read_text() == "mine"
        out.unlink()
        assert main([*words, str(out)]) == 0, capsys.readouterr().err
        before = files(tmp_path)
        assert main([*words, str(out)]) == 2
        assert files(tmp_path) == before
        if words[-1] != "--sample":
            assert main([*words, str(out), "--overwrite"]) == 0
        assert not list(tmp_path.glob("*.part"))
    plot = tmp_path / "page-accuracy.png"
    plot.write_text("mine")
    assert main(["report", str(played), "--out", str(tmp_path / "page.html")]) == 2
    assert plot.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said_before_the_work(commands, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for valid, _ in commands.values():
        for out in (tmp_path / "file", tmp_path / "file" / "out"):
            assert main([*valid, "--out", str(out)]) == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_that_was_killed_before_it_began_goes_on(tiny: Path, tmp_path: Path) -> None:
    """All that there is then is the stamp."""
    out = tmp_path / "out"
    words = ["train", "laptop", f"model.path={tiny}", *TINY, "--out", str(out)]
    (out / ".vt").mkdir(parents=True)
    Stamp("train", OWNS, {"words": [words]}).write(out)
    assert main(["train", "--resume", "steps=3", "--out", str(out)]) == 0
    assert json.loads((out / "result.json").read_text())["steps"] == 3


def test_earlier_results_are_put_back_by_a_command(played: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(played, out)
    before = files(out)
    assert main(["restore", str(out)]) == 2
    assert "nothing is to be put back" in capsys.readouterr().err
    child = os.fork()
    if not child:
        with begin(out, "eval", ("result.json", "episodes.jsonl"), "overwrite"):
            (out / "result.json").write_text("half")
            os._exit(9)
    os.waitpid(child, 0)
    assert main(["eval", "--agent", "x", "--data", DATA, "--resume", "--out", str(out)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"to have them back: vt restore {out}" in said
    assert main(["restore", str(out)]) == 0
    assert files(out) == before
    assert main(["restore", str(tmp_path)]) == 2


# --------------------------------------------------------------------------------- killed

ROOT = Path(__file__).parents[2]
COUNTING = Path(__file__).with_name("counting_vt.py")


def vt(*words: object, log: Path) -> subprocess.Popen[str]:
    """``vt`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(COUNTING), *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "LOG": str(log), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not what a shell ignores
    )  # fmt: skip


def killed(process: subprocess.Popen[str], moved: Callable[[], bool], wait: float) -> None:
    """SIGKILL some time after the earlier results were moved aside."""
    until = time.monotonic() + 120
    while process.poll() is None and not moved():
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def without_times(found: dict[str, bytes]) -> dict[str, bytes]:
    """What two equal commands leave alike: no plots, no times, nothing of ours alone."""
    varies = ("result.json", "report.json", "state.json", "manifest.json", "recipe.toml",
              "metrics.jsonl", "starts.jsonl")  # fmt: skip
    return {
        name: data for name, data in found.items()
        if not name.startswith(".vt/") and not name.endswith((".png", ".svg", *varies))
    }  # fmt: skip


def overwritten_and_killed(
    words: list[str], out: Path, tmp_path: Path, wait: float, back: bool
) -> None:
    """Results are overwritten by equal ones, which is killed, and taken back or gone on with."""
    mine = out / "notes.txt"
    mine.write_text("mine")
    before = files(out)
    log = tmp_path / "log"
    process = vt(*words, "--overwrite", "--out", out, log=log)
    killed(process, lambda: kept(out) is not None, wait)
    if back and restore(out):
        after = files(out)
        stamps = dict.fromkeys(STAMPS, b"")
        assert {**after, **stamps} == {**before, **stamps}
    else:
        process = vt(words[0], "--resume", "--out", out, log=log)
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
        assert without_times(files(out)) == without_times(before)
    assert kept(out) is None
    assert mine.read_text() == "mine"
    stamp = Stamp.read(out)
    assert stamp is not None
    assert stamp.finished


def kills(name: str, number: int) -> list[tuple[float, bool]]:
    """When to kill, and whether the earlier results are taken back; both kinds in turn."""
    rng = random.Random(name)
    return [(rng.uniform(0, 1.5), bool(i % 2)) for i in range(number)]


EVAL = ["eval", "--agent", "counting:p=0.5", "--judge", "counting", "--data", "generated:n=24",
        "--batch", "2"]  # fmt: skip
PREPARE = ["prepare", "--agent", "counting:p=0.5", "--judge", "counting", "--rollouts", "2",
           "--gap", "2", "--unequal", "--format", "jsonl", "--batch", "2", "--data",
           "generated:n=16"]  # fmt: skip


@pytest.mark.parametrize("words", [EVAL, PREPARE], ids=["eval", "prepare"])
def test_an_overwrite_that_is_killed_costs_nothing(words: list[str], tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    _, error = vt(*words, "--out", out, log=log).communicate(timeout=240)
    assert (out / ".vt").exists(), error
    for wait, back in kills(words[0], 2):
        overwritten_and_killed(words, out, tmp_path, wait, back)


@pytest.mark.slow
def test_a_training_run_that_is_overwritten_and_killed_costs_nothing(
    tiny: Path, tmp_path: Path
) -> None:
    words = ["train", "laptop", f"model.path={tiny}", *TINY, "steps=12"]
    out, log = tmp_path / "out", tmp_path / "log"
    _, error = vt(*words, "--out", out, log=log).communicate(timeout=240)
    assert (out / ".vt").exists(), error
    for wait, back in kills("train", 2):
        overwritten_and_killed(words, out, tmp_path, wait, back)


def test_ctrl_c_says_where_things_are_and_how_to_go_on(tmp_path: Path) -> None:
    out, log = tmp_path / "out put", tmp_path / "log"
    process = vt(*EVAL, "--out", out, log=log)
    until = time.monotonic() + 120
    while not log.exists() or log.read_text().count("act") < 4:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == (
        f"vt eval: stopped; what is done is in {out}. To go on: vt eval --resume --out '{out}'"
    )
    again = vt("eval", "--resume", "--out", out, log=log)
    again.communicate(timeout=240)
    assert again.returncode == 0
    names = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("act")]
    assert len(set(names)) == 24


@pytest.mark.parametrize("flip", [False, True])
def test_a_judge_that_was_interrupted_goes_on(tmp_path: Path, flip: bool, capsys) -> None:
    rows, out, log = tmp_path / "rows.jsonl", tmp_path / "out.jsonl", tmp_path / "log"
    made = ({"question": "What?", "references": ["a"], "prediction": "ab"[i % 2], "score": i / 2,
             "rate": float("nan")} for i in range(2000))  # fmt: skip
    rows.write_text("".join(json.dumps(row) + "\n" for row in made))
    words = ["judge", str(rows), "--judge", "exact", "--out", str(out)]
    assert main(words) == 0
    whole = out.read_text()
    out.unlink()
    part = tmp_path / "out.jsonl.part"
    process = vt(*words, log=log)
    killed(process, lambda: part.exists() and part.stat().st_size > 20_000, 0)
    if not part.exists():
        pytest.skip("it was faster than the kill")
    before = part.read_bytes()
    if flip:
        data = bytearray(before)
        data[9_000] ^= 4
        part.write_bytes(bytes(data))
    capsys.readouterr()
    assert main(words) == 2
    assert "add --resume to go on" in capsys.readouterr().err
    assert main([*words[:3], "auto", *words[4:], "--resume"]) == 2
    assert "was begun with the judge 'exact'" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert out.read_text() == whole
    assert not part.exists()
