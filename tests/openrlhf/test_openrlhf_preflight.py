"""The preflight's look at a cluster: a real one of Ray's, on this machine, without a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.openrlhf
ray = pytest.importorskip("ray", reason="OpenRLHF's stack is not installed")

from experiments.recipe import load_recipe  # noqa: E402
from trainers.preflight.cluster import look_at_cluster  # noqa: E402
from trainers.preflight.known import Known  # noqa: E402


def test_every_node_says_where_it_comes_from() -> None:
    from trainers.hosted.nodes import origins

    (found,) = origins()
    assert found["host"]
    assert {"python", "torch", "ray", "visionthink-gym"} <= found["versions"].keys()
    assert {"cuda", "gpus", "commit"} <= found.keys()
    assert found["resources"]["CPU"] == 2


@pytest.fixture(scope="module", autouse=True)
def cluster(ray_started):
    ray_started(num_cpus=2, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_node_says_what_it_lacks(tmp_path: Path) -> None:
    config = load_recipe("qwen2.5-vl-3b", [f"model.path={tmp_path}"])
    judge = "openai:m@http://127.0.0.1:9/v1,canaries=0"
    config = replace(config, environment=replace(config.environment, judge=judge))
    known = Known(config, tmp_path / "run")
    found = {finding.what: finding for finding in look_at_cluster(known)}
    assert "0 GPUs, " in found["nodes"].says
    assert found["GPUs"].verdict == "no"
    assert "Ray has 0 GPUs on 1 nodes" in found["GPUs"].says
    assert "1 are needed, of which 1 learn on each of 1 nodes" in found["GPUs"].says
    assert found["CPUs"].verdict == "ok"
    assert found["versions"].verdict == "ok"
    for name in ("ray", "python", "commit", "visionthink-gym"):
        assert f"{name} " in found["versions"].says
    everywhere = ("the run's folder", "the working folder and the data")
    assert [found[name].verdict for name in everywhere] == ["ok"] * 2
    assert found["the model, weights included"].verdict == "no"  # the folder is empty
    assert found["the judge's server"].verdict == "no"
    assert not list(tmp_path.glob(".vt-*"))
