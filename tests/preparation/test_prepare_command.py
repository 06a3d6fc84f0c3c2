"""``vt prepare`` as a user meets it."""

import json
import sys

import pytest

from experiments.cli import main
from experiments.preparation.settings import sampled
from vt_env import open_source

SMALL = ["--agent", "direct", "--data", "generated:n=20,split=train", "--rollouts", "2"]
CHOICE = ["--gap", "2", "--format", "jsonl"]


@pytest.fixture
def vt(tmp_path, capsys):
    def run(*arguments, out=tmp_path / "out"):
        code = main(["prepare", *arguments, "--out", str(out)])
        said = capsys.readouterr()
        return code, said.out, said.err

    run.out = tmp_path / "out"
    return run


def test_a_preparation_and_what_goes_on(vt):
    code, out, err = vt(*SMALL, *CHOICE, "--limit", "8")
    assert code == 0, err
    assert "8 samples of generated:n=20,split=train" in out
    assert "needs_high" in out
    code, out, err = vt("--resume")  # all that it was told is remembered
    assert code == 0, err
    assert "8 samples" in out
    code, out, err = vt("--resume", "--limit", "20", "--per-class", "3", "--cold-start", "4",
                        "--report")  # fmt: skip
    assert code == 0, err
    assert "20 samples" in out
    assert "2 direct and 2 request transcripts" in out
    made = json.loads((vt.out / "report.json").read_text())
    assert made["kept"] == {"low_enough": 3, "needs_high": 3}
    assert made["agent"] == "direct"
    assert made["cold_start"] == {"direct": 2, "request": 2}
    source = open_source(f"jsonl:{vt.out / 'jsonl'}")
    assert len(source) == 6
    for sample in source:
        assert (sample.metadata["preparation"]["class"] == "needs_high") == sample.metadata[
            "needs_high"
        ]
    assert (vt.out / "report.html").exists()
    code, _, err = vt("--resume", "--seed", "1", *CHOICE)
    assert code == 2
    assert "seed was 0, now it is 1" in err
    assert vt("--resume", "--agent", "direct", *CHOICE)[0] == 0


def test_overwrite_deletes_the_preparation_only(vt):
    vt(*SMALL, *CHOICE)
    (vt.out / "notes.txt").write_text("mine")
    code, _, err = vt(*SMALL, *CHOICE)
    assert (code, "add --resume" in err and "--overwrite" in err) == (2, True)
    code, _, err = vt(*SMALL[:3], "generated:n=12,split=train", *SMALL[4:], *CHOICE, "--overwrite")
    assert code == 0, err
    assert len((vt.out / "rollouts.jsonl").read_text().splitlines()) == 12
    assert (vt.out / "notes.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agent", "direct"], "expected --data, or --resume"),
        (["--resume"], "nothing to resume"),
        (SMALL, "gap is a number of rollouts from 1 to 2, got 6"),
        ([*SMALL, *CHOICE, "--near", "31"], "from 0 to 30"),
        ([*SMALL, *CHOICE, "--classes", "hard"], "Unknown class 'hard'"),
        ([*SMALL, *CHOICE, "--agent", "nobody"], "Unknown agent 'nobody'"),
        ([*SMALL, *CHOICE, "--against", "nothing:x"], "Unknown source"),
        ([*SMALL, *CHOICE, "--data", "generated:kinds=colour,n=4"], "there is nothing to write"),
    ],
)
def test_mistakes_are_one_line(vt, arguments, message):
    code, _, err = vt(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_the_extra_is_asked_for_before_anything_is_rolled_out(vt, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    code, _, err = vt(*SMALL, "--gap", "2")
    assert code == 2
    assert "visionthink-gym[hf]" in err
    assert "--format jsonl" in err
    assert not (vt.out / "rollouts.jsonl").exists()


def test_models_sample_at_temperature_1_unless_told():
    pytest.importorskip("torch")
    assert sampled("tiny:runs/x") == "tiny:runs/x,temperature=1.0"
    assert sampled("tiny:runs/x,temperature=0.5") == "tiny:runs/x,temperature=0.5"
    assert sampled("random:p=0.3") == "random:p=0.3"


def test_a_full_disk_is_one_line(vt, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, _, err = vt(*SMALL, *CHOICE)
    assert code == 1
    assert "No space left" in err
    monkeypatch.undo()


def test_pictures_in_files(tmp_path, vt, scans):
    """Pages with the truth as the answer: read from their files, judged, written."""
    from agents import AGENTS
    from agents.base import Reply, answer_turn

    class Truth:
        name = "truth"

        def act(self, conversations):
            return [
                Reply(
                    answer_turn(
                        c.sample.references[0]
                        if c.images[0].method == "original" or len(c.sample.id) % 2
                        else "?",
                        "I know it.",
                    )
                )
                for c in conversations
            ]

    if "test-truth" not in AGENTS.names():
        AGENTS.register("test-truth", Truth)
    data = f"{scans},limit=6"
    against = f"{scans},limit=2"
    code, out, err = vt(
        "--agent", "test-truth", "--data", data, "--rollouts", "1", "--gap", "1",
        "--against", against, "--unequal", "--format", "jsonl",
    )  # fmt: skip
    assert code == 0, err
    rows = [json.loads(line) for line in (vt.out / "rollouts.jsonl").read_text().splitlines()]
    first = open_source(against)
    shown = {s.image for s in first}
    for row, sample in zip(rows, open_source(data), strict=True):
        assert (row["status"] == "contaminated") == (sample.image in shown)
    assert "contaminated" in out
