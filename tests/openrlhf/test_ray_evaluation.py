"""``vt eval --ray`` on a real Ray cluster of this machine: `make test-openrlhf`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.openrlhf
ray = pytest.importorskip("ray", reason="needs `make test-openrlhf`")

from experiments.cli import main  # noqa: E402
from experiments.evaluation.modes import Mode  # noqa: E402
from experiments.evaluation.player import Part, Setup, WorkerError  # noqa: E402
from experiments.evaluation.workers import Actors  # noqa: E402

MODES = ("low", "visionthink", "random@trained")
ARGV = ["eval", "--data", "generated:n=30,kinds=laptop", "--batch", "4"]


@pytest.fixture(scope="module")
def cluster(ray_started):
    ray_started(num_cpus=4, object_store_memory=200 * 2**20)
    yield
    ray.shutdown()


def rows(folder: Path) -> dict[str, bytes]:
    found = folder.glob("**/episodes.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("agent", ["random:p=0.4", "tiny:{untrained},temperature=1"])
def test_actors_play_what_one_process_plays(cluster, untrained, agent, tmp_path) -> None:
    argv = [*ARGV, "--agent", agent.format(untrained=untrained), "--prompt", "tiny"]
    argv += [word for mode in MODES for word in ("--mode", mode)]
    assert main([*argv, "--out", str(tmp_path / "one")]) == 0
    assert main([*argv, "--out", str(tmp_path / "ray"), "--ray", "--shards", "2"]) == 0
    assert rows(tmp_path / "ray") == rows(tmp_path / "one")
    assert len(rows(tmp_path / "one")) == 3
    one, other = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "ray")
    )
    assert one["tests"] == other["tests"]


def test_what_goes_wrong_in_an_actor_is_one_line(cluster, tmp_path, capsys) -> None:
    argv = [*ARGV, "--agent", f"tiny:{tmp_path}/nothing", "--out", str(tmp_path / "out")]
    assert main([*argv, "--ray", "--shards", "2"]) == 2
    error = capsys.readouterr().err
    assert "nothing" in error
    assert error.count("\n") == 1


def test_other_data_on_another_machine_is_refused(cluster) -> None:
    setup = Setup("direct", [Part("p", "generated:n=4")], fingerprints={"p": "0" * 64})
    actors = Actors(setup, 1)
    try:
        with pytest.raises(WorkerError, match="another one where a shard is played"):
            list(actors.play("p", Mode(), [[(0, "test-0-000000")]]))
    finally:
        actors.close()


def test_the_last_actor_that_is_gone_is_told(cluster) -> None:
    actors = Actors(Setup("direct", [Part("p", "generated:n=40")]), 1)
    blocks = [[(at, f"test-0-{at:06}")] for at in range(40)]
    playing = actors.play("p", Mode(), blocks)
    assert next(playing)[0]["at"] == 0
    ray.kill(actors._actors[0])
    with pytest.raises(WorkerError, match="is gone"):
        list(playing)
    actors.close()


@pytest.mark.slow
def test_what_a_lost_machine_had_is_played_by_the_others_once() -> None:
    """Three nodes with an actor each; one is taken away after the first results."""
    from ray.cluster_utils import Cluster

    ray.shutdown()
    sizes = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    machines = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
    nodes = [machines.add_node(**sizes) for _ in range(2)]
    ray.init(address=machines.address)
    actors = Actors(Setup("direct", [Part("p", "generated:n=40")]), 3)
    try:
        blocks = [[(at, f"test-0-{at:06}")] for at in range(40)]
        playing = actors.play("p", Mode(), blocks)
        found = next(playing)
        assert len({node["NodeID"] for node in ray.nodes() if node["Alive"]}) == 3
        machines.remove_node(nodes[0], allow_graceful=False)
        found += [entry for entries in playing for entry in entries]
        assert sorted(entry["at"] for entry in found if "at" in entry) == list(range(40))
        assert len(actors._actors) == 2
    finally:
        actors.close()
        ray.shutdown()
        machines.shutdown()
