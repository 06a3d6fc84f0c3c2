"""What a preparation was told, and that it goes on as it was begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from agents import AGENTS
from agents.options import takes
from experiments.files import write_json
from experiments.preparation.prints import NEAR, check_near
from vt_env import ConfigError, DataError, Judge, Source, Task, make_task
from vt_env.registry import parse_spec

FILE = "settings.json"
TEMPERATURE = 1.0
"""Of the rollouts (paper: Sec. 3.5), where the agent's spec does not say another one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that shapes the rollouts; a preparation keeps it from its beginning to its end.

    Attributes:
        agent: Who plays, as a spec.
        data: What is played, as a spec.
        against: Evaluation sets, as specs: what occurs there is left out.
        rollouts: Of each sample at each resolution (paper: 8).
        seed: Of the rollouts.
        judge: Who judges.
        tokens: Whose visual tokens are counted.
        prompt: A prompt template; that of the protocols without a tool by default.
        factor: Side of the low view over the original's (paper: 0.5).
        first_look: How the low view is made.
        near: Bits in which the hashes of pictures that look alike differ at most; ``None`` takes
            only equal pixels for the same picture.

    Raises:
        ConfigError: If ``rollouts`` or ``near`` is out of range.
    """

    agent: str
    data: str
    against: tuple[str, ...] = ()
    rollouts: int = 8
    seed: int = 0
    judge: str = "auto"
    tokens: str | None = None
    prompt: str | None = None
    factor: float = 0.5
    first_look: str = "lanczos"
    near: int | None = NEAR

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise ConfigError(f"rollouts must be at least 1, got {self.rollouts}")
        check_near(self.near)

    def task(self, source: Source, judge: str | Judge, *, low: bool) -> Task:
        """One turn without a tool, at the low or at the full resolution."""
        return make_task(
            source,
            protocol="low" if low else "general",
            judge=judge,
            tokens=self.tokens,
            prompt=self.prompt,
            factor=self.factor if low else None,
            first_look=self.first_look,
        )


def names() -> list[str]:
    """The settings' names."""
    return [field.name for field in fields(Settings)]


def sampled(agent: str) -> str:
    """An agent's spec with temperature 1, where it has one and the spec does not say another."""
    name, _, options = parse_spec(agent)
    if "temperature" in options or not takes(AGENTS.get(name), "temperature"):
        return agent
    return f"{agent}{',' if ':' in agent else ':'}temperature={TEMPERATURE}"


def resumed(out: Path, given: Mapping[str, Any]) -> Settings:
    """The settings of a preparation that goes on.

    Args:
        out: Its folder.
        given: What is said of them now; what is not said stays as it was.

    Raises:
        ConfigError: If there is none, or something is said that differs.
    """
    stored = _read(out)["settings"]
    known = {name: stored[name] for name in names() if name in stored}
    if isinstance(known.get("against"), list):
        known["against"] = tuple(known["against"])
    _same(out, {name: known.get(name) for name in given}, given)
    return Settings(**known)


def begin(out: Path, settings: Settings, prints: Mapping[str, Any]) -> None:
    """Write the settings of a new preparation."""
    write_json(out / FILE, {"settings": asdict(settings), "prints": dict(prints)})


def same_data(out: Path, prints: Mapping[str, Any]) -> None:
    """Refuse to go on with data, a prompt or a checkpoint that has changed since.

    Raises:
        ConfigError: Naming what differs.
    """
    stored = _read(out)["prints"]
    _same(out, {name: stored.get(name) for name in prints}, prints, "what it read before: ")


def _same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any], what: str = "") -> None:
    differing = [
        f"{name} was {_short(before[name])}, now it is {_short(value)}"
        for name, value in now.items()
        if before[name] != value
    ]
    if differing:
        raise ConfigError(
            f"{out} cannot go on, since it differs from {what or 'how it was begun: '}"
            f"{'; '.join(differing)}. Set it back, or choose another --out"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:40]}…{text[-20:]}"


def _read(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / FILE).read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no preparation to resume in {out}: no {FILE}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{out / FILE} cannot be read: {error}") from error
