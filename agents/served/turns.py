"""Reading what a server sends. Nothing in it is believed before it is checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.base import TURN_ENDS
from vt_env.judges.models.retry import Trouble

_LENGTH, _STOP = "length", "stop"


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model said.

    Attributes:
        text: The turn.
        truncated: Whether it was cut off at a limit.
        vague: Whether a stop string that the server took away may have ended it, or the model.
        tokens: How many tokens the server says that were generated, if it does.
    """

    text: str
    truncated: bool
    vague: bool
    tokens: int | None = None


def read_turn(body: str, stop: bool) -> Turn:
    """The turn in the body of a chat completion.

    Args:
        body: As it came.
        stop: Whether the request had stop strings.

    Raises:
        Trouble: If it is no chat completion, or does not hold all that the model said.
    """
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        raise Trouble("the server's reply is not JSON") from None
    choice = _first(whole)
    message = _table(choice.get("message"))
    ended, text = choice.get("finish_reason"), message.get("content")
    _check_parsers(message)
    if ended not in (_STOP, _LENGTH):
        raise Trouble(f"the turn ended for the reason {str(ended)[:40]!r}")
    if not isinstance(text, str):
        raise Trouble("the server's reply has no text")
    if not text and not _said_nothing(whole, ended):
        raise Trouble("the server's reply is empty, though the model said something")
    if ended == _LENGTH or not stop or text.endswith(TURN_ENDS):
        return Turn(text, ended == _LENGTH, vague=False, tokens=_generated(whole))
    told = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
    closed_by = next((mark for mark in told if mark in TURN_ENDS), None)
    vague = not told and _is_open(text)
    return Turn(text + (closed_by or ""), False, vague, _generated(whole))


def _check_parsers(message: Mapping[str, Any]) -> None:
    """A server that takes a turn apart does not give it back as it was said."""
    for key, parser in (
        ("tool_calls", "tool-call"),
        ("reasoning_content", "reasoning"),
        ("reasoning", "reasoning"),
    ):
        if message.get(key):
            raise Trouble(
                f"the server took the turn apart ({key}): start it without a {parser} parser",
                again=False,
            )


def _said_nothing(whole: Any, ended: object) -> bool:
    """Whether the model itself ended its turn at once: one token, the end of a turn."""
    return ended == _STOP and _generated(whole) == 1


def _generated(whole: Any) -> int | None:
    """Tokens that the server says that were generated."""
    number = _table(_table(whole).get("usage")).get("completion_tokens")
    return number if type(number) is int and number >= 0 else None


def _is_open(text: str) -> bool:
    """Whether a tag that a stop string would close is open."""
    return any(text.rfind(mark.replace("/", "")) > text.rfind(mark) for mark in TURN_ENDS)


def _first(whole: Any) -> Mapping[str, Any]:
    choices = _table(whole).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Trouble("the server's reply is no chat completion")
    return choices[0]


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
