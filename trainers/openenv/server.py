"""The server: OpenEnv's app behind a guard, run by uvicorn."""

# pyright: reportMissingImports=false
from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app

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
from vt_env.env import ORDERS, as_reward_config
from vt_env.errors import ConfigError, unknown_name
from vt_env.rewards import RewardConfig
from vt_env.task import Task

TOKEN_LENGTH = 16
"""Characters that a token has at least."""


@dataclass(frozen=True)
class Serving:
    """Where and for whom.

    Attributes:
        host: The address to listen at.
        port: 0 takes a free one.
        token: What clients have to show; needed unless ``host`` is this machine alone.
        sessions: Most sessions at once.
        idle_s: Seconds without a message after which a session is closed.
        step_s: Seconds that a reset or a step may take; a judge's own time-outs should be shorter.

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
    rewarded = as_reward_config(reward, default_penalty="none")
    if rewarded.needs_group:
        raise ConfigError(
            f"the penalty {rewarded.penalty!r} compares the rollouts of one question, and a "
            "session is one rollout: serve without it, and let trainers.openenv.group.play_group, "
            "or vt_env.rewards.group_rewards on the outcomes, work it out"
        )
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    with (
        _bound(serving) as listener,
        ThreadPoolExecutor(serving.sessions, thread_name_prefix="vt-session") as workers,
    ):
        shared = Shared(_shared(task), rewarded, order, serving.step_s, workers)
        name = f"[{serving.host}]" if ":" in serving.host else serving.host
        url = f"http://{name}:{listener.getsockname()[1]}"
        yield uvicorn.Server(_config(shared, serving)), listener, url


def _shared(task: Task) -> SharedTask:
    """The task, with larger pictures refused at reset and not when they are asked for."""
    rules = task.protocol.rules
    sendable = replace(rules, max_pixels=min(rules.max_pixels, PIXEL_LIMIT))
    return SharedTask(task.source, replace(task.protocol, rules=sendable), task.judge)


def _bound(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
        listener.listen(1024)  # from here on clients can connect; they wait until it runs
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
    return uvicorn.Config(
        Guard(app, serving.token, serving.idle_s),
        ws="websockets-sansio",
        ws_max_size=MESSAGE_LIMIT,
        ws_per_message_deflate=False,  # pictures are compressed already
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
