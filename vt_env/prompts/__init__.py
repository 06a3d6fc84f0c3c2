"""Prompt templates: what the environment says, as data.

A template is a TOML file with four texts. ``$image`` says where the picture stands; ``$tools``,
``$question`` and ``$reason`` are filled in (a literal dollar sign is ``$$``)::

    system      = the system turn; may hold $tools
    question    = the first user turn; holds $image and $question
    tool_result = the user turn after a call that worked; holds $image
    error       = the user turn after a call that did not; holds $reason

``visionthink`` and ``general`` are shipped; any path to such a file works in their place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from vt_env.errors import ConfigError

Block = dict[str, str]
"""``{"type": "image"}`` or ``{"type": "text", "text": …}``, as chat templates take them."""

_ALLOWED = {
    "system": ({"tools"}, set[str]()),
    "question": ({"image", "question"}, {"image", "question"}),
    "tool_result": ({"image"}, {"image"}),
    "error": ({"reason"}, {"reason"}),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template; see the module's description of the fields.

    Raises:
        ConfigError: If a field uses a placeholder it may not, or lacks one it needs.
    """

    system: str
    question: str
    tool_result: str
    error: str

    def __post_init__(self) -> None:
        for field, (allowed, required) in _ALLOWED.items():
            template = Template(getattr(self, field))
            if not template.is_valid():
                raise ConfigError(f"prompt field {field!r}: write a literal dollar sign as $$")
            used = set(template.get_identifiers())
            if used - allowed or required - used:
                raise ConfigError(
                    f"prompt field {field!r} may use {sorted(allowed)} and must use "
                    f"{sorted(required)}, got {sorted(used)}"
                )
            if getattr(self, field).count("$image") > 1:
                raise ConfigError(f"prompt field {field!r} shows the image more than once")

    def system_text(self, tool_declarations: Sequence[str]) -> str:
        """The system turn, with one declaration a line where ``$tools`` stands."""
        return Template(self.system).substitute(tools="\n".join(tool_declarations))

    def question_blocks(self, question: str) -> list[Block]:
        """The first user turn."""
        return _blocks(self.question, {"question": question})

    def result_blocks(self) -> list[Block]:
        """The user turn that shows a tool's view."""
        return _blocks(self.tool_result, {})

    def error_blocks(self, reason: str) -> list[Block]:
        """The user turn that says why a call did not work."""
        return _blocks(self.error, {"reason": reason})


def load_prompt(prompt: str | Path | Prompt) -> Prompt:
    """A template by name, from a file, or as it is.

    Raises:
        ConfigError: If there is no such name or file, or the file is not a template.
    """
    if isinstance(prompt, Prompt):
        return prompt
    shipped = resources.files(__name__)
    names = sorted(f.name[:-5] for f in shipped.iterdir() if f.name.endswith(".toml"))
    try:
        if str(prompt) in names:
            text = shipped.joinpath(f"{prompt}.toml").read_text("utf-8")
        else:
            text = Path(prompt).read_text("utf-8")
        table: dict[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"prompt {str(prompt)!r} is neither one of {', '.join(names)} nor a readable file "
            f"({error.strerror})"
        ) from error
    except ValueError as error:
        raise ConfigError(f"prompt file {prompt} is not TOML in UTF-8: {error}") from error
    wanted = {f.name for f in fields(Prompt)}
    if table.keys() != wanted or not all(isinstance(v, str) for v in table.values()):
        raise ConfigError(
            f"prompt file {prompt} must have the texts {', '.join(sorted(wanted))} and nothing "
            f"else, got {', '.join(sorted(table)) or 'nothing'}"
        )
    return Prompt(**table)


def _blocks(template: str, values: Mapping[str, str]) -> list[Block]:
    """Text and image blocks in order; values are put in once and never read again."""
    before, mark, after = template.partition("$image")
    texts = [Template(part).substitute(values) for part in (before, after)]
    blocks: list[Block] = [{"type": "text", "text": texts[0]}] if texts[0] else []
    if mark:
        blocks.append({"type": "image"})
    if texts[1]:
        blocks.append({"type": "text", "text": texts[1]})
    return blocks


def block_text(blocks: Sequence[Mapping[str, str]]) -> str:
    """The text of a turn without its pictures."""
    return "".join(block.get("text", "") for block in blocks).strip()
