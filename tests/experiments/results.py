"""Folders of results for tests of the report, written as ``vt eval`` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluating import evaluate

from agents import Agent, Conversation, Reply
from experiments.episodes import episode_row
from experiments.evaluation.player import Refused
from experiments.summary import summarise
from vt_env import make_task
from vt_env.sources import open_source

EVIL = "</script><script>window.pwned=1;document.title='x'</script><img src=x onerror=pwned=1>\" '"
EVIL += ' onload="pwned=1" `${pwned=1}` javascript:pwned=1 &lt; \u2028\u2029\u202e $x \\frac{ \x00'
DATA = "generated:n={n},kinds=laptop"


class Scripted:
    """Asks where a rule says so, and is right where it has seen what the rule says it needs."""

    def __init__(self, asks: Callable[[str], bool], wrong: Callable[[str, int], bool]) -> None:
        self.name = "scripted"
        self.asks, self.wrong = asks, wrong

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        return [Reply(self._turn(c)) for c in conversations]

    def _turn(self, c: Conversation) -> str:
        if c.can_request and self.asks(c.sample.id):
            call = '{"name": "resize_image", "arguments": {"action": "resize"}}'
            return f"<think>too small</think><tool_call>{call}</tool_call>"
        answer = "no idea" if self.wrong(c.sample.id, len(c.images)) else c.sample.references[0]
        return f"<think>I see it</think><answer>{answer}</answer>"


def number(sample_id: str) -> int:
    return int(sample_id.rpartition("-")[2])


def is_fine(sample_id: str) -> bool:
    """Every third question cannot be answered from the first view."""
    return number(sample_id) % 3 == 0


POLICIES: dict[str, Agent] = {
    "mixed": Scripted(lambda i: number(i) % 2 == 0, lambda i, seen: is_fine(i) and seen == 1),
    "low": Scripted(lambda _: False, lambda i, seen: is_fine(i) and seen == 1),
    "always-request": Scripted(lambda _: True, lambda _, __: False),
}


def play(folder: Path, names: Sequence[str] = tuple(POLICIES), n: int = 12) -> Path:
    """Play some policies, each in a folder of its own."""
    spec = DATA.format(n=n)
    task = make_task(open_source(spec))
    results = {}
    for name in names:
        played = [e for e in evaluate(task, POLICIES[name]) if not isinstance(e, Refused)]
        rows = [episode_row(e) for e in played]
        results[name] = write(folder / name, rows, agent="same", mode=name, data=spec)
    (folder / "comparison.json").write_text(json.dumps({"agents": results}))
    return folder


def write(folder: Path, rows: Sequence[Mapping[str, Any]], **told: Any) -> dict[str, Any]:
    """Write a result of some rows; what it tells."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = {**summarise(rows), **told}
    (folder / "result.json").write_text(json.dumps(result))
    return result


def row(**changed: Any) -> dict[str, Any]:
    """A row of ``episodes.jsonl`` with some fields changed; those that are ``...`` are missing."""
    made: dict[str, Any] = {
        "id": "s1",
        "question": "What is it?",
        "references": ["a cat"],
        "kind": "animal",
        "source": "made",
        "turns": [{"text": "<think>fur</think><answer>a cat</answer>", "action": {}}],
        "answer": "a cat",
        "correct": True,
        "judge": "auto",
        "reason": "equal to a reference",
        "well_formed": True,
        "flaws": [],
        "requested": False,
        "futile_request": False,
        "visual_tokens": 4,
        "full_tokens": 16,
        "views": [[16, 16]],
        "reward": {"accuracy": 1.0, "format": 0.5, "penalty": 0.0, "cost": 0.0, "total": 1.5},
        **changed,
    }
    return {name: value for name, value in made.items() if value is not ...}
