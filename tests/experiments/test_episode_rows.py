"""What a line of ``episodes.jsonl`` says, and what becomes of lines that are not as they should."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from evaluating import evaluate
from evaluations import DATA, lines, result, vt
from hypothesis import given
from hypothesis import strategies as st

from agents import Conversation, Reply, make_agent
from agents.base import answer_turn
from experiments.episodes import episode_row, plain
from experiments.evaluation.player import Part, Player, Refused, Setup
from experiments.evaluation.run import Evaluation, Options
from experiments.evaluation.workers import Here
from experiments.files import json_line
from vt_env import DataError, JudgeError, Sample, Verdict, make_task, open_source

PICTURE = np.zeros((64, 64, 3), np.uint8)


def kind_of(value: object) -> str:
    if isinstance(value, list):
        return f"list of {kind_of(value[0])}" if value else "list"
    return "null" if value is None else type(value).__name__


SCHEMA = {
    "id": "str", "question": "str", "references": "list of str", "answer_type": "str",
    "choices": "list", "kind": "str", "source": "str", "metadata": "dict", "turns": "list of dict",
    "answer": "str", "correct": "bool", "score": "float", "judge": "str", "reason": "str",
    "well_formed": "bool", "flaws": "list", "calls": "int", "requested": "bool",
    "futile_request": "bool",
    "visual_tokens": "int", "full_tokens": "int", "generated_tokens": "null",
    "text_tokens": "null",
    "views": "list of list of int", "regions": "list of list of int", "reward": "dict",
}  # fmt: skip
TURN = {"text": "str", "action": "dict", "tokens": "null", "prompt_tokens": "null",
        "forced_tokens": "int", "truncated": "bool", "asking": "null", "views": "int"}  # fmt: skip


def test_the_schema_of_a_row() -> None:
    (episode,) = evaluate(make_task("generated:n=1"), make_agent("request"))
    assert not isinstance(episode, Refused)
    row = json.loads(json_line(episode_row(episode)))
    assert {key: kind_of(value) for key, value in row.items()} == SCHEMA
    assert {key: kind_of(value) for key, value in row["turns"][0].items()} == TURN
    terms = {"accuracy", "format", "penalty", "cost", "total", "bonus", "tool"}
    assert row["reward"].keys() == terms
    assert row["metadata"]["needs_high"] in (True, False)


def test_metadata_is_written_whatever_it_holds() -> None:
    given_ = {"a": (1, np.float32(0.5)), 2: math.nan, "b": {"c": None, "d": b"x"}, "e": True}
    assert plain(given_) == {
        "a": [1, "0.5"], "2": "nan", "b": {"c": None, "d": "b'x'"}, "e": True
    }  # fmt: skip


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_plain_values_are_json(value: object) -> None:
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert plain(made) == made


class Saying:
    name = "saying"

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        return [Reply(answer_turn(self.answer, "")) for _ in conversations]


class Scoring:
    name = "scoring"

    def __init__(self, correct: bool | None, score: float | None) -> None:
        self.verdict = Verdict(correct, self.name, "", score)

    def score(self, queries):
        return [self.verdict for _ in queries]


def played(data, out: Path, agent: object = None, judge: object = "exact", **more):
    setup = Setup(agent or Saying("x"), [Part("p", open_source(data), judge)])  # type: ignore[arg-type]
    player = Player(setup)
    try:
        return Evaluation(player, Here(player), Options(**more)).part("p", [], out)
    finally:
        player.close()


def sample(name: str, question: str = "What?", reference: str = "x", image=PICTURE) -> Sample:
    return Sample(name, question, (reference,), image)


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.5])
def test_a_score_that_is_none_stops_it_with_its_sample(score: float, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"'scoring' gave sample 's1' the score"):
        played([sample("s1")], tmp_path, judge=Scoring(True, score))
    assert not (tmp_path / "result.json").exists()


def test_all_unscored(tmp_path: Path) -> None:
    found = played([sample("a"), sample("b")], tmp_path, judge=Scoring(None, None))
    assert found is not None
    assert (found["n"], found["unscored"], found["accuracy"], found["score"]) == (2, 2, None, None)
    assert vt("compare", tmp_path, tmp_path) == 0


def test_one_sample(tmp_path: Path) -> None:
    argv = ["eval", "--agent", "direct", "--data", "generated:n=1", "--out", tmp_path]
    assert vt(*argv, "--mode", "low", "--mode", "full", "--mode", "visionthink") == 0
    found = result(tmp_path)
    assert {m["n"] for m in found["modes"].values()} == {1}
    assert all(t["accuracy"]["p"] == 1.0 for t in found["tests"])


def test_everything_refused(tmp_path: Path) -> None:
    data = [sample("a", image=b"no picture")]
    source = open_source(data, check="none")
    setup = Setup(make_agent("direct"), [Part("p", source)])
    player = Player(setup)
    from experiments.evaluation.modes import parse_modes

    work = Evaluation(player, Here(player), Options(max_refused=1.0))
    found = work.part("p", parse_modes(["low", "full"]), tmp_path)
    assert found is not None
    assert found["modes"]["low"]["n"] == 0
    assert found["modes"]["low"]["refused"] == 1
    assert found["tests"] == []
    with pytest.raises(DataError, match="has no rate"):
        work.part("p", parse_modes(["visionthink", "random@trained"]), tmp_path / "b")


def test_an_empty_answer_is_wrong(tmp_path: Path) -> None:
    found = played([sample("a")], tmp_path, Saying(""), "auto")
    assert found is not None
    assert found["accuracy"] == 0.0


def test_a_target_of_zero_is_judged(tmp_path: Path) -> None:
    data = [sample("a", "How many?", "0"), sample("b", "How many?", "0.0")]
    for judge in ("relaxed", "numeric", "auto"):
        for answer, right in (("0", 1.0), ("1", 0.0)):
            found = played(data, tmp_path / judge / answer, Saying(answer), judge)
            assert found is not None
            assert found["accuracy"] == right, (judge, answer)


def test_text_of_any_language_comes_back(tmp_path: Path) -> None:
    words = ("什么颜色?", "Какого цвета?", "ما اللون؟", "🟥 \u2028 \ud800?")
    data = [sample(f"号{i}", word, word) for i, word in enumerate(words)]
    found = played(data, tmp_path, Saying(words[0]))
    assert found is not None
    assert found["accuracy"] == 0.25
    rows = lines(tmp_path / "episodes.jsonl")
    assert [row["question"] for row in rows] == list(words)
    assert vt("judge", tmp_path, "--judge", "exact", "--out", tmp_path / "again") == 0
    assert lines(tmp_path / "again" / "episodes.jsonl") == rows


def test_ids_that_stand_twice_are_refused(tmp_path: Path) -> None:
    class Twice(type(open_source([sample("a")]))):  # type: ignore[misc]
        def ids(self):
            return ["a", "a"]

    with pytest.raises(DataError, match="the id 'a' twice"):
        played(Twice([sample("a")], "twice"), tmp_path)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The real thing: the system refuses to let the file grow."""
    argv = ["eval", "--agent", "random:p=0.5", "--data", "generated:n=40", "--batch", "4"]
    limited = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *argv, "--out", str(tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert limited.returncode == 1
    assert "File too large" in limited.stderr
    assert limited.stderr.count("\n") == 1
    assert 0 < (tmp_path / "out" / "journal.jsonl").stat().st_size <= 20_000
    assert vt(*argv, "--resume", "--out", tmp_path / "out") == 0
    assert vt(*argv, "--out", tmp_path / "whole") == 0
    assert result(tmp_path / "out") == result(tmp_path / "whole")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    assert vt("eval", "--agent", "random:p=0.5", "--data", DATA, "--out", tmp_path / "r") == 0
    return tmp_path / "r" / "episodes.jsonl"


def test_recorded_episodes_give_the_same_numbers(recorded: Path, tmp_path: Path) -> None:
    assert vt("judge", recorded, "--out", tmp_path / "again") == 0
    before, after = result(recorded.parent), result(tmp_path / "again")
    assert {k: after[k] for k in before} == before
    assert recorded.read_bytes() == (tmp_path / "again" / "episodes.jsonl").read_bytes()
    assert (tmp_path / "again" / "plot.svg").exists()


def test_another_judge_judges_recorded_episodes(recorded: Path, tmp_path: Path, capsys) -> None:
    rows = lines(recorded)
    rows[3] |= {"answer": None, "correct": False, "score": 0.0, "judge": "protocol"}
    recorded.write_text("".join(map(json_line, rows)))
    argv = ["judge", recorded, "--judge", "noisy:exact,rate=1", "--out", tmp_path / "new"]
    assert vt(*argv) == 0
    after = lines(tmp_path / "new" / "episodes.jsonl")
    assert [row["id"] for row in after] == [row["id"] for row in rows]
    for old, new in zip(rows, after, strict=True):
        if old["answer"] is None:
            assert new == old
        else:
            assert new["correct"] is not old["correct"]
            assert new["judge"].startswith("noisy")
            assert new["reward"]["accuracy"] == new["score"] == float(new["correct"])
    assert result(tmp_path / "new")["judge"].startswith("noisy")
    assert vt("compare", recorded.parent, tmp_path / "new") == 0
    assert vt("judge", recorded, "--out", recorded.parent, "--overwrite") == 2
    assert "holds results of vt eval" in capsys.readouterr().err


def test_rows_of_an_earlier_version_are_read(recorded: Path, tmp_path: Path) -> None:
    new = ("score", "answer_type", "choices", "metadata", "generated_tokens", "text_tokens")
    rows = [{k: v for k, v in row.items() if k not in new} for row in lines(recorded)]
    (tmp_path / "old.jsonl").write_text("".join(map(json_line, rows)))
    assert vt("judge", tmp_path / "old.jsonl", "--out", tmp_path / "out") == 0
    found = result(tmp_path / "out")
    assert found["score"] == found["accuracy"] == result(recorded.parent)["accuracy"]
    assert found["generated_tokens"] is found["text_tokens"] is None


def test_no_tokens_and_no_verdicts(recorded: Path, tmp_path: Path, capsys) -> None:
    for number, change in enumerate(({"full_tokens": 0}, {"correct": None, "score": None})):
        file = tmp_path / f"{number}.jsonl"
        file.write_text("".join(json_line({**row, **change}) for row in lines(recorded)))
        assert vt("judge", file, "--out", tmp_path / str(number)) == 0
        assert vt("compare", recorded, file) == 0
    assert result(tmp_path / "0")["token_ratio"] is None
    assert result(tmp_path / "1")["accuracy"] is None
    assert "now unscored: 24" in capsys.readouterr().out
    assert "nothing was scored" in (tmp_path / "1" / "plot.svg").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "expected one JSON object a line"),
        ("[1]", "expected a JSON object, got a list"),
        ({"correct": "yes"}, "correct must be true, false or null, got 'yes'"),
        ({"score": math.nan}, "score must be a number from 0 to 1, or null, got nan"),
        ({"correct": None}, "an unscored row has the score"),
        ({"visual_tokens": -1}, "visual_tokens must be a whole number from 0 up"),
        ({"references": []}, "references must be a list of texts that is not empty"),
        ({"id": "test-0-000000"}, "stands in line 1 already"),
        ({"id": ""}, "id must be text that is not empty"),
    ],
)
@pytest.mark.parametrize("command", ["judge", "compare"])
def test_a_bad_row_is_told_with_its_line(
    change, message: str, command: str, recorded: Path, tmp_path: Path, capsys
) -> None:
    text = recorded.read_text().splitlines()
    text[2] = change if isinstance(change, str) else json.dumps({**lines(recorded)[2], **change})
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(text))
    capsys.readouterr()
    argv = ["judge", bad, "--out", tmp_path / "out"]
    assert vt(*(argv if command == "judge" else ["compare", bad, recorded])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "line 3" in error
    assert not (tmp_path / "out" / "episodes.jsonl").exists()


@pytest.mark.parametrize("place", ["key", "value", "checksum", "its key"])
def test_a_bit_that_has_changed_is_told_with_its_line(
    place: str, recorded: Path, tmp_path: Path, capsys
) -> None:
    data = bytearray(recorded.read_bytes())
    start = data.index(b"\n") + 1
    found = {"key": b'"well_formed"', "value": b'"answer": "', "checksum": b'"}\n',
             "its key": b"crc"}  # fmt: skip
    at = data.index(found[place], start) + {"value": 11, "checksum": -3}.get(place, 1)
    data[at] ^= 1
    (tmp_path / "bad.jsonl").write_bytes(bytes(data))
    for argv in (["judge", tmp_path / "bad.jsonl", "--out", tmp_path / "out"],
                 ["compare", recorded, tmp_path / "bad.jsonl"]):  # fmt: skip
        capsys.readouterr()
        assert vt(*argv) == 2
        assert "bad.jsonl, line 2: it is not what was written" in capsys.readouterr().err


def test_nothing_recorded(recorded: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for path, message in (
        (tmp_path / "empty.jsonl", "has no rows"),
        (tmp_path / "nowhere.jsonl", "cannot read"),
        (tmp_path, f"choose one of {recorded.parent}"),
    ):
        assert vt("judge", path, "--out", tmp_path / "out") == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_row_without_a_field(recorded: Path, tmp_path: Path, capsys) -> None:
    rows = lines(recorded)
    del rows[0]["judge"], rows[0]["correct"]
    recorded.write_text("".join(map(json_line, rows)))
    assert vt("judge", recorded, "--out", tmp_path / "out") == 2
    assert "line 1: the row lacks correct, judge" in capsys.readouterr().err
