"""How long rollouts can become: every picture is decoded once, and what was found is kept.

What is kept is one sealed file for each data set with its rules and processor, in a folder of the
user's: a second start, a resume or a preflight of the same run decodes nothing again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from trainers.config import TrainConfig
from trainers.data import SampleOrder
from vt_env import Task
from vt_env.calls import said_of_budget
from vt_env.dialogue import Dialogue
from vt_env.errors import ConfigError, PictureError
from vt_env.kept import Kept
from vt_env.progress import told

if TYPE_CHECKING:
    from agents.models import VisionLanguageModel

logger = logging.getLogger(__name__)

_ARITHMETIC = 1
"""Counted up when this file, or ``most`` of a tool, comes to other lengths from the same rules."""

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


Looked = tuple[str, "Length | str"]
"""A sample, and its longest rollout or why its picture is refused."""


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
    known = check(task, _first_choice(order, config.steps, prompts), processor, config)
    longest, refused = dict(known.longest), list(known.refused)
    played: list[str] = []
    position = 0
    for _ in range(config.steps):
        ids: list[str] = []
        while len(ids) < prompts:
            more, position = order.take(position, prompts - len(ids), [*ids, *refused])
            unseen = [name for name in more if name not in longest]
            found = check(task, unseen, processor, config)
            longest |= found.longest
            refused += found.refused
            ids += [name for name in more if name in longest]
        played += ids
    return played, Checked(longest, refused)


def _first_choice(order: SampleOrder, steps: int, prompts: int) -> Iterable[str]:
    """The samples of all steps, if no picture is refused: to be read in the order of the data."""
    position, chosen = 0, dict[str, None]()
    for _ in range(steps):
        ids, position = order.take(position, prompts)
        chosen |= dict.fromkeys(ids)
    return chosen


def check(
    task: Task, ids: Iterable[str], processor: VisionLanguageModel, config: TrainConfig
) -> Checked:
    """Decode the pictures of samples, unless that was done before, and count their tokens."""
    ids = list(ids)
    if not ids:
        return Checked({}, [])
    kept = kept_lengths(task, processor, config)
    places = {name: place for place, name in enumerate(task.source.ids())}
    unseen = sorted((name for name in ids if name not in kept), key=places.__getitem__)

    def look(sample_id: str) -> Looked:
        try:
            dialogue = task.begin(task.source.by_id(sample_id))[0]
            dialogue.picture.original  # noqa: B018 - decoded, or refused
            return sample_id, longest_rollout(dialogue, processor, config.rollout.max_new_tokens)
        except PictureError as error:
            return sample_id, str(error)

    with ThreadPoolExecutor(4) as pool:
        looked = pool.map(look, unseen)
        for sample_id, found in told(looked, len(unseen), "pictures are looked at", logger):
            kept[sample_id] = found
    kept.write()
    longest: dict[str, Length] = {}
    refused: list[str] = []
    for name in ids:
        if isinstance(found := kept[name], str):
            logger.warning("%s; it is not played", found)
            refused.append(name)
        else:
            longest[name] = Length(*found)
    return Checked(longest, refused)


def largest(task: Task, count: int) -> list[str]:
    """The samples whose pictures have most pixels as they are shown, the largest first.

    The header of every picture is read, once for a data set; none is decoded. A sample that is
    refused counts as empty.
    """
    ids, rules = task.source.ids(), task.protocol.fingerprint()
    kept = Kept("pixels", [version("pillow"), task.source.fingerprint(), rules])
    unseen = [name for name in ids if name not in kept]

    def look(sample_id: str) -> tuple[str, int]:
        try:
            pictures = task.pictures(task.source.by_id(sample_id))
            return sample_id, sum(math.prod(picture.size) for picture in pictures)
        except PictureError:
            return sample_id, 0

    with ThreadPoolExecutor(4) as pool:
        sizes = pool.map(look, unseen)
        for sample_id, pixels in told(sizes, len(unseen), "pictures' headers are read", logger):
            kept[sample_id] = pixels
    kept.write()
    return sorted(ids, key=lambda name: -kept[name])[:count]


def kept_lengths(task: Task, processor: VisionLanguageModel, config: TrainConfig) -> Kept:
    """What is known of a data set's samples by id, under these rules and with this processor.

    A length, or why the picture is refused. The key is all that decides it, and no version of this
    package, so that it follows what is changed in prompts, tools and settings.
    """
    images, text = processor.image_processor, processor.tokenizer
    return Kept(
        "lengths",
        [
            [
                _ARITHMETIC,
                version("pillow"),
                task.source.fingerprint(),
                task.protocol.fingerprint(),
            ],
            [config.rollout.max_new_tokens, type(processor).__name__, images.to_dict()],
            [text.chat_template, sorted(text.get_vocab().items())],
        ],
    )


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
