"""Tools a policy can call, and how their schemas are declared and checked.

A tool turns the source picture into the next view. ``resize_image`` shows the original; a crop,
a rotation or another factor is one more class with a schema and :meth:`Tool.apply`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vt_env.errors import ConfigError, VisionThinkError
from vt_env.pictures import Picture, View
from vt_env.registry import Registry


class ToolError(VisionThinkError):
    """A call that the tool cannot carry out; the text goes back to the policy."""


class Tool(ABC):
    """One tool.

    Attributes:
        name: What a call names.
        description: What the policy is told it does.
        parameters: JSON schema of the arguments: an object with ``properties`` of ``type``,
            ``enum``, ``minimum``, ``maximum``, ``items``, ``minItems`` and ``maxItems``, and
            ``required``. Every call is checked against it before :meth:`apply`.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def apply(self, picture: Picture, shown: Sequence[View], arguments: Mapping[str, Any]) -> View:
        """The next view.

        Args:
            picture: The source picture, at full resolution and shrunk.
            shown: The views shown so far, oldest first; never empty.
            arguments: The call's arguments; they fit the schema.

        Raises:
            ToolError: If the call makes no sense here; the policy reads the message.
        """


class ResizeImage(Tool):
    """The paper's tool: shows the picture at its original resolution."""

    name = "resize_image"
    description = (
        "Shows the image at its original resolution. The image you were given has been shrunk; "
        "call this when details that you need cannot be made out in it."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "action": {
                "type": "string",
                "enum": ["resize"],
                "description": "`resize` brings the original resolution.",
            }
        },
        "required": ["action"],
    }

    def apply(self, picture: Picture, shown: Sequence[View], arguments: Mapping[str, Any]) -> View:
        """The original picture, once."""
        if shown[-1] is picture.original:
            raise ToolError("the image is shown at its original resolution already")
        return picture.original


TOOLS: Registry[Tool] = Registry("tool", "vt.tools", {"resize_image": ResizeImage})
register_tool = TOOLS.register


def make_tools(tools: Sequence[str | Tool]) -> tuple[Tool, ...]:
    """Tools from names or instances.

    Raises:
        ConfigError: On an unknown name, two tools of one name, or a schema that is not understood.
    """
    made = tuple(TOOLS.make(t) if isinstance(t, str) else t for t in tools)
    names = [tool.name for tool in made]
    if len(set(names)) != len(names):
        raise ConfigError(f"each tool needs a name of its own, got {names}")
    for tool in made:
        _check_schema(tool.parameters, f"tool {tool.name!r}")
    return made


def declaration(tool: Tool) -> str:
    """One line of JSON, as chat templates declare a function."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def argument_error(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with a call's arguments, or ``None``."""
    return _mismatch(schema, arguments, "arguments")


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
_KEYWORDS = {
    "type",
    "description",
    "properties",
    "required",
    "enum",
    "minimum",
    "maximum",
    "items",
    "minItems",
    "maxItems",
}


def _check_schema(schema: Mapping[str, Any], where: str) -> None:
    if unknown := schema.keys() - _KEYWORDS:
        raise ConfigError(
            f"{where}: schema keywords {sorted(unknown)} are not checked here; "
            f"use {', '.join(sorted(_KEYWORDS))}, or check them in apply()"
        )
    if schema.get("type") not in _TYPES:
        raise ConfigError(f"{where}: schema type must be one of {', '.join(_TYPES)}")
    for name, inner in schema.get("properties", {}).items():
        _check_schema(inner, f"{where}, {name!r}")
    if "items" in schema:
        _check_schema(schema["items"], f"{where}, items")


def _mismatch(schema: Mapping[str, Any], value: Any, where: str) -> str | None:
    kind: str = schema["type"]
    fits: bool = isinstance(value, _TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)
    if not fits:
        return f"{where} must be of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {', '.join(map(repr, schema['enum']))}"
    if kind == "object":
        return _object_mismatch(schema, value, where)
    if kind == "array":
        return _array_mismatch(schema, value, where)
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            return f"{where} must be between {low} and {high}"
    return None


def _object_mismatch(schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> str | None:
    properties = schema.get("properties", {})
    if missing := [name for name in schema.get("required", ()) if name not in value]:
        return f"{where} must have {', '.join(map(repr, missing))}"
    if unknown := [name for name in value if name not in properties]:
        return f"{where} may only have {', '.join(map(repr, properties))}, got {unknown[0]!r:.40}"
    for name, inner in value.items():
        if problem := _mismatch(properties[name], inner, f"{where}[{name!r}]"):
            return problem
    return None


def _array_mismatch(schema: Mapping[str, Any], value: Sequence[Any], where: str) -> str | None:
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < low or (high is not None and len(value) > high):
        return f"{where} must have between {low} and {high} items, got {len(value)}"
    if "items" in schema:
        for index, item in enumerate(value):
            if problem := _mismatch(schema["items"], item, f"{where}[{index}]"):
                return problem
    return None
