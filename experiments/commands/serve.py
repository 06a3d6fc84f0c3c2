"""``vt serve``: the environment for policies on other machines."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from experiments.commands.options import add_task_options, positive, task_of
from vt_env import ConfigError
from vt_env.env import ORDERS
from vt_env.rewards import RewardConfig

TOKEN_VARIABLE = "VT_SERVE_TOKEN"
DESCRIPTION = f"""\
Serve VisionThink-v0 over HTTP and WebSocket, by OpenEnv's protocol. One connection is one session,
which plays one episode at a time. Right answers stay here.

Only this machine can connect, unless --host says otherwise, and then a token is needed, from
--token-file or the variable {TOKEN_VARIABLE}. It is not encrypted on its way: put a proxy with TLS
before the server on a network that others use.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="serve the environment to policies on other machines",
        description=DESCRIPTION,
        epilog="Example: vt serve --data experiments/data/realvqa --reward token_price=0.1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", default="generated", metavar="SOURCE", help="(default: generated)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="what clients have to show")
    parser.add_argument(
        "--sessions", type=positive, default=64, metavar="N", help="most at once (default: 64)"
    )
    parser.add_argument(
        "--idle",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="without a message, after which a session is closed (default: 600)",
    )
    parser.add_argument(
        "--step-limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="that a reset or a step may take (default: 120)",
    )
    parser.add_argument(
        "--reward",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a weight or price, e.g. token_price=0.1; a penalty that compares the rollouts of a "
        "question is worked out by the client",
    )
    parser.add_argument(
        "--order",
        choices=ORDERS,
        default="random",
        help="of samples, in each session, where the client does not choose (default: random)",
    )
    add_task_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from trainers.openenv.server import Serving, serve

    serving = Serving(
        host=arguments.host,
        port=arguments.port,
        token=_token(arguments.token_file),
        sessions=arguments.sessions,
        idle_s=arguments.idle,
        step_s=arguments.step_limit,
    )
    reward = _reward(arguments.reward)
    task = task_of(arguments, arguments.data)
    wanted = "its token" if serving.token else "no token"

    def started(url: str) -> None:
        number = f"{len(task.source)} samples, at most {serving.sessions} sessions, {wanted}"
        print(f"serving at {url}: {number}; stop with Ctrl-C", flush=True)  # noqa: T201

    try:
        serve(task, serving, reward=reward, order=arguments.order, started=started)
    finally:
        task.close()


def _token(file: Path | None) -> str | None:
    """The file's first line, or the variable."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the token from {file}: {reason}") from error


def _reward(settings: list[str]) -> dict[str, Any]:
    """Settings of :class:`~vt_env.rewards.RewardConfig` from ``KEY=VALUE``."""
    made: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--reward wants KEY=VALUE, got {setting!r}")
        default = getattr(RewardConfig(), key, None)
        try:
            made[key] = float(value) if isinstance(default, float) else value
        except ValueError as error:
            raise ConfigError(f"--reward {key} wants a number, got {value!r}") from error
    return made
