"""A second start reads no picture again, and notices every one that was written since."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from vt_env import kept, open_source, progress
from vt_env.kept import Digests, Kept, cache_folder
from vt_env.sources.arrow import ParquetRows


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read."""
    read, real = [], hashlib.file_digest

    def counted(stream, algorithm):
        read.append(Path(stream.name).name)
        return real(stream, algorithm)

    monkeypatch.setattr(kept.hashlib, "file_digest", counted)
    return read


def aged(folder):
    """A folder as an hour ago."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def rows(table):
    """Three rows about two pictures."""
    pictures = ("a", "b", "a")
    path = table.jsonl(
        *(table.row(id=f"{i}", image=f"images/{name}.png") for i, name in enumerate(pictures))
    )
    aged(table.root)
    return path


def test_a_second_start_reads_no_picture(rows, reads):
    first = open_source(rows).fingerprint()
    assert reads == ["a.png", "b.png"]
    assert open_source(rows).fingerprint() == open_source(f"{rows}").fingerprint() == first
    assert open_source(f"{rows},limit=2").fingerprint() != first
    assert len(reads) == 2


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_changed_bit_is_noticed_where_the_file_is_another(rows, table, reads, keeps_time):
    first = open_source(rows).fingerprint()
    picture = table.root / "images" / "b.png"
    data, times = bytearray(picture.read_bytes()), picture.stat()
    data[100] ^= 1
    if keeps_time:  # as rsync and tar do: another inode at the same place
        (table.root / "new").write_bytes(data)
        (table.root / "new").replace(picture)
        os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        picture.write_bytes(data)
    del reads[:]
    assert open_source(rows).fingerprint() != first
    assert reads == ["b.png"]


def test_a_file_of_this_moment_is_not_trusted(rows, table, reads):
    """A second write within one tick of the file system's clock leaves size and time."""
    picture = table.root / "images" / "a.png"
    picture.write_bytes(picture.read_bytes())
    for _ in range(2):
        open_source(rows).fingerprint()
    assert reads == ["a.png", "b.png", "a.png"]


def test_what_an_interrupted_start_has_read_is_kept(rows, table, reads):
    (table.root / "images" / "b.png").rename(table.root / "gone")
    source = open_source(f"{rows},check=none,max_refused=1")
    assert len(source) == 2
    (table.root / "images" / "b.png").write_bytes((table.root / "gone").read_bytes())
    source = open_source(rows)
    (table.root / "images" / "b.png").unlink()
    with pytest.raises(OSError, match=r"b\.png"):
        source.fingerprint()
    (table.root / "gone").rename(table.root / "images" / "b.png")
    assert len(open_source(rows).fingerprint()) == 64
    assert reads == ["a.png", "b.png"]


def test_a_damaged_cache_is_made_anew(rows, reads, caplog):
    first = open_source(rows).fingerprint()
    (file,) = cache_folder().iterdir()
    file.write_text(file.read_text().replace("1", "2"))
    assert open_source(rows).fingerprint() == first
    assert "cannot be read, and is made anew" in caplog.text
    assert len(reads) == 4
    assert open_source(rows).fingerprint() == first
    assert len(reads) == 4


def test_what_another_process_is_writing_is_let_alone():
    """Two that wrote one file at once left it damaged, and one of them without its file."""
    mine = Kept("digests", "here")
    mine["a"] = "b"
    theirs = mine.path.with_name(f"{mine.path.name}.part")
    theirs.parent.mkdir()
    theirs.write_text("half")
    mine.write()
    assert Kept("digests", "here") == {"a": "b"}
    assert theirs.read_text() == "half"


def test_how_far_it_is_is_told(rows, caplog, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    caplog.set_level("INFO")
    open_source(rows).fingerprint()
    assert "2 of 3 samples of table are hashed" in caplog.text
    assert "3 of 3 samples of table are hashed" in caplog.text


def test_digests_of_pictures_that_are_no_files():
    assert Digests().of(b"x") == hashlib.sha256(b"x").digest()
    assert not cache_folder().exists()


def _saved(path, pictures):
    """Parquet with pictures: bytes, or paths of files beside it."""
    pa = pytest.importorskip("pyarrow")
    cells = [{"bytes": p, "path": None} if isinstance(p, bytes) else {"path": p} for p in pictures]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {
        "question": ["Which?"] * len(pictures),
        "answer": ["this"] * len(pictures),
        "image": pa.array(cells, kind),
    }
    path.parent.mkdir(exist_ok=True)
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), path)
    aged(path.parent)


@pytest.fixture
def whole(monkeypatch):
    """The numbers of the rows that were read with their pictures."""
    read, real = [], ParquetRows.whole
    monkeypatch.setattr(ParquetRows, "whole", lambda self, n: (read.append(n), real(self, n))[1])
    return read


def test_a_table_that_holds_its_pictures_is_read_once(table, tmp_path, whole):
    pictures = [(table.root / "images" / f"{name}.png").read_bytes() for name in "abab"]
    _saved(tmp_path / "set" / "train.parquet", pictures)
    found = [open_source(f"hf:{tmp_path / 'set'}").fingerprint() for _ in range(2)]
    assert found[0] == found[1]
    assert whole == [0, 1, 2, 3]
    parts = {
        open_source(f"hf:{tmp_path / 'set'},split=train[{part}]").fingerprint()
        for part in ("0:1", "1:2", "2:3")
    }
    assert len(parts) == 2  # the first and the third row are equal, the second is not
    turned = [pictures[1], *pictures[1:]]
    _saved(tmp_path / "set" / "train.parquet", turned)
    assert open_source(f"hf:{tmp_path / 'set'}").fingerprint() != found[0]


def test_files_beside_a_table_that_stays_are_looked_at(table, tmp_path, whole, reads):
    """On opening, a cell with a path looks like one with bytes."""
    folder = tmp_path / "set"
    folder.mkdir()
    picture = folder / "a.png"
    picture.write_bytes((table.root / "images" / "a.png").read_bytes())
    _saved(folder / "metadata.parquet", ["a.png"])
    first = open_source(f"hf:{folder}").fingerprint()
    assert open_source(f"hf:{folder}").fingerprint() == first
    assert reads == ["a.png"]
    picture.write_bytes((table.root / "images" / "b.png").read_bytes())
    assert open_source(f"hf:{folder}").fingerprint() != first


def test_where_it_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("VT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "visionthink-gym"
    monkeypatch.delenv("XDG_CACHE_HOME")

    def unknown() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert cache_folder().name == "visionthink-gym", "a user that the system does not know"
