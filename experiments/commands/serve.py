"""``vt serve``: the environment for policies on other machines."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from experiments.commands.options import add_task_options, positive, task_of
from experiments.parsing import Parser, option
from experiments.recipe import overridden, typed
from vt_env import ConfigError
from vt_env.order import ORDERS
from vt_env.rewards import RewardConfig

TOKEN_VARIABLE = "VT_SERVE_TOKEN"
DESCRIPTION = f"""\
Serve VisionThink-v0 over HTTP and WebSocket, by OpenEnv's protocol. One connection is one session,
which plays one episode at a time. Right answers stay here.

Only this machine can connect, unless --host says otherwise, and then a token is needed, from
--token-file or the variable {TOKEN_VARIABLE}. It is not encrypted on its way: put a proxy with TLS
before the server on a network that others use.
"""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.epilog = "Example: vt serve --data generated:n=200 --reward token_price=0.1"
    option(parser, "--data SOURCE", "what is played", default="generated")
    option(parser, "--host HOST", "where it listens", default="127.0.0.1")
    option(parser, "--port PORT", "0 takes a free one", int, 8000)
    option(parser, "--token-file FILE", "what clients have to show", Path)
    option(parser, "--sessions N", "most at once", positive, 64)
    option(parser, "--idle SECONDS",
           "without a message, after which a session is closed", float, 600.0)  # fmt: skip
    option(parser, "--step-limit SECONDS",
           "that a reset, a step or a judgement may take", float, 120.0)  # fmt: skip
    option(parser, "--reward KEY=VALUE",
           "a weight or price, e.g. token_price=0.1; a penalty that compares the rollouts of a "
           "question is worked out by the client", default=[], action="append")  # fmt: skip
    option(parser, "--order",
           "of samples, in each session, where the client does not choose", list(ORDERS), "random",
           )  # fmt: skip
    add_task_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted."""
    token, reward = _token(arguments.token_file), _reward(arguments.reward)
    from trainers.openenv.server import Serving, serve

    serving = Serving(
        host=arguments.host,
        port=arguments.port,
        token=token,
        sessions=arguments.sessions,
        idle_s=arguments.idle,
        step_s=arguments.step_limit,
    )
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


def _reward(settings: list[str]) -> RewardConfig:
    """The reward from ``KEY=VALUE``, by default without a penalty."""
    if wrong := [setting for setting in settings if "=" not in setting]:
        raise ConfigError(f"--reward wants KEY=VALUE, got {wrong[0]!r}")
    return typed(RewardConfig, {"penalty": "none", **overridden(settings)}, "--reward")
