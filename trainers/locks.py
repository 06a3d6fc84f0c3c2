"""One process at a time in a folder of results.

The lock is an advisory ``flock`` on a file. A program that is started under the lock can inherit
it (:func:`inherited`): it then holds even if the process that took it is killed.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainers.errors import Busy

logger = logging.getLogger(__name__)

_VARIABLE = "VT_LOCK"
"""``HANDLE:PATH`` of the lock that a child process has inherited."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

_held: dict[Path, int] = {}
"""Handles of the locks of this process."""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock.

    Args:
        file: What is locked, made if need be; its folder must exist.

    Raises:
        Busy: If another process has it, or this one.
    """
    key = file.resolve()
    if key in _held:
        raise _busy(file)
    adopted = _adopted(key)
    handle = _taken(file) if adopted is None else adopted
    _held[key] = handle
    try:
        yield
    finally:
        del _held[key]
        if adopted is None:
            os.close(handle)


def keep(file: Path) -> None:
    """Hold a lock until this process, or the program that replaces it, ends.

    Raises:
        Busy: If another process has it.
    """
    key = file.resolve()
    if key not in _held:
        adopted = _adopted(key)
        _held[key] = _taken(file) if adopted is None else adopted
    os.set_inheritable(_held[key], True)
    os.environ[_VARIABLE] = f"{_held[key]}:{key}"


def inherited(file: Path) -> tuple[dict[str, str], tuple[int, ...]]:
    """What a child process needs to hold a lock of this one too: variables, and handles to pass."""
    handle = _held.get(key := file.resolve())
    return ({}, ()) if handle is None else ({_VARIABLE: f"{handle}:{key}"}, (handle,))


def _adopted(key: Path) -> int | None:
    """The handle of a lock that the parent process holds, if it is of this file."""
    number, _, path = os.environ.get(_VARIABLE, "").partition(":")
    if path != str(key):
        return None
    with suppress(OSError, ValueError):
        if os.path.samestat(os.fstat(int(number)), key.stat()):
            return int(number)
    return None


def _taken(file: Path) -> int:
    handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # no such locks on this system
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(handle)
            raise _busy(file) from error
        logger.warning("%s: this file system has no locks; start no second process", file)
    return handle


def _busy(file: Path) -> Busy:
    place = file.parent.parent if file.parent.name == ".vt" else file
    return Busy(f"another process is at work in {place}; wait for it")
