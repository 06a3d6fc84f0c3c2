"""What a tool is: it reads a scene and a call's arguments, and gives views, text or both.

How tools are declared to a policy, and how a call's arguments are checked, is here too.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vt_env.errors import ConfigError, VisionThinkError
from vt_env.pictures import Picture, PictureRules, View
from vt_env.regions import Region
from vt_env.tokens import Counter


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


def check_schema(schema: Mapping[str, Any], where: str) -> None:
    """Refuse a schema with a keyword that no call would be checked against.

    Raises:
        ConfigError: With the keywords that there are.
    """
    if unknown := schema.keys() - _KEYWORDS:
        raise ConfigError(
            f"{where}: schema keywords {sorted(unknown)} are not checked here; "
            f"use {', '.join(sorted(_KEYWORDS))}, or check them in apply()"
        )
    if schema.get("type") not in _TYPES:
        raise ConfigError(f"{where}: schema type must be one of {', '.join(_TYPES)}")
    for name, inner in schema.get("properties", {}).items():
        check_schema(inner, f"{where}, {name!r}")
    if "items" in schema:
        check_schema(schema["items"], f"{where}, items")


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
        if not math.isfinite(value):
            return f"{where} must be a finite number"
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
        wanted = str(low) if low == high else f"between {low} and {high}"
        return f"{where} must have {wanted} items, got {len(value)}"
    if "items" in schema:
        for index, item in enumerate(value):
            if problem := _mismatch(schema["items"], item, f"{where}[{index}]"):
                return problem
    return None


class ToolError(VisionThinkError):
    """A call that the tool cannot carry out; the text goes back to the policy."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left to a rollout when a call is carried out; ``None`` is without end.

    Attributes:
        turns: Turns that come after this one.
        pictures: Views that can still be shown.
        visual_tokens: Visual tokens that those may have.
    """

    turns: int
    pictures: int | None = None
    visual_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a tool has before it.

    Attributes:
        pictures: The sample's pictures, at full resolution.
        views: The views shown so far, oldest first: those of the pictures, then those of calls.
        tokens: Counts visual tokens as the policy's family does.
        budget: What is left.
        rules: Which sizes can be shown.
        target: Where the answer is, if the sample says so: for diagnosis, and for tools that
            measure. A tool that shows it to a policy gives the answer away.
    """

    pictures: Sequence[Picture]
    views: Sequence[View]
    tokens: Counter
    budget: Budget
    rules: PictureRules = PictureRules()  # noqa: RUF009 - frozen
    target: Region | None = None

    @property
    def picture(self) -> Picture:
        """The first picture, which is the only one of most samples."""
        return self.pictures[0]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gives.

    Attributes:
        views: New views in order; there may be none.
        text: What the tool says: its finding, or a notice about the views, such as that a box was
            cut at the picture's edge.
    """

    views: tuple[View, ...] = ()
    text: str = ""


class Tool(ABC):
    """One tool.

    Attributes:
        name: What a call names.
        description: What the policy is told it does.
        parameters: JSON schema of the arguments: an object with ``properties`` of ``type``,
            ``enum``, ``minimum``, ``maximum``, ``items``, ``minItems`` and ``maxItems``, and
            ``required``. Every call is checked against it before :meth:`apply`, and every number
            in it is finite.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]]

    @property
    def shows_parts(self) -> bool:
        """Whether it can be asked for a region: whether :meth:`arguments_for` is its own."""
        return type(self).arguments_for is not Tool.arguments_for

    @abstractmethod
    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> Result | View | str:
        """Carry out a call; a view or a text alone stands for the result that has nothing else.

        Args:
            scene: Pictures, views shown, the family's counter, and what is left of the budget.
            arguments: The call's arguments; they fit the schema.

        Raises:
            ToolError: If the call makes no sense here; the policy reads the message.
        """

    def arguments_for(self, scene: Scene, region: Region) -> dict[str, Any]:
        """The arguments of a call that shows a region: the way back from :meth:`apply`.

        Raises:
            ToolError: If the tool shows no regions, or not this one.
        """
        raise ToolError(f"the tool {self.name!r} cannot be asked for a region")

    def called(self, pictures: int, index: int) -> int | str | None:
        """By what a call names a view; ``None`` where calls name none.

        Args:
            pictures: How many the sample has.
            index: The view's place among those shown, from 0; those of the pictures come first.
        """
        return None

    def most(self, scene: Scene) -> tuple[int, int] | None:
        """Views of the largest result of one call, and visual tokens of all of them together.

        Trainers make room for it. ``None``: not known, so that only a budget bounds it.
        """
        return None

    def check(self, tokens: Counter) -> None:  # noqa: B027 - most tools work with all families
        """Refuse a model family that the tool does not work with.

        Raises:
            ConfigError: With what to set instead.
        """


ToolLike = str | Tool | Mapping[str, Any]
"""A tool's name, a tool, or a table with its ``kind`` and its settings."""
