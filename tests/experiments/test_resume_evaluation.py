"""An evaluation that was killed goes on, and shards make what one process makes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from evaluations import lines, result, vt

from trainers.files import read_sealed, write_sealed
from trainers.results import LOCK, Stamp

SCRIPT = Path(__file__).with_name("counting_vt.py")
N, BATCH = 60, 3
ARGV = ["eval", "--agent", "counting:p=0.5", "--judge", "counting", "--data", f"generated:n={N}",
        "--batch", str(BATCH), "--mode", "visionthink", "--mode", "random@trained"]  # fmt: skip
MODES = ("visionthink", "random-trained")


def counting(out: Path, log: Path, *more: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *ARGV, "--out", str(out), *more],
        env={**os.environ, "LOG": str(log), **settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    return error


def noted(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def done(out: Path) -> dict[str, set[str]]:
    """Ids that are on disk, by mode; a torn last line does not count."""
    found: dict[str, set[str]] = {}
    for mode in MODES:
        journal, episodes = out / mode / "journal.jsonl", out / mode / "episodes.jsonl"
        found[mode] = set()
        if (out / mode / "result.json").exists():
            found[mode] = {row["id"] for row in lines(episodes)}
        elif journal.exists():
            whole = journal.read_text().split("\n")[:-1]
            found[mode] = {e["row"]["id"] for e in map(json.loads, whole) if "row" in e}
    return found


def kill_after(process: subprocess.Popen[str], log: Path, acts: int) -> None:
    """SIGKILL once so many samples were begun."""
    until = time.monotonic() + 240
    while sum(line[0] == "act" for line in noted(log)) < acts:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    finished(counting(out, out / "log"))
    return out


def same(out: Path, undisturbed: Path) -> None:
    for mode in MODES:
        rows = (folder / mode / "episodes.jsonl" for folder in (out, undisturbed))
        assert len({path.read_bytes() for path in rows}) == 1
        assert not (out / mode / "journal.jsonl").exists()
    assert result(out) == result(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("shards", ["1", "2"])
def test_a_killed_evaluation_goes_on(shards: str, undisturbed: Path, tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(f"kills {shards}")
    resume: list[str] = []
    acts = 0
    before = done(out)
    for kill in range(3 if shards == "1" else 1):
        log = tmp_path / f"log{kill}"
        process = counting(out, log, "--shards", shards, *resume)
        # wait for something that is new, at a random place of what is left
        acts = rng.randrange(4, 30)
        kill_after(process, log, acts)
        begun = sum(line[0] == "act" for line in noted(log))
        kept = sum(map(len, done(out).values())) - sum(map(len, before.values()))
        if shards == "1":  # of what was begun the block in flight is lost, and no more
            assert begun - kept <= BATCH
        before = done(out)
        resume = ["--resume"]
    assert 0 < sum(map(len, before.values())) < 2 * N
    last = tmp_path / "last"
    finished(counting(out, last, "--shards", shards, "--resume"))
    same(out, undisturbed)
    again = [name for what, name, _ in noted(last) if what == "act"]
    judged = [name for what, name, _ in noted(last) if what == "judge"]
    left = 2 * N - sum(map(len, before.values()))
    assert len(again) == len(judged) == left  # what was on disk is neither generated nor judged
    started = time.monotonic()
    for pid in {int(pid) for log in tmp_path.glob("log*") for *_, pid in noted(log)}:
        while alive(pid):
            assert time.monotonic() < started + 30, "a worker outlived its parent"
            time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_shards_play_what_one_process_plays(undisturbed: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    finished(counting(tmp_path / "out", log, "--shards", "2"))
    same(tmp_path / "out", undisturbed)
    assert len({pid for *_, pid in noted(log)}) == 2


def test_a_process_that_dies_is_told_and_what_is_done_stays(tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    process = counting(out, log, "--shards", "2", BOMB="test-0-000040")
    _, error = process.communicate(timeout=240)
    names = [name for what, name, _ in noted(log)]
    assert process.returncode == 2, (error, names[:3])
    assert "is gone" in error
    assert done(out)["visionthink"]


def generated(out: Path, *more: str, batch: str = "4", n: str = "18") -> int:
    return vt("eval", "--agent", "random:p=0.5", "--data", f"generated:n={n}", "--batch", batch,
              "--out", out, *more)  # fmt: skip


def test_shards_by_hand_are_merged(tmp_path: Path, capsys) -> None:
    modes = ["--mode", "low", "--mode", "visionthink"]
    assert generated(tmp_path / "whole", *modes) == 0
    shards = [tmp_path / f"shard{i}" for i in range(3)]
    for i, shard in enumerate(shards):
        assert generated(shard, *modes, "--shard", f"{i}/3") == 0
        assert not list(shard.glob("**/result.json"))
    out = tmp_path / "merged"
    assert vt("eval", "--merge", *shards, "--out", out) == 0
    assert result(out) == result(tmp_path / "whole")
    for mode in ("low", "visionthink"):
        rows = ((p / mode / "episodes.jsonl").read_text() for p in (out, tmp_path / "whole"))
        assert len(set(rows)) == 1
    capsys.readouterr()
    for wrong, message in (
        (shards[:2], "samples are missing"),
        ([*shards, shards[0]], "played twice"),
        ([*shards, tmp_path / "nothing"], "holds no evaluation"),
        ([tmp_path / "whole", *shards[1:]], "holds no shard"),
    ):
        assert vt("eval", "--merge", *wrong, "--out", tmp_path / "bad", "--overwrite") == 2
        assert message in capsys.readouterr().err
    assert generated(tmp_path / "other", *modes, "--shard", "0/3", "--seed", "1") == 0
    wrong = [tmp_path / "other", *shards[1:]]
    assert vt("eval", "--merge", *wrong, "--out", tmp_path / "bad", "--overwrite") == 2
    assert "seed is" in capsys.readouterr().err


def test_without_modes_a_shard_is_merged_too(tmp_path: Path) -> None:
    assert generated(tmp_path / "whole") == 0
    shards = [tmp_path / f"shard{i}" for i in range(2)]
    for i, shard in enumerate(shards):
        assert generated(shard, "--shard", f"{i}/2") == 0
    assert vt("eval", "--merge", *shards, "--out", tmp_path / "merged") == 0
    assert result(tmp_path / "merged") == result(tmp_path / "whole")


def half_done(out: Path) -> Path:
    """An evaluation in the state in which a killed process leaves it; its journal."""
    assert generated(out, "--shard", "0/2") == 0
    config = read_sealed(out / "evaluation.json")
    write_sealed(out / "evaluation.json", {**config, "shard": None})
    stamp = Stamp.read(out)
    assert stamp is not None
    words = [word for word in stamp.settings["words"][0] if word not in ("--shard", "0/2")]
    replace(stamp, settings={"words": [words]}, finished=None).write(out)
    return out / "journal.jsonl"


def test_a_torn_line_is_dropped_with_a_notice(tmp_path: Path, capsys) -> None:
    assert generated(tmp_path / "whole") == 0
    journal = half_done(tmp_path / "out")
    journal.write_bytes(journal.read_bytes()[:-300])
    capsys.readouterr()
    assert generated(tmp_path / "out", "--resume") == 0
    assert "broken off" in " ".join(capsys.readouterr().err.split())
    assert result(tmp_path / "out") == result(tmp_path / "whole")


def test_what_is_there_is_not_touched_unasked(tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    journal = half_done(out)
    before = journal.read_bytes()
    assert generated(out) == 2
    assert "add --resume to go on" in capsys.readouterr().err
    assert generated(out, "--resume", "--seed", "1") == 2
    assert "seed is 0 there and 1 here" in capsys.readouterr().err
    assert generated(out, "--resume", n="19") == 2
    assert "'generated:n=18' there and 'generated:n=19' here" in capsys.readouterr().err
    assert generated(out, "--resume", "--limit", "5") == 2
    assert "samples is 18 there and 5 here" in capsys.readouterr().err
    assert journal.read_bytes() == before
    assert generated(out, "--resume", batch="7") == 0  # how it is played may change
    capsys.readouterr()
    done = (out / "result.json").read_bytes()
    assert generated(out, "--resume") == 0  # nothing is left to do
    assert (out / "result.json").read_bytes() == done
    assert generated(out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert generated(out, "--overwrite") == 0


def test_of_a_damaged_journal_what_is_whole_is_used(tmp_path: Path, capsys) -> None:
    assert generated(tmp_path / "whole") == 0
    journal = half_done(tmp_path / "out")
    before = journal.read_bytes()
    data = bytearray(before)
    data[data.index(b'"at": 1,') + 2] ^= 1  # a key is no key any more
    journal.write_bytes(bytes(data))
    capsys.readouterr()
    assert vt("eval", "--resume", "--out", tmp_path / "out") == 0
    assert "damaged, and are played again" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "out" / "damaged-journal.jsonl").read_bytes() == data
    assert result(tmp_path / "out") == result(tmp_path / "whole")


def test_a_damaged_description_is_said_with_what_to_do(tmp_path: Path, capsys) -> None:
    before = half_done(tmp_path).read_bytes()
    told = bytearray((tmp_path / "evaluation.json").read_bytes())
    told[40] ^= 4
    (tmp_path / "evaluation.json").write_bytes(told)
    capsys.readouterr()
    assert vt("eval", "--resume", "--out", tmp_path) == 2
    assert "put it back, or begin anew with --overwrite" in capsys.readouterr().err
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_two_processes_do_not_write_one_journal(tmp_path: Path, capsys) -> None:
    fcntl = pytest.importorskip("fcntl")
    journal = half_done(tmp_path / "out")
    before = journal.read_bytes()
    with (tmp_path / "out" / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for more in ("--resume", "--overwrite"):
            assert generated(tmp_path / "out", more) == 2
            assert "another process is at work" in capsys.readouterr().err
    assert journal.read_bytes() == before


def test_more_modes_can_be_added(tmp_path: Path) -> None:
    assert generated(tmp_path, "--mode", "low") == 0
    before = (tmp_path / "low" / "episodes.jsonl").stat().st_mtime_ns
    assert generated(tmp_path, "--mode", "low", "--mode", "full", "--resume") == 0
    assert (tmp_path / "low" / "episodes.jsonl").stat().st_mtime_ns == before
    assert tuple(result(tmp_path)["modes"]) == ("low", "full")
