"""Supervised transcripts from the rollouts: what a cold start is trained on.

Nothing is judged or generated anew. A transcript that answers directly is a right and well-formed
turn at the low resolution, of a sample for which the low one is enough. One that asks is a call
with a thought that is given, the original, and a right and well-formed turn at the full
resolution, of a sample that needs it. Each is played through the environment's own dialogue, so it
reads as an episode does.

The paper simulates the thoughts before a request with a larger model (App. C.1) and finds that a
cold start asks too often and costs accuracy (Table 9): these data are for that comparison.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.base import request_turn
from experiments.files import json_line
from experiments.preparation.log import PLAYED
from experiments.preparation.rule import LOW_ENOUGH, NEEDS_HIGH, Rule
from experiments.preparation.selection import LowestLots, class_of, lot
from experiments.preparation.writing import keep_picture, whole_folder
from vt_env import ConfigError, DataError, Source, Task
from vt_env.dialogue import Dialogue
from vt_env.pictures import View

TABLE = "transcripts.jsonl"
THOUGHTS = (
    "The image has been shrunk too far for this question. I need the original.",
    "What is asked for is too small to make out here, so I ask for the full image.",
    "I cannot read this with certainty at this size; the original will show it.",
)
ARMS = {"direct": (LOW_ENOUGH, "low"), "request": (NEEDS_HIGH, "full")}
"""Kinds of transcripts: of which class their samples are, and at which resolution they answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A transcript to be: the sample's place in the source, and the turn that answers."""

    n: int
    kind: str
    text: str


def choose(
    rows: Iterable[Mapping[str, Any]], rule: Rule, most: int, seed: int
) -> dict[str, list[int]]:
    """Places in the source by kind, equally many of both, at most ``most`` in total.

    Args:
        rows: All of ``rollouts.jsonl``, read once.
        rule: Says of which class samples are.
        most: Transcripts.
        seed: Of the draw.

    Raises:
        ConfigError: If ``most`` is below 2.
    """
    if most < 2:
        raise ConfigError(f"cold-start data has both kinds, so at least 2 transcripts, got {most}")
    kept = {kind: LowestLots(most // 2) for kind in ARMS}
    for row in rows:
        if row["status"] != PLAYED:
            continue
        name = class_of(row, rule)
        for kind, (wanted, arm) in ARMS.items():
            if name == wanted and any(map(_usable, row[arm])):
                kept[kind].add(lot(seed, row["id"]), row["n"])
    least = min(map(len, kept.values()))
    return {kind: lots.places(least) for kind, lots in kept.items()}


def chosen(
    rows: Iterable[Mapping[str, Any]], places: Mapping[str, Sequence[int]], seed: int
) -> Iterator[Place]:
    """The transcripts to be, in the order of the data; of each sample one turn, by lot."""
    kinds = {n: kind for kind, found in places.items() for n in found}
    for row in rows:
        if (kind := kinds.get(row["n"])) is not None:
            turns = [r["text"] for r in row[ARMS[kind][1]] if _usable(r)]
            yield Place(row["n"], kind, turns[lot(seed, f"turn {row['id']}") % len(turns)])


def write(
    out: Path,
    source: Source,
    task: Task,
    places: Iterable[Place],
    *,
    seed: int,
    thoughts: Sequence[str] = THOUGHTS,
) -> None:
    """Write ``transcripts.jsonl`` and its pictures.

    A line has ``id, kind, messages, images``: the conversation in chat format with a mark for each
    picture, and the pictures' paths relative to the file.

    Args:
        out: The folder; what is there is replaced.
        source: What places are places of.
        task: The protocol that the policy will be trained in.
        places: What is written.
        seed: Of the choice of thoughts.
        thoughts: What is thought before a request.

    Raises:
        ConfigError: If a thought cannot stand in a turn.
        DataError: If a turn does not answer in this protocol as it did when it was judged.
    """
    for thought in thoughts:
        if not thought.strip() or "<" in thought:
            raise ConfigError(f"a thought is text without tags, got {thought!r}")
    with whole_folder(out) as part, (part / TABLE).open("w", encoding="utf-8") as table:
        for place in places:
            sample = source[place.n]
            dialogue = task.begin(sample)[0]
            turns = [place.text]
            if place.kind == "request":
                thought = thoughts[lot(seed, f"thought {sample.id}") % len(thoughts)]
                turns.insert(0, request_turn(thought))
            if flaw := _replay(dialogue, turns):
                raise DataError(
                    f"sample {sample.id!r} has no {place.kind} transcript in this protocol: {flaw}"
                )
            images = [_keep(part, view, sample.image) for view in dialogue.views]
            row = {"id": sample.id, "kind": place.kind}
            table.write(json_line({**row, "messages": dialogue.messages, "images": images}))


def _usable(rollout: Mapping[str, Any]) -> bool:
    return rollout["correct"] is True and rollout["well_formed"]


def _replay(dialogue: Dialogue, turns: Sequence[str]) -> str:
    """Take the turns, of which only the last may answer; what is wrong with them, or ``""``."""
    for turn in turns:
        if dialogue.done:
            return "it is over before the answer"
        dialogue.apply(turn)
    if dialogue.flaws:
        return "; ".join(dialogue.flaws)
    if not dialogue.done or dialogue.requested != (len(turns) > 1):
        return "it does not end with the answer"
    return ""


def _keep(folder: Path, view: View, original: Any) -> str:
    """A view as a file: the original as it came, another one without loss."""
    if view.method == "original":
        return keep_picture(folder, original)
    buffer = io.BytesIO()
    view.image.save(buffer, "PNG")
    return keep_picture(folder, buffer.getvalue())
