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
    assert "0 GPUs on 1 nodes, 1 are needed on 1" in found["GPUs"].says
    assert found["versions"].verdict == "ok"
    assert "ray " in found["versions"].says
    everywhere = ("the run's folder", "the working folder and the data", "the model")
    assert [found[name].verdict for name in everywhere] == ["ok"] * 3
    assert found["the judge's server"].verdict == "no"
    assert not list(tmp_path.glob(".vt-*"))
