"""A look at a run before a machine is paid for."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from huggingface_hub import is_offline_mode

from experiments.cli import main
from experiments.recipe import load_recipe
from trainers.preflight import Finding, rehearsal, sizes
from trainers.preflight.cluster import node_report, places_of
from trainers.preflight.hub import hub_asked
from trainers.preflight.known import Known
from trainers.preflight.sizes import Load, Machines, Shape
from trainers.tracking import JsonLines

SEVEN = Shape(8_292_000_000, 28, 3584, 18944, 152064, 784)
"""Qwen2.5-VL-7B; tests/openrlhf/test_sizing.py counts its parameters."""
PAGE = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text("utf-8")


@pytest.fixture
def look(tmp_path: Path, tiny: Path, small: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    def run(*words: str):
        out = tmp_path / "run"
        settings = (f"model.path={tiny}", *small, *words)
        code = main(["train", "laptop", "--check", "--out", str(out), *settings])
        assert not out.exists()  # nothing is started
        assert not list(tmp_path.glob(".vt-*"))
        record = tmp_path / "run-preflight.json"
        found = json.loads(record.read_text("utf-8")) if record.exists() else {}
        told = {finding["what"]: finding for finding in found.get("findings", ())}
        return code, told, found, capsys.readouterr()

    return run


def test_a_run_that_will_go(look) -> None:
    code, told, found, shown = look("--price", "2")
    assert code == 0
    assert found["good"]
    assert {finding["verdict"] for finding in told.values()} == {"ok", "skipped"}
    assert [told[name]["verdict"] for name in ("cluster", "hours")] == ["skipped"] * 2
    assert "64 of 64 samples looked at" in told["rollouts"]["says"]
    assert "played, judged, learnt, saved and evaluated (2 samples)" in told["one step"]["says"]
    assert found["facts"]["seconds_step"] > 0
    assert "Start it with:\nvt train laptop --out" in shown.out
    assert found["provenance"]["command"]


def test_the_record_goes_along_with_the_run(
    look, tmp_path: Path, tiny: Path, small: tuple[str, ...]
) -> None:
    look("--stages", "1", "steps=1")
    words = (f"model.path={tiny}", *small, "steps=1")
    out = tmp_path / "run"
    assert main(["train", "laptop", "--out", str(out), *words, "seed=5"]) == 0
    assert not (out / "preflight.json").exists()  # it is of other settings
    assert main(["train", "laptop", "--overwrite", "--out", str(out), *words]) == 0
    assert json.loads((out / "preflight.json").read_text("utf-8"))["good"]


def test_a_file_of_somebodys_is_not_replaced(look, tmp_path: Path) -> None:
    theirs = tmp_path / "run-preflight.json"
    theirs.write_text('{"mine": 1}', "utf-8")
    code, _, found, shown = look("--stages", "1")
    assert code == 2
    assert found == {"mine": 1}
    assert "was not written by vt train --check" in shown.err


def test_without_the_trainers_library_the_rest_is_looked_at(look) -> None:
    """As on a computer on which nothing but the arithmetic is asked for."""
    code, told, _, _ = look("trainer=verl", "model.dtype=bfloat16", "--stages", "2")
    assert code == 2
    assert told["versions"]["verdict"] == "no"
    assert told["GPU memory"]["says"].count("H100") == 1
    assert told["hours"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("words", "what", "says"),
    [
        (["environment.judge=exact:no"], "recipe", "exact"),
        (["data.train=jsonl:nowhere.jsonl"], "training data", "nowhere.jsonl"),
        (["--gpu", "RTX 4090", "--stages", "2", "rollout.max_new_tokens=4000000"],
         "GPU memory", "while the longest rollout is learnt"),
    ],
)  # fmt: skip
def test_what_speaks_against_a_start(look, words: list[str], what: str, says: str) -> None:
    code, told, found, shown = look(*words)
    assert code == 2
    assert not found["good"]
    assert told[what]["verdict"] == "no"
    assert says in told[what]["says"]
    assert "speak against a start" in shown.err
    assert "one step" not in told or told["one step"]["verdict"] == "skipped"


def test_a_judge_that_accepts_everything_is_found_out(
    look, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vt_env.judges import Judge, Verdict
    from vt_env.judges.registry import JUDGES

    class Yes(Judge):
        name = "yes"

        def score(self, queries):
            return [Verdict(True, self.name, "yes") for _ in queries]

    monkeypatch.setitem(JUDGES._factories, "yes", Yes)
    code, told, _, _ = look("environment.judge=yes", "--stages", "1")
    assert code == 2
    assert "it accepts" in told["judge"]["says"]


def test_without_a_model_the_rest_is_looked_at_all_the_same(look, tmp_path: Path) -> None:
    code, told, _, _ = look(f"model.path={tmp_path / 'nowhere'}")
    assert code == 2
    assert told["model"]["verdict"] == "no"
    assert told["judge"]["verdict"] == "ok"
    assert told["sizes"]["verdict"] == "skipped"


ON_THE_HUB = (
    "model.path=nobody/nothing",
    "data.train=hf:nobody/train,revision=main",
    "data.validation=hf:nobody/held-out",
)


def test_a_hub_that_does_not_answer_is_asked_once(look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client would ask for each file six times, with 23 seconds of pauses."""
    pauses: list[float] = []
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", pauses.append)
    code, told, _, _ = look("--stages", "1", *ON_THE_HUB)
    assert code == 2
    assert told["the Hub"]["verdict"] == "look"
    assert "http://127.0.0.1:9 does not answer" in told["the Hub"]["says"]
    assert "nobody/nothing, nobody/train, nobody/held-out" in told["the Hub"]["says"]
    assert [told[what]["verdict"] for what in ("model", "training data")] == ["no", "no"]
    assert "hf download nobody/train" in told["training data"]["says"]
    assert max(pauses, default=0) < 1
    assert not is_offline_mode()
    assert "HF_HUB_OFFLINE" not in os.environ


def test_a_hub_that_answers_is_asked_for_the_rest(small, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_recipe("laptop", [*small, *ON_THE_HUB])
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # says 501 to everything
        threading.Thread(target=server.handle_request).start()
        place = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", place)
        with hub_asked(config) as found:
            assert found == Finding(1, "the Hub", "ok", f"{place} answers")
            assert not is_offline_mode()


def test_a_hub_that_nothing_is_wanted_of_is_not_asked(
    small, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.preflight.hub.urlopen", None)
    here = (f"model.path={tiny}", f"data.train=hf:{tmp_path}", "data.validation=jsonl:no.jsonl")
    with hub_asked(load_recipe("laptop", [*small, *here])) as found:
        assert found is None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with hub_asked(load_recipe("laptop", [*small, *ON_THE_HUB])) as found:
        assert found is not None
        assert "nobody/nothing, nobody/train, nobody/held-out must be here already" in found.says


@pytest.mark.parametrize(
    ("row", "verdict"),
    [({"train/engine_kl": 0.002}, "ok"), ({"train/engine_kl": 0.2}, "look"), ({}, "look")],
)
def test_engine_and_learner_are_compared_or_it_is_said(row, verdict: str, tmp_path: Path) -> None:
    known = Known(load_recipe("qwen2.5-vl-7b"), tmp_path)
    (tmp_path / "run").mkdir()
    JsonLines(tmp_path / "run" / "metrics.jsonl").append({"step": 1, "train/grad_norm": 1.0, **row})
    found = {finding.what: finding for finding in rehearsal._measured(known, tmp_path)}
    assert found["the update"].verdict == "ok"
    assert found["engine and learner"].verdict == verdict


def test_a_node_sees_the_working_folder_and_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").touch()
    data = ["data.train=jsonl:rows.jsonl,limit=3", "data.validation=hf:nobody/held-out"]
    places = places_of(load_recipe("qwen2.5-vl-7b", data))
    assert places == [str(tmp_path), str(tmp_path / "rows.jsonl")]
    assert places_of(load_recipe("laptop")) == [str(tmp_path)]

    def seen() -> bool:
        said = node_report(str(tmp_path / "run"), "mark", places, str(tmp_path), "auto")
        return said["places"]

    assert seen()
    (tmp_path / "rows.jsonl").unlink()  # as on a node without the disk
    assert not seen()


def test_memory_is_that_of_the_page() -> None:
    config = load_recipe("qwen2.5-vl-7b")
    machines = sizes.machines_of(config)
    assert machines == Machines(1, 8, 4, 2, False, 0.6, 3, False, True, True)
    load = Load(rollouts=8192, longest=6000, typical=3000, said=450, visual=1955)
    parts = sizes.learner_memory(SEVEN, load, machines, config, reference=True)
    for name, row in {
        "weights": "weights, bfloat16", "gradients": "gradients, float32",
        "optimiser": "optimiser: float32 weights, two moments", "reference": "reference, bfloat16",
        "logits": "logits of one rollout of L tokens", "activations": "activations, recomputed",
    }.items():  # fmt: skip
        (written,) = re.findall(rf"\| {re.escape(row)} \|[^|]*\| ([\d.]+)", PAGE)
        assert parts[name] / 1e9 == pytest.approx(float(written), abs=0.06), name


def test_views_that_travel_once_take_a_hundredth_of_patches() -> None:
    machines = sizes.machines_of(load_recipe("qwen2.5-vl-7b"))
    load = Load(8192, 6000, 3000, 450, visual=1173, groups=512, shown=1955)
    once = sizes.host_memory(SEVEN, load, machines)["pixels of a step"]
    patches = sizes.host_memory(SEVEN, load, replace(machines, once=False))["pixels of a step"]
    assert once / 1e9 == pytest.approx(4.7, abs=0.1)  # twice the pixels of 512 x 1280 x 960 views
    assert patches / 1e9 == pytest.approx(542, abs=2)


def test_hours_grow_with_what_is_played_and_shrink_with_gpus() -> None:
    config = load_recipe("qwen2.5-vl-7b")
    machines, gpu = sizes.machines_of(config), sizes.gpu_called("NVIDIA H100 80GB HBM3")
    load = Load(rollouts=8192, longest=6000, typical=3000, said=450, visual=1955)

    def seconds(load: Load = load, machines: Machines = machines) -> float:
        return sum(sizes.step_seconds(SEVEN, load, machines, gpu, 1, reference=True).values())

    assert seconds(replace(load, rollouts=16384)) == pytest.approx(2 * seconds())
    assert seconds(machines=replace(machines, learners=32, engines=16)) == pytest.approx(
        seconds() / 4
    )
    assert 10 * 60 < seconds() < 60 * 60


def test_gpus_are_known_by_their_drivers_names() -> None:
    assert sizes.gpu_called("NVIDIA A100-SXM4-40GB").memory == 40
    assert sizes.gpu_called("NVIDIA A100-SXM4-80GB").memory == 80
    with pytest.raises(ValueError, match="H200"):
        sizes.gpu_called("no such")
