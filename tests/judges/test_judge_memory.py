"""What model judges keep: bounded in memory, whole on disk."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from agents.judging import Completion, Failure, Judging, Local, ModelJudge, cache
from agents.judging.cache import Cache, Kept
from agents.judging.usage import REASONS, Usage, total
from vt_env.errors import ConfigError
from vt_env.judges import Query, Verdict
from vt_env.judges.memory import Recent, fingerprint

MANY = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(60)]
KEYS = [bytes([i]) * 20 for i in range(200)]


def judge_of(say, **judging) -> ModelJudge:
    return ModelJudge(
        Local("m", "m", lambda asks: [say(ask) for ask in asks]), Judging(canaries=0, **judging)
    )


def write(cache: Cache, keys: list[bytes]) -> None:
    """Keep a verdict for each key, and wait until all are on the disk."""
    left = threading.Semaphore(0)
    for key in keys:
        cache.write(key, Kept(key[0] % 3 == 0, key[0] / 256), left.release)
    for _ in keys:
        assert left.acquire(timeout=30)


def right(kept: dict[bytes, Kept]) -> bool:
    """Whether all verdicts are those that :func:`write` wrote."""
    return all(k == Kept(key[0] % 3 == 0, key[0] / 256) for key, k in kept.items())


def test_a_memory_is_bounded_in_number_and_forgets_the_oldest():
    memory = Recent[Verdict](100)
    contents = [fingerprint(Query("What?", ("x",), str(i))) for i in range(1000)]
    for content in contents:
        memory.add(content, Verdict(True, "m", "the model said right"))
    assert 50 <= len(memory) <= 100
    assert memory.get(contents[0]) is None
    assert memory.get(contents[-1]) is not None
    assert memory.get(contents[-50]) is not None


def test_long_answers_take_no_memory():
    with judge_of(lambda _: Completion("right")) as judge:
        judge.score(MANY)
        tracemalloc.start()
        try:
            for number in range(40):
                judge.score([Query("What is it?", ("a thing",), f"{number} " + "word " * 50_000)])
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert judge.usage.settled == 40
        assert held < 2**20


def test_threads_fill_a_memory_to_its_bound():
    memory = Recent[Verdict](100)

    def fill(thread: int) -> None:
        for number in range(2000):
            content = fingerprint(Query("What?", ("x",), f"{thread} {number}"))
            memory.add(content, Verdict(True, "m", "r" * (number % 50)))

    threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 80 <= len(memory) <= 100


def test_a_content_tells_where_each_text_stands():
    queries = [
        Query("a", ("b", "c"), "d"),
        Query("a", ("b",), "d", choices=("c",)),
        Query("a", ("b",), "c", choices=("d",)),
        Query("a", ("bc",), "d"),
        Query("ab", ("c",), "d"),
        Query("a", ("b", "c", ""), "d"),
        Query("a", ("b", "", "c"), "d"),
        Query("a", ("c", "b"), "d"),
        Query("d", ("b", "c"), "a"),
    ]
    assert len({fingerprint(query) for query in queries}) == len(queries)
    assert len({fingerprint(replace(queries[0], rollout=r)) for r in "xy"}) == 1


def test_reasons_are_bounded_in_number_and_length():
    with judge_of(
        lambda ask: Failure(f"{hash(ask.user)} " + "x" * 100_000), max_failures=1.0
    ) as judge:
        verdicts = judge.score(MANY)
        assert max(len(v.reason) for v in verdicts) <= 200
        usage = judge.usage
    assert len(usage.reasons) == REASONS + 1
    assert usage.reasons["other reasons"] == len(MANY) - REASONS
    both = total([usage, Usage(reasons={f"more {i}": 1 for i in range(REASONS)})])
    assert len(both.reasons) <= REASONS + 1
    assert sum(both.reasons.values()) == len(MANY) + REASONS


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_never_another_verdict(seed: int, tmp_path: Path):
    whole = tmp_path / "whole.sqlite"
    cache = Cache(whole)
    write(cache, KEYS)
    cache.close()
    data = whole.read_bytes()
    draw = random.Random(seed)
    found: Counter[str] = Counter()
    for trial in range(100):
        flipped = bytearray(data)
        place = draw.randrange(500 if trial % 5 == 0 else len(data))  # the header is short
        flipped[place] ^= 1 << draw.randrange(8)
        found[_what_becomes_of(flipped, tmp_path / "flipped.sqlite")] += 1
    assert found["refused"] > 0
    assert found["damaged"] > 10
    assert found["whole"] > 10


def _what_becomes_of(data: bytes, path: Path) -> str:
    """``refused`` in a sentence; ``damaged``, and that is noticed; or ``whole``."""
    path.write_bytes(data)
    try:
        cache = Cache(path)
    except ConfigError:
        return "refused"
    found = cache.read(KEYS)
    assert right(found.kept)
    write(cache, KEYS[:3])
    assert right(cache.read(KEYS).kept)
    cache.close()
    return "damaged" if found.damaged else "whole"


def test_a_damaged_verdict_is_counted_and_asked_anew(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    with judge_of(lambda _: Completion("right", 0.75), cache=str(path)) as judge:
        judge.score(MANY)
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE verdicts SET correct = 0 WHERE score = 0.75")
    rows.close()
    asked = []

    def say(ask):
        asked.append(ask)
        return Completion("right", 0.75)

    with judge_of(say, cache=str(path)) as judge:
        assert {v.correct for v in judge.score(MANY)} == {True}
        assert (judge.usage.damaged, judge.usage.cached, len(asked)) == (60, 0, 60)
    with judge_of(say, cache=str(path)) as judge:
        judge.score(MANY)
        assert (judge.usage.damaged, judge.usage.cached) == (0, 60)


@pytest.mark.parametrize("value", ["'text'", "x'00ff'", "NULL", "1e999", "9223372036854775807"])
def test_a_row_of_other_types_is_no_verdict(value: str, tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    cache = Cache(path)
    write(cache, KEYS[:5])
    for column in ("correct", "score", "checksum"):
        with sqlite3.connect(path) as rows:
            rows.execute("PRAGMA ignore_check_constraints = ON")
            try:
                rows.execute(f"UPDATE verdicts SET {column} = {value}")
            except sqlite3.IntegrityError:
                continue
        rows.close()
        assert cache.read(KEYS[:5]).kept == {}
    cache.close()


def test_another_process_that_writes_does_not_hold_up_what_is_asked(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    with judge_of(lambda _: Completion("right"), cache=str(path)) as judge:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = judge.submit(MANY[:5])
            time.sleep(0.3)
            heard = judge.submit([Query("What?", (), "no reference")]).result()
            assert heard[0].correct is None
            assert not begun.done()
            other.execute("COMMIT")
        other.close()
        assert [v.correct for v in begun.result(timeout=20)] == [True] * 5


def test_the_event_loop_goes_on_while_the_file_is_locked(tmp_path: Path):
    pytest.importorskip("httpx2")
    from chat_server import ChatServer, says

    from vt_env.judges import make_judge

    path = tmp_path / "cache.sqlite"
    with (
        ChatServer(says("right")) as server,
        make_judge(f"openai:m@{server.url},canaries=0,concurrency=1,cache={path}") as judge,
        sqlite3.connect(path, isolation_level=None) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        begun = judge.submit(MANY[:8])
        deadline = time.monotonic() + 8
        while len(server.requests) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(server.requests) == 8  # none waited for the disk
        other.execute("COMMIT")
        assert len(begun.result(timeout=20)) == 8
    other.close()


def test_the_file_needs_no_shared_memory(tmp_path: Path):
    """A write-ahead log would: network file systems do not carry it."""
    path = tmp_path / "cache.sqlite"
    cache = Cache(path)
    write(cache, KEYS)
    with sqlite3.connect(path) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    rows.close()
    cache.close()
    assert [file.name for file in tmp_path.iterdir()] == ["cache.sqlite"]


def test_a_file_that_is_gone_is_made_anew(tmp_path: Path):
    folder = tmp_path / "deep"
    cache = Cache(folder / "cache.sqlite")
    write(cache, KEYS[:3])
    (folder / "cache.sqlite").unlink()
    assert cache.read(KEYS).kept == {}
    write(cache, KEYS[:5])
    assert len(cache.read(KEYS).kept) == 5
    shutil.rmtree(folder)
    write(cache, KEYS)  # costs the cache, and nobody waits
    cache.close()


def test_an_older_file_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    with sqlite3.connect(path) as rows:
        rows.execute("CREATE TABLE verdicts (key BLOB PRIMARY KEY, correct INTEGER)")
        rows.execute("PRAGMA user_version = 1")
    rows.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"another kind or version; name another file"):
        Cache(path)
    assert path.read_bytes() == before


def test_a_file_that_another_process_makes_meanwhile_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of four that began at once, one in fourteen runs was told of another kind of database."""
    path, look, before = tmp_path / "cache.sqlite", cache._format, []

    def late(connection: sqlite3.Connection) -> int:
        before.append(look(connection))
        if len(before) == 1:
            with sqlite3.connect(path) as another:
                another.execute(cache._TABLE)
                another.execute(f"PRAGMA user_version = {cache._FORMAT}")
            another.close()
        return before[-1]

    monkeypatch.setattr(cache, "_format", late)
    Cache(path)
    assert before == [0, cache._FORMAT]
