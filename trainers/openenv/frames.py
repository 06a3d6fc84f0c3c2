"""What a client may send, checked before the session sees it, so that every fault has a sentence.

OpenEnv answers a wrong field with "Invalid message" and ends the session over JSON that is no
object; here each fault is told, and the session goes on.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from trainers.openenv.messages import ResetOptions, VisionThinkAction

_DATA: Mapping[str, type[BaseModel] | None] = {
    "reset": ResetOptions,
    "step": VisionThinkAction,
    "state": None,
    "close": None,
}
_SHOWN = 80
"""Characters of what came that an error repeats."""


def fault(frame: str | None) -> dict[str, str] | None:
    """What is wrong with a message.

    Args:
        frame: A text frame; ``None`` for a binary one.

    Returns:
        ``code`` and ``message`` for the client, or ``None`` if it can be passed on.
    """
    if frame is None:
        return _error("INVALID_JSON", "expected text frames with JSON, got a binary frame")
    try:
        message = json.loads(frame, parse_constant=_refuse)
        json.dumps(message, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return _error("INVALID_JSON", "the text holds half of a surrogate pair, which is no text")
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return _error("INVALID_JSON", f"the message is not JSON: {why:.{_SHOWN}}")
    if not isinstance(message, dict):
        kind = type(message).__name__
        return _error("VALIDATION_ERROR", f'expected {{"type": …, "data": {{…}}}}, got a {kind}')
    name = message.get("type")
    if not isinstance(name, str) or name not in _DATA:
        shown, known = repr(name)[:_SHOWN], ", ".join(_DATA)
        return _error("UNKNOWN_TYPE", f"unknown type of message {shown}; known: {known}")
    model = _DATA[name]
    allowed = {"type"} if model is None else {"type", "data"}
    if unknown := sorted(message.keys() - allowed):
        shown = repr(unknown[0])[:_SHOWN]
        return _error("VALIDATION_ERROR", f"{name}: unknown field {shown} beside {sorted(allowed)}")
    return _fault_of_data(name, model, message.get("data", {})) if model else None


def _fault_of_data(name: str, model: type[BaseModel], data: Any) -> dict[str, str] | None:
    try:
        model.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, p['loc'])) or 'data'}: {p['msg']}"[: 2 * _SHOWN]
            for p in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        known = ", ".join(model.model_fields)
        told = "; ".join(problems[:4])
        return _error("VALIDATION_ERROR", f"{name}: {told} (its fields: {known})")
    return None


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message.encode("utf-8", "replace").decode("utf-8")}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
