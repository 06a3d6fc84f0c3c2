"""``vt judge lmms:PATH``: sample logs in the layout of lmms-eval 0.7.3.

``tests/lmms/test_bridges.py`` reads logs that lmms-eval itself wrote.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from evaluations import lines, result, vt
from hypothesis import given
from hypothesis import strategies as st

from experiments.lmms.logs import recorded_score, references
from vt_env import MissingExtra

DATE = "20260301_120000"


def line(doc_id: int, answer: str = "red", target: str = "red", **more: Any) -> dict[str, Any]:
    """A line as lmms-eval writes it: metrics between the hash and the input."""
    made: dict[str, Any] = {
        "doc_id": doc_id,
        "target": target,
        "filtered_resps": answer,
        "token_counts": [None],
        "doc_hash": "0" * 64,
    }
    metrics = more or {"exact": float(answer == target)}
    return {**made, **metrics, "input": f"What colour is number {doc_id}?"}


def log(folder: Path, rows: list[dict[str, Any]], task: str = "colours", date: str = DATE) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / f"{date}_samples_{task}.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


ROWS = [line(0), line(1, "Red."), line(2, "blue"), line(3, "dark red", "red")]


def test_verdicts_stay_as_they_were_recorded(tmp_path: Path, capsys) -> None:
    file = log(tmp_path / "log", ROWS)
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{file}", "--out", out) == 0
    found = result(out)
    assert (found["n"], found["accuracy"], found["unscored"]) == (4, 0.25, 0)
    assert found["judge"] == "lmms-eval:exact"
    assert found["lmms"]["mean"] == 0.25
    assert found["lmms"]["metric"] == "exact"
    unknown = ("visual_tokens", "token_ratio", "request_rate", "format_rate", "generated_tokens")
    assert all(found[key] is None and found["interval_95"][key] is None for key in unknown)
    rows = lines(out / "episodes.jsonl")
    assert [row["id"] for row in rows] == [f"colours/{i}" for i in range(4)]
    assert rows[0]["question"] == "What colour is number 0?"
    assert rows[0]["reward"] is rows[0]["requested"] is None
    assert not (out / "plot.png").exists()
    assert "visual tokens are not known" in capsys.readouterr().out


def test_our_verdicts_stand_beside(tmp_path: Path, capsys) -> None:
    log(tmp_path / "log", [*ROWS, line(4, ""), line(5, "赤", "赤")])
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--judge", "auto", "--out", out) == 0
    beside = result(out)["lmms"]
    assert (beside["n"], beside["agree"], beside["unread"]) == (6, 5, 0)
    (one,) = beside["differ"]
    assert (one["id"], one["lmms"], one["ours"]) == ("colours/1", 0.0, 1.0)
    assert (one["answer"], one["references"]) == ("Red.", ["red"])
    assert beside["theirs"] == pytest.approx(2 / 6)
    assert beside["ours"] == pytest.approx(3 / 6)
    shown = capsys.readouterr().out
    assert "colours/1: lmms-eval 0, here 1: 'Red.' for ['red']" in shown
    rows = lines(out / "episodes.jsonl")
    assert (rows[4]["answer"], rows[4]["correct"], rows[4]["judge"]) == (None, False, "protocol")
    assert rows[5]["correct"] is True


def test_compare_and_report_read_it(tmp_path: Path, capsys) -> None:
    log(tmp_path / "log", ROWS)
    for name, more in (("as", []), ("anew", ["--judge", "auto"])):
        argv = [f"lmms:{tmp_path / 'log'}", "--out", tmp_path / name, *more]
        assert vt("judge", *argv) == 0
    told = tmp_path / "told.json"
    assert vt("compare", tmp_path / "as", tmp_path / "anew", "--out", told) == 0
    found = json.loads(told.read_text())
    assert found["changes"]["wrong → right"] == ["colours/1"]
    assert found["changes"]["now asks"] == found["changes"]["now malformed"] == []
    assert found["metrics"]["token_ratio"]["difference"] is None
    assert vt("report", tmp_path / "anew", "--out", tmp_path / "page") == 0
    assert vt("judge", tmp_path / "as", "--judge", "auto", "--out", tmp_path / "re") == 0
    assert result(tmp_path / "re")["accuracy"] == result(tmp_path / "anew")["accuracy"]


def test_several_tasks_have_a_folder_each(tmp_path: Path, capsys) -> None:
    log(tmp_path / "log", ROWS)
    told = {"question_id": "1", "score": 0.0, "prediction": "yes.", "ground_truth": "yes"}
    pope = {"pope_accuracy": told, "pope_f1_score": told}
    log(tmp_path / "log", [line(0, "Yes.", "yes", **pope)], "pope")
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--judge", "auto", "--out", out) == 0
    assert result(out / "colours")["n"] == 4
    assert result(out / "pope")["lmms"]["metric"] == "pope_f1_score"
    spec = f"lmms:{tmp_path / 'log'},task=pope"
    for variant, score in (("fixed", 1.0), ("official", 0.0)):
        argv = [spec, "--variant", variant, "--out", tmp_path / variant]
        assert vt("judge", *argv) == 0
        found = result(tmp_path / variant)
        assert found["accuracy"] == found["metrics"]["pope_accuracy"] == score
        assert found["lmms"]["agree"] == 1 - score
    capsys.readouterr()
    argv = [f"lmms:{tmp_path / 'log'}", "--variant", "fixed", "--out", tmp_path / "no"]
    assert vt("judge", *argv) == 2
    assert "'colours' is no benchmark that is known here" in capsys.readouterr().err
    assert not list((tmp_path / "no").rglob("*.json*"))


def test_a_metric_that_is_added_up_later_needs_a_judge(tmp_path: Path, capsys) -> None:
    rows = []
    for number, (answer, target) in enumerate([("B", "B"), ("dog", "B"), ("A", "B"), ("7", "7")]):
        told = {"id": f"validation_Math_{number}", "subdomain": "Math", "answer": target}
        made = line(number, answer, target, mmmu_acc=told, submission={told["id"]: answer})
        options = "\nA. cat\nB. dog\n\nAnswer with the option's letter from the given choices "
        rows.append(made if target == "7" else {**made, "input": f"What is it?{options}directly."})
    file = log(tmp_path / "log", rows, "mmmu_val")
    assert vt("judge", f"lmms:{file}", "--out", tmp_path / "no") == 2
    assert "records no score of a single line" in capsys.readouterr().err
    for variant, share in (("official", 0.5), ("fixed", 0.75)):  # an option's text alone: fixed
        out = tmp_path / variant
        assert vt("judge", f"lmms:{file}", "--variant", variant, "--out", out) == 0
        found = result(out)
        assert found["metrics"]["mmmu_acc"] == found["metrics"]["subject/Math"] == share
        assert (found["lmms"]["unread"], found["lmms"]["n"]) == (4, 0)
        row = lines(out / "episodes.jsonl")[1]
        assert (row["answer_type"], row["choices"], row["kind"]) == ("mcq", ["cat", "dog"], "Math")


def test_scores_that_are_none_are_unscored(tmp_path: Path) -> None:
    values = [1, True, 0.5, {"score": 0.25}, math.nan, 73.5, None, "1", [1.0]]
    log(tmp_path / "log", [line(i, s=value) for i, value in enumerate(values)])
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--out", out) == 0
    rows = lines(out / "episodes.jsonl")
    scores = [row["score"] for row in rows]
    assert scores == [1.0, 1.0, 0.5, 0.25, None, None, None, None, None]
    assert [row["correct"] for row in rows[:4]] == [True, True, True, False]
    assert "nan" in rows[4]["reason"]
    assert "73.5" in rows[5]["reason"]
    assert result(out)["unscored"] == 5
    assert result(out)["lmms"]["unread"] == 4  # 73.5 is a number, if no share


def test_what_cannot_be_judged_is_refused_and_counted(tmp_path: Path) -> None:
    log(
        tmp_path / "log", [*ROWS, line(4, "x", ""), line(5, "x", "None"), line(6, "x", "['', ' ']")]
    )
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--judge", "auto", "--out", out) == 0
    found = result(out)
    assert (found["n"], found["refused"]) == (4, 3)
    assert "target is empty" in found["refusals"][0]["reason"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no lines"),
        ("not json\n", "line 1: expected one JSON object"),
        ("[1]\n", "line 1: expected a JSON object, got a list"),
        ('{"id": "a", "question": "b"}\n', "line 1: the line lacks doc_id, target"),
        (json.dumps({**line(0), "doc_id": None}) + "\n", "doc_id must be"),
        (json.dumps({**line(0), "target": 3}) + "\n", "target must be text"),
        (json.dumps({**line(0), "filtered_resps": [["-1.5", "False"], ["-2", "True"]]}) + "\n",
         "only tasks of generate_until"),
        (json.dumps({**line(0), "filtered_resps": None}) + "\n", "filtered_resps must be one text"),
        (json.dumps(line(0)) + "\n" + json.dumps(line(0)) + "\n",
         "line 2: the doc_id 0 stands in line 1 already: two runs"),
        (json.dumps(line(0)) + "\n" + json.dumps(line(1))[:-20], "the last line breaks off"),
        (json.dumps(line(0)) + "\n" + json.dumps(line(1, anls=0.5)) + "\n",
         "scores by different metrics (exact, anls)"),
        (json.dumps(line(0)) + "\n" + json.dumps(line(1, submission={"a": "b"})) + "\n",
         "line 2: it has no exact as other lines have"),
        (json.dumps(line(0, a=1.0, b=0.0)) + "\n", "several scores a line: a, b. Choose one"),
        (json.dumps(line(0, acc={"parsed": "A"})) + "\n", "records no score of a single line"),
        ("\xff", "it is not UTF-8"),
    ],
)  # fmt: skip
def test_bad_logs(content: str, message: str, tmp_path: Path, capsys) -> None:
    file = tmp_path / f"{DATE}_samples_t.jsonl"
    file.write_bytes(content.encode("latin-1" if content == "\xff" else "utf-8"))
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{file}", "--out", out) == 2
    assert message in capsys.readouterr().err
    assert not list(out.rglob("*.json*"))


def test_a_metric_can_be_named(tmp_path: Path, capsys) -> None:
    file = log(tmp_path / "log", [line(0, a=1.0, b=0.0), line(1, b=1.0)])
    assert vt("judge", f"lmms:{file},metric=b", "--out", tmp_path / "b") == 0
    assert result(tmp_path / "b")["accuracy"] == 0.5
    assert vt("judge", f"lmms:{file},metric=a", "--out", tmp_path / "a") == 0
    assert (result(tmp_path / "a")["accuracy"], result(tmp_path / "a")["unscored"]) == (1.0, 1)
    for spec, message in (
        (f"lmms:{file},metric=c", "no metric 'c'; it has: a, b"),
        (f"lmms:{file},colour=c", "expected lmms:PATH"),
        ("lmms:", "expected lmms:PATH"),
        (f"lmms:{file},task=other,metric=a", "a log of 'colours'"),
        (f"lmms:{tmp_path / 'log'},task=other", "no sample log of other"),
        (f"lmms:{tmp_path / 'nothing.jsonl'}", "cannot read"),
        (f"lmms:{tmp_path / 'a'}", "holds no sample log"),
    ):
        assert vt("judge", spec, "--out", tmp_path / "bad") == 2
        assert message in capsys.readouterr().err
    log(tmp_path / "log", ROWS, date="20260301_130000")
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--out", tmp_path / "bad") == 2
    assert "several runs of a task; choose one of" in capsys.readouterr().err


def test_options_that_do_not_go_together(tmp_path: Path, capsys) -> None:
    file = log(tmp_path / "log", ROWS)
    more = ["--judge", "auto", "--variant", "fixed"]
    assert vt("judge", f"lmms:{file}", "--out", tmp_path / "out", *more) == 2
    assert "choose one" in capsys.readouterr().err
    assert vt("judge", file, "--variant", "fixed", "--out", tmp_path / "out") == 2
    assert "go with lmms:PATH" in capsys.readouterr().err


FACT = {
    "task": "colours", "split": "test", "doc_id": 0, "repeat": 0,
    "question": "What colour is number 0?", "answer": "red", "returned": "red",
    "turns": [{"text": "<think>x</think><answer>red</answer>", "action": {"type": "answer"}}],
    "well_formed": True, "flaws": [], "requested": True, "futile_request": False,
    "visual_tokens": 20, "full_tokens": 16, "generated_tokens": 9, "views": [[16, 16], [32, 32]],
    "agent_seconds": 0.25, "batch": 1,
}  # fmt: skip
HEAD = {"visionthink": 1, "agent": "direct", "mode": "visionthink", "protocol": "visionthink",
        "tokens": "tiny", "seed": 0, "rules": {}}  # fmt: skip


def facts(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (HEAD, *rows)))
    settings = {"model": "visionthink", "model_args": f"agent=[a:b,c=d],facts={file}"}
    told = {"config": settings, "results": {"colours": {"exact,none": 0.5, "alias": "colours"}}}
    (folder / f"{DATE}_results.json").write_text(json.dumps(told))
    return file


def test_what_was_shown_is_joined(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log(folder, [line(0), line(1, "Red."), line(2, "", "red")])
    changed = {"doc_id": 1, "question": "What colour is number 1?", "visual_tokens": 4,
               "requested": False, "returned": "RED."}  # fmt: skip
    left = {"task": "colours", "doc_id": 2, "repeat": 0, "refused": "it shows 2 pictures"}
    facts(folder, FACT, {**FACT, **changed}, left, {**FACT, "repeat": 1}, {**FACT, "task": "other"})
    out = tmp_path / "out"
    assert vt("judge", f"lmms:{folder}", "--judge", "auto", "--out", out) == 0
    found = result(out)
    assert (found["n"], found["refused"]) == (2, 1)
    assert (found["agent"], found["mode"], found["tokens"]) == ("direct", "visionthink", "tiny")
    assert found["visual_tokens"] == 12
    assert found["token_ratio"] == 24 / 32
    assert found["request_rate"] == 0.5
    assert found["lmms"]["reported"] == {"exact,none": 0.5}
    assert found["lmms"]["facts"]["altered"] == 1
    assert (out / "plot.png").exists()
    assert lines(out / "episodes.jsonl")[0]["reward"]["total"] == 1.5
    assert vt("judge", f"lmms:{folder},facts=none", "--out", tmp_path / "without") == 0
    assert result(tmp_path / "without")["visual_tokens"] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no request of the task 'colours'"),
        ([{**FACT, "question": "Else?"}], "was asked 'Else?' there"),
        ([{**FACT, "doc_id": 1}], "has no facts of colours/0"),
        ([FACT, FACT], "has the doc_id 0 twice"),
        ([{k: v for k, v in FACT.items() if k != "views"}], "the line lacks views"),
        ([{"task": "colours"}], "the line lacks doc_id, repeat"),
    ],
)
def test_facts_that_do_not_fit(rows, message, tmp_path: Path, capsys) -> None:
    log(tmp_path / "log", [line(0)])
    file = facts(tmp_path / "log", *rows)
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    file.write_text('{"some": "thing"}\n')
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--out", tmp_path / "out") == 2
    assert "the first line of what the model visionthink writes" in capsys.readouterr().err
    file.unlink()
    assert vt("judge", f"lmms:{tmp_path / 'log'}", "--out", tmp_path / "out") == 2
    assert "no such file here" in capsys.readouterr().err


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_written_list_of_texts_is_several_references(texts: list[str]) -> None:
    assert references(str(texts)) == tuple(text for text in texts if text.strip())


@given(st.text())
def test_any_target_is_read(target: str) -> None:
    assert all(one.strip() for one in references(target))


@pytest.mark.parametrize(
    ("target", "read"),
    [("[0, 1]", ("[0, 1]",)), ("[]", ("[]",)), ("['a'", ("['a'",)), ("None", ()), (" ", ())],
)
def test_targets_that_only_look_like_lists(target, read) -> None:
    assert references(target) == read


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_recorded_value_is_a_score_or_none(value: object) -> None:
    assert recorded_score(value) is None or isinstance(value, bool | float)


@pytest.mark.skipif(importlib.util.find_spec("lmms_eval") is not None, reason="it is there")
def test_the_model_says_what_to_install() -> None:
    with pytest.raises(MissingExtra, match=re.escape('pip install "visionthink-gym[lmms]"')):
        importlib.import_module("experiments.lmms.model")
