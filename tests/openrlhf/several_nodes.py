"""A run on a Ray cluster of three nodes on this machine: `make test-nodes`.

Nobody has run it yet, so pytest collects this file only where it is named. Each node has one GPU,
as far as Ray believes, so the two learners and the engine are on three different ones; the run's
folder is the disk that all of them see.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.openrlhf, pytest.mark.slow]
ray = pytest.importorskip("ray", reason="needs `make test-nodes`")
pytest.importorskip("vllm", reason="needs `make test-nodes`")
pytest.importorskip("deepspeed", reason="needs `make test-nodes`")

from ray.cluster_utils import Cluster  # noqa: E402

from trainers import make_trainer  # noqa: E402
from trainers.openrlhf.run import OpenRLHFRun  # noqa: E402
from trainers.tracking import JsonLines  # noqa: E402

MINUTES = 20
"""For the whole test; a collective that waits for a node that is not there would wait for ever."""
NODE = {"num_cpus": 3, "num_gpus": 1, "object_store_memory": 200 * 2**20}
AGREED = 0.03
"""Nats a token between learner and engine, as in ``test_whole_stack.py``."""


@pytest.fixture
def in_time() -> Iterator[None]:
    """Whatever hangs ends."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{MINUTES} minutes are over")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60 * MINUTES)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def three_nodes(in_time: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The head and two more; a run finds them at ``RAY_ADDRESS``."""
    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        for _ in range(2):
            nodes.add_node(**NODE)
        nodes.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
    finally:
        nodes.shutdown()


def rows_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def weights_of(folder: Path) -> dict:
    from agents.models import load_vlm

    return load_vlm(folder, dtype="float32", device="cpu").model.state_dict()


def test_two_learners_and_an_engine_on_three_nodes(three_nodes, recipe, tiny, tmp_path) -> None:
    def config(steps: int):
        return recipe(
            f"model.path={tiny}",
            f"steps={steps}",
            "rollout.probes=0",
            "optimiser.learning_rate=2e-3",
            "openrlhf.nodes=2",
            "openrlhf.engines=1",
            "openrlhf.correction=token",
            "early=true",
        )

    trainer = make_trainer("openrlhf")
    result = trainer.train(config(2), tmp_path)
    (start,) = JsonLines(tmp_path / "starts.jsonl").rows()
    assert [node["resources"].get("GPU") for node in start["nodes"]] == [1, 1, 1]
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["before/n"] == rows[1]["eval/n"] == 8
    for row in rows:
        assert row["train/trained_tokens"] > 0
        assert row["env/unscored"] == row["rollout/refused"] == 0
        assert abs(row["train/engine_kl"]) < AGREED  # the engine has the weights that were learnt
    saved = {folder.name for folder in (tmp_path / "checkpoint").glob("step-*")}
    assert saved == {"step-000001", "step-000002"}
    state = OpenRLHFRun.read(tmp_path / "openrlhf").states / "_actor" / "global_step2"
    shards = list(state.glob("*zero_pp_rank_*_optim_states.pt"))
    assert len(shards) == 2, "each learner writes its part of the state into the shared folder"
    before, after = weights_of(tiny), weights_of(result.checkpoint)
    assert any(not before[name].bfloat16().equal(after[name].bfloat16()) for name in before)

    # both parts of the state are read back
    assert trainer.train(config(3), tmp_path, resume=True).steps == 3
    assert rows_of(tmp_path)[:2] == rows
    assert abs(rows_of(tmp_path)[2]["train/engine_kl"]) < AGREED
