"""Reading what a server sends. Nothing in it is believed before it is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from agents.llm.retry import Trouble

Json = Mapping[str, Any]
_NOTHING: Json = {}


def read_json(body: bytes, scrub: Callable[[str], str]) -> Any:
    """The value in a body of JSON in UTF-8, each of its texts passed through a function.

    Raises:
        Trouble: If it is no JSON.
    """
    try:
        return _scrubbed(json.loads(body), scrub)
    except (ValueError, RecursionError):
        raise Trouble("the server's reply is not JSON") from None


def _scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [_scrubbed(item, scrub) for item in value]
    if isinstance(value, dict):
        return {scrub(name): _scrubbed(item, scrub) for name, item in value.items()}
    return value


def as_table(value: object) -> Json:
    """A JSON object as it is; an empty one in place of anything else."""
    return cast("Json", value) if isinstance(value, dict) else _NOTHING


def as_tables(value: object) -> list[Json]:
    """A JSON array's items, each as :func:`as_table` has it; none of anything else."""
    return [as_table(item) for item in value] if isinstance(value, list) else []


def tokens(whole: object, name: str) -> int | None:
    """A count of the reply's ``usage``, if it is one."""
    number = as_table(as_table(whole).get("usage")).get(name)
    return number if type(number) is int and 0 <= number < 10**9 else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: a number of seconds or a date, never negative.

    ``None`` where it asks for nothing that can be read: a date beyond all calendars is no date.
    """
    if (wait := _seconds(headers.get("retry-after-ms", ""))) is not None:
        return wait / 1000
    written = headers.get("retry-after", "")
    if (wait := _seconds(written)) is not None:
        return wait
    try:
        until = parsedate_to_datetime(written)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def error_message(body: object) -> tuple[str, str]:
    """The message and the code of an error's body, both empty where there are none."""
    table = as_table(body)
    error = as_table(table.get("error")) or table
    message, code = error.get("message"), error.get("code")
    return message if isinstance(message, str) else "", code if isinstance(code, str) else ""


def error_places(body: object) -> str:
    """What an error's body points at: OpenAI's ``param``, or FastAPI's ``detail``.

    Never its echo of the request, in which everything is named.
    """
    table = as_table(body)
    detail = table.get("detail")
    found: list[object] = [as_table(table.get("error")).get("param"), table.get("param")]
    found.append(detail if isinstance(detail, str) else None)
    for entry in as_tables(detail):
        found += [entry.get("loc"), entry.get("msg")]
    return " ".join(str(part) for part in found if part)
