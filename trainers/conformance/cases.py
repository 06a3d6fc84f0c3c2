"""The recorded transcripts and what they should earn, as values."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainers.conformance.judge import Recorded
from vt_env.errors import unknown_name
from vt_env.rewards import RewardConfig
from vt_env.samples import Sample
from vt_env.task import Task, make_task

FOLDER = Path(__file__).parent
GROUP_SIZE = 8
"""Rollouts of every group."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one rollout should come to; see :mod:`trainers.conformance.derive`.

    Attributes:
        turns: How many of the recorded turns are taken before the episode is over.
        requested: Whether a second view is shown.
        visual_tokens: Of all views shown.
        reward: ``None`` where it is unscored; also for the next two.
        penalty: What the group's rule takes away.
        deviation: Reward less the mean of the group's scored ones.
    """

    turns: int
    requested: bool
    visual_tokens: int
    reward: float | None
    penalty: float | None
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Rollouts of one question.

    Attributes:
        name: E.g. ``at-threshold``; also its sample's id, so that no two groups share one, though
            most ask the same of the same picture.
        why: What it is there for.
        sample: What is asked.
        transcripts: The turns of each rollout. Some have a turn too many, which nobody should ask
            for.
        expected: What each should come to.
    """

    name: str
    why: str
    sample: Sample
    transcripts: tuple[tuple[str, ...], ...]
    expected: tuple[Expected, ...]

    def backwards(self) -> Group:
        """The same rollouts in the opposite order."""
        return replace(self, transcripts=self.transcripts[::-1], expected=self.expected[::-1])


@dataclass(frozen=True, slots=True)
class Case:
    """One run: settings, and groups to be played at the same time.

    Attributes:
        name: Of the settings, e.g. ``paper``.
        protocol: The environment's: ``visionthink``, ``general`` or ``low``.
        reward: Its reward.
        groups: What is played.
    """

    name: str
    protocol: str
    reward: RewardConfig
    groups: tuple[Group, ...]

    @property
    def environment(self) -> dict[str, Any]:
        """The environment's other settings by name: what the words of a tiny policy need."""
        return {"protocol": self.protocol, "prompt": "tiny", "tokens": "tiny"}

    def task(self) -> Task:
        """The environment's data, rules and judge, for a trainer in this process."""
        samples = [group.sample for group in self.groups]
        return make_task(samples, judge=Recorded(), **self.environment)

    def write(self, folder: Path) -> str:
        """The samples as files, for a trainer elsewhere, whose judge is then ``conformance``.

        Returns:
            The source's spec, ``jsonl:FILE``.
        """
        file = folder / "conformance.jsonl"
        lines: list[str] = []
        for group in self.groups:
            sample, picture = group.sample, f"{group.name}.png"
            Image.fromarray(np.asarray(sample.image)).save(folder / picture)
            row = {"id": sample.id, "image": picture, "question": sample.question}
            lines.append(json.dumps({**row, "answers": list(sample.references)}) + "\n")
        file.write_text("".join(lines), "utf-8")
        return f"jsonl:{file}"


def cases(
    settings: Collection[str] | None = None, groups: Collection[str] | None = None
) -> list[Case]:
    """The recorded cases.

    Args:
        settings: Names of settings; all by default.
        groups: Names of groups; all that fit the settings' protocol by default.

    Raises:
        ConfigError: On an unknown name.
    """
    recorded = _read()
    for what, wanted, known in (
        ("settings", settings, {case.name for case in recorded}),
        ("group", groups, {group.name for case in recorded for group in case.groups}),
    ):
        for name in wanted or ():
            if name not in known:
                raise unknown_name(f"conformance {what}", name, known)
    chosen = [case for case in recorded if settings is None or case.name in settings]
    if groups is None:
        return chosen
    narrowed = [
        replace(case, groups=tuple(g for g in case.groups if g.name in groups)) for case in chosen
    ]
    return [case for case in narrowed if case.groups]


@cache
def _read() -> tuple[Case, ...]:
    recorded = json.loads((FOLDER / "transcripts.json").read_text("utf-8"))
    expected = json.loads((FOLDER / "expected.json").read_text("utf-8"))
    pictures = {sample["name"]: _picture(sample) for sample in recorded["samples"]}

    def group(told: Mapping[str, Any], setting: str) -> Group:
        rollouts = told["rollouts"]
        sample = Sample(
            told["name"], recorded["question"], (recorded["reference"],), pictures[told["sample"]]
        )
        return Group(
            told["name"],
            told["why"],
            sample,
            tuple(tuple(facts["turns"]) for facts in rollouts),
            tuple(
                Expected(turns=facts["played"], requested=len(facts["views"]) > 1, **numbers)
                for facts, numbers in zip(rollouts, expected[setting][told["name"]], strict=True)
            ),
        )

    return tuple(
        Case(
            setting["name"],
            setting["protocol"],
            RewardConfig(**setting["reward"]),
            tuple(
                group(told, setting["name"])
                for told in recorded["groups"]
                if told["protocol"] == setting["protocol"]
            ),
        )
        for setting in recorded["settings"]
    )


def _picture(sample: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A red picture; nobody looks at it."""
    return np.full((sample["height"], sample["width"], 3), (220, 40, 40), np.uint8)
