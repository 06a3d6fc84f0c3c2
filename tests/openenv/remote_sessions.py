"""Servers, and clients that see every byte."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from websockets.sync.client import connect

from trainers.openenv.client import VisionThinkClient
from vt_env import Query, Sample, Verdict, make_task

TOKEN = "a-token-of-some-length"


def made_samples(n: int = 4, size: tuple[int, int] = (48, 64)) -> list[Sample]:
    """Pictures of noise, each its own; the answer to the third is ``three``."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    rng = np.random.default_rng(0)
    return [
        Sample(
            f"s{i}", f"What is number {i}?", (words[i % 10],),
            rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        )
        for i in range(n)
    ]  # fmt: skip


class Slow:
    """A judge that waits before a word of the answer's choosing, or fails as it is told.

    Right is what is equal; ``wait`` takes long, ``fail`` raises, ``unscored`` is not scored.
    """

    name = "slow"

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        for query in queries:
            if query.answer == "wait":
                time.sleep(self.seconds)
            if query.answer == "fail":
                raise ValueError(f"{query.references} broke it")
        return [
            Verdict(None, self.name, "not scored")
            if q.answer == "unscored"
            else Verdict(q.answer in q.references, self.name, f"{q.answer} or {q.references}")
            for q in queries
        ]


def made_task(n: int = 4, judge: Any = None, **settings: Any):
    return make_task(made_samples(n), judge=judge or Slow(), **settings)


def run(url: str, play: Callable[[VisionThinkClient], Awaitable[Any]], **settings: Any) -> Any:
    """Play with one client."""

    async def with_client() -> Any:
        async with VisionThinkClient(url, **settings) as client:
            return await play(client)

    return asyncio.run(with_client())


class Raw:
    """A WebSocket without a library of anybody's making around it."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.came: list[str] = []

    def send(self, frame: str | bytes) -> dict[str, Any]:
        """One message, one reply."""
        self.socket.send(frame)
        return self.reply()

    def say(self, name: str, **data: Any) -> dict[str, Any]:
        return self.send(json.dumps({"type": name, "data": data}))

    def reply(self) -> dict[str, Any]:
        self.came.append(self.socket.recv(timeout=20))
        return json.loads(self.came[-1])


@contextmanager
def raw(url: str, **settings: Any):
    address = url.replace("http", "ws", 1) + "/ws"
    with connect(address, max_size=2**27, proxy=None, **settings) as socket:
        yield Raw(socket)


def http(url: str, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that comes true soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
