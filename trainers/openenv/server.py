"""The server: OpenEnv's app behind a guard, run by uvicorn.

Connections before they have shown a token are few, last a short time, and are quiet in the log.
Who connects and sends no whole request costs a file descriptor. So such connections have a
deadline, and where there are too many the oldest gives way to the newest: a client with the token
sends its request at once and is let through, however many others only wait.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app
from uvicorn.protocols.http.h11_impl import H11Protocol

from trainers.openenv.environment import Shared, VisionThinkEnvironment
from trainers.openenv.guard import Guard
from trainers.openenv.messages import (
    MESSAGE_LIMIT,
    PIXEL_LIMIT,
    VisionThinkAction,
    VisionThinkObservation,
    VisionThinkState,
)
from trainers.openenv.pictures import SharedTask
from trainers.openenv.threads import Threads, TimedJudge
from vt_env.env import as_reward_config
from vt_env.errors import ConfigError, unknown_name
from vt_env.order import ORDERS
from vt_env.rewards import RewardConfig
from vt_env.task import Task

BACKLOG = 32
"""Connections that the system keeps before the process takes them, all at once at most."""

REQUEST_S = 10.0
"""Seconds that a connection has to bring its request and, but for a session, to take the reply."""

SPARE = 16
"""WebSockets beside the sessions, to be told that there is no session left."""

_OTHER_FILES = 48
"""Files that the process has open beside connections: data, a judge, the log."""


class Waiting:
    """Connections that are no session: each has a deadline, and there is a bound on them.

    Args:
        most: How many there may be; one more, and the oldest is cut off.
        seconds: How long one may last.
    """

    def __init__(self, most: int, seconds: float = REQUEST_S) -> None:
        self.most = most
        self.seconds = seconds
        self._timers: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def enter(self, transport: asyncio.Transport) -> None:
        """A connection was made."""
        if len(self._timers) >= self.most:
            oldest = next(iter(self._timers))
            self.leave(oldest)
            oldest.abort()
        loop = asyncio.get_running_loop()
        self._timers[transport] = loop.call_later(self.seconds, transport.abort)

    def leave(self, transport: asyncio.Transport) -> None:
        """A connection is gone, or became a session's."""
        if (timer := self._timers.pop(transport, None)) is not None:
            timer.cancel()


def watched(waiting: Waiting) -> type[H11Protocol]:
    """uvicorn's protocol for HTTP, each connection of which is watched until it is a session's."""

    class Watched(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            waiting.enter(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            waiting.leave(self.transport)
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: Any) -> None:
            waiting.leave(self.transport)
            super().handle_websocket_upgrade(event)

    return Watched


def room_before(sessions: int) -> int:
    """Connections that may wait: as many as sessions can begin at once, and those just taken."""
    return sessions + BACKLOG


def reserve_files(sessions: int) -> None:
    """See to it that the process may open as many files as it may need.

    Raises:
        ConfigError: If the system's limit is below that.
    """
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    needed = sessions + SPARE + room_before(sessions) + BACKLOG + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{sessions} sessions may need {needed} open files, and the system allows {hard}: "
            f"fewer sessions, or ulimit -n {needed}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Sparing(logging.Filter):
    """Lets a few equal messages a minute into the log, and the number of the others.

    Args:
        most: Records of one text in a minute.
    """

    def __init__(self, most: int = 5) -> None:
        super().__init__()
        self.most = most
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; one that follows others unwritten says how many."""
        now, key = time.monotonic(), str(record.msg)[:200]
        begun, count = self._seen.get(key, (now, 0))
        if now - begun >= 60:
            if count > self.most:
                record.msg = f"{record.msg} (and {count - self.most} more like it)"
            begun, count = now, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = begun, count + 1
        return count < self.most


def spare_the_log() -> None:
    """Bound what anybody on the network can make the loggers of a server write."""
    for name in ("uvicorn.error", "asyncio", "vt.serve"):
        logger = logging.getLogger(name)
        if not any(isinstance(found, Sparing) for found in logger.filters):
            logger.addFilter(Sparing())


TOKEN_LENGTH = 16
"""Characters that a token has at least."""

_THREADS = 4
"""Threads a session, so that some may hang."""


@dataclass(frozen=True)
class Serving:
    """Where and for whom.

    Attributes:
        host: The address to listen at.
        port: 0 takes a free one.
        token: What clients have to show; needed unless ``host`` is this machine alone.
        sessions: Most sessions at once.
        idle_s: Seconds without a message after which a session is closed.
        step_s: Seconds that a reset, a step, or a judgement may take. An answer without a verdict
            after them is unscored.

    Raises:
        ConfigError: On a value out of range, or an open address without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    sessions: int = 64
    idle_s: float = 600.0
    step_s: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ConfigError(f"port must be between 0 and 65535, got {self.port}")
        for name in ("sessions", "idle_s", "step_s"):
            if not 0 < (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be a finite number above 0, got {value}")
        if self.token is None:
            if not _loopback(self.host):
                raise ConfigError(
                    f"at {self.host!r} anybody on the network could play: give a token, or stay at "
                    "127.0.0.1"
                )
        elif len(self.token) < TOKEN_LENGTH or not (
            self.token.isascii() and self.token.isprintable() and " " not in self.token
        ):
            raise ConfigError(
                f"a token has at least {TOKEN_LENGTH} characters, printable ASCII without spaces; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    task: Task,
    serving: Serving,
    *,
    reward: RewardConfig | Mapping[str, Any] | None = None,
    order: str = "random",
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        task: Data, rules and judge, shared by all sessions.
        serving: Where and for whom.
        reward: Weights and prices, without a penalty unless it can be known of one rollout alone.
        order: ``random`` or ``sequential``, in each session by itself.
        started: Called with the URL when it listens.

    Raises:
        ConfigError: On a penalty that needs a group, an unknown order, or an address that cannot
            be had.
    """
    with _listening(task, serving, reward, order) as (server, listener, url):
        started(url)
        server.run(sockets=[listener])


@contextmanager
def served(
    task: Task,
    serving: Serving = Serving(port=0),
    *,
    reward: RewardConfig | Mapping[str, Any] | None = None,
    order: str = "random",
) -> Iterator[str]:
    """The same in a thread of this process, for as long as the context lasts.

    Yields:
        The URL.
    """
    with _listening(task, serving, reward, order) as (server, listener, url):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _listening(
    task: Task, serving: Serving, reward: Any, order: str
) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    """A server that has its address and is not yet running."""
    rewarded = as_reward_config(reward, group_size=2)  # what needs a group is refused below
    if rewarded.needs_group:
        raise ConfigError(
            f"the penalty {rewarded.penalty!r} compares the rollouts of one question, and a "
            "session is one rollout: serve without it, and let trainers.openenv.client.play_group, "
            "or vt_env.rewards.group_rewards on the outcomes, work it out"
        )
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    reserve_files(serving.sessions)
    with _bound(serving) as listener:
        most = _THREADS * serving.sessions
        shared = Shared(
            _shared(task, serving.step_s, most),
            rewarded,
            order,
            serving.step_s,
            Threads(most, "vt-session"),
        )
        name = f"[{serving.host}]" if ":" in serving.host else serving.host
        url = f"http://{name}:{listener.getsockname()[1]}"
        yield uvicorn.Server(_config(shared, serving)), listener, url


def _shared(task: Task, judge_s: float, most: int) -> SharedTask:
    """The task with a judge that has an end, and larger pictures refused at reset."""
    rules = task.protocol.rules
    sendable = replace(rules, max_pixels=min(rules.max_pixels, PIXEL_LIMIT))
    judge = TimedJudge(task.judge, judge_s, most)
    return SharedTask(task.source, replace(task.protocol, rules=sendable), judge)


def _bound(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
        listener.listen(BACKLOG)  # from here on clients can connect; they wait until it runs
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen at {serving.host} port {serving.port}: {error.strerror}"
        ) from error
    return listener


def _config(shared: Shared, serving: Serving) -> uvicorn.Config:
    app = create_fastapi_app(
        partial(VisionThinkEnvironment, shared),
        VisionThinkAction,
        VisionThinkObservation,
        serving.sessions,
        env_name="VisionThink-v0",
        state_cls=VisionThinkState,
        mode="production",
    )
    config = uvicorn.Config(
        Guard(app, serving.token, serving.idle_s, serving.sessions + SPARE),
        http=watched(Waiting(room_before(serving.sessions))),
        backlog=BACKLOG,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_LIMIT,
        ws_per_message_deflate=False,  # pictures are compressed already
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    spare_the_log()
    return config
