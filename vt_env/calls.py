"""Carrying out calls: nothing that a policy asks for, and no tool of a user's, ends a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from vt_env.actions import ToolCall
from vt_env.errors import PictureError
from vt_env.pictures import View
from vt_env.prompts import LEFT
from vt_env.protocol import Protocol
from vt_env.regions import Region
from vt_env.tokens import Counter
from vt_env.tools import Budget, Result, Scene, Tool, ToolError, argument_error

logger = logging.getLogger(__name__)

_told: set[tuple[str, str]] = set()
"""Failures whose traceback was logged: the tool's name and the type of what it raised."""


class ToolFailure(ToolError):
    """The tool failed, or the picture cannot be read any more: no fault of the call's form."""


class Done(NamedTuple):
    """A call that was carried out.

    Attributes:
        call: The call.
        result: What the tool gave.
        tokens: Visual tokens of each of its views.
    """

    call: ToolCall
    result: Result
    tokens: tuple[int, ...]


def carry_out(protocol: Protocol, call: ToolCall, scene: Scene) -> Done:
    """What a call brings, and its visual tokens.

    Args:
        protocol: Its tools, its rules for pictures, and ``strict``.
        call: What the policy called.
        scene: What the tool has before it.

    Raises:
        ToolError: If the call cannot be carried out, or the rules refuse a view; the text is for
            the policy.
        ToolFailure: Whatever else the tool raised, and whatever it returned that is no result. It
            is logged, with its traceback when it is the first of its kind. With ``strict`` what
            the tool raised comes out as it is.
    """
    tool = protocol.tool(call.name)
    if tool is None:
        known = ", ".join(t.name for t in protocol.tools) or "none"
        raise ToolError(f"there is no tool {call.name!r:.60}; the tools are: {known}")
    try:
        result = _applied(tool, call.arguments, scene)
    except ToolError:
        raise
    except Exception as error:
        if protocol.strict:
            raise
        _tell(tool, error)
        unreadable = isinstance(error, PictureError)
        raise ToolFailure(
            "the image cannot be shown like that"
            if unreadable
            else f"the tool {tool.name!r} failed"
        ) from error
    try:
        for view in result.views:
            protocol.rules.check_size(view.size, f"the view of {tool.name!r}")
        return Done(call, result, tuple(protocol.tokens.count(*view.size) for view in result.views))
    except PictureError as error:
        raise ToolError(str(error)) from error


def asking_turn(protocol: Protocol, scene: Scene, region: Region, thought: str = "") -> str:
    """A well-formed turn that asks for a part of a picture, by the first tool that can show it.

    Raises:
        ToolError: If none can.
    """
    why = ToolError("the protocol has no tool")
    for tool in protocol.tools:
        try:
            call = ToolCall(tool.name, tool.arguments_for(scene, region), thought)
        except ToolError as error:
            why = error
        else:
            return protocol.grammar.write(call)
    raise why


def over_budget(left: Budget, done: Done) -> str:
    """Which budget a call goes over, or nothing."""
    if left.pictures is not None and len(done.result.views) > left.pictures:
        return f"a call for {len(done.result.views)} pictures with {left.pictures} left"
    if left.visual_tokens is not None and sum(done.tokens) > left.visual_tokens:
        return f"a call for {sum(done.tokens)} visual tokens with {left.visual_tokens} left"
    return ""


def gains(done: Done, shown: Sequence[View], tokens: Counter) -> bool:
    """Whether a call brought more visual tokens, for what it shows, than any view before it had.

    A part is compared with its share of a view that covers it, and has to be a tenth better, since
    tokens are whole; what shows no part of a picture, with the view before.
    """
    for view, brought in zip(done.result.views, done.tokens, strict=True):
        new = view.region
        if new is None:
            before = [float(tokens.count(*shown[-1].size))]
        else:
            before = [
                tokens.count(*old.size) * _share(old.region, new) for old in shown if old.region
            ]
        if brought > max(before, default=0):
            return True
    return False


def _share(old: Region, new: Region) -> float:
    """How much of a view's tokens fall on a part of it; 0 where it does not cover the part."""
    if old.picture != new.picture or new.box.within(old.box).area < 0.99 * new.box.area:
        return 0.0
    share = new.box.area / old.box.area
    return 1.0 if share > 0.99 else 1.1 * share


def said_of(done: Done, place: int, first: int, name: str) -> dict[str, str]:
    """What the prompt's texts may say of a view.

    Args:
        done: The call.
        place: Which of its views.
        first: How many views there were before those of the call.
        name: What the view is called.
    """
    view = done.result.views[place]
    region = view.region
    return {
        "text": done.result.text if not place else "",
        "tool": done.call.name,
        "name": name,
        "number": str(first + place + 1),
        "index": str(first + place),
        "picture": str(region.picture + 1) if region else "",
        "width": str(view.size[0]),
        "height": str(view.size[1]),
        "box": str(region.box) if region else "",
    }


def said_of_budget(left: Budget) -> dict[str, str]:
    """What the prompt's texts may say of what is left."""
    amounts = (left.turns, left.pictures, left.visual_tokens)
    told = ("unlimited" if amount is None else str(amount) for amount in amounts)
    return dict(zip(LEFT, told, strict=True))


def _applied(tool: Tool, arguments: Mapping[str, Any], scene: Scene) -> Result:
    if problem := argument_error(tool.parameters, arguments):
        raise ToolError(problem)
    given: Any = tool.apply(scene, arguments)
    if isinstance(given, View | str):
        given = Result((given,)) if isinstance(given, View) else Result(text=given)
    if not isinstance(given, Result) or not isinstance(given.text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - tools are users' code
        raise TypeError(f"expected a Result, View or str from apply(), got {type(given).__name__}")
    if not given.views and not given.text.strip():
        raise TypeError("expected a view or a text from apply(), got a result with neither")
    for view in given.views:
        if not isinstance(view, View) or not isinstance(view.image, Image.Image):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected Views of PIL images from apply(), got {type(view).__name__}")
        if view.image.mode != "RGB":
            raise TypeError(f"expected Views of RGB images from apply(), got {view.image.mode}")
    return Result(tuple(given.views), given.text)


def _tell(tool: Tool, error: Exception) -> None:
    kind = (tool.name, type(error).__name__)
    first = kind not in _told
    _told.add(kind)
    logger.warning(
        "the tool %r failed, and the policy is told so: %s: %s%s",
        *kind,
        error,
        "" if first else " (its first traceback stands above)",
        exc_info=error if first else None,
    )
