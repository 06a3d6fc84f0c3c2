"""What the tests of evaluation share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents import Conversation, Reply
from agents.base import answer_turn
from experiments.cli import main
from experiments.files import json_rows

DATA = "generated:n=24"
VARIES = {"provenance", "seconds", "agent_seconds"}
"""What two equal evaluations may differ in."""


def vt(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def process(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """``vt`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **settings},
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in json_rows(path)]


def result(folder: Path) -> dict[str, Any]:
    """A result without what may vary."""
    return without_times(json.loads((folder / "result.json").read_text()))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in VARIES}
    return value


class Unsteerable:
    """As a model behind a server: nothing can be put into its mouth. It never asks by itself."""

    name = "unsteerable"

    def __init__(self) -> None:
        self.seen: list[Conversation] = []

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        self.seen += conversations
        return [
            Reply(answer_turn(f"{len(c.images)} {c.messages[0]['content'][0]['text'][:9]}", ""))
            for c in conversations
        ]
