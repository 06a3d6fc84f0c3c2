"""Any source as rows, in the order in which they are played.

A row names its sample; pictures and references stay in the source, which every process opens for
itself, so that what is trained on is what the environment shows. All pictures that will be played
are decoded here once: one that is refused is reported before anything starts, and the next sample
takes its place, as in the local trainer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from agents.models import VisionLanguageModel
from agents.models.loading import load_words
from trainers.config import TrainConfig
from trainers.data import SampleOrder, fingerprint, task_of
from trainers.hosted.run import Run
from vt_env.dialogue import Dialogue
from vt_env.errors import ConfigError, DataError, PictureError
from vt_env.task import Task

logger = logging.getLogger(__name__)

_SLACK = 128
"""Tokens to spare, for what the environment says of a call that did not work."""


R = TypeVar("R", bound=Run)


class Length(NamedTuple):
    """Tokens of the longest rollout that a sample can have.

    Attributes:
        prompt: Before the policy's first turn.
        rest: From there on.
    """

    prompt: int
    rest: int

    @property
    def whole(self) -> int:
        """All of it."""
        return self.prompt + self.rest


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of samples once their pictures were decoded.

    Attributes:
        longest: Of the longest rollout that each sample can have, by id.
        refused: Samples whose picture is refused.
    """

    longest: Mapping[str, Length]
    refused: Sequence[str]


def export(run: R) -> R:
    """Write rows and settings.

    Args:
        run: Where, and the recipe.

    Returns:
        The run with all that was found out, which is written too.

    Raises:
        ConfigError: If the longest rollout does not fit into the trainer's ``max_length``.
        DataError: If a step has fewer samples than prompts, or too many pictures are refused.
    """
    config = run.config
    words = load_words(run.model)
    task = task_of(config.data.train, config.environment)
    order, checked = training_order(task, words, config)
    lengths = list(checked.longest.values())
    run.folder.mkdir(parents=True, exist_ok=True)
    _write(run.rows("train"), (_row(task, sample_id, "train") for sample_id in order))
    prints = {"model": fingerprint(run.model), "train": task.source.fingerprint()}
    if config.data.validation:
        measured = task_of(config.data.validation, config.environment)
        limit = config.evaluation.limit or len(measured.source)
        ids = list(measured.source.ids()[:limit])
        seen = check(measured, ids, words, config)
        kept = [sample_id for sample_id in ids if sample_id in seen.longest]
        if not kept:
            raise DataError(f"no picture of {measured.source.name!r} can be shown")
        lengths += seen.longest.values()
        shown = config.tracking.episodes
        _write(
            run.rows("validation"),
            (_row(measured, name, "validation", at < shown) for at, name in enumerate(kept)),
        )
        prints["validation"] = measured.source.fingerprint()
    made = replace(
        run,
        max_length=_max_length(run, max(length.whole for length in lengths), words),
        max_prompt=max(length.prompt for length in lengths),
        max_rest=max(length.rest for length in lengths),
        refused=len(checked.refused),
        fingerprints=prints,
    )
    made.write()
    return made


def _max_length(run: Run, longest: int, words: VisionLanguageModel) -> int:
    """Tokens that a rollout may have, which must be enough for the longest."""
    length = run.wanted_length or longest
    if length < longest:
        raise ConfigError(
            f"a rollout can have {longest} tokens (prompts, pictures and "
            f"{run.config.rollout.max_new_tokens} generated ones a turn), and "
            f"{run.NAME}.max_length is {length}: raise it, or leave it at 0 to have it worked out"
        )
    limit = getattr(words.model.config.get_text_config(), "max_position_embeddings", length)
    if length > limit:
        raise ConfigError(
            f"a rollout can have {length} tokens, and the model takes {limit}: lower the number of "
            "pixels (environment.tokens) or rollout.max_new_tokens"
        )
    return length


def training_order(
    task: Task, words: VisionLanguageModel, config: TrainConfig
) -> tuple[list[str], Checked]:
    """The samples of all steps, none twice in one, without those that are refused."""
    prompts = config.rollout.prompts
    if len(task.source) < prompts:
        raise DataError(
            f"a step asks {prompts} questions, but {task.source.name!r} has only "
            f"{len(task.source)} samples; lower rollout.prompts"
        )
    order = SampleOrder(task.source.ids(), config.seed)
    position = 0
    longest: dict[str, Length] = {}
    refused: list[str] = []
    played: list[str] = []
    for _ in range(config.steps):
        ids: list[str] = []
        while len(ids) < prompts:
            if len(refused) > len(task.source) - prompts:
                raise DataError(f"{len(refused)} pictures are refused; too few samples are left")
            more, position = order.take(position, prompts - len(ids), [*ids, *refused])
            found = check(task, [name for name in more if name not in longest], words, config)
            longest |= found.longest
            refused += found.refused
            ids += [name for name in more if name in longest]
        played += ids
    return played, Checked(longest, refused)


def check(
    task: Task, ids: Iterable[str], words: VisionLanguageModel, config: TrainConfig
) -> Checked:
    """Decode the pictures of samples, and count what their longest rollouts have."""

    def look(sample_id: str) -> tuple[str, Length | PictureError]:
        try:
            dialogue = task.begin(task.source.by_id(sample_id))[0]
            dialogue.picture.original  # noqa: B018 - decoded, or refused
            return sample_id, longest_rollout(dialogue, words, config.rollout.max_new_tokens)
        except PictureError as error:
            return sample_id, error

    longest: dict[str, Length] = {}
    refused: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        for sample_id, found in pool.map(look, ids):
            if isinstance(found, PictureError):
                logger.warning("%s; it is not played", found)
                refused.append(sample_id)
            else:
                longest[sample_id] = found
    return Checked(longest, refused)


def longest_rollout(dialogue: Dialogue, words: VisionLanguageModel, max_new_tokens: int) -> Length:
    """Tokens of the longest rollout that a dialogue can become."""
    protocol, turns = dialogue.protocol, dialogue.protocol.max_turns
    first, full = (words.count(view) for view in (dialogue.views[0], dialogue.picture.original))
    messages = dialogue.messages
    prompt, rest = len(words.chat.opening(messages, [first])), turns * max_new_tokens
    if protocol.tools:
        said = {"role": "assistant", "content": ""}
        result = {"role": "user", "content": protocol.prompt.result_blocks()}
        after = words.chat.continuation([*messages, said, result], [full])
        rest += (turns - 1) * (len(after) + _SLACK)
    return Length(prompt, rest)


def _row(task: Task, sample_id: str, split: str, shown: bool = False) -> dict[str, Any]:
    question = task.source.by_id(sample_id).question
    return {"question": question, "label": {"split": split, "id": sample_id, "shown": shown}}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
