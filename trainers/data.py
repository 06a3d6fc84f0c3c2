"""What a run begins with, found out before it starts.

The task of a recipe, the order of its samples, a hash of its model; and for trainers that own the
loop, and take their samples from a list, the samples of all steps in the order in which the local
trainer plays them. Their pictures are decoded once: one that is refused is reported, and the next
sample takes its place.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainers.config import EnvironmentConfig, TrainConfig
from vt_env import DataError, Task, make_task
from vt_env.calls import said_of_budget
from vt_env.dialogue import Dialogue
from vt_env.errors import ConfigError, PictureError
from vt_env.sources import Source

if TYPE_CHECKING:
    from agents.models import VisionLanguageModel

logger = logging.getLogger(__name__)

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json", ".gguf", ".h5", ".msgpack")
"""How files of weights end."""


class SampleOrder:
    """All samples of a source, shuffled anew in every epoch.

    A position is all the state there is: the number of samples given out so far.

    Args:
        ids: The source's samples.
        seed: Of the shuffling.
    """

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self.ids = ids
        self.seed = seed
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.ids))

    def take(self, position: int, count: int, taken: Sequence[str] = ()) -> tuple[list[str], int]:
        """The next samples, none twice and none that is taken already.

        Args:
            position: Samples given out so far.
            count: How many.
            taken: What the step has already.

        Returns:
            Their ids, and the position after them.

        Raises:
            DataError: If there are not so many.
        """
        gone = len(set(taken))
        if count > len(self.ids) - gone:
            raise DataError(
                f"too few samples: {count} more are needed, and of {len(self.ids)} there are "
                f"{gone} taken already or refused for their pictures; lower rollout.prompts, or "
                "give more data"
            )
        chosen: list[str] = []
        while len(chosen) < count:
            epoch, place = divmod(position, len(self.ids))
            sample_id = self.ids[int(self._epoch(epoch)[place])]
            position += 1
            if sample_id not in chosen and sample_id not in taken:
                chosen.append(sample_id)
        return chosen, position


def task_of(data: str | Source, rules: EnvironmentConfig) -> Task:
    """The task that a recipe describes."""
    return make_task(
        data,
        protocol=rules.protocol,
        judge=rules.judge,
        tokens=rules.tokens,
        prompt=rules.prompt,
        factor=rules.factor,
        max_turns=rules.max_turns,
        first_look=rules.first_look,
        max_pictures=rules.max_pictures,
        max_visual_tokens=rules.max_visual_tokens,
        over_budget=rules.over_budget,
    )


def fingerprints(config: TrainConfig, train: Task, validation: Task | None) -> dict[str, str]:
    """What a run begins with, as :class:`trainers.base.TrainResult` has it.

    Args:
        config: The recipe.
        train: The task that is trained on.
        validation: The task that is measured on, if there is one.
    """
    made = {"model": fingerprint(config.model.path), "train": train.source.fingerprint()}
    if validation is not None:
        made["validation"] = validation.source.fingerprint()
    return made


def fingerprint(path: str) -> str:
    """What a run begins with: SHA-256 over the weights in a folder, or the Hub's name and commit.

    A resumed run needs the first model again, as the reference or under its adapters. The commit
    of a model on the Hub is known once it was loaded.
    """
    folder = Path(path)
    if not folder.is_dir():
        commit = _commit(path)
        return f"{path}@{commit}" if commit else path
    digest = hashlib.sha256()
    for weights in sorted(p for p in folder.iterdir() if p.name.endswith(WEIGHTS)):
        with weights.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _commit(name: str) -> str | None:
    """The commit of a model in the cache of the Hub."""
    from huggingface_hub import try_to_load_from_cache  # comes with transformers
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent.name if isinstance(found, str) else None


_SLACK = 128
"""Tokens to spare, for what the environment says of a call that did not work."""


class Length(NamedTuple):
    """Tokens of the longest rollout that a sample can have.

    Attributes:
        prompt: Before the policy's first turn.
        rest: From there on.
        seen: Visual tokens before the policy's first turn.
        visual: Visual tokens of all views.
    """

    prompt: int
    rest: int
    seen: int = 0
    visual: int = 0

    @property
    def whole(self) -> int:
        """All of it."""
        return self.prompt + self.rest


class Checked(NamedTuple):
    """What is known of samples once their pictures were decoded.

    Attributes:
        longest: Of the longest rollout that each sample can have, by id.
        refused: Samples whose picture is refused.
    """

    longest: Mapping[str, Length]
    refused: Sequence[str]


def training_order(
    task: Task, processor: VisionLanguageModel, config: TrainConfig
) -> tuple[list[str], Checked]:
    """The samples of all steps, none twice in one, without those that are refused.

    Raises:
        DataError: If a step asks for more than there are.
    """
    prompts = config.rollout.prompts
    order = SampleOrder(task.source.ids(), config.seed)
    position = 0
    longest: dict[str, Length] = {}
    refused: list[str] = []
    played: list[str] = []
    for _ in range(config.steps):
        ids: list[str] = []
        while len(ids) < prompts:
            more, position = order.take(position, prompts - len(ids), [*ids, *refused])
            found = check(task, [name for name in more if name not in longest], processor, config)
            longest |= found.longest
            refused += found.refused
            ids += [name for name in more if name in longest]
        played += ids
    return played, Checked(longest, refused)


def check(
    task: Task, ids: Iterable[str], processor: VisionLanguageModel, config: TrainConfig
) -> Checked:
    """Decode the pictures of samples, and count what their longest rollouts have."""

    def look(sample_id: str) -> tuple[str, Length | PictureError]:
        try:
            dialogue = task.begin(task.source.by_id(sample_id))[0]
            dialogue.picture.original  # noqa: B018 - decoded, or refused
            return sample_id, longest_rollout(dialogue, processor, config.rollout.max_new_tokens)
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


def longest_rollout(
    dialogue: Dialogue, processor: VisionLanguageModel, max_new_tokens: int
) -> Length:
    """Tokens of the longest rollout that a dialogue can become.

    Raises:
        ConfigError: If a tool does not say what it can show, and no budget does.
    """
    protocol, messages = dialogue.protocol, dialogue.messages
    counts = [processor.count(view) for view in dialogue.views]
    prompt, seen = len(processor.chat.opening(messages, counts)), sum(counts)
    visual, rest = seen, protocol.max_turns * max_new_tokens
    if protocol.tools:
        views, tokens = _most(dialogue)
        said = [block for _ in range(views) for block in protocol.prompt.result_blocks()]
        said += protocol.prompt.after_blocks(said_of_budget(dialogue.scene.budget))
        turn, result = {"role": "assistant", "content": ""}, {"role": "user", "content": said}
        words = len(processor.chat.continuation([*messages, turn, result], [0] * views))
        calls = protocol.max_turns - 1
        visual += _within(dialogue, calls * tokens)
        rest += calls * (words + views * _SLACK) + visual - seen
    return Length(prompt, rest, seen, visual)


def _most(dialogue: Dialogue) -> tuple[int, int]:
    """Views that a turn's calls can bring, and their visual tokens."""
    protocol = dialogue.protocol
    found: list[tuple[int, int]] = []
    for tool in protocol.tools:
        most = tool.most(dialogue.scene)
        if most is None and protocol.max_visual_tokens is None:
            raise ConfigError(
                f"the tool {tool.name!r} does not say how much a call can show: give it a method "
                "most(), or set environment.max_visual_tokens"
            )
        found.append(most or (1, protocol.max_visual_tokens or 0))
    calls = protocol.grammar.most if protocol.grammar.several == "all" else 1
    views = calls * max(views for views, _ in found)
    tokens = calls * max(tokens for _, tokens in found)
    left = dialogue.scene.budget.pictures
    return (views if left is None else min(views, left)), tokens


def _within(dialogue: Dialogue, tokens: int) -> int:
    """Visual tokens, as far as the budget goes."""
    left = dialogue.scene.budget.visual_tokens
    return tokens if left is None else min(tokens, left)
