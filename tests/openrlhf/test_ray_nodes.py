"""A suite on a Ray cluster of three nodes: `make test-openrlhf`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.openrlhf, pytest.mark.slow]
ray = pytest.importorskip("ray", reason="needs `make test-openrlhf`")
pytest.importorskip("datasets")
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from ray.cluster_utils import Cluster  # noqa: E402
from zoom_tables import COPIES  # noqa: E402

from experiments.cli import main  # noqa: E402
from experiments.evaluation.workers import Actors  # noqa: E402

NAMES = ("vstar", "hrbench-4k", "treebench")
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture
def three_nodes():
    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    for _ in range(2):
        nodes.add_node(**NODE)
    ray.init(address=nodes.address)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def rows(folder: Path) -> dict[str, bytes]:
    found = folder.glob("**/episodes.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_three_nodes_play_what_one_process_plays(three_nodes, untrained, tmp_path) -> None:
    for name in NAMES:
        COPIES[name](tmp_path / "copies" / name)
    argv = ["eval", "--suite", "zoom", "--suite-data", str(tmp_path / "copies"), "--batch", "1"]
    argv += [word for name in NAMES for word in ("--benchmark", name)]
    argv += ["--agent", f"tiny:{untrained},temperature=1", "--prompt", "tiny", "--tokens", "tiny"]
    argv += ["--repeat", "3", "--mode", "low", "--mode", "visionthink"]
    assert main([*argv, "--out", str(tmp_path / "one")]) == 0
    assert len([node for node in ray.nodes() if node["Alive"]]) == 3
    # a node has one processor and an actor takes one, so that each of the three has an actor
    assert main([*argv, "--out", str(tmp_path / "ray"), "--ray", "--shards", "3"]) == 0
    assert rows(tmp_path / "ray") == rows(tmp_path / "one")
    assert len(rows(tmp_path / "one")) == 2 * len(NAMES)


def test_a_node_that_is_lost_in_the_middle_loses_and_repeats_nothing(
    three_nodes, untrained, tmp_path, monkeypatch
) -> None:
    """Through the command: its episodes are byte for byte those of one process."""
    argv = ["eval", "--data", "generated:n=40,kinds=laptop", "--batch", "1", "--prompt", "tiny"]
    argv += ["--agent", f"tiny:{untrained},temperature=1", "--mode", "visionthink"]
    assert main([*argv, "--out", str(tmp_path / "one")]) == 0
    left = []
    play = Actors.play

    def losing(self, *arguments):
        playing = play(self, *arguments)
        yield next(playing)
        three_nodes.remove_node(next(iter(three_nodes.worker_nodes)), allow_graceful=False)
        yield from playing
        left.append(len(self._actors))

    monkeypatch.setattr(Actors, "play", losing)
    assert main([*argv, "--out", str(tmp_path / "ray"), "--ray", "--shards", "3"]) == 0
    assert left == [2]
    assert rows(tmp_path / "ray") == rows(tmp_path / "one")
    (episodes,) = rows(tmp_path / "one").values()
    assert episodes.count(b"\n") >= 40
