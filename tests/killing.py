"""Runs in processes of their own, which are killed at random moments."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainers.files import CHECKSUM
from trainers.runs import run_folder
from trainers.tracking import LOG, JsonLines

MOMENTS = 20

_SERVER = """
import importlib, os, sys, traceback
run = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        try:
            run(*sys.argv[3:])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer:
    """Runs a function again and again, each time in a fresh fork of one that has its module ready.

    Args:
        run: The function.
        *arguments: Its arguments.
    """

    def __init__(self, run: Callable[..., None], *arguments: str) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, run.__module__, run.__name__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            bufsize=0,
        )
        self.random = random.Random(time.time_ns())

    def close(self) -> None:
        """End the server."""
        self.server.communicate()

    def whole(self) -> float:
        """Let it end; the seconds that it took."""
        self._start()
        began = time.monotonic()
        assert self._line() == 0
        return time.monotonic() - began

    def at_random_moments(self, ended: Callable[[], None]) -> None:
        """Kill it at twenty moments of a run; call ``ended`` whenever it came to its end."""
        seconds, killed = self.whole(), 0
        ended()
        while killed < MOMENTS:
            if self.kill(seconds):
                killed += 1
            else:
                ended()
        self.whole()
        ended()

    def kill(self, within: float) -> bool:
        """Start it, and kill it at some moment within so many seconds, unless it has ended.

        Returns:
            Whether it was killed.
        """
        child = self._start()
        ended, _, _ = select.select([self.server.stdout], [], [], self.random.uniform(0, within))
        if not ended:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(child, signal.SIGKILL)
        code = self._line()
        assert code in (0, -signal.SIGKILL), "it ended in an error by itself"
        return code != 0

    def _start(self) -> int:
        assert self.server.stdin
        self.server.stdin.write(b"\n")
        return self._line()

    def _line(self) -> int:
        assert self.server.stdout
        return int(self.server.stdout.readline())


@contextmanager
def leading(run: Any, lead: Callable[..., None], folder: Path) -> Iterator[Killer]:
    """A hosted run in a new folder, as ``vt train`` leaves it to the library, and who leads it.

    Args:
        run: A ``HostedRun``, which is written.
        lead: Leads or follows the run, given the folder.
        folder: The run's own or the one that it is in.
    """
    run.out.mkdir()
    with run_folder(run.out, "new"):
        run.write()
    killer = Killer(lead, str(folder))
    try:
        yield killer
    finally:
        killer.close()


def log_of(out: Path) -> list[dict[str, Any]]:
    """The log of a run, without what differs between two equal runs."""
    rows = JsonLines(out / LOG).rows()
    return [{k: v for k, v in r.items() if not k.startswith(("time/", CHECKSUM))} for r in rows]
