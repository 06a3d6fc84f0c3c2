"""A folder of results: what is ours is replaced whole or not at all, what is not stays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from trainers.errors import Busy, Damaged
from trainers.files import read_sealed, sealed_json, whole_folder, write_sealed
from trainers.results import LOCK, PREVIOUS, STAMP, STAMPS, Stamp, begin, kept, look, restore
from vt_env import ConfigError

OWNS = ("result.json", "log.jsonl", "data/*", "parts/part-*/x")
fcntl = pytest.importorskip("fcntl")


def work(out: Path, mode: str, text: str) -> None:
    """A command: a log, a sealed folder, a few files below, a result."""
    with begin(out, "test", OWNS, mode) as results:  # type: ignore[arg-type]
        (out / "log.jsonl").write_text(f"{text} begun")
        with whole_folder(out / "data", "test") as part:
            (part / "a").write_text(text)
            (part / "b").write_text(text)
        for number in range(3):
            place = out / "parts" / f"part-{number}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "x").write_text(text)
        (out / "result.json").write_text(text)
        results.finish()


def files(out: Path, private: bool = False) -> dict[str, bytes]:
    """Everything that is in a folder; links by where they lead."""
    found = {}
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        if name.startswith(".vt") and not private:
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}".encode()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


MINE = ("notes.txt", "parts/notes.txt", "parts/part-0/y", "other/result.json")


def add_mine(out: Path) -> dict[str, bytes]:
    for name in MINE:
        (out / name).parent.mkdir(exist_ok=True, parents=True)
        (out / name).write_text(f"my {name}")
    (out / "link").symlink_to(out.parent / "outside")
    return {name: data for name, data in files(out).items() if name in (*MINE, "link")}


def same(found: dict[str, bytes], mine: dict[str, bytes]) -> None:
    assert {name: found.get(name) for name in mine} == mine


def test_results_are_begun_gone_on_with_and_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    work(out, "new", "first")
    stamp = look(out, "test", "resume")
    assert stamp is not None
    assert stamp.finished
    mine = add_mine(out)
    for mode, message in (("new", r"add --resume to go on .* or --overwrite"),):
        with pytest.raises(ConfigError, match=message):
            work(out, mode, "second")
    with pytest.raises(ConfigError, match="holds results of vt test; choose another"):
        look(out, "other", "overwrite")
    work(out, "resume", "more")
    assert (out / "result.json").read_text() == "more"
    work(out, "overwrite", "second")
    assert (out / "result.json").read_text() == "second"
    assert not (out / PREVIOUS).exists()
    same(files(out), mine)


@pytest.mark.parametrize("mode", ["new", "resume", "overwrite"])
@pytest.mark.parametrize("name", ["result.json", "data/a", "notes.txt", ".vt/x", "link"])
def test_somebody_s_folder_is_refused_and_not_touched(tmp_path: Path, mode: str, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name == "link":
        (tmp_path / name).symlink_to("nowhere")
    else:
        (tmp_path / name).write_text("mine")
    before = files(tmp_path, private=True)
    with pytest.raises(ConfigError, match=f"holds {name}, and no results of vt test"):
        work(tmp_path, mode, "ours")
    assert files(tmp_path, private=True) == before


def test_work_that_writes_nothing_leaves_no_trace(tmp_path: Path) -> None:
    class Wrong(Exception):
        pass

    def fail(out: Path, mode: str) -> None:
        with begin(out, "test", OWNS, mode, formal=("log.jsonl",)):  # type: ignore[arg-type]
            (out / "log.jsonl").write_text("begun")
            raise Wrong

    with pytest.raises(Wrong):
        fail(tmp_path / "a" / "new", "new")
    assert list(tmp_path.iterdir()) == []
    work(tmp_path / "old", "new", "first")
    before = files(tmp_path / "old", private=True)
    with pytest.raises(Wrong):
        fail(tmp_path / "old", "overwrite")
    assert files(tmp_path / "old", private=True) == before


def test_names_that_somebody_took_are_refused_before_the_work(tmp_path: Path) -> None:
    work(tmp_path, "new", "first")
    (tmp_path / "more.txt").write_text("mine")
    (tmp_path / "data" / "mine").write_text("mine")
    before = files(tmp_path, private=True)
    for mode in ("resume", "overwrite"):
        with pytest.raises(ConfigError, match="holds data/mine, where vt would write"):
            work(tmp_path, mode, "second")
        (tmp_path / "data" / "mine").rename(tmp_path / "aside")
        with (
            pytest.raises(ConfigError, match=r"holds more\.txt, where vt would write"),
            begin(tmp_path, "test", (*OWNS, "more.txt"), mode),  # type: ignore[arg-type]
        ):
            pass
        (tmp_path / "aside").rename(tmp_path / "data" / "mine")
    assert files(tmp_path, private=True) == before


def test_links_are_not_followed(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    work(out, "new", "first")
    (out / "data").rename(outside)
    (out / "data").symlink_to(outside)
    before = files(outside)
    for mode in ("resume", "overwrite"):
        with pytest.raises(ConfigError, match="data"):
            work(out, mode, "second")
    assert files(outside) == before


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"must be a folder, but .*file is a file"):
            look(place, "test")
    if os.geteuid():
        (tmp_path / "shut").mkdir(mode=0o500)
        with pytest.raises(ConfigError, match="no permission"):
            look(tmp_path / "shut" / "out", "test")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    work(tmp_path, "new", "first")
    before = files(tmp_path, private=True)
    with (tmp_path / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for mode in ("resume", "overwrite"):
            with pytest.raises(Busy, match="another process is at work in"):
                work(tmp_path, mode, "second")
        with pytest.raises(Busy):
            restore(tmp_path)
    assert files(tmp_path, private=True) == before


def test_one_thread_at_a_time(tmp_path: Path) -> None:
    told: list[str] = []

    def other() -> None:
        try:
            work(tmp_path, "resume", "other")
        except Busy as error:
            told.append(str(error))

    with begin(tmp_path, "test", OWNS) as results:
        with begin(tmp_path, "test", OWNS, "resume") as again:
            assert again is results
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "another process" in told[0]


def test_results_within_results_are_not_replaced_while_they_are_written(tmp_path: Path) -> None:
    owns = ("log.jsonl", "inner/result.json", "inner/.vt/*")
    with begin(tmp_path, "outer", owns):
        with begin(tmp_path / "inner", "test", OWNS):
            (tmp_path / "inner" / "result.json").write_text("first")
        (tmp_path / "log.jsonl").write_text("first")
    before = files(tmp_path, private=True)
    with (tmp_path / "inner" / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy), begin(tmp_path, "outer", owns, "overwrite"):
            pass
    assert files(tmp_path, private=True) == before
    (tmp_path / "inner" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"inner/notes\.txt"), begin(
        tmp_path, "outer", owns, "overwrite"
    ):  # fmt: skip
        pass


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_the_copy_of_a_damaged_stamp_is_used(tmp_path: Path, harm: str, caplog) -> None:
    """A run of weeks with whole checkpoints could be taken up by nobody for a bit of its stamp."""
    work(tmp_path, "new", "first")
    stamp, data = Stamp.read(tmp_path), (tmp_path / STAMP).read_bytes()
    (tmp_path / STAMP).write_bytes(bytes([data[0] ^ 1]) + data[1:] if harm == "flipped" else b"{")
    if harm == "gone":
        (tmp_path / STAMP).unlink()
    assert Stamp.read(tmp_path) == stamp
    assert look(tmp_path, "test", "resume") == stamp
    with begin(tmp_path, "test", (), "resume"):
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path / STAMP} is gone, or not what was written; its copy is used"
        ]
    assert (tmp_path / STAMP).read_bytes() == data


def test_no_bit_of_a_stamp_changes_unnoticed(tmp_path: Path) -> None:
    work(tmp_path, "new", "first")
    data = (tmp_path / STAMP).read_bytes()
    (tmp_path / STAMPS[1]).unlink()
    for bit in range(0, 8 * len(data), 7):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / STAMP).write_bytes(changed)
        with pytest.raises(Damaged, match="is not what was written"):
            look(tmp_path, "test", "overwrite")


def test_a_sealed_object_comes_back(tmp_path: Path) -> None:
    for value in ({}, {"a": [1, 2.5, None], "sha256x": "ü\ud800"}, {"b": {"sha256": "no"}}):
        write_sealed(tmp_path / "x", value)
        assert read_sealed(tmp_path / "x") == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        sealed_json({"a": float("nan")})


# --------------------------------------------------------------------------------- killed


def killed_at(step: int, do: Callable[[], object]) -> bool:
    """Do something in a process of its own that is killed before its n-th change of the disk.

    Returns:
        Whether it came so far.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        left = step

        def before(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return real(*args, **kwargs)

            return call

        for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "link"):
            setattr(os, name, before(getattr(os, name)))
        do()
    except BaseException:
        os._exit(1)
    os._exit(0)


def is_whole(out: Path, text: str) -> bool:
    found = {k: v for k, v in files(out).items() if Stamp("", OWNS).has(k)}
    told = {v for k, v in found.items() if not k.endswith(("log.jsonl", "manifest.json"))}
    return (
        told == {text.encode()}
        and len(found) == 8
        and found["log.jsonl"] == (f"{text} begun".encode())
    )


def test_whenever_it_is_killed_the_old_or_the_new_is_whole(tmp_path: Path) -> None:
    """Each change of the disk is where an overwrite dies; then it is resumed, or taken back."""
    step, finished = 0, False
    seen: set[str] = set()
    while not finished:
        out = tmp_path / str(step)
        work(out, "new", "old")
        mine = add_mine(out)
        finished = not killed_at(step, lambda out=out: work(out, "overwrite", "new"))
        assert finished or step < 400
        same(files(out), mine)
        restored = restore(out) if step % 2 else False
        if restored or is_whole(out, "old"):
            seen.add("old")
            assert is_whole(out, "old"), step
            assert kept(out) is None
        else:
            seen.add("new")
            stamp = look(out, "test", "resume")
            assert stamp is not None
            assert is_whole(out, "new") or stamp.state in ("begun", "moving"), step
            work(out, "resume", "new")
            assert is_whole(out, "new") or is_whole(out, "old"), step
        work(out, "overwrite", "last")
        assert is_whole(out, "last")
        same(files(out), mine)
        step += 1
    assert seen == {"old", "new"}
    assert step > 30


def test_whenever_a_restore_is_killed_it_can_be_done_again(tmp_path: Path) -> None:
    def interrupted(out: Path) -> None:
        with begin(out, "test", OWNS, "overwrite"):
            (out / "log.jsonl").write_text("new")
            (out / "result.json").write_text("half")
            os._exit(9)

    step, finished = 0, False
    while not finished:
        out = tmp_path / str(step)
        work(out, "new", "old")
        mine = add_mine(out)
        assert killed_at(10_000, lambda out=out: interrupted(out))
        assert kept(out)
        finished = not killed_at(step, lambda out=out: restore(out))
        restore(out)
        assert is_whole(out, "old"), step
        same(files(out), mine)
        step += 1
    assert step > 15
