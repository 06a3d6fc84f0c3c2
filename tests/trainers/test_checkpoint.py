"""Checkpoints survive what can happen to them."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainers import CheckpointError, CheckpointStore
from trainers.checkpoint import read
from trainers.errors import Damaged
from trainers.files import MANIFEST, read_sealed, write_sealed
from vt_env import ConfigError


def write(text: str = "weights"):
    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "weights.bin").write_text(text)
        (folder / "state.json").write_text("{}")

    return fill


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoint", keep=2)


def names(store: CheckpointStore) -> list[str]:
    return sorted(p.name for p in store.folder.iterdir())


def test_a_checkpoint_comes_back_as_it_was_written(store):
    saved = store.save(3, write("abc"), score=0.5)
    assert store.newest() == saved
    assert (saved.folder / "model" / "weights.bin").read_text() == "abc"
    assert names(store) == ["step-000003"]


def test_an_empty_folder_has_none(store):
    assert store.newest() is None
    assert store.best() is None


def test_the_newest_and_the_best_are_kept(store):
    for step, score in ((1, 0.1), (2, 0.9), (3, 0.2), (4, None), (5, 0.3)):
        store.save(step, write(), score)
    assert names(store) == ["step-000002", "step-000004", "step-000005"]
    assert store.best().step == 2
    assert store.newest().step == 5


def test_of_equal_scores_the_newest_is_the_best(store):
    for step in (1, 2, 3):
        store.save(step, write(), 0.5)
    assert store.best().step == 3


def test_steps_are_compared_as_numbers(store):
    store.save(999_999, write())
    store.save(1_000_000, write())
    assert store.newest().step == 1_000_000


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["model/weights.bin", "state.json", MANIFEST])
def test_a_broken_newest_one_is_reported_and_the_one_before_is_used(store, harm, name, caplog):
    store.save(1, write("one"))
    broken = store.save(2, write("two"))
    harm(broken.folder / name)
    with caplog.at_level(logging.WARNING):
        assert store.newest().step == 1
    assert "step-000002 is broken" in caplog.text
    assert names(store) == ["broken-step-000002", "step-000001"]
    store.save(2, write("two again"))
    assert store.newest().step == 2


def test_a_checkpoint_of_a_later_version_is_not_called_broken(store):
    store.save(1, write())
    later = store.save(2, write())
    manifest = read_sealed(later.folder / MANIFEST)
    write_sealed(later.folder / MANIFEST, {**manifest, "format": 99})
    with pytest.raises(CheckpointError, match="format 99"):
        store.newest()
    assert names(store) == ["step-000001", "step-000002"]


def test_no_bit_of_a_manifest_changes_unnoticed(store, caplog):
    store.save(1, write("one"))
    manifest = store.save(2, write("two"), score=0.5).folder / MANIFEST
    data = manifest.read_bytes()
    for bit in range(0, 8 * len(data), 5):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        manifest.write_bytes(changed)
        with pytest.raises(Damaged):
            read(manifest.parent)
    assert store.newest().step == 1


def test_what_others_put_there_stays(store):
    for step in (1, 2):
        store.save(step, write())
    notes = [store.folder / name for name in ("model.pt", "mine.part/x", "step-000001/notes.txt")]
    for path in notes:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (store.folder / "step-7").symlink_to(store.folder.parent)
    for step in (3, 4, 5):
        store.save(step, write())
    assert [path.read_text() for path in notes] == ["mine"] * 3
    assert (store.folder / "step-7").is_symlink()
    assert not (store.folder / "step-000002").exists()
    assert store.newest().step == 5


def test_all_broken_is_none(store):
    flip(store.save(1, write()).folder / "state.json")
    assert store.newest() is None


def test_what_a_killed_process_left_is_no_checkpoint(store):
    store.save(1, write())
    part = store.folder / "step-000002.part"
    part.mkdir()
    (part / "weights.bin").write_text("half")
    assert store.newest().step == 1
    store.save(3, write())
    assert names(store) == ["step-000001", "step-000003"]


def test_a_step_is_saved_once(store):
    store.save(1, write())
    with pytest.raises(CheckpointError, match="already"):
        store.save(1, write())


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        CheckpointStore(tmp_path, keep=0)


def test_a_full_disk_loses_nothing(store):
    store.save(1, write("one"))

    def full(folder: Path) -> None:
        (folder / "weights.bin").write_text("half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointError, match=r"No space left.*step-000001 is the newest"):
        store.save(2, full)
    assert names(store) == ["step-000001"]
    assert store.newest().step == 1


def test_a_disk_that_fills_up_while_the_manifest_is_written(store, monkeypatch):
    store.save(1, write("one"))
    real = Path.write_text

    def full(path: Path, *args, **kwargs):
        if path.name == MANIFEST:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CheckpointError, match="No space left"):
        store.save(2, write("two"))
    assert names(store) == ["step-000001"]


def test_an_interrupt_leaves_no_leavings(store):
    store.save(1, write())

    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(2, interrupted)
    assert names(store) == ["step-000001"]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of one megabyte."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("library", ["torch", "safetensors", "plain"])
def test_a_disk_that_is_really_full(small_disk, library):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")

    def big(folder: Path, count: int) -> None:
        weights = torch.zeros(count)
        if library == "torch":
            torch.save(weights, folder / "w.pt")
        elif library == "safetensors":
            safetensors.save_file({"w": weights}, folder / "w.safetensors")
        else:
            (folder / "w").write_bytes(bytes(4 * count))

    store = CheckpointStore(small_disk / "checkpoint", keep=3)
    store.save(1, lambda folder: big(folder, 100_000))
    with pytest.raises(CheckpointError, match="step-000001 is the newest"):
        store.save(2, lambda folder: big(folder, 400_000))
    assert names(store) == ["step-000001"]
    read(store.newest().folder)
    store.save(3, lambda folder: big(folder, 100_000))
    assert store.newest().step == 3


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from trainers import CheckpointError, CheckpointStore
torch.set_num_threads(1)
store = CheckpointStore(Path(sys.argv[1]))
store.save(1, lambda folder: torch.save(torch.zeros(10), folder / "w.pt"))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    store.save(2, lambda folder: torch.save(torch.zeros(100_000), folder / "w.pt"))
except CheckpointError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_limit_on_file_sizes(store):
    pytest.importorskip("torch")
    if not hasattr(resource, "RLIMIT_FSIZE") or not hasattr(signal, "SIGXFSZ"):
        pytest.skip("no such limit here")
    command = [sys.executable, "-c", LIMITED, str(store.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "step-000001 is the newest" in done.stdout, done.stderr
    assert names(store) == ["step-000001"]
    assert store.newest().step == 1


def test_a_run_whose_checkpoints_have_no_room_is_refused_first(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoint", keep=2)
    store.check_room(1000)
    with pytest.raises(CheckpointError, match=r"need about .* GB in .*: make room, lower"):
        store.check_room(10**18)
    assert not store.folder.exists()


def test_room_is_looked_for_before_each_save(store, monkeypatch):
    store.check_room(1000)
    store.save(1, write())
    usage = shutil.disk_usage(store.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=999))
    with pytest.raises(CheckpointError, match="the files of the checkpoint of step 2 need about"):
        store.save(2, write())
    assert names(store) == ["step-000001"]
