"""Reading what a server sends. Nothing in it is believed before it is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from vt_env.judges.models.asking import Ask, Reply
from vt_env.judges.models.reading import probability, read_verdict, said
from vt_env.judges.models.retry import Trouble

_Json = Mapping[str, object]
_NOTHING: _Json = {}


def read_completion(body: str, ask: Ask) -> Reply:
    """The reply in the body of a chat completion.

    Raises:
        Trouble: If it is no chat completion, or the model refused, or what it said is no verdict.
    """
    try:
        whole: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Trouble("the server's reply is not JSON") from None
    spent = _usage(_object(whole).get("usage"))
    first = next(iter(_objects(_object(whole).get("choices"))), _NOTHING)
    message = _object(first.get("message"))
    text = message.get("content")
    if message.get("refusal") or first.get("finish_reason") == "content_filter":
        raise Trouble("the model refused", tokens_in=spent[0], tokens_out=spent[1])
    if not isinstance(text, str):
        raise Trouble(
            "the server's reply has no text" if first else "the server's reply is no completion",
            tokens_in=spent[0],
            tokens_out=spent[1],
        )
    if read_verdict(text, ask) is None:
        heard = said(text)[:60]
        reason = f"unreadable reply {heard!r}" if heard else "only thoughts, no reply"
        raise Trouble(reason, tokens_in=spent[0], tokens_out=spent[1])
    return Reply(text, _probability(first.get("logprobs"), ask), *spent)


def _object(value: object) -> _Json:
    return cast("_Json", value) if isinstance(value, dict) else _NOTHING


def _objects(value: object) -> list[_Json]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [_object(item) for item in items]


def _usage(usage: object) -> tuple[int, int]:
    counts = (_object(usage).get(name) for name in ("prompt_tokens", "completion_tokens"))
    first, second = (n if isinstance(n, int) and 0 <= n < 10**9 else 0 for n in counts)
    return first, second


def _probability(log_probs: object, ask: Ask) -> float | None:
    """From the candidates for the verdict's first token, which stands after all thoughts."""
    text = ""
    for token in reversed(_objects(_object(log_probs).get("content"))):
        text = str(token.get("token", "")) + text
        if read_verdict(text, ask) is not None:
            return probability(_candidates(token), ask)
    return None


def _candidates(token: _Json) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in (token, *_objects(token.get("top_logprobs"))):
        value = item.get("logprob")
        if isinstance(value, int | float) and not math.isnan(value):
            found[str(item.get("token", ""))] = float(value)
    return found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: a number of seconds or a date, never negative."""
    if (wait := _seconds(headers.get("retry-after-ms", ""))) is not None:
        return wait / 1000
    written = headers.get("retry-after", "")
    if (wait := _seconds(written)) is not None:
        return wait
    try:
        until = parsedate_to_datetime(written)
    except (ValueError, TypeError, IndexError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def error_message(body: object) -> tuple[str, str]:
    """The message and the code of an error's body, both empty where there are none."""
    table = _object(body)
    error = _object(table.get("error")) or table
    message, code = error.get("message"), error.get("code")
    return message if isinstance(message, str) else "", code if isinstance(code, str) else ""


def error_places(body: object) -> str:
    """What an error's body points at: OpenAI's ``param``, or FastAPI's ``detail``.

    Never its echo of the request, in which everything is named.
    """
    table = _object(body)
    detail = table.get("detail")
    found: list[object] = [_object(table.get("error")).get("param"), table.get("param")]
    found.append(detail if isinstance(detail, str) else None)
    for entry in _objects(detail):
        found += [entry.get("loc"), entry.get("msg")]
    return " ".join(str(part) for part in found if part)
