"""Reading what a server sends. Nothing in it is believed before it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.llm.replies import as_table, tokens
from agents.llm.retry import Trouble

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


def read_turn(whole: Any, ends: Sequence[str]) -> Turn:
    """The turn in a chat completion.

    Args:
        whole: The reply's JSON.
        ends: The request's stop strings.

    Raises:
        Trouble: If it is no chat completion, or does not hold all that the model said.
    """
    choice = _first(whole)
    message = as_table(choice.get("message"))
    ended, text = choice.get("finish_reason"), message.get("content")
    _check_parsers(message)
    if ended not in (_STOP, _LENGTH):
        raise Trouble(f"the turn ended for the reason {str(ended)[:40]!r}")
    if not isinstance(text, str):
        raise Trouble("the server's reply has no text")
    at_once = ended == _STOP and tokens(whole, "completion_tokens") == 1  # one token, the end
    if not text and not at_once:
        raise Trouble("the server's reply is empty, though the model said something")
    if ended == _LENGTH or not ends or text.endswith(tuple(ends)):
        return Turn(text, ended == _LENGTH, vague=False, tokens=tokens(whole, "completion_tokens"))
    stops = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
    closed_by = next((mark for mark in stops if mark in ends), None)
    is_open = any(text.rfind(mark.replace("/", "")) > text.rfind(mark) for mark in ends)
    vague = not stops and is_open  # a tag that a stop string would close
    return Turn(text + (closed_by or ""), False, vague, tokens(whole, "completion_tokens"))


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


def _first(whole: Any) -> Mapping[str, Any]:
    choices = as_table(whole).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Trouble("the server's reply is no chat completion")
    return choices[0]
