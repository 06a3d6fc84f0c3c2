"""``VisionThinkDiscrete-v0``: the same episodes for agents that choose one of a few actions.

Classic libraries want a ``Discrete`` action space and observations of one size. This wrapper gives
both, and changes nothing else: every action is said as a turn of text, so parsing, judging and
rewards are those of the environment.

    candidates ─▶ action i ─▶ "<answer>candidate i</answer>" ─▶ VisionThink-v0 ─▶ view ─▶ letterbox
    cells of a grid ─▶ action ─▶ "<tool_call>…</tool_call>" ─▶ …
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, SupportsIndex, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vt_env.actions import Answer, ToolCall
from vt_env.env import Observation, VisionThinkEnv
from vt_env.errors import ActionError, ConfigError, DataError, JudgeError, unknown_name
from vt_env.grammars import Grammar
from vt_env.judges import Query
from vt_env.regions import Box, Region
from vt_env.samples import Sample
from vt_env.tools import ToolError

CHOICES = "choices"
REQUEST = ToolCall("resize_image", {"action": "resize"})
_UNSCORED = ("error", "nan")
_WORD = re.compile(r"\w+")


class DiscreteActions(
    gym.Wrapper[Observation, Any, Observation, str | ToolCall], gym.utils.RecordConstructorArgs
):
    """Answer with one of ``n`` candidates, or ask for the original or for a part of it.

    **Action**: ``Discrete``: ``i < n`` answers with candidate ``i``. Where the protocol has
    ``resize_image``, the next action asks for the original. Where one of its tools shows parts, the
    last ``grid * grid`` actions ask, in the protocol's own words, for the cells of a grid over the
    first picture, row by row; the view is what the tool makes of a cell. An action that stands for
    nothing (a choice that this sample does not have, a cell without a pixel) says nothing: an empty
    turn, which ends the episode without a reward. Asking again when no call can be carried out any
    more ends it likewise. ``info["action_mask"]`` (int8) has 0 for both.

    **Observation**: a dict of

    * ``image``: uint8 [side, side, 3], the view letterboxed: see :func:`letterbox`.
    * ``question``: float32 [words], its words: see :func:`features`.
    * ``turn``: float32 [1], turns taken over turns there are.
    * ``region``: float32 [4], what the view shows: left, top, right and bottom as shares of its
      picture's sides; 0 where it is no part of one. Only with cells.
    * ``choices``: float32 [n · words], the words of the sample's choices, one after the other, 0
      for those that it does not have; with ``candidates="choices"`` only.

    **Reward, episode end and info** are the environment's, but an end is always ``terminated``:
    turns are observed, so a library must not bootstrap where they run out. Info has besides
    ``action_mask`` and ``scale``, pixels of the canvas for one of the view: below 1 the canvas
    shows less than the view has, and asking for the original may gain nothing.

    Several candidates may be right about a sample, and none may be: then every answer is wrong, and
    the sample is played all the same. :meth:`accepted` says which are.

    Args:
        env: ``gym.make("vt_env:VisionThink-v0", …)``.
        candidates: The answers; or ``"choices"``, each sample's own in their order, for which the
            whole source is read once.
        side: Of the canvas, in pixels. Best not below the longer side of the originals.
        words: Length of the vector that stands for a text.
        grid: Cells of a row and of a column.
        unscored: What to do where the judge could not score an answer: ``"error"`` stops, since
            these libraries would learn from a number that is none; ``"nan"`` gives it to them.

    Raises:
        ConfigError: If it is no such environment, or on candidates that are fewer than two, equal
            to each other or cannot be said as an answer, or a value out of range; also if what goes
            over a budget is unscored, which would stop a run, unless ``unscored="nan"``.
        DataError: If a sample has fewer than two choices, or some that cannot be said.
    """

    def __init__(
        self,
        env: gym.Env[Observation, str | ToolCall],
        candidates: Sequence[str] | str = CHOICES,
        *,
        side: int = 64,
        words: int = 64,
        grid: int = 2,
        unscored: str = "error",
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(
            self, candidates=candidates, side=side, words=words, grid=grid, unscored=unscored
        )
        super().__init__(env)
        if not isinstance(env.unwrapped, VisionThinkEnv):
            raise ConfigError(f"expected VisionThink-v0 inside, got {type(env.unwrapped).__name__}")
        if min(side, words, grid) < 1:
            raise ConfigError(
                f"side, words and grid must be at least 1, got {side}, {words} and {grid}"
            )
        if unscored not in _UNSCORED:
            raise unknown_name("treatment of the unscored", unscored, _UNSCORED)
        self.base = env.unwrapped
        protocol = self.base.task.protocol
        if protocol.over_budget == "unscored" and unscored == "error":
            raise ConfigError(
                "over_budget='unscored' leaves an episode out, which these rewards cannot: set "
                "over_budget='wrong', or unscored='nan' with a trainer that knows NaN"
            )
        self.side, self.words, self.grid, self.unscored = side, words, grid, unscored
        self.grammar = protocol.grammar
        self.candidates = self._candidates(candidates)
        self.size = len(self.candidates) if self.candidates else self._most_choices()
        self.requests = protocol.tool(REQUEST.name) is not None
        self.cells = grid * grid if any(tool.shows_parts for tool in protocol.tools) else 0
        spaces: dict[str, gym.Space[Any]] = {
            "image": gym.spaces.Box(0, 255, (side, side, 3), np.uint8),
            "question": gym.spaces.Box(-1, 1, (words,), np.float32),
            "turn": gym.spaces.Box(0, 1, (1,), np.float32),
        }
        if self.cells:
            spaces["region"] = gym.spaces.Box(0, 1, (4,), np.float32)
        if not self.candidates:
            spaces[CHOICES] = gym.spaces.Box(-1, 1, (self.size * words,), np.float32)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = gym.spaces.Discrete(self.size + self.requests + self.cells)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; see :meth:`vt_env.env.VisionThinkEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation, info)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one turn.

        Raises:
            ActionError: If it is no whole number of the action space.
            JudgeError: If the answer is unscored, unless ``unscored="nan"``.
        """
        said = self.turn(action)
        observation, reward, terminated, truncated, info = self.env.step(said)
        ended = terminated or truncated  # by a budget that is observed: no cut from outside
        if ended and math.isnan(reward := float(reward)) and self.unscored == "error":
            raise JudgeError(
                f"the answer about sample {info['sample_id']!r} is unscored "
                f"({info['verdict'].reason}), and these rewards cannot leave an episode out: use a "
                "judge that decides always, or unscored='nan' with a trainer that knows NaN"
            )
        observation, info = self._seen(observation, info)
        return observation, float(reward), ended, False, info

    def turn(self, action: SupportsIndex) -> str:
        """What an action says about the sample in play.

        Raises:
            ActionError: If it is no whole number of the action space.
        """
        try:
            number = operator.index(action)
        except TypeError:  # also of an array that is no single whole number
            number = -1
        most = self.size + self.requests + self.cells
        if not 0 <= number < most:
            raise ActionError(
                f"an action is a whole number from 0 to {most - 1}, got {action!r:.40}"
            )
        if number >= self.size + self.requests:
            return self._asking(number - self.size - self.requests)
        if number == self.size:
            return self.grammar.write(REQUEST)
        offered = self.offered(self.base.dialogue.sample)
        return self.grammar.write(Answer(offered[number])) if number < len(offered) else ""

    def cell(self, number: int) -> Region:
        """A cell of the grid over the first picture, in that picture's pixels.

        Args:
            number: From 0, row by row.
        """
        size = self.base.dialogue.picture.size
        row, column = divmod(number, self.grid)
        wide, high = size[0] / self.grid, size[1] / self.grid
        box = Box(column * wide, row * high, (column + 1) * wide, (row + 1) * high)
        return Region(0, box.whole(), size)

    def _asking(self, number: int) -> str:
        """The turn that asks for a cell; empty where there is none, or no tool can be asked."""
        region = self.cell(number)
        if region.box.area:
            with suppress(ToolError):
                return self.base.dialogue.ask(region)
        return ""

    def offered(self, sample: Sample) -> tuple[str, ...]:
        """The answers that can be given about a sample, in the order of their actions."""
        return self.candidates or tuple(choice.strip() for choice in sample.choices)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions do something now: bool [actions]. The name is sb3-contrib's."""
        dialogue = self.base.dialogue
        can = dialogue.can_request
        answers = np.arange(self.size) < len(self.offered(dialogue.sample))
        cells = [can and bool(self._asking(number)) for number in range(self.cells)]
        return np.array([*answers, *[can] * self.requests, *cells], bool)

    def accepted(self, limit: int | None = None) -> dict[str, tuple[int, ...]]:
        """The candidates that the judge accepts about each sample, from one call of the judge.

        Args:
            limit: Only that many of the first samples.
        """
        source = self.base.task.source
        samples = [source[index] for index in range(min(len(source), limit or len(source)))]
        queries = [
            Query(s.question, s.references, answer, s.answer_type, s.choices)
            for s in samples
            for answer in self.offered(s)
        ]
        verdicts = iter(self.base.task.judge.score(queries))
        right = {s.id: [next(verdicts).correct for _ in self.offered(s)] for s in samples}
        return {key: tuple(i for i, ok in enumerate(each) if ok) for key, each in right.items()}

    def _seen(
        self, observation: Mapping[str, Any], info: dict[str, Any]
    ) -> tuple[Observation, dict[str, Any]]:
        dialogue = self.base.dialogue
        image, scale = letterbox(observation["image"], self.side)
        seen: Observation = {
            "image": image,
            "question": features(dialogue.sample.question, self.words),
            "turn": np.array([dialogue.turn / dialogue.protocol.max_turns], np.float32),
        }
        if self.cells:
            region = dialogue.views[-1].region
            sides = region.of * 2 if region else (1, 1, 1, 1)
            edges = region.box.edges if region else (0, 0, 0, 0)
            seen["region"] = np.divide(edges, sides, dtype=np.float32)
        if not self.candidates:
            choices = np.zeros((self.size, self.words), np.float32)
            for row, choice in enumerate(self.offered(dialogue.sample)):
                choices[row] = features(choice, self.words)
            seen[CHOICES] = choices.ravel()
        return seen, {**info, "action_mask": self.action_masks().astype(np.int8), "scale": scale}

    def _candidates(self, given: Sequence[str] | str) -> tuple[str, ...]:
        """The fixed list, checked; empty if each sample has its own."""
        if isinstance(given, str):
            if given != CHOICES:
                raise ConfigError(f"candidates are a list of texts, or {CHOICES!r}; got {given!r}")
            return ()
        if problem := _problem(given, self.grammar):
            raise ConfigError(f"candidates: {problem}")
        return tuple(text.strip() for text in given)

    def _most_choices(self) -> int:
        source = self.base.task.source
        most = 0
        for index in range(len(source)):
            sample = source[index]
            if problem := _problem(sample.choices, self.grammar):
                raise DataError(
                    f"sample {sample.id!r}: choices: {problem}; give a list of candidates, or "
                    "leave the sample out"
                )
            most = max(most, len(sample.choices))
        return most


def make_discrete(
    candidates: Sequence[str] | str = CHOICES,
    *,
    side: int = 64,
    words: int = 64,
    grid: int = 2,
    unscored: str = "error",
    **settings: Any,
) -> DiscreteActions:
    """``gym.make("vt_env:VisionThinkDiscrete-v0", candidates=…, data=…)``.

    Args:
        candidates: See :class:`DiscreteActions`, also for the next four.
        side: Of the canvas.
        words: Length of a text's vector.
        grid: Cells of a row and of a column.
        unscored: Of what cannot be scored.
        settings: Those of :class:`~vt_env.env.VisionThinkEnv`.
    """
    env = cast("gym.Env[Observation, str | ToolCall]", VisionThinkEnv(**settings))
    return DiscreteActions(env, candidates, side=side, words=words, grid=grid, unscored=unscored)


def letterbox(pixels: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """A view on a square canvas, as large as fits, in the middle, black around it.

    Its aspect ratio is kept (but for a side of at least 1 pixel). Enlarging repeats pixels, so the
    shrunk view and the original cover the same part of the canvas; shrinking takes means.

    Args:
        pixels: uint8 [H, W, 3].
        side: In pixels.

    Returns:
        uint8 [side, side, 3], and the pixels of the canvas for one of the view.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    canvas = np.zeros((side, side, 3), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    fitted = np.asarray(Image.fromarray(pixels).resize(size, how))
    canvas[top : top + size[1], left : left + size[0]] = fitted
    return canvas, scale


def features(text: str, words: int) -> NDArray[np.float32]:
    """A text as a vector: each word adds 1 or -1 at a place, both by a hash; then length 1.

    No word list is needed; two words may fall on one place. A text without words is 0.

    Args:
        text: Any.
        words: Length of the vector.

    Returns:
        float32 [words], each in [-1, 1].
    """
    vector = np.zeros(words, np.float32)
    for word in cast("list[str]", _WORD.findall(text.casefold())):
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        vector[number % words] += 1 if number >> 63 else -1
    norm = float(np.linalg.norm(vector))
    return vector / np.float32(norm) if norm else vector


def _problem(candidates: Sequence[str], grammar: Grammar) -> str:
    """What is wrong with a list of answers, or nothing."""
    if len(candidates) < 2:
        return f"at least two are needed to choose from, got {len(candidates)}"
    for index, text in enumerate(candidates):
        read = grammar.read(grammar.write(Answer(text)))
        if not isinstance(read, Answer) or read.flaws or read.text != text.strip() or not read.text:
            return f"number {index}, {text!r:.60}, cannot be said as an answer"
    stripped = [text.strip() for text in candidates]
    twice = [text for text in stripped if stripped.count(text) > 1]
    return f"{twice[0]!r:.60} stands there twice" if twice else ""
