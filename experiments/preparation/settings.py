"""What shapes the rollouts of a preparation, and that it goes on as it was begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents import AGENTS
from experiments.preparation.screening import NEAR, check_near
from trainers.errors import Damaged
from trainers.files import read_sealed, write_sealed
from vt_env import ConfigError, Judge, PictureRules, Source, Task, make_task
from vt_env.specs import parse_spec, takes

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
        first_look: How the low view is made; as the environment does by default.
        max_pixels: Width times height to which larger pictures are shrunk; ``None``: none is.
        near: Bits in which the hashes of pictures that look alike differ at most; ``None`` takes
            only equal pixels for the same picture.
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
    first_look: str | None = None
    max_pixels: int | None = None
    near: int | None = NEAR

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise ConfigError(f"rollouts must be at least 1, got {self.rollouts}")
        check_near(self.near)

    def task(self, source: Source, judge: str | Judge, *, low: bool) -> Task:
        """One turn without a tool, at the low or at the full resolution."""
        factor = self.factor if low else None
        rules = {**self.rules(), "factor": factor, "protocol": "low" if low else "general"}
        return make_task(source, judge=judge, **rules)

    def rules(self) -> dict[str, Any]:
        """What is not the protocol's own, for :func:`vt_env.make_task`."""
        return {
            "tokens": self.tokens,
            "prompt": self.prompt,
            "factor": self.factor,
            "first_look": self.first_look,
            "rules": PictureRules.shrinking(self.max_pixels),
        }


def sampled(agent: str) -> str:
    """An agent's spec with temperature 1, where it has one and the spec does not say another."""
    name, _, options = parse_spec(agent)
    if "temperature" in options or not takes(AGENTS.get(name), "temperature"):
        return agent
    return f"{agent}{',' if ':' in agent else ':'}temperature={TEMPERATURE}"


def settle(out: Path, settings: Settings, read: Mapping[str, Any], *, resume: bool) -> None:
    """Write the settings of a new preparation, or refuse to go on with others than it began with.

    Args:
        out: Its folder.
        settings: Its settings.
        read: Fingerprints of what it reads: data, prompts, a checkpoint.
        resume: Whether settings that are there must be the same.

    Raises:
        ConfigError: Naming what differs.
        Damaged: If it cannot be known.
    """
    told = {"settings": {**asdict(settings), "against": [*settings.against]}, "fingerprints": read}
    if not resume:
        write_sealed(out / FILE, told)
        return
    try:
        stored = read_sealed(out / FILE)
    except (FileNotFoundError, Damaged):
        raise Damaged(
            f"{out / FILE} is gone, or not what was written, so nobody can tell what the rollouts "
            "are of; put it back, or begin anew with --overwrite"
        ) from None
    for key, what in (("settings", "how it was begun"), ("fingerprints", "what it read before")):
        before = stored.get(key, {})
        differing = [
            f"{name} was {_short(before.get(name))}, now it is {_short(value)}"
            for name, value in told[key].items()
            if before.get(name) != value
        ]
        if differing:
            raise ConfigError(
                f"{out} cannot go on, since it differs from {what}: {'; '.join(differing)}. Set it "
                "back, or choose another --out"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:40]}…{text[-20:]}"
