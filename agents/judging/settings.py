"""What model judges can be told, and their specs: what is asked for, then options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vt_env.errors import ConfigError, unknown_name
from vt_env.specs import spec_value, split_outside

_EXAMPLES = {
    "openai": "openai:MODEL@http://127.0.0.1:8000/v1",
    "transformers": "transformers:PATH",
    "vllm": "vllm:PATH",
    "noisy": "noisy:auto",
}


@dataclass(frozen=True, slots=True)
class Judging:
    """Settings of every model judge.

    Attributes:
        prompt: A TOML file in place of the shipped prompt.
        cache: A file that keeps verdicts between runs; none if empty.
        canaries: In the first of every so many batches a planted wrong answer is judged too; 0 for
            never.
        max_failures: Share of the last judgements that may fail before a run is stopped, in (0, 1].
        failures_over: Judgements before that.
        price_in: Of a million prompt tokens.
        price_out: Of a million generated tokens.

    Raises:
        ConfigError: On a value out of range.
    """

    prompt: str = ""
    cache: str = ""
    canaries: int = 20
    max_failures: float = 0.5
    failures_over: int = 50
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.max_failures <= 1 or self.failures_over < 1:
            raise ConfigError("max_failures must be in (0, 1] and failures_over at least 1")
        if min(self.canaries, self.price_in, self.price_out) < 0:
            raise ConfigError("canaries, price_in and price_out must not be negative")


def read_spec(judge: str, spec: str, more: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """``HEAD[,option=value…]`` and keyword arguments as a head and its options.

    Raises:
        ConfigError: If the head is empty, or an option has no value or is given twice.
    """
    head, *written = split_outside(spec, ",")
    if not head.strip():
        raise ConfigError(f"the judge {judge!r} needs what to ask, as in {_EXAMPLES[judge]}")
    options: dict[str, Any] = dict(more)
    for number, part in enumerate(written, 1):
        name, equals, value = part.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name in options:
            raise ConfigError(
                f"the judge {judge!r} takes option=value, each once, after commas; "
                f"option {number} is not so"
            )
        options[name] = value.strip()
    return head.strip(), options


def make(judge: str, options: Mapping[str, Any], *kinds: type[Any]) -> list[Any]:
    """One record of each kind from options, whose defaults say of which type they are.

    Raises:
        ConfigError: If an option is in none of the kinds, or not of its type.
    """
    known = {f.name: (kind, f.default) for kind in kinds for f in fields(kind)}
    values: dict[type[Any], dict[str, Any]] = {kind: {} for kind in kinds}
    for name, value in options.items():
        if name not in known:
            raise unknown_name(f"option of the judge {judge!r}", name, known)
        kind, default = known[name]
        values[kind][name] = _converted(judge, name, value, default)
    return [kind(**values[kind]) for kind in kinds]


def _converted(judge: str, name: str, value: Any, default: Any) -> Any:
    """A value of the default's type."""
    if isinstance(default, str):
        return str(value)
    read = spec_value(value) if isinstance(value, str) else value
    if isinstance(default, float) and isinstance(read, int) and not isinstance(read, bool):
        return float(read)
    if type(read) is type(default):
        return read
    kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
    raise ConfigError(f"the judge {judge!r} takes {kind} as {name}, not what was given")
