"""Verdicts on disk: one SQLite file that many threads and processes may use at once.

It holds hashes and verdicts, no question, answer, address or key. Failures are never written. What
was written survives a crash of the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from vt_env.errors import ConfigError
from vt_env.judges.models.hardening import Shown

logger = logging.getLogger(__name__)

_FORMAT = 1
_AT_ONCE = 500
_PATIENCE = 30.0
_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    key BLOB PRIMARY KEY,
    correct INTEGER NOT NULL,
    score REAL NOT NULL,
    judge TEXT NOT NULL,
    tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL
) WITHOUT ROWID
"""
_READ = "SELECT key, correct, score FROM verdicts WHERE key IN ({})"
_WRITE = "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict as it is kept.

    Attributes:
        correct: Whether the answer was accepted.
        score: In [0, 1].
    """

    correct: bool
    score: float


def key_of(identity: str, shown: Shown) -> bytes:
    """The key of a query: a hash of everything that decides its verdict.

    Args:
        identity: Of the model, its sampling and the prompt.
        shown: What the model sees, without the mark that fences it.
    """
    digest = blake2b(digest_size=20)
    for text in (identity, shown.question, shown.references, shown.answer):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


class Cache:
    """Verdicts by key in a file.

    A full or vanished disk costs the cache, never a verdict: writing then fails with one warning.

    Args:
        path: The file; it is made, with its folder, when it is not there.

    Raises:
        ConfigError: If it cannot be made, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self._owner = 0
        self._warned = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                self._prepare(connection)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(f"cannot use {self.path} as a cache of verdicts: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if found not in (0, _FORMAT) or (found == 0 and tables and tables != [("verdicts",)]):
            raise sqlite3.DatabaseError("it is a database of another kind or version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")

    @contextlib.contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        """This process's connection; a forked child opens its own."""
        if self._owner != os.getpid():
            self._lock = threading.Lock()
            self._open = None
        with self._lock:
            if self._open is None:
                self._open = sqlite3.connect(
                    self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
                )
                self._owner = os.getpid()
            yield self._open

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Kept]:
        """The verdicts that are there; a file that cannot be read has none, with a warning."""
        found: dict[bytes, Kept] = {}
        try:
            with self._connection() as connection:
                for start in range(0, len(keys), _AT_ONCE):
                    some = keys[start : start + _AT_ONCE]
                    query = _READ.format(",".join("?" * len(some)))
                    for key, correct, score in connection.execute(query, some):
                        found[key] = Kept(bool(correct), float(score))
        except sqlite3.Error as error:
            self._warn(error)
        return found

    def write(self, key: bytes, kept: Kept, judge: str, tokens_in: int, tokens_out: int) -> None:
        """Keep a verdict; it is on its way to the disk when this returns."""
        row = (key, int(kept.correct), kept.score, judge, tokens_in, tokens_out)
        try:
            with self._connection() as connection:
                connection.execute(_WRITE, row)
        except sqlite3.Error as error:
            self._warn(error)

    def _warn(self, error: sqlite3.Error) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the cache %s fails (%s): verdicts are not kept", self.path, error)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._open is not None and self._owner == os.getpid():
            with self._lock:
                self._open.close()
                self._open = None
