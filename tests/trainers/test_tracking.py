"""The log is the truth; views may fail."""

from __future__ import annotations

import json
import logging
import os
import struct
import sys
import time
from pathlib import Path

import pytest

from agents import make_agent, rollout
from trainers import TrainingError
from trainers.tracking import JsonLines, Tracker
from trainers.wandb_view import redact, wandb_view
from vt_env import ConfigError, MissingExtra
from vt_env.vector import VisionThinkVectorEnv


def lines(path: Path) -> list[dict]:
    return list(JsonLines(path).rows())


def episodes(count: int = 4):
    env = VisionThinkVectorEnv(count, group_size=2, data="generated:n=20", reward={})
    return rollout(env, make_agent("random:p=0.5"), seed=1)


def test_a_line_a_step(tmp_path):
    tracker = Tracker(tmp_path)
    tracker.log(1, {"train/loss": 0.5, "env/accuracy": None})
    tracker.log(2, {"train/loss": float("nan"), "time/step": float("inf")})
    assert lines(tmp_path / "metrics.jsonl") == [
        {"step": 1, "train/loss": 0.5, "env/accuracy": None},
        {"step": 2, "train/loss": None, "time/step": None},
    ]


def test_a_damaged_line_is_left_out_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    file = JsonLines(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        file.append({"step": step})
    before = file.path.read_bytes().replace(b'"step": 1', b'"step": 3')
    file.path.write_bytes(before)
    assert file.keep_until(2) == (2, 1)
    assert lines(file.path) == [{"step": 2}]
    assert (tmp_path / "damaged-metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["loss", "trian/loss", "train"])
def test_a_metric_belongs_to_a_family(tmp_path, name):
    with pytest.raises(ValueError, match="families"):
        Tracker(tmp_path).log(1, {name: 0.0})


def test_a_resumed_log_equals_an_undisturbed_one(tmp_path):
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
        tracker = Tracker(folder)
        for step in range(1, 7 if folder == undisturbed else 6):
            tracker.log(step, {"train/loss": 1 / step})
            if step % 2 == 0:
                tracker.episodes(step, episodes(2))
    with (disturbed / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 6, "train/lo')  # killed in the middle of a line
    tracker = Tracker(disturbed, step=3)
    assert len(lines(disturbed / "metrics.jsonl")) == 3
    for step in (4, 5, 6):
        tracker.log(step, {"train/loss": 1 / step})
        if step % 2 == 0:
            tracker.episodes(step, episodes(2))
    for name in ("metrics.jsonl", "episodes.jsonl"):
        assert (undisturbed / name).read_bytes() == (disturbed / name).read_bytes()


def test_a_log_that_lacks_steps_is_not_continued(tmp_path):
    Tracker(tmp_path).log(1, {"train/loss": 1.0})
    with pytest.raises(TrainingError, match="ends at step 1, and the checkpoint is of step 2"):
        Tracker(tmp_path, step=2)


def test_a_new_run_begins_with_an_empty_log(tmp_path):
    Tracker(tmp_path).log(1, {"train/loss": 1.0})
    Tracker(tmp_path)
    assert lines(tmp_path / "metrics.jsonl") == []


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    tracker = Tracker(tmp_path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(TrainingError, match="No space left"):
        tracker.log(1, {"train/loss": 1.0})


def test_episodes_are_written_as_text(tmp_path):
    Tracker(tmp_path).episodes(3, episodes())
    row = lines(tmp_path / "episodes.jsonl")[0]
    assert row["step"] == 3
    assert row["references"]
    assert row["correct"] in (True, False)


SECRETS = [
    ({"api_key": "abcdef", "tokens": "tiny"}, {"api_key": "***", "tokens": "tiny"}),
    ({"judge": "llm:api_key=sk-1,model=m"}, {"judge": "llm:api_key=***,model=m"}),
    ({"a": ["https://me:pw@host/x"]}, {"a": ["https://***@host/x"]}),
    ({"HF_TOKEN": "x", "key": None, "n": 3}, {"HF_TOKEN": "***", "key": None, "n": 3}),
]


@pytest.mark.parametrize(("given", "shown"), SECRETS)
def test_secrets_are_blotted_out(given, shown):
    assert redact(given) == shown


def test_a_secret_of_the_environment_is_blotted_out_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert redact({"path": "/x/sk-very-secret/y"}) == {"path": "/x/***/y"}


# ---------------------------------------------------------------------------------------- W&B


@pytest.fixture(autouse=True)
def no_wandb_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def view(mode: str, out: Path, **config):
    return wandb_view(mode, project="test", name="run", out=out, config=config)


@pytest.mark.parametrize(
    ("mode", "said"), [("off", "online"), ("auto", None), ("auto", "disabled"), ("auto", "off")]
)
def test_no_view_unless_it_is_wanted(tmp_path, monkeypatch, mode, said):
    if said:
        monkeypatch.setenv("WANDB_MODE", said)
    assert view(mode, tmp_path) is None


def test_a_wrong_mode_is_answered_with_the_close_one(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'offline'"):
        view("ofline", tmp_path)


def test_without_wandb_only_an_explicit_wish_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    for mode in ("offline", "online"):
        with pytest.raises(MissingExtra, match=r"visionthink-gym\[wandb\]"):
            view(mode, tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert view("auto", tmp_path) is None


def records(out: Path) -> list[bytes]:
    """The records of the only .wandb file under a folder: LevelDB's log format, 32 KiB blocks."""
    (path,) = out.rglob("*.wandb")
    data, made, part, at = path.read_bytes(), [], b"", 7
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            made.append(part)
            part = b""
    return made


def history(out: Path) -> list[dict]:
    """Every step that W&B's own file holds, once its writer, another process, is through."""
    from wandb.proto.wandb_internal_pb2 import Record

    kinds: list[str | None] = []
    until = time.monotonic() + 20
    while "exit" not in kinds and time.monotonic() < until:
        rows, kinds = [], []
        for data in records(out):
            record = Record()
            record.ParseFromString(data)
            kinds.append(record.WhichOneof("record_type"))
            if kinds[-1] == "history":
                items = record.history.item
                rows.append(
                    {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
                )
        time.sleep(0.1)
    return rows


@pytest.mark.slow
def test_wandb_offline_shows_the_log_the_episodes_and_the_model(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2hunter2")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    tracker = Tracker(tmp_path)
    tracker.log(1, {"train/loss": 0.5, "env/accuracy": None})
    tracker.show(view("offline", tmp_path, judge="llm:api_key=hunter3", path="/hunter2hunter2"))
    tracker.log(2, {"train/loss": 0.25, "time/step": 1.0})
    tracker.episodes(2, episodes())
    tracker.finish(model)
    rows = history(tmp_path)
    assert [(row["_step"], row["train/loss"]) for row in rows] == [(1, 0.5), (2, 0.25)]
    assert rows[1]["episodes/nrows"] == 4
    files = [p.read_bytes() for p in (tmp_path / "wandb-data").rglob("*") if p.is_file()]
    table = [json.loads(f) for f in files if b'"first look"' in f][-1]
    first, original = (table["columns"].index(name) for name in ("first look", "original"))
    asked = table["columns"].index("requested")
    for row in table["data"]:
        assert row[first]["_type"] == "image-file"
        assert row[asked] == (row[original] is not None)
    assert {row[asked] for row in table["data"]} == {True, False}
    assert sum(f.startswith(b"\x89PNG") for f in files) >= 2
    raw = b"".join(path.read_bytes() for path in (tmp_path / "wandb").rglob("*") if path.is_file())
    assert b"hunter" not in raw
    assert b"model-" in raw


@pytest.mark.slow
def test_online_without_a_key_is_written_offline(tmp_path, caplog):
    pytest.importorskip("wandb")
    with caplog.at_level(logging.WARNING):
        made = view("online", tmp_path)
    made.finish(None)
    assert "no W&B key" in caplog.text
    assert list(tmp_path.rglob("offline-run-*"))


def test_a_view_that_fails_is_switched_off(tmp_path, caplog):
    from trainers.wandb_view import WandbView

    class Broken:
        def log(self, *args, **kwargs):
            raise RuntimeError("network gone, api_key=secret")

    broken = WandbView(None, Broken())
    tracker = Tracker(tmp_path)
    tracker.show(broken)
    with caplog.at_level(logging.WARNING):
        tracker.log(1, {"train/loss": 1.0})
        tracker.log(2, {"train/loss": 1.0})
        tracker.finish()
    assert len(lines(tmp_path / "metrics.jsonl")) == 2
    assert caplog.text.count("W&B failed") == 1
    assert "secret" not in caplog.text
