"""lmms-eval's own command with our model, and its logs back to our judges: ``make test-lmms``."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("lmms_eval") is None:
    pytest.skip("needs an environment of its own: make test-lmms", allow_module_level=True)

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OPENAI_API_KEY", "never used")

import small_tasks
from cases import NUMBERS, POOL, SIDES, WORDS

from agents import AGENTS, Reply
from agents.base import answer_turn, request_turn
from agents.tiny.checkpoint import make_vlm, save
from experiments.cli import main
from vt_env import open_source

ANSWERS = {s.id: s.references[0] for s in open_source(f"generated:n={small_tasks.N}")}


class Knowing:
    """Asks about numbers; right about all but one document, which it answers without a format."""

    name = "knowing"

    def act(self, conversations):
        return [Reply(self._turn(c), tokens=5) for c in conversations]

    def _turn(self, c):
        if c.can_request and "number" in c.question:
            return request_turn("too small")
        place = int(c.sample.id.partition("#")[0].rpartition("/")[2])
        if place == 3:
            return "no tags"
        answer = list(ANSWERS.values())[place]
        return answer_turn(f"\\boxed{{{answer}}}" if place == 1 else answer.upper(), "seen")


if "knowing" not in AGENTS.names():
    AGENTS.register("knowing", Knowing)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lmms")
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    return small_tasks.write(folder / "tasks")


def lmms_eval(tasks: Path, out: Path, names: str, arguments: str, *more: str) -> None:
    """Its command line in this process."""
    from lmms_eval.cli.dispatch import main as command

    argv = ["lmms_eval", "--model", "visionthink", "--model_args", arguments, "--tasks", names,
            "--include_path", str(tasks), "--output_path", str(out), "--log_samples",
            "--verbosity", "DEBUG", *more]  # fmt: skip
    before, sys.argv = sys.argv, argv
    try:
        command()
    finally:
        sys.argv = before


def vt(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def test_the_installed_command_finds_the_model(tasks, tmp_path):
    """A process of its own, as a user starts it: the tiny model with random weights."""
    model, out = save(make_vlm(), tmp_path / "model"), tmp_path / "out"
    arguments = (
        f"agent=[tiny:{model},temperature=0],tokens=tiny,prompt=tiny,facts={out}/facts.jsonl"
    )
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", "--model", "visionthink", "--model_args", arguments,
         "--tasks", "vt_table", "--include_path", tasks, "--output_path", out, "--log_samples",
         "--batch_size", "4"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "these settings of tasks are not applied" in done.stdout
    assert vt("judge", f"lmms:{out}", "--judge", "exact", "--out", tmp_path / "ours") == 0
    found = read(tmp_path / "ours")
    assert found["n"] == small_tasks.N
    assert found["agent"] == f"tiny:{model},temperature=0"
    assert found["token_ratio"] is not None
    beside = found["lmms"]
    assert beside["differ"] == []
    assert beside["ours"] == beside["mean"] == beside["reported"]["exact,none"]
    (log,) = out.glob("*_samples_*")
    counts = [row["token_counts"][0] for row in lines(log)]
    rows = lines(tmp_path / "ours" / "episodes.jsonl")
    assert [c["output_tokens"] for c in counts] == [row["generated_tokens"] for row in rows]
    assert all(c["input_tokens"] > 0 for c in counts)
    # the same agent in our own evaluation of the same pictures and questions
    argv = ["--agent", f"tiny:{model},temperature=0", "--data", f"generated:n={small_tasks.N}"]
    assert vt("eval", *argv, "--prompt", "tiny", "--judge", "exact", "--out", tmp_path / "own") == 0
    own = lines(tmp_path / "own" / "episodes.jsonl")
    for key in ("answer", "requested", "visual_tokens", "full_tokens", "views", "turns", "correct"):
        assert [row[key] for row in own] == [row[key] for row in rows], key


@pytest.fixture(scope="module")
def played(tasks, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("played")
    arguments = f"agent=knowing,tokens=tiny,facts={out}/facts.jsonl"
    lmms_eval(tasks, out, "vt_files,vt_table", arguments, "--batch_size", "3")
    return out


def test_a_round_trip(played, tmp_path, capsys):
    assert vt("judge", f"lmms:{played}", "--out", tmp_path / "as") == 0
    assert vt("judge", f"lmms:{played}", "--judge", "auto", "--out", tmp_path / "new") == 0
    for task in ("vt_files", "vt_table"):
        recorded, anew = read(tmp_path / "as" / task), read(tmp_path / "new" / task)
        assert recorded["accuracy"] == recorded["lmms"]["reported"]["exact,none"] == 7 / 8
        assert anew["accuracy"] == 7 / 8
        assert anew["lmms"]["differ"] == []
        assert anew["format_rate"] == 7 / 8
        assert anew["lmms"]["facts"] == {
            "file": f"{played}/facts.jsonl", "altered": 0, "unused": 0,
        }  # fmt: skip
        rows = lines(tmp_path / "new" / task / "episodes.jsonl")
        assert [row["requested"] for row in rows] == ["number" in row["question"] for row in rows]
        assert any(row["requested"] for row in rows)
        assert all(row["full_tokens"] == 16 for row in rows)
        assert rows[3]["answer"] is None
        assert rows[3]["flaws"]
    assert (tmp_path / "new" / "plot.png").exists()
    one, other = tmp_path / "as" / "vt_files", tmp_path / "new" / "vt_files"
    assert vt("compare", one, other) == 0
    assert "no sample changed" in capsys.readouterr().out
    assert vt("report", other, "--out", tmp_path / "page") == 0


def test_one_file_for_one_run(tasks, played, tmp_path):
    arguments = f"agent=knowing,facts={played}/facts.jsonl"
    with pytest.raises(ValueError, match="is there already"):
        lmms_eval(tasks, tmp_path, "vt_files", arguments)


@pytest.mark.parametrize(
    ("mode", "ratio"), [("full", 1.0), ("low", 0.25), ("always-request", 1.25)]
)
def test_modes(tasks, tmp_path, mode, ratio):
    arguments = f"agent=knowing,mode={mode},tokens=tiny,facts={tmp_path}/facts.jsonl"
    lmms_eval(tasks, tmp_path, "vt_files", arguments, "--limit", "4", "--batch_size", "4")
    assert vt("judge", f"lmms:{tmp_path}", "--out", tmp_path / "out") == 0
    found = read(tmp_path / "out")
    assert (found["n"], found["mode"], found["token_ratio"]) == (4, mode, ratio)


def test_repeats_are_rollouts_of_their_own(tasks, tmp_path):
    arguments = f"agent=knowing,facts={tmp_path}/facts.jsonl"
    lmms_eval(tasks, tmp_path, "vt_files", arguments, "--repeats", "2", "--limit", "2")
    rows = lines(tmp_path / "facts.jsonl")[1:]
    assert [(row["doc_id"], row["repeat"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert vt("judge", f"lmms:{tmp_path}", "--out", tmp_path / "out") == 0
    assert read(tmp_path / "out")["n"] == 2


def test_documents_that_no_episode_can_show(tasks, tmp_path):
    arguments = f"agent=knowing,facts={tmp_path}/a.jsonl"
    with pytest.raises(ValueError, match=r"2 requests cannot be played: .*2 pictures.*no picture"):
        lmms_eval(tasks, tmp_path, "vt_shows", arguments)
    assert len(lines(tmp_path / "a.jsonl")) == 1  # nothing was played
    with pytest.raises(ValueError, match="videos and sounds are not played"):
        lmms_eval(tasks, tmp_path, "vt_video", f"agent=knowing,facts={tmp_path}/b.jsonl")
    out = tmp_path / "out"
    arguments = f"agent=knowing,unplayable=empty,facts={out}/facts.jsonl"
    lmms_eval(tasks, out, "vt_shows", arguments, "--batch_size", "4")
    assert vt("judge", f"lmms:{out}", "--out", tmp_path / "ours") == 0
    found = read(tmp_path / "ours")
    assert (found["n"], found["refused"]) == (small_tasks.N - 2, 2)
    assert [r["id"] for r in found["refusals"]] == ["vt_shows/1", "vt_shows/2"]


def test_likelihood_is_refused(tasks, tmp_path):
    with pytest.raises(ValueError, match="answers in words"):
        lmms_eval(tasks, tmp_path, "vt_choice", f"agent=knowing,facts={tmp_path}/facts.jsonl")


def test_an_agent_that_fails_is_told_and_what_was_played_stays(tasks, tmp_path):
    class Failing(Knowing):
        name = "failing"

        def act(self, conversations):
            if any("/4" in c.sample.id for c in conversations):
                return []
            return super().act(conversations)

    if "failing" not in AGENTS.names():
        AGENTS.register("failing", Failing)
    with pytest.raises(RuntimeError, match="'failing' must return one Reply for each"):
        lmms_eval(tasks, tmp_path, "vt_files", f"agent=failing,facts={tmp_path}/facts.jsonl")
    assert len(lines(tmp_path / "facts.jsonl")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("agent=knowing", "needs --model_args agent=SPEC,facts=FILE"),
        ("agent=oracle,facts=f.jsonl", "reads the references"),
        ("agent=knowing,facts=f.jsonl,mode=lo", "Did you mean 'low'"),
        ("agent=knowing,facts=f.jsonl,mode=random@trained", "give it as random@RATE"),
        ("agent=knowing,facts=f.jsonl,colour=red", "argument of the model visionthink 'colour'"),
        ("agent=knowing,facts=f.jsonl,unplayable=skip", "must be error or empty"),
        ("agent=nobody,facts=f.jsonl", "Unknown agent 'nobody'"),
        ("agent=knowing,facts=f.jsonl,tokens=huge", "huge"),
        ("agent=knowing,facts=f.jsonl,seed=0.5", "seed must be a number, got 0.5"),
        ("agent=knowing,facts=f.jsonl,factor=half", "factor must be a number, got 'half'"),
        ("agent=[tiny:/nowhere],facts=f.jsonl", "there is no folder"),
    ],
)
def test_wrong_arguments(arguments, message, tasks, tmp_path, monkeypatch):
    from experiments.lmms.model import VisionThink

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        VisionThink.create_from_arg_string(arguments, {"batch_size": "1"})
    assert not (tmp_path / "f.jsonl").exists()
    for more, told in (
        ({"batch_size": "auto"}, "must be a whole number"), ({"device": "cuda"}, "agent's spec"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            VisionThink.create_from_arg_string("agent=knowing,facts=f.jsonl", more)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="one process"):
        VisionThink.create_from_arg_string("agent=knowing,facts=f.jsonl", {})


def documents(name: str, rng: random.Random) -> list[tuple[dict[str, Any], str]]:
    """Documents of a benchmark, as far as its metric reads them, and answers."""
    made = []
    for number in range(60):
        answer = rng.choice(POOL)
        if name == "chartqa":
            doc = {
                "answer": rng.choice(WORDS[:7] + NUMBERS),
                "type": rng.choice(["human_test", "x"]),
            }
        elif name == "ocrbench":
            doc = {
                "answer": [rng.choice(WORDS[:7]), "0"],
                "dataset": "IIIT5K",
                "question_type": rng.choice(["Handwriting", "Key Information Extraction"]),
            }
        elif name == "docvqa":
            doc = {"answers": [rng.choice(WORDS[:7]), "1,234"]}
        elif name == "mme":
            doc = {
                "question_id": f"q{number // 2}",
                "category": "color" if number < 30 else "OCR",
                "answer": ("Yes", "No")[number % 2],
            }
            answer = rng.choice(SIDES)
        else:
            doc = {"question_id": str(number), "answer": rng.choice(["yes", "no"])}
            answer = rng.choice(SIDES)
        made.append((doc, rng.choice([answer, str(doc.get("answer", "x"))])))
    return made  # fmt: skip


@pytest.mark.parametrize("name", ["chartqa", "ocrbench", "docvqa", "mme", "pope"])
def test_official_variants_agree_with_what_lmms_eval_records(name, tmp_path):
    """Lines that lmms-eval's own metrics and logger made: our official judges say the same."""
    from lmms_eval.api.metrics import anls
    from lmms_eval.loggers import EvaluationTracker
    from lmms_eval.tasks.chartqa import utils as chartqa
    from lmms_eval.tasks.mme import utils as mme
    from lmms_eval.tasks.ocrbench import utils as ocrbench
    from lmms_eval.tasks.pope import utils as pope

    process = {
        "chartqa": chartqa.chartqa_process_results,
        "ocrbench": ocrbench.ocrbench_process_results,
        "docvqa": lambda doc, results: anls(doc["answers"], results),
        "mme": mme.mme_process_results,
        "pope": pope.pope_process_results,
    }[name]
    samples = []
    for number, (doc, answer) in enumerate(documents(name, random.Random(name))):
        samples.append({
            "doc_id": number, "doc": doc, "target": doc.get("answer", doc.get("answers")),
            "arguments": [f"Is it so, number {number}?"], "resps": [[answer]],
            "filtered_resps": [answer], "token_counts": [None], "doc_hash": "0",
            **process(doc, [answer]),
        })  # fmt: skip
    tracker = EvaluationTracker(output_path=str(tmp_path))
    tracker.general_config_tracker.model_name_sanitized = "model"
    tracker.date_id = "20260301_120000"
    task = {"docvqa": "docvqa_val"}.get(name, name)
    tracker.save_results_samples(task, samples)
    out = tmp_path / "out"
    argv = [f"lmms:{tmp_path}", "--variant", "official", "--out", out]
    assert vt("judge", *argv) == 0
    found = read(out)
    spoken = sum(bool(s["filtered_resps"].strip()) for s in samples)
    assert found["lmms"]["n"] + found["unscored"] == found["n"] == 60
    silent = [one for one in found["lmms"]["differ"] if one["answer"] is None]
    assert found["lmms"]["differ"] == silent  # an empty answer is wrong here, whatever it is there
    assert len(silent) <= 60 - spoken
    assert found["metrics"]["n"] == 60
