"""What a run will play, found out before it starts.

For trainers that own the loop, and take their samples from a list: the samples of all steps in the
order in which the local trainer plays them. Their pictures are decoded once: one that is refused is
reported, and the next sample takes its place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from agents.models import VisionLanguageModel
from trainers.config import TrainConfig
from trainers.data import SampleOrder
from vt_env.dialogue import Dialogue
from vt_env.errors import DataError, PictureError
from vt_env.task import Task

logger = logging.getLogger(__name__)

_SLACK = 128
"""Tokens to spare, for what the environment says of a call that did not work."""


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
