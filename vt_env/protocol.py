"""The rules of a conversation about one picture, as one value.

Three protocols are shipped:

===============  ==============  ======================  =====
name             first look      tool                    turns
===============  ==============  ======================  =====
``visionthink``  sides halved    ``resize_image``        2
``general``      original        none                    1
``low``          sides halved    none                    1
===============  ==============  ======================  =====
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vt_env.errors import ConfigError, unknown_name
from vt_env.pictures import FIRST_LOOKS, PictureRules
from vt_env.prompts import Prompt, load_prompt
from vt_env.tokens import Counter, token_counter
from vt_env.tools import Tool, declaration, make_tools

PRESETS: dict[str, dict[str, Any]] = {
    "visionthink": {
        "factor": 0.5,
        "tools": ("resize_image",),
        "prompt": "visionthink",
        "max_turns": 2,
    },
    "general": {"factor": 1.0, "tools": (), "prompt": "general", "max_turns": 1},
    "low": {"factor": 0.5, "tools": (), "prompt": "general", "max_turns": 1},
}


@dataclass(frozen=True)
class Protocol:
    """See :func:`make_protocol`, which builds one from names.

    Attributes:
        factor: Side of the first view over the original's, in (0, 1].
        tools: What may be called.
        prompt: What the environment says.
        max_turns: Turns a policy has; an answer ends the episode earlier.
        tokens: Counts visual tokens as the policy's model family does.
        rules: Which pictures are accepted.
        first_look: How the first view is made; see :class:`vt_env.pictures.Picture`.
        system: The system turn, with the tools declared.

    Raises:
        ConfigError: On a value out of range, or settings that contradict each other.
    """

    factor: float
    tools: tuple[Tool, ...]
    prompt: Prompt
    max_turns: int
    tokens: Counter
    rules: PictureRules = field(default_factory=PictureRules)
    first_look: str = "lanczos"
    system: str = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ConfigError(f"factor must be above 0 and at most 1, got {self.factor}")
        if self.max_turns < 1:
            raise ConfigError(f"max_turns must be at least 1, got {self.max_turns}")
        if self.first_look not in FIRST_LOOKS:
            raise unknown_name("first_look", self.first_look, FIRST_LOOKS)
        if self.tools and self.max_turns == 1:
            raise ConfigError("with max_turns=1 no tool can be called: set tools=() or more turns")
        if self.tools and "$tools" not in self.prompt.system:
            raise ConfigError("the prompt's system turn lacks $tools, so no tool can be declared")
        declared = [declaration(tool) for tool in self.tools]
        object.__setattr__(self, "system", self.prompt.system_text(declared))

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, if it may be called."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def opening(self, question: str) -> list[dict[str, Any]]:
        """The system turn and the question, in chat format, with a mark for the picture."""
        return [
            {"role": "system", "content": [{"type": "text", "text": self.system}]},
            {"role": "user", "content": self.prompt.question_blocks(question)},
        ]


def make_protocol(
    name: str | Protocol = "visionthink",
    *,
    factor: float | None = None,
    tools: Sequence[str | Tool] | None = None,
    prompt: str | Path | Prompt | None = None,
    max_turns: int | None = None,
    tokens: str | Counter = "qwen2.5-vl",
    rules: PictureRules | None = None,
    first_look: str = "lanczos",
) -> Protocol:
    """A shipped protocol, with what is given in its place.

    Args:
        name: One of the module's table, or a finished protocol, which is returned as it is.
        factor: Side of the first view over the original's.
        tools: Names or instances.
        prompt: Name, file or template.
        max_turns: Turns a policy has.
        tokens: Model family, e.g. ``"qwen3-vl"``; see :func:`vt_env.tokens.token_counter`.
        rules: Which pictures are accepted.
        first_look: ``"lanczos"`` as the paper, or a cheaper way.

    Raises:
        ConfigError: On an unknown name or a value out of range.
    """
    if isinstance(name, Protocol):
        return name
    if name not in PRESETS:
        raise unknown_name("protocol", name, PRESETS)
    preset = PRESETS[name]
    return Protocol(
        factor=preset["factor"] if factor is None else float(factor),
        tools=make_tools(preset["tools"] if tools is None else tools),
        prompt=load_prompt(prompt or preset["prompt"]),
        max_turns=max_turns if max_turns is not None else preset["max_turns"],
        tokens=token_counter(tokens) if isinstance(tokens, str) else tokens,
        rules=rules or PictureRules(),
        first_look=first_look,
    )
