"""Prompt templates: what the environment says, as data.

A template is a TOML file, or a table of one, with these texts; the first four must be there::

    system      = the system turn; may hold $tools
    question    = the first user turn; holds $image and $question
    tool_result = of the user turn after a call: what is said of each view; holds $image
    error       = of the user turn after a call: why one did not work; holds $reason
    text_result = of the same turn: what a tool says without a view, or beside one whose
                  tool_result has no $text; holds $text
    after       = once at that turn's end
    label       = before each picture of a question that has several; may hold $name, $number,
                  $index

``$image`` says where the picture stands, in ``question`` where all of them do. After a call the
texts may also hold ``$tool``; ``$name`` (by which a call names the view, where it can); ``$number``
and ``$index`` (of the view among those shown, from 1 and from 0); ``$picture`` (its source, from
1); ``$width``, ``$height`` (of the view, in pixels); ``$box`` (in the source's pixels); ``$text``
(what the tool says of it, e.g. that a box was cut); ``$turns_left``, ``$pictures_left``,
``$tokens_left`` (after the call's views). A literal dollar sign is ``$$``.

``visionthink``, ``general`` and a few more are shipped; any path to such a file works in their
place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from vt_env.errors import ConfigError
from vt_env.marks import quotable

Block = dict[str, str]
"""``{"type": "image"}`` or ``{"type": "text", "text": …}``, as chat templates take them."""

_PICTURE: Sequence[Block] = ({"type": "image"},)

Values = Mapping[str, str]

LEFT = ("turns_left", "pictures_left", "tokens_left")
"""Variables that say what is left of the budget; a budget without end is told as ``unlimited``."""

LONGEST_TEXT = 8192
"""Characters of what a tool says; SenseNova-MARS (2512.24330) cuts tools' replies there."""

_OF_VIEW = ("image", "text", "tool", "name", "number", "index", "picture", "width", "height", "box",
            *LEFT)  # fmt: skip
_ALLOWED: Mapping[str, tuple[set[str], set[str]]] = {
    "system": ({"tools"}, set()),
    "question": ({"image", "question"}, {"image", "question"}),
    "tool_result": (set(_OF_VIEW), {"image"}),
    "error": ({"reason", "tool", *LEFT}, {"reason"}),
    "text_result": ({"text", "tool", *LEFT}, {"text"}),
    "after": (set(LEFT), set()),
    "label": ({"name", "number", "index"}, set()),
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
    text_result: str = "<tool_response>\n$text\n</tool_response>"
    after: str = ""
    label: str = ""

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
            if len(_image_marks(getattr(self, field))) > 1:
                raise ConfigError(f"prompt field {field!r} shows the image more than once")

    def system_text(self, tool_declarations: Sequence[str]) -> str:
        """The system turn, with one declaration a line where ``$tools`` stands."""
        return Template(self.system).substitute(tools="\n".join(tool_declarations))

    def question_blocks(self, question: str, names: Sequence[str] = ("1",)) -> list[Block]:
        """The first user turn, about pictures of these names."""
        shown: list[Block] = []
        for index, name in enumerate(names):
            if self.label and len(names) > 1:
                told = {"name": name, "number": str(index + 1), "index": str(index)}
                shown += _blocks(self.label, told)
            shown.append({"type": "image"})
        return _blocks(self.question, {"question": question}, shown)

    def result_blocks(self, values: Values | None = None) -> list[Block]:
        """What is said of one view of a tool's; without values, of one that could be."""
        return _blocks(self.tool_result, _with_text(values or _ANY))

    def text_blocks(self, values: Values) -> list[Block]:
        """What a tool says without a view."""
        return _blocks(self.text_result, _with_text(values))

    def error_blocks(self, reason: str, values: Values | None = None) -> list[Block]:
        """Why a call did not work; marks in the reason are broken."""
        return _blocks(self.error, {**(values or _ANY), "reason": quotable(reason)})

    def after_blocks(self, values: Values) -> list[Block]:
        """What ends the turn after a call; often nothing."""
        return _blocks(self.after, values)

    @property
    def tells_text(self) -> bool:
        """Whether what a tool says of a view stands in the text about that view."""
        return "text" in Template(self.tool_result).get_identifiers()


def _with_text(values: Values) -> Values:
    """The values, marks in what a tool says broken; of a very long text, its start."""
    return {**values, "text": quotable(values["text"], LONGEST_TEXT, lines=True)}


_ANY: Values = {**dict.fromkeys(_OF_VIEW, "0"), "text": "", "tool": ""}


def make_prompt(table: Mapping[str, Any], where: str) -> Prompt:
    """A template from a table of texts.

    Raises:
        ConfigError: If it has other keys, or is not a template.
    """
    needed = {f.name for f in fields(Prompt) if f.default is MISSING}
    known = {f.name for f in fields(Prompt)}
    if not needed <= table.keys() <= known or not all(isinstance(v, str) for v in table.values()):
        raise ConfigError(
            f"{where} must have the texts {', '.join(sorted(needed))}, may have "
            f"{', '.join(sorted(known - needed))}, and nothing else; got "
            f"{', '.join(sorted(table)) or 'nothing'}"
        )
    return Prompt(**table)


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
    return make_prompt(table, f"prompt file {prompt}")


def _blocks(template: str, values: Values, shown: Sequence[Block] = _PICTURE) -> list[Block]:
    """Text and image blocks in order; values are put in once and never read again.

    Args:
        template: One of a prompt's texts.
        values: Of its variables.
        shown: What stands where ``$image`` does.
    """
    blocks: list[Block] = []
    end = 0
    for mark in (*_image_marks(template), None):
        part = template[end : mark.start() if mark else None]
        if text := Template(part).substitute(values):
            blocks.append({"type": "text", "text": text})
        if mark:
            blocks += [dict(block) for block in shown]
            end = mark.end()
    return blocks


def _image_marks(template: str) -> list[re.Match[str]]:
    """Where ``$image`` or ``${image}`` stands; ``$$image`` is a dollar sign and a word."""
    found: Iterable[re.Match[str]] = Template.pattern.finditer(template)
    return [mark for mark in found if "image" in (mark["named"], mark["braced"])]


def block_text(blocks: Sequence[Mapping[str, str]]) -> str:
    """The text of a turn without its pictures."""
    return "".join(block.get("text", "") for block in blocks).strip()
