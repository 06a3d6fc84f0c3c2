"""A look at a run before a machine is paid for."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers")

from huggingface_hub import is_offline_mode

from experiments.cli import main
from experiments.recipe import load_recipe
from trainers import TrainConfig
from trainers.data import lacking_weights
from trainers.local.play import Player
from trainers.preflight import Finding, Preflight, rehearsal, sizes
from trainers.preflight.hub import hub_asked
from trainers.preflight.known import Known
from trainers.refusing import check_recipe
from trainers.tracking import JsonLines, Tracker
from vt_env import make_task
from vt_env.protocol import make_protocol


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


HOSTED = (
    *("model.dtype=bfloat16", "rollout.probes=0", "model.freeze_vision=false"),
    *("optimiser.microbatch=4", "algorithm.entropy=0", "algorithm.options.kl_coef=0"),
    "algorithm.options.aggregation=token_mean",
)
LACKING = {"openrlhf": "openrlhf", "verl": "verl", "trl": "trl"}


@pytest.fixture
def nothing_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a computer that has none of the libraries."""
    monkeypatch.setattr("trainers.installed.missing", LACKING.get)


@pytest.mark.usefixtures("nothing_hosted")
@pytest.mark.parametrize("trainer", LACKING)
def test_without_the_trainers_library_the_rest_is_looked_at(trainer: str, look) -> None:
    """As on a computer on which nothing but the arithmetic is asked for: no reason not to start."""
    words = (f"trainer={trainer}", *HOSTED, "verl.gpus_per_node=1", "--gpu", "A100-PCIE-40GB")
    code, told, found, _ = look(*words, "--stages", "2")
    assert (code, found["good"]) == (0, True), told
    assert told["versions"]["verdict"] == "look"
    assert "which is not installed" in told["versions"]["says"]
    assert told["recipe"]["verdict"] == "ok"
    assert "of 40 (A100" in told["GPU memory"]["says"]
    assert told["hours"]["verdict"] == "ok"
    for name in ("host memory", "disk"):  # which are not this computer's
        assert told[name]["verdict"] == "look"
        assert "will not be on this machine" in told[name]["says"]
    code, told, found, _ = look(*words)
    assert code == 2
    assert not found["good"]


@pytest.mark.usefixtures("nothing_hosted")
@pytest.mark.parametrize("trainer", LACKING)
def test_what_a_trainer_refuses_is_refused_without_its_library(trainer: str, look) -> None:
    words = (f"trainer={trainer}", *HOSTED, "model.lora_rank=8", "--stages", "1")
    code, told, _, _ = look(*words)
    assert code == 2
    assert told["recipe"]["verdict"] == "no"
    assert "set model.lora_rank=0" in told["recipe"]["says"]


@pytest.mark.parametrize("name", ["RTX", "A10", "no such"])
def test_a_gpu_that_is_not_known_is_refused_before_anything_is_looked_at(name: str, look) -> None:
    code, _, found, shown = look("--gpu", name)
    assert (code, found) == (2, {})
    assert "H200" in shown.err
    assert "versions" not in shown.err


def test_a_gpu_that_only_its_driver_knows_has_no_hours(
    look, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_here = sizes.gpu_found("NVIDIA Z9", 8e9)
    monkeypatch.setattr("trainers.preflight.arithmetic._gpu_here", lambda: found_here)
    code, told, _, _ = look("--stages", "2")
    assert code == 0
    assert "of 8 (NVIDIA Z9)" in told["GPU memory"]["says"]
    assert told["hours"]["verdict"] == "skipped"
    assert "H100" in told["hours"]["advice"]
    assert told["disk"]["verdict"] == "ok"  # it is this machine


def test_an_installation_that_is_broken_is_one_line(look, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where torchvision is of another torch: transformers then lacks its own classes."""
    monkeypatch.delitem(sys.modules, "experiments.commands.check", raising=False)
    monkeypatch.setitem(sys.modules, "trainers.preflight", None)
    code, _, found, shown = look()
    assert (code, found) == (2, {})
    assert "--check needs torch and transformers, which cannot be imported" in shown.err


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), MemoryError(), KeyError(3)])
def test_an_error_of_any_kind_is_a_finding_in_a_line(
    error: Exception, look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("trainers.local.trainer.LocalTrainer.train", fails)
    code, told, _, shown = look()
    assert code == 2
    assert told["one step"]["verdict"] == "no"
    assert type(error).__name__ in told["one step"]["says"]
    assert "speak against a start" in shown.err
    monkeypatch.setattr("trainers.preflight.arithmetic._gpu_here", fails)
    code, told, _, _ = look("--stages", "2")  # outside of any single look
    assert code == 2
    assert type(error).__name__ in told["arithmetic"]["says"]


def test_a_look_that_is_interrupted_leaves_what_it_found(
    look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.preflight.alone.load_processor", interrupted)
    with suppress(KeyboardInterrupt):
        look()
    found = json.loads((tmp_path / "run-preflight.json").read_text("utf-8"))
    assert [finding["what"] for finding in found["findings"]] == ["versions", "recipe"]
    assert not found["good"]


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
    [
        ({"train/engine_kl": 0.002, "rollout/request_rate": 1.0}, "ok"),
        ({"train/engine_kl": 0.2}, "look"),
        ({}, "look"),
    ],
)
def test_engine_and_learner_are_compared_or_it_is_said(row, verdict: str, tmp_path: Path) -> None:
    known = Known(load_recipe("qwen2.5-vl-7b"), tmp_path)
    known.tasks["train"] = make_task("generated:n=1")
    (tmp_path / "run").mkdir()
    JsonLines(tmp_path / "run" / "metrics.jsonl").append({"step": 1, "train/grad_norm": 1.0, **row})
    found = {finding.what: finding for finding in rehearsal._measured(known, tmp_path)}
    assert found["the update"].verdict == "ok"
    assert found["engine and learner"].verdict == verdict
    assert found["the second view"].verdict == ("ok" if row.get("rollout/request_rate") else "look")


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"train/grad_norm": 0.3, "reward/groups_without_signal": 0.5}, "ok"),
        ({"train/grad_norm": math.nan}, "no"),
        ({"train/grad_norm": None}, "no"),
        ({"train/grad_norm": 0.3, "train/policy_loss": math.inf}, "no"),
        ({}, "no"),
        ({"train/grad_norm": 0.0}, "look"),
        ({"train/grad_norm": 0.3, "reward/groups_without_signal": 1.0}, "look"),
    ],
)
def test_an_update_that_is_none_does_not_pass(numbers, verdict: str, tmp_path: Path) -> None:
    """The log has null for NaN and infinity, so nothing in it is ever not finite."""
    Tracker(tmp_path).log(1, numbers)
    (row,) = JsonLines(tmp_path / "metrics.jsonl").rows()
    found = rehearsal._update(row)
    assert found.verdict == verdict
    assert ("nothing was learnt" in found.says) == (verdict == "look")


def test_the_longest_samples_are_found_by_all_headers_and_played_with_both_views(
    tmp_path: Path, tiny: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand samples the three longest, though fewer than a thousand were decoded."""
    rng = np.random.default_rng(0)
    for name, size in {"small": (80, 60), "large": (160, 120)}.items():
        noise = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    longest = {"7", "501", "998"}
    rows = [
        {"id": str(n), "image": f"{'large' if str(n) in longest else 'small'}.png",
         "question": "Which digit?", "answer": "7"}
        for n in range(1000)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    monkeypatch.setattr("trainers.preflight.arithmetic._LOOKED_AT", 100)
    monkeypatch.setattr("trainers.preflight.arithmetic._LONGEST", 5)
    words = [f"model.path={tiny}", *small, "optimiser.microbatch=12",
             f"data.train=jsonl:{tmp_path / 'rows.jsonl'}"]  # fmt: skip
    known = Known(load_recipe("laptop", words), tmp_path / "run")
    known.config = replace(known.config, trainer="local")
    played: list[tuple[str, int]] = []

    def watched(task, *arguments, **options):
        episodes = real(task, *arguments, **options)
        played.extend((e.sample.id, e.replies[0].forced) for e in episodes)
        return episodes

    real = Player.play
    monkeypatch.setattr(Player, "play", watched)
    found = Preflight(known, "")
    found.look(4, lambda _: None)
    told = {finding.what: finding for finding in found.findings}
    assert set(known.longest[:3]) == longest
    assert {name for name, _ in played} == longest
    assert len(played) == 12
    assert all(forced for _, forced in played)  # to begin a request; it may still spoil it
    assert told["the second view"].verdict in ("ok", "look")
    assert "of the 3 longest samples" in told["one step"].says


@pytest.mark.parametrize(
    ("recipe", "settings", "forced"),
    [
        ("qwen2.5-vl-7b", [], True),
        ("qwen2.5-vl-7b", ["algorithm.options.drop_without_signal=false", "algorithm.name=ppo"],
         False),
        ("general", [], False),  # it has no tool
    ],
)  # fmt: skip
def test_a_request_is_forced_where_it_can_be(recipe: str, settings: list[str], forced: bool):
    config = load_recipe(recipe, settings)

    class Checking:
        def check(self, config: TrainConfig) -> None:
            check_recipe(config)

    rules = config.environment
    protocol = make_protocol(rules.protocol, max_turns=rules.max_turns)
    made = rehearsal.small(config, sizes.machines_of(config))
    made = rehearsal.asking(made, protocol, Checking())  # pyright: ignore[reportArgumentType]
    assert made.rollout.arm == ("request" if forced else "")
    assert made.openrlhf.correction == "token"


def test_a_folder_without_its_weights_is_no_model(look, tiny: Path, tmp_path: Path) -> None:
    """Its configuration suffices for all the arithmetic, and for nothing after it."""
    bare = tmp_path / "bare"
    shutil.copytree(tiny, bare)
    (bare / "model.safetensors").unlink()
    code, told, _, _ = look(f"model.path={bare}", "--stages", "1")
    assert (code, told["model"]["verdict"]) == (2, "no")
    assert "of its weights model.safetensors is not here" in told["model"]["says"]
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (bare / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    (bare / "model-1-of-2.safetensors").touch()
    assert lacking_weights(str(bare)) == "model-2-of-2.safetensors"
    (bare / "model-2-of-2.safetensors").touch()
    assert lacking_weights(str(bare)) == ""


def test_a_model_of_the_hub_is_looked_for_in_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("c0ffee")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    (snapshot / "config.json").touch()
    assert lacking_weights("a/b") == "model.safetensors"
    (snapshot / "model.safetensors").touch()
    assert lacking_weights("a/b") == ""
