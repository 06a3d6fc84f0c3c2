"""One persistent process for maths, which is killed when it does not answer in time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from vt_env.errors import ConfigError, MissingExtra

WORKER = (sys.executable, "-P", str(Path(__file__).with_name("math_worker.py")))


def is_installed() -> bool:
    """Whether math-verify can be imported (it is not imported to find out)."""
    return importlib.util.find_spec("math_verify") is not None


def require() -> None:
    """Raises ``MissingExtra`` when math-verify is not installed."""
    if not is_installed():
        raise MissingExtra("math-verify", "math", "The math judge")


def read_timeout(timeout: str | float) -> float:
    """Seconds from a setting.

    Raises:
        ConfigError: It is no positive number.
    """
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"A time-out must be a positive number of seconds, got {timeout!r}.")
    return seconds


class NoReply(Exception):
    """The worker gave no usable reply; ``str(error)`` says why."""


def _stop(process: subprocess.Popen[str], owner: int) -> None:
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


class MathProcess:
    """Compares expressions in a process of its own.

    The process starts at the first question, serves all later ones, is replaced after a time-out
    or a crash, and is ended with this object or the interpreter. Calls from several threads take
    turns; a forked or unpickled copy starts a process of its own.

    Args:
        timeout: Seconds that one comparison may take.
        start_timeout: Seconds that a new process may take until it is ready.
        command: The worker's command line.
    """

    def __init__(
        self,
        timeout: float = 5.0,
        start_timeout: float = 60.0,
        command: Sequence[str] = WORKER,
    ) -> None:
        self.timeout = read_timeout(timeout)
        self.start_timeout = read_timeout(start_timeout)
        self.command = tuple(command)
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._finalizer: weakref.finalize[..., MathProcess] | None = None

    def __reduce__(self) -> tuple[type[MathProcess], tuple[float, float, tuple[str, ...]]]:
        return MathProcess, (self.timeout, self.start_timeout, self.command)

    def equal(self, answer: str, reference: str) -> bool:
        """Whether two expressions are equal.

        Raises:
            NoReply: The worker timed out, crashed, or raised; it is restarted when needed.
        """
        if self._owner != os.getpid():
            self._lock = threading.Lock()
        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps([answer, reference]) + "\n")
                process.stdin.flush()
            except (OSError, ValueError) as error:
                self.close()
                raise NoReply("the maths process has gone") from error
            reply = self._receive(self.timeout)
        if "error" in reply:
            raise NoReply(str(reply["error"]))
        return reply.get("equal") is True

    def close(self) -> None:
        """Ends the process; the next question starts a new one."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.close()
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="ascii",
            )
            self._process, self._owner = process, os.getpid()
            self._replies = queue.SimpleQueue()
            threading.Thread(target=_pump, args=(process, self._replies), daemon=True).start()
            self._finalizer = weakref.finalize(self, _stop, process, self._owner)
            self._receive(self.start_timeout)
        return self._process

    def _receive(self, allowed: float) -> dict[str, object]:
        try:
            line = self._replies.get(timeout=allowed)
        except queue.Empty:
            self.close()
            raise NoReply(f"no answer within {allowed:g} s") from None
        if line is None:
            self.close()
            raise NoReply("the maths process crashed")
        with contextlib.suppress(ValueError):
            reply: object = json.loads(line)
            if isinstance(reply, dict):
                return cast("dict[str, object]", reply)
        self.close()
        raise NoReply("the maths process sent an unreadable reply")


def _pump(process: subprocess.Popen[str], replies: queue.SimpleQueue[str | None]) -> None:
    """Moves lines from the process into a queue; ``None`` marks the end."""
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError):
        for line in process.stdout:
            replies.put(line)
    replies.put(None)
