"""The rules of a conversation about pictures, as one value.

A protocol has a first look, tools, a grammar for turns, texts, and budgets. The shipped ones are
files in ``vt_env/presets``; docs/regions.md sets them side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vt_env.errors import ConfigError, PictureError, unknown_name
from vt_env.grammars import VISIONTHINK, Grammar
from vt_env.kept import hash_of
from vt_env.pictures import FIRST_LOOKS, Picture, PictureRules, View, shrunk_size
from vt_env.presets import changed_tools, preset, preset_names
from vt_env.prompts import Prompt, load_prompt, make_prompt
from vt_env.regions import Size
from vt_env.tokens import Counter, token_counter
from vt_env.tools import Budget, Tool, declaration, make_tools

PRESETS: Sequence[str] = tuple(preset_names())
"""The names of the shipped protocols."""

SETTINGS = (
    "factor",
    "tools",
    "prompt",
    "max_turns",
    "rules",
    "first_look",
    "strict",
    "grammar",
    "max_pictures",
    "max_visual_tokens",
    "over_budget",
)
"""What can be given in place of a protocol's own rules."""

OVER_BUDGET = ("wrong", "unscored")
BOUNDS = ("tokens", "side")


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
        strict: Whether an exception of a tool comes out of ``step``, as tests of tools want it,
            instead of becoming an error turn.
        grammar: How a turn is read.
        max_pictures: Views of a rollout, the first ones included; ``None`` is without end.
        max_visual_tokens: Visual tokens of all views of a rollout; ``None`` is without end.
        over_budget: What a rollout is that a call took over a budget: ``wrong``, or ``unscored``
            and so out of rewards and losses. Either way it is truncated.
        first_bound: In place of ``factor``: ``("tokens", 256)`` is the largest first view of at
            most so many visual tokens, ``("side", 512)`` that whose longer side has at most so
            many pixels. Neither enlarges.
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
    strict: bool = False
    grammar: Grammar = VISIONTHINK
    max_pictures: int | None = None
    max_visual_tokens: int | None = None
    over_budget: str = "wrong"
    first_bound: tuple[str, int] | None = None
    system: str = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ConfigError(f"factor must be above 0 and at most 1, got {self.factor}")
        for name in ("max_turns", "max_pictures", "max_visual_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if self.first_look not in FIRST_LOOKS:
            raise unknown_name("first_look", self.first_look, FIRST_LOOKS)
        if self.over_budget not in OVER_BUDGET:
            raise unknown_name("over_budget", self.over_budget, OVER_BUDGET)
        if self.tools and self.max_turns == 1:
            raise ConfigError("with max_turns=1 no tool can be called: set tools=() or more turns")
        if self.tools and self.grammar.form == "json" and "$tools" not in self.prompt.system:
            raise ConfigError("the prompt's system turn lacks $tools, so no tool can be declared")
        if self.grammar.tool and self.tools and not self.tool(self.grammar.tool):
            raise ConfigError(f"the grammar calls {self.grammar.tool!r}, which is not among tools")
        for tool in self.tools:
            tool.check(self.tokens)
        declared = [declaration(tool) for tool in self.tools]
        object.__setattr__(self, "system", self.prompt.system_text(declared))

    @property
    def look(self) -> str:
        """How the first view is made, or its bound: ``first_look`` as it is given."""
        return ":".join(map(str, self.first_bound)) if self.first_bound else self.first_look

    @property
    def budgets(self) -> dict[str, Any]:
        """Those that there are, and what a rollout is that goes over one where it is not wrong."""
        names = ("max_turns", "max_pictures", "max_visual_tokens")
        made = {name: value for name in names if (value := getattr(self, name)) is not None}
        return made if self.over_budget == "wrong" else {**made, "over_budget": self.over_budget}

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) of all that decides what is said and shown.

        Texts, tools with their schemas and settings, grammar, bounds, which pictures are accepted,
        and the visual tokens of some sizes; not the code of tools.
        """
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tokens"}
        counted = [[size, _counted(self.tokens, size)] for size in _SIZES]
        declared = [declaration(tool) for tool in self.tools]
        return hash_of([given, declared, self.tokens.name, counted])

    def called(self, pictures: int, index: int) -> str:
        """What the policy is told that a view is called: as calls name it, else its number from 1.

        Args:
            pictures: How many the sample has.
            index: The view's place among those shown, from 0.
        """
        names = (tool.called(pictures, index) for tool in self.tools)
        return str(next((name for name in names if name is not None), index + 1))

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, if it may be called."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def opening(self, question: str, pictures: int = 1) -> list[dict[str, Any]]:
        """The system turn and the question, in chat format, with a mark for each picture."""
        names = [self.called(pictures, index) for index in range(pictures)]
        return [
            {"role": "system", "content": [{"type": "text", "text": self.system}]},
            {"role": "user", "content": self.prompt.question_blocks(question, names)},
        ]

    def first_view(self, picture: Picture) -> View:
        """What is shown of a picture before anything is asked.

        Raises:
            PictureError: If the picture is refused, or no size of it has so few tokens.
        """
        if self.first_bound is None:
            return picture.shrunk(self.factor)
        kind, most = self.first_bound
        width, height = picture.size
        if kind == "side":
            return picture.sized(shrunk_size((width, height), min(1, most / max(width, height))))
        size = self._largest((width, height), most)
        if size is None:
            raise PictureError(
                f"no size of a picture of {width}x{height} pixels has at most {most} visual tokens "
                f"with the family {self.tokens.name!r}; allow more"
            )
        return picture.sized(size)

    def _largest(self, size: Size, most: int) -> Size | None:
        """The largest size of at most so many visual tokens, for factors down from 1.

        Counts rise with the size, but not everywhere, since families enlarge small pictures: so it
        goes down in steps of 2 % to the first that fits, and halves the last step.
        """
        below, above = 1.0, 1.0
        while self.tokens.count(*shrunk_size(size, below)) > most:
            if shrunk_size(size, below) == (1, 1):
                return None
            below, above = 0.98 * below, below
        for _ in range(16):
            middle = (below + above) / 2
            fits = self.tokens.count(*shrunk_size(size, middle)) <= most
            below, above = (middle, above) if fits else (below, middle)
        return shrunk_size(size, below)

    def budget(self, turn: int, views: Sequence[View], tokens: int) -> Budget:
        """What is left.

        Args:
            turn: The turn that is being taken, from 1.
            views: Those shown so far.
            tokens: Their visual tokens.
        """
        pictures, most = self.max_pictures, self.max_visual_tokens
        return Budget(
            self.max_turns - turn,
            None if pictures is None else max(0, pictures - len(views)),
            None if most is None else max(0, most - tokens),
        )


_SIZES = ((64, 64), (96, 640), (500, 375), (1000, 700), (1700, 2200), (4000, 3000), (9000, 6000))
"""In pixels: among them some below and above the usual bounds of families."""


def _counted(tokens: Counter, size: Size) -> int | str:
    try:
        return tokens.count(*size)
    except PictureError as error:
        return str(error)


def make_protocol(
    name: str | Protocol = "visionthink",
    *,
    tokens: str | Counter = "qwen2.5-vl",
    stage: str = "training",
    **settings: Any,
) -> Protocol:
    """A shipped protocol, with what is given in its place.

    Args:
        name: One of :data:`PRESETS`, or a finished protocol, which is returned as it is.
        tokens: Model family, e.g. ``"qwen3-vl"``; see :func:`vt_env.tokens.token_counter`.
        stage: ``"training"`` or ``"evaluation"``, whose budgets differ in some presets.
        **settings: Some of :data:`SETTINGS`; ``None`` leaves one as it is:

            * ``factor``: Side of the first view over the original's; takes the place of a bound.
            * ``tools``: Names, tables of settings with a ``kind``, or instances. A table without a
              ``kind`` changes single settings of the preset's tool in the same place.
            * ``prompt``: Name, file or template.
            * ``max_turns``: Turns a policy has.
            * ``rules``: Which pictures are accepted.
            * ``first_look``: ``"lanczos"`` as the paper, or a cheaper way; or a bound,
              ``"tokens:256"`` or ``"side:512"``, in place of the factor.
            * ``strict``: Whether an exception of a tool comes out of ``step``.
            * ``grammar``: How a turn is read, or what of the preset's grammar is to be another.
            * ``max_pictures``: Views of a rollout.
            * ``max_visual_tokens``: Visual tokens of a rollout.
            * ``over_budget``: ``"wrong"`` or ``"unscored"``.

    Raises:
        ConfigError: On an unknown name or a value out of range.
    """
    if isinstance(name, Protocol):
        return name
    if unknown := [key for key in settings if key not in SETTINGS]:
        raise unknown_name("setting", unknown[0], [*SETTINGS, "stage"])
    given = {key: value for key, value in settings.items() if value is not None}
    shipped = preset(name, stage)
    chosen: dict[str, Any] = {"factor": 1.0, "first_look": "lanczos", **shipped, **given}
    if "factor" in given and "first_look" not in given:
        chosen["first_look"] = "lanczos"
    look, bound = _first_look(chosen["first_look"])
    if bound and "factor" in given:
        raise ConfigError(
            f"factor={given['factor']} and first_look={chosen['first_look']!r} both say how large "
            "the first view is; give one of them"
        )
    made: dict[str, Any] = {
        "factor": float(chosen["factor"]),
        "tools": make_tools(changed_tools(shipped["tools"], chosen["tools"])),
        "prompt": _prompt(chosen["prompt"], name),
        "grammar": _grammar(shipped.get("grammar", {}), given.get("grammar")),
        "tokens": token_counter(tokens) if isinstance(tokens, str) else tokens,
        "first_look": look,
        "first_bound": bound,
    }
    return Protocol(**{**chosen, **made})


def _prompt(prompt: str | Path | Prompt | Mapping[str, Any], name: str) -> Prompt:
    if isinstance(prompt, Mapping):
        return make_prompt(prompt, f"the prompt of protocol {name!r}")
    return load_prompt(prompt)


def _grammar(shipped: Mapping[str, Any], given: Grammar | Mapping[str, Any] | None) -> Grammar:
    if isinstance(given, Grammar):
        return given
    settings = {**shipped, **(given or {})}
    if unknown := settings.keys() - Grammar.__dataclass_fields__.keys():
        raise unknown_name("grammar setting", min(unknown), Grammar.__dataclass_fields__)
    return Grammar(**settings)


def _first_look(look: str) -> tuple[str, tuple[str, int] | None]:
    """How the first view is made, and its bound."""
    kind, colon, most = look.partition(":")
    if not colon:
        return look, None
    if kind not in BOUNDS:
        raise unknown_name("bound of the first look", kind, BOUNDS)
    if not most.isdecimal() or int(most) < 1:
        raise ConfigError(
            f"first_look={look!r}: expected a whole number of at least 1, as {kind}:256"
        )
    return "lanczos", (kind, int(most))
