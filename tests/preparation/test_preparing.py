"""Whole preparations: classes, going on after any interruption, memory, full disks."""

import gc
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.files import SealedLog
from experiments.preparation import Rule, Settings, settings
from experiments.preparation.rule import Balance, Tally
from experiments.preparation.run import ROLLOUTS, Wanted, opened
from experiments.preparation.writing import write_jsonl
from trainers import TrainingError
from vt_env import ConfigError, DataError, make_judge, open_source


def rows(out):
    return [json.loads(line) for line in (out / ROLLOUTS).read_text().splitlines()]


def test_classes_are_exact_on_known_success(tmp_path, prepare, make_sample):
    pairs = [*itertools.product((0, 1, 2, 3, 7, 8), (0, 5, 6, 7, 8))]
    made = prepare(tmp_path, [make_sample(n, *pair) for n, pair in enumerate(pairs)])
    needs = [pair for pair in pairs if pair[1] - pair[0] >= 6]
    assert made["classes"] == {
        "low_enough": 1,
        "needs_high": len(needs),
        "rest": len(pairs) - 1 - len(needs),
        "unscored": 0,
    }
    grid = {(cell["low"], cell["full"]): cell["samples"] for cell in made["right_at"]}
    assert grid == dict.fromkeys(pairs, 1)
    assert made["kept"] == {"low_enough": 1, "needs_high": 1}
    low = made["rollouts"]["low"]
    assert low["accuracy"] == pytest.approx(sum(a for a, _ in pairs) / (8 * len(pairs)))
    assert set(low["by_kind"]) == {"odd", "even"}
    kept = open_source(f"jsonl:{tmp_path / 'jsonl'}")
    assert {s.metadata["preparation"]["class"] for s in kept} == {"low_enough", "needs_high"}
    for s in kept:
        told = s.metadata["preparation"]
        assert told["low"] == {"right": s.metadata["low"], "scored": 8}
        assert told["full"] == {"right": s.metadata["full"], "scored": 8}


def test_unscored_rollouts(tmp_path, prepare, make_sample, unsure):
    unknown = {"metadata": {"else": "?"}}
    data = [
        make_sample(0, 8, 8, **unknown),
        make_sample(1, 7, 8, **unknown),
        make_sample(2, 0, 8, references=("?",)),
        make_sample(3, 0, 8),
    ]
    made = prepare(tmp_path, data, judge=unsure)
    assert made["classes"] == {"low_enough": 1, "needs_high": 1, "rest": 0, "unscored": 2}
    reasons = {aside["id"]: aside["reason"] for aside in made["set_aside"]}
    assert reasons["s1"].startswith("1 of 16 rollouts are unscored")
    assert reasons["s2"].startswith("8 of 16 rollouts are unscored")


def test_all_unscored_is_an_error_after_the_report(tmp_path, prepare, make_sample, unsure):
    data = [make_sample(n, 0, 0, metadata={"else": "?"}) for n in range(3)]
    with pytest.raises(DataError, match=r"nothing to write.* 3 unscored, .*--unequal"):
        prepare(tmp_path, data, judge=unsure)
    assert json.loads((tmp_path / "report.json").read_text())["classes"]["unscored"] == 3
    assert not (tmp_path / "jsonl").exists()
    assert len(rows(tmp_path)) == 3


def test_one_sample_and_none(tmp_path, prepare, make_sample, want):
    with pytest.raises(DataError, match="has no rows"):
        prepare(tmp_path / "none", [])
    with pytest.raises(DataError, match="1 low_enough, 0 needs_high"):
        prepare(tmp_path / "one", [make_sample(0)])
    made = prepare(
        tmp_path / "one", [make_sample(0)], resume=True, what=want(balance=Balance(equal=False))
    )
    assert made["kept"] == {"low_enough": 1, "needs_high": 0}
    assert len(open_source(f"jsonl:{tmp_path / 'one' / 'jsonl'}")) == 1


@pytest.fixture
def data(make_sample):
    return [make_sample(n, *((8, 8), (0, 8), (4, 5))[n % 3]) for n in range(12)]


def test_batches_and_interruptions_do_not_matter(tmp_path, prepare, data):
    prepare(tmp_path / "whole", data, batch=5)
    prepare(tmp_path / "parts", data, batch=1, limit=4)
    assert len(rows(tmp_path / "parts")) == 4
    prepare(tmp_path / "parts", data, resume=True, batch=12)
    for name in (ROLLOUTS, "jsonl/samples.jsonl"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()


def test_a_torn_last_line_is_made_again_and_nothing_else(tmp_path, prepare, data, known):
    prepare(tmp_path, data)
    file = tmp_path / ROLLOUTS
    whole = file.read_bytes()
    for cut in (0, 1, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) - 1, len(whole) // 2):
        file.write_bytes(whole[:cut])
        known.played.clear()
        prepare(tmp_path, data, resume=True, agent=known)
        assert file.read_bytes() == whole
        left = {row["id"] for row in rows(tmp_path)[whole[:cut].count(b"\n") :]}
        assert {name.split()[0] for name in known.played} == left
        assert len(known.played) == 2 * len(left)


def test_a_line_that_is_no_row_is_said(tmp_path, prepare, data):
    prepare(tmp_path, data)
    lines = (tmp_path / ROLLOUTS).read_text().splitlines(keepends=True)
    (tmp_path / ROLLOUTS).write_text("".join([*lines[:2], lines[4], *lines[3:]]))
    with pytest.raises(DataError, match="line 3: expected the row of sample number 2"):
        prepare(tmp_path, data, resume=True)


@pytest.mark.parametrize("flip", [True, False])
def test_without_its_settings_nobody_can_tell_whose_rollouts_they_are(
    tmp_path, prepare, data, flip
):
    """Other data under the same path would go on with the rollouts of before."""
    prepare(tmp_path, data)
    file = tmp_path / settings.FILE
    content = bytearray(file.read_bytes())
    content[40] ^= 4
    file.unlink()
    if flip:
        file.write_bytes(content)
    before = (tmp_path / ROLLOUTS).read_bytes()
    with pytest.raises(DataError, match=r"put it back, or begin anew with --overwrite"):
        prepare(tmp_path, data, resume=True)
    assert (tmp_path / ROLLOUTS).read_bytes() == before


@pytest.mark.parametrize("wrong", ["{}\n", "\0\0\n", "[]\n", None])
def test_a_damaged_line_costs_only_the_rollouts_from_there(
    tmp_path, prepare, data, known, caplog, wrong
):
    prepare(tmp_path, data)
    whole = (tmp_path / ROLLOUTS).read_text()
    lines = whole.splitlines(keepends=True)
    flipped = lines[2].replace("true", "tsue", 1)
    damaged = "".join([*lines[:2], flipped if wrong is None else wrong, *lines[3:]])
    (tmp_path / ROLLOUTS).write_text(damaged)
    prepare(tmp_path, data, resume=True, agent=known)
    assert "line 3 is damaged" in caplog.text
    assert (tmp_path / f"damaged-{ROLLOUTS}").read_text() == damaged
    assert (tmp_path / ROLLOUTS).read_text() == whole
    assert len(known.played) == 2 * (len(data) - 2)


def test_nobody_is_asked_when_all_is_done(tmp_path, prepare, data, known):
    prepare(tmp_path, data)
    made = prepare(tmp_path, data, resume=True, agent=known, limit=6)
    assert known.played == []
    assert made["samples"] == 6


def test_other_settings_or_data_are_refused(tmp_path, prepare, data):
    prepare(tmp_path, data)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = Settings("known", "samples", seed=1, judge="exact")
    with pytest.raises(ConfigError, match=r"seed was 0, now it is 1; judge was 'auto', now it is"):
        settings.settle(tmp_path, other, {}, resume=True)
    with pytest.raises(ConfigError, match="data was '"):
        prepare(tmp_path, data[1:], resume=True)
    with pytest.raises(ConfigError, match="prompt was None, now it is 'tiny'"):
        prepare(tmp_path, data, resume=True, prompt="tiny")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    settings.settle(tmp_path, Settings("known", "samples"), {}, resume=True)


def test_two_at_once(tmp_path, prepare, data, want):
    told = Settings("known", "samples")
    source = open_source(data, check="none")
    with (
        opened(tmp_path, told, make_judge("auto"), wanted=want(), source=source),
        ThreadPoolExecutor() as pool,
        pytest.raises(TrainingError, match="another process"),
    ):
        pool.submit(prepare, tmp_path, data, resume=True).result()


def test_the_rule_may_change_over_the_same_rollouts(tmp_path, prepare, make_sample, known, want):
    data = [make_sample(0, 7, 8), make_sample(1, 3, 8), make_sample(2, 8, 8), make_sample(3, 0)]
    first = prepare(tmp_path, data, what=want(formats="jsonl", transcripts=2))
    assert first["classes"]["rest"] == 2
    assert (tmp_path / "cold-start").exists()
    again = prepare(tmp_path, data, what=want(rule=Rule(8, 7, 5)), resume=True, agent=known)
    assert again["classes"] == {"low_enough": 2, "needs_high": 2, "rest": 0, "unscored": 0}
    assert known.played == []
    assert len(open_source(f"jsonl:{tmp_path / 'jsonl'}")) == 4
    assert not (tmp_path / "cold-start").exists()


def test_data_of_another_choice_do_not_stay(tmp_path, prepare, make_sample, want):
    data = [make_sample(0, 7, 8), make_sample(1, 3, 8)]
    prepare(tmp_path, data, what=want(rule=Rule(8, 7, 5), transcripts=2))
    with pytest.raises(DataError, match="nothing to write"):
        prepare(tmp_path, data, resume=True)
    assert {p.name for p in tmp_path.iterdir()} == {
        ".vt",
        "report.json",
        "rollouts.jsonl",
        "settings.json",
    }


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from agents import make_agent
from experiments.preparation import Rule, Settings
from experiments.preparation.run import Wanted, opened
from experiments.preparation.rule import Balance
from vt_env import make_judge

class Logged:
    name = "logged"
    def __init__(self):
        self.inner = make_agent("direct")
    def act(self, conversations):
        with Path(sys.argv[3]).open("a") as stream:
            stream.write("".join(f"{c.sample.id}\\n" for c in conversations))
        time.sleep(0.01)
        return self.inner.act(conversations)

out = Path(sys.argv[1])
told = Settings("direct", "generated:n=60,split=train", rollouts=2)
mode = "resume" if (out / ".vt" / "stamp.json").exists() else "new"
wanted = Wanted(Rule(2, 2, 2), Balance(), ("jsonl",))
with opened(out, told, make_judge("auto"), wanted=wanted, mode=mode) as made:
    for row in made.roll_out(Logged, batch=2):
        pass
"""


def test_a_process_that_is_killed_at_any_moment(tmp_path):
    out, played = tmp_path / "out", tmp_path / "played.txt"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SCRIPT, str(out), root, str(played)]
    rng = random.Random(time.time_ns())
    killed_at = []
    for _ in range(2):
        begun = played.stat().st_size if played.exists() else 0
        process = subprocess.Popen(command, cwd=root)
        while process.poll() is None and (
            not played.exists() or played.stat().st_size < begun + rng.randint(100, 1200)
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        SealedLog(out / ROLLOUTS).mend(in_order=True)
        killed_at.append((len(rows(out)), len(played.read_text().split())))
    subprocess.run(command, cwd=root, check=True)
    assert [row["n"] for row in rows(out)] == list(range(60))
    told = played.read_text().split()
    for done, asked in killed_at:
        kept = {row["id"] for row in rows(out)[:done]}
        assert not kept & set(told[asked:])
    undisturbed = tmp_path / "whole"
    subprocess.run([*command[:3], str(undisturbed), *command[4:]], cwd=root, check=True)
    assert (out / ROLLOUTS).read_bytes() == (undisturbed / ROLLOUTS).read_bytes()


def test_memory_does_not_grow_with_the_data(tmp_path):
    from agents import make_agent

    rule, balance = Rule(1, 1, 1), Balance(per_class=8)

    def peak(n):
        told = Settings("direct", f"generated:n={n},split=train", rollouts=1)
        source, judge = open_source(told.data), make_judge("exact")
        out, wanted = tmp_path / str(n), Wanted(rule, balance, ("jsonl",))
        with opened(out, told, judge, wanted=wanted, source=source) as made:
            tracemalloc.start()
            tally = Tally(rule)
            for row in made.roll_out(lambda: make_agent("direct"), batch=4):
                tally.add(row)
                gc.collect()  # so that the peak does not depend on when it would be done
            kept = {p for found in balance.choose(made.rows(), rule).values() for p in found}
            write_jsonl(out / "jsonl", ((source[n], {}) for n in sorted(kept)), "made")
            tally.report()
            top = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert len(rows(out)) == n
        return top

    gc.freeze()  # collecting is quick where the rest of the process is left out
    try:
        peak(8)  # what is imported and cached on first use
        assert peak(80) < 1.1 * peak(20) + 20_000
    finally:
        gc.unfreeze()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 64 kilobytes, and what makes it larger."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    more = [mount, "-o", "remount,size=8m", str(folder)]
    yield folder, lambda: subprocess.run(more, check=True)
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk, tmp_path, prepare, make_sample, known):
    folder, enlarge = small_disk
    data = [make_sample(n, *((8, 8), (0, 8))[n % 2]) for n in range(24)]
    out = folder / "out"
    with pytest.raises(OSError, match="No space left"):
        prepare(out, data, batch=2)
    kept = (out / ROLLOUTS).read_bytes().count(b"\n")
    assert 0 < kept < len(data)
    enlarge()
    prepare(out, data, resume=True, agent=known)
    assert len(known.played) == 2 * (len(data) - kept)
    prepare(tmp_path / "whole", data)
    assert (out / ROLLOUTS).read_bytes() == (tmp_path / "whole" / ROLLOUTS).read_bytes()


def test_a_disk_that_fills_while_data_are_written(tmp_path, prepare, data, monkeypatch):
    prepare(tmp_path, data)
    before = (tmp_path / "jsonl" / "samples.jsonl").read_text()

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("experiments.preparation.writing.keep_picture", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(tmp_path, data, resume=True)
    assert (tmp_path / "jsonl" / "samples.jsonl").read_text() == before
    monkeypatch.undo()
    prepare(tmp_path, data, resume=True)
    assert not list(tmp_path.glob("*.part"))
