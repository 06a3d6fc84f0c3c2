"""Tools a policy can call, by name, as settings of a shipped one, or as objects of your own.

``resize_image`` shows the original; ``zoom`` cuts a part in whichever convention its settings say;
``named_parts`` shows quadrants and halves. Another is one more class with a schema and
:meth:`Tool.apply`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.errors import ConfigError
from vt_env.registry import Registry
from vt_env.tools.base import (
    Budget,
    Result,
    Scene,
    Tool,
    ToolError,
    ToolLike,
    argument_error,
    check_schema,
    declaration,
)
from vt_env.tools.shown import NamedParts, ResizeImage
from vt_env.tools.zoom import Zoom

__all__ = [
    "TOOLS",
    "Budget",
    "NamedParts",
    "ResizeImage",
    "Result",
    "Scene",
    "Tool",
    "ToolError",
    "ToolLike",
    "Zoom",
    "argument_error",
    "declaration",
    "make_tools",
    "register_tool",
]

TOOLS: Registry[Tool] = Registry(
    "tool", "vt.tools", {"resize_image": ResizeImage, "zoom": Zoom, "named_parts": NamedParts}
)
register_tool = TOOLS.register


def make_tools(tools: Sequence[ToolLike]) -> tuple[Tool, ...]:
    """Tools from names, tables of settings, or instances.

    Raises:
        ConfigError: On an unknown name or setting, two tools of one name, or a schema that is not
            understood.
    """
    made = tuple(_made(tool) for tool in tools)
    names = [tool.name for tool in made]
    if len(set(names)) != len(names):
        raise ConfigError(f"each tool needs a name of its own, got {names}")
    for tool in made:
        check_schema(tool.parameters, f"tool {tool.name!r}")
    return made


def _made(tool: ToolLike) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, str):
        return TOOLS.make(tool)
    settings = dict(tool)
    return TOOLS.make(str(settings.pop("kind", None)), **settings)
