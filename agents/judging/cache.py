"""Verdicts on disk: one SQLite file that many threads and processes may use at once.

It holds hashes and verdicts, no question, answer, address or key. Failures are never written. Each
row has a checksum, so a bit that flips on the disk is a verdict that is not there, never another.
The journal is SQLite's own rollback journal, not its write-ahead log, which network file systems do
not carry; where a file system does not lock files either, give each machine a file of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue

from agents.judging.hardening import Shown
from agents.llm.loop import PerProcess
from vt_env.errors import ConfigError
from vt_env.judges.memory import digest

logger = logging.getLogger(__name__)

_FORMAT = 2
_AT_ONCE = 500
_PATIENCE = 10.0
"""Seconds that another process may keep the file locked."""
_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    key BLOB PRIMARY KEY,
    correct INTEGER NOT NULL,
    score REAL NOT NULL,
    checksum BLOB NOT NULL
) WITHOUT ROWID
"""
_READ = "SELECT key, correct, score, checksum FROM verdicts WHERE key IN ({})"
_WRITE = "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)"

_DISK = threading.Lock()
"""Held while a file is open: no process is forked meanwhile, since SQLite does not survive it."""
os.register_at_fork(
    before=_DISK.acquire, after_in_parent=_DISK.release, after_in_child=_DISK.release
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict as it is kept.

    Attributes:
        correct: Whether the answer was accepted.
        score: In [0, 1].
    """

    correct: bool
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a cache has of some keys.

    Attributes:
        kept: The verdicts that are there.
        damaged: Rows that are not as they were written.
    """

    kept: dict[bytes, Kept]
    damaged: int


def key_of(identity: str, shown: Shown) -> bytes:
    """The key of a query: a hash of everything that decides its verdict.

    Args:
        identity: Of the model, its sampling and the prompt.
        shown: What the model sees, without the mark that fences it.
    """
    return digest((identity, shown.question, shown.references, shown.answer), size=20)


_Row = tuple[bytes, Kept, Callable[[], None]]
"""A verdict that is to be written, and what is called then."""


class Cache(PerProcess):
    """Verdicts by key in a file, which is open only while it is read or written.

    A thread writes, so that no event loop waits for a disk. A full or vanished disk costs the
    cache, never a verdict: it is told in one warning.

    Args:
        path: The file; it is made, with its folder, when it is not there.

    Raises:
        ConfigError: If it cannot be made, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._warned = False
        self._forked()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as connection:
                connection.execute(_READ.format("?"), (b"",)).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"cannot use {self.path} as a cache of verdicts: {_words(error)}; name another file"
            ) from error
        super().__init__()

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Row | None] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def read(self, keys: Sequence[bytes]) -> Found:
        """What is there of some keys; a file that cannot be read has nothing, with a warning."""
        kept: dict[bytes, Kept] = {}
        damaged = 0
        try:
            with self._opened() as connection:
                for start in range(0, len(keys), _AT_ONCE):
                    for row in _rows(connection, keys[start : start + _AT_ONCE]):
                        if row is not None and (whole := _checked(*row)):
                            kept[whole[0]] = whole[1]
                        else:
                            damaged += 1
        except sqlite3.Error as error:
            self._warn(error)
            damaged += not _is_passing(error)
        return Found(kept, damaged)

    def write(self, key: bytes, kept: Kept, then: Callable[[], None]) -> None:
        """Have a verdict kept, and return at once.

        Args:
            key: Of the query.
            kept: Its verdict.
            then: Is called by the writing thread when it is on the disk, or cannot be.
        """
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._work, args=(self._queue,), name="verdicts", daemon=True
                )
                self._writer.start()
            self._queue.put((key, kept, then))

    def close(self) -> None:
        """Write what is still to be written, and end the thread."""
        with self._lock:
            queue, writer = self._queue, self._writer
            self._queue, self._writer = SimpleQueue(), None
        if writer is not None:
            queue.put(None)
            writer.join()

    def _work(self, queue: SimpleQueue[_Row | None]) -> None:
        """Write all that has come meanwhile in one transaction, again and again."""
        going_on = True
        while going_on:
            rows = [queue.get()]
            while not queue.empty() and len(rows) < _AT_ONCE:
                rows.append(queue.get())
            going_on = None not in rows
            self._keep([row for row in rows if row is not None])

    def _keep(self, rows: Sequence[_Row]) -> None:
        try:
            with self._opened() as connection, connection:
                connection.executemany(_WRITE, [_values(key, kept) for key, kept, _ in rows])
        except (OSError, sqlite3.Error) as error:
            self._warn(error)
        for *_, then in rows:
            then()

    @contextlib.contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        """A connection to the file, which is made anew where it is gone."""
        with _DISK, contextlib.closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.text_factory = bytes  # a flipped bit may make a text that is not UTF-8
            _prepare(connection)
            yield connection

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the cache %s fails (%s): verdicts are not kept", self.path, error)


def _prepare(connection: sqlite3.Connection) -> None:
    if _format(connection) == _FORMAT:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # another process may be making it
        found = _format(connection)
        if found == _FORMAT:
            return
        if found or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it is a database of another kind or version")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _rows(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[object, ...] | None]:
    """The rows of some keys; ``None`` in place of one that the file is too damaged to give."""
    query = _READ.format(",".join("?" * len(keys)))
    try:
        return list(connection.execute(query, keys))
    except sqlite3.DatabaseError as error:
        if _is_passing(error):
            raise
    if len(keys) == 1:
        return [None]
    half = len(keys) // 2
    return _rows(connection, keys[:half]) + _rows(connection, keys[half:])


def _is_passing(error: sqlite3.Error) -> bool:
    """Whether the file may well be whole: it is locked, or the disk is full or gone."""
    return isinstance(error, sqlite3.OperationalError)


def _values(key: bytes, kept: Kept) -> tuple[bytes, int, float, bytes]:
    correct, score = int(kept.correct), float(kept.score)
    return key, correct, score, _checksum(key, correct, score)


def _checksum(key: bytes, correct: int, score: float) -> bytes:
    return blake2b(key + repr((correct, score)).encode(), digest_size=8).digest()


def _checked(
    key: object, correct: object, score: object, checksum: object
) -> tuple[bytes, Kept] | None:
    """A row's key and verdict, if it is as it was written."""
    if not (isinstance(key, bytes) and isinstance(correct, int) and isinstance(score, float)):
        return None
    if checksum != _checksum(key, correct, score):
        return None
    return key, Kept(bool(correct), score)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
