"""The recorded transcripts, what they should earn, and the judge of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainers.conformance.derive import belongs, derive
from vt_env.errors import unknown_name
from vt_env.judges import Query, Verdict
from vt_env.rewards import RewardConfig
from vt_env.samples import Sample
from vt_env.task import Task, make_task

FOLDER = Path(__file__).parent
UNSCORED = "plain"
"""The answer that the judge does not score."""


class Recorded:
    """Right is what is equal to a reference; one answer is never scored; all others are wrong.

    It decides by the text alone, and always alike. Also ``judge="conformance"``, for trainers whose
    environment is made from names.
    """

    name = "conformance"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return [
            Verdict(None, self.name, "not scored, as recorded")
            if query.answer == UNSCORED
            else Verdict(query.answer in query.references, self.name, "compared")
            for query in queries
        ]


@dataclass(frozen=True, slots=True)
class Expected:
    """What one rollout should come to; see :mod:`trainers.conformance.derive`.

    Attributes:
        turns: How many of the recorded turns are taken before the episode is over.
        requested: Whether a view is shown beside those of the first look.
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
        protocol: The environment's, such as ``visionthink``.
        reward: Its reward.
        groups: What is played.
        rules: What of the protocol is set otherwise.
    """

    name: str
    protocol: str
    reward: RewardConfig
    groups: tuple[Group, ...]
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def environment(self) -> dict[str, Any]:
        """The environment's other settings by name: what the words of a tiny policy need."""
        return {"protocol": self.protocol, "prompt": "tiny", "tokens": "tiny", **self.rules}

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
            sample = group.sample
            pictures = [f"{group.name}-{place}.png" for place, _ in enumerate(sample.images)]
            for name, image in zip(pictures, sample.images, strict=True):
                Image.fromarray(np.asarray(image)).save(folder / name)
            row = {"id": sample.id, "images": pictures, "question": sample.question}
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
    expected = derive(recorded)
    pictures = {sample["name"]: _pictures(sample) for sample in recorded["samples"]}
    question, references = recorded["question"], (recorded["reference"],)

    def group(record: Mapping[str, Any], setting: str) -> Group:
        name = record["name"]
        first, *more = pictures[record["sample"]]
        return Group(
            name,
            record["why"],
            Sample(name, question, references, first, more_images=tuple(more)),
            tuple(tuple(facts["turns"]) for facts in record["rollouts"]),
            tuple(Expected(**numbers) for numbers in expected[setting][name]),
        )

    def case(setting: Mapping[str, Any]) -> Case:
        name, protocol = setting["name"], setting["protocol"]
        mine = [record for record in recorded["groups"] if belongs(record, setting)]
        groups = tuple(group(record, name) for record in mine)
        rules = setting.get("rules", {})
        return Case(name, protocol, RewardConfig(**setting["reward"]), groups, rules)

    return tuple(map(case, recorded["settings"]))


def said() -> list[str]:
    """All turns, for a policy whose tokenizer has to know their words."""
    groups = (group for case in _read() for group in case.groups)
    turns = (turn for group in groups for rollout in group.transcripts for turn in rollout)
    return list(dict.fromkeys(turns))


def _pictures(sample: Mapping[str, Any]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Red pictures; nobody looks at them."""
    sizes = [(sample["width"], sample["height"]), *sample.get("more", ())]
    return [np.full((height, width, 3), (220, 40, 40), np.uint8) for width, height in sizes]
