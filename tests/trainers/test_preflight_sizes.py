"""What a run takes: memory by formula, hours by the GPU, and what nodes of a cluster must share."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from experiments.recipe import load_recipe
from trainers.preflight import cluster, sizes
from trainers.preflight.cluster import node_report, places_of
from trainers.preflight.known import Known
from trainers.preflight.sizes import Load, Machines, Shape

SEVEN = Shape(8_292_000_000, 28, 3584, 18944, 152064, 784)
"""Qwen2.5-VL-7B; tests/openrlhf/test_sizing.py counts its parameters."""
PAGE = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text("utf-8")


NODE = {
    "host": "a", "versions": {"python": "3.12", "ray": "2.50", "flash-attn": None},
    "gpus": [{}] * 8, "ray": {"GPU": 8, "CPU": 64}, "keys": ["HF_HOME"], "judge": True,
    "model": True, "mark": True, "places": True, "free": 1e12, "cpus": 64,
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "what", "verdict", "says"),
    [
        ({}, "GPUs", "ok", "16 GPUs on 2 nodes (a 8, b 8)"),
        ({"ray": {"GPU": 16, "CPU": 64}}, "GPUs", "look", "another number on b"),
        ({"ray": {"GPU": 4, "CPU": 64}}, "GPUs", "no", "8 learn on each of 2 nodes"),
        ({}, "CPUs", "ok", "a 64, b 64"),
        ({"ray": {"GPU": 8, "CPU": 4}}, "CPUs", "no", "b 4"),
        ({"versions": {"python": "3.12", "ray": "2.50", "flash-attn": "2.8"}}, "versions", "no",
         "a: flash-attn None; b: flash-attn 2.8"),
        ({}, "keys", "ok", "HF_HOME"),
        ({"keys": []}, "keys", "no", "b: HF_HOME"),
        ({}, "the judge's server", "ok", "every node"),
        ({"judge": False}, "the judge's server", "no", "b"),
        ({"model": False}, "the model, weights included", "no", "b"),
    ],
)  # fmt: skip
def test_nodes_are_compared(
    other: dict, what: str, verdict: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [dict(NODE), {**NODE, "host": "b", **other}]
    known = Known(load_recipe("qwen2.5-vl-7b", ["openrlhf.nodes=2"]), tmp_path, keys=["HF_HOME"])
    monkeypatch.setattr(cluster, "_ask", lambda _, found: found.extend(nodes) or "")
    found = {finding.what: finding for finding in cluster.look_at_cluster(known)}
    assert found[what].verdict == verdict
    assert says in found[what].says


def test_what_no_node_has_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that only the shell has never reach a worker; a judge without a URL is not looked at."""
    nodes = [{**NODE, "keys": [], "judge": None}] * 2
    known = Known(load_recipe("qwen2.5-vl-7b"), tmp_path, keys=["OPENAI_API_KEY"])
    monkeypatch.setattr(cluster, "_ask", lambda _, found: found.extend(nodes) or "")
    found = {finding.what: finding for finding in cluster.look_at_cluster(known)}
    assert (found["keys"].verdict, found["the judge's server"].verdict) == ("no", "skipped")


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
    names = {
        "NVIDIA A100-SXM4-40GB": ("A100-SXM4-40GB", 40),
        "NVIDIA A100-SXM4-80GB": ("A100", 80),
        "NVIDIA A100-PCIE-40GB": ("A100-PCIE-40GB", 40),
        "NVIDIA GH200 480GB": ("GH200", 96),
        "NVIDIA H100 80GB HBM3": ("H100", 80),
        "NVIDIA L40S": ("L40S", 48),
        "NVIDIA L40": ("L40", 48),
        "NVIDIA A10G": ("A10G", 24),
    }
    for driver, (name, memory) in names.items():
        gpu = sizes.gpu_called(driver)
        assert (gpu.name, gpu.memory) == (name, memory)
    for unknown in ("no such", "RTX", "A10", "NVIDIA A1000"):
        with pytest.raises(ValueError, match="H200"):
            sizes.gpu_called(unknown)
    found = sizes.gpu_found("NVIDIA GH200 480GB", 102.6e9)
    assert (found.memory, found.bandwidth) == (102.6, 4.0)
    assert sizes.gpu_found("NVIDIA Z9", 24e9) == sizes.Gpu("NVIDIA Z9", 24)
