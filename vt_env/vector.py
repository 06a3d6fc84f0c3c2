"""The batched environment: groups of rollouts, each group about one sample.

Made for policies that are language models: generation is dear, so no action is ever thrown away.

* A group's picture is decoded and shrunk once, the files of several groups on all cores. A tool may
  so be called from several threads, though never from two for one rollout or its siblings.
* A group's rewards are known when its last rollout is done, and come then, in one piece, with
  ``terminated`` or, for rollouts that went over a budget, ``truncated``. Until then a finished
  rollout waits: ``info["active"]`` says which rows need an action; whatever is given for the others
  is not read.
* Groups that end in the same step are judged in one call. A judge that can begin without being
  waited for begins with a rollout as soon as that is over.
* Nothing resets by itself (``AutoresetMode.DISABLED``): ``reset(options={"reset_mask": …})``
  begins new groups where the mask says so.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from vt_env.actions import Action, NoTurn, ToolCall
from vt_env.decoding import at_once
from vt_env.dialogue import Dialogue
from vt_env.env import (
    as_number,
    as_reward_config,
    as_task,
    as_turn,
    dialogue_info,
    observation_space,
    owns_judge,
)
from vt_env.errors import ActionError, ConfigError
from vt_env.order import SampleOrder, options_of
from vt_env.rewards import Reward, RewardConfig, group_rewards
from vt_env.samples import Sample
from vt_env.spaces import Turn
from vt_env.task import has_files

_RESET_OPTIONS = ("reset_mask", "sample_ids")
_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
_NO_PICTURE.setflags(write=False)

VectorObservation = dict[str, tuple[Any, ...]]


class VisionThinkVectorEnv(gym.vector.VectorEnv[VectorObservation, Any, NDArray[Any]]):
    """``gym.make_vec("vt_env:VisionThink-v0", num_envs=32, group_size=8)``.

    Row ``i`` belongs to group ``i // group_size``. Observations are those of
    :class:`~vt_env.env.VisionThinkEnv` as tuples over rows: ``image`` and ``images`` (read-only
    arrays, shared by siblings that see the same view) and ``text``. A row that was never reset
    shows one black pixel and no text. Info has the single environment's keys as arrays over rows,
    and ``active``.
    """

    metadata: dict[str, Any] = {
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": [],
    }

    def __init__(
        self,
        num_envs: int = 16,
        *,
        group_size: int = 1,
        data: Any = "generated",
        protocol: Any = "visionthink",
        judge: Any = "auto",
        reward: RewardConfig | Mapping[str, Any] | None = None,
        order: str = "random",
        **settings: Any,
    ) -> None:
        """Open the data and check every setting.

        Args:
            num_envs: Rows; a multiple of ``group_size``.
            group_size: Rollouts of one sample.
            data: As for the single environment.
            protocol: As for the single environment.
            judge: As for the single environment.
            reward: As for the single environment, and with groups of at least 2 any penalty, e.g.
                ``{"penalty": "paper"}``.
            order: As for the single environment.
            settings: As for the single environment.

        Raises:
            ConfigError: On an unknown name, or a value out of range.
            DataError: If the data cannot be used.
        """
        if num_envs < 1 or group_size < 1 or num_envs % group_size:
            raise ConfigError(
                f"num_envs must be a multiple of group_size and both at least 1, got "
                f"num_envs={num_envs}, group_size={group_size}"
            )
        self.num_envs = num_envs
        self.group_size = group_size
        self.task = as_task(data, protocol=protocol, judge=judge, **settings)
        self._owns_judge = owns_judge(data, judge)
        self.reward_config = as_reward_config(reward, group_size)
        self.order = SampleOrder(self.task.source, order)
        self.single_observation_space = observation_space()
        self.single_action_space = Turn()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.dialogues: list[Dialogue | None] = [None] * num_envs
        self._ended = np.ones(num_envs, bool)  # rewarded, or never begun

    @property
    def active(self) -> NDArray[np.bool_]:
        """Rows that need an action: bool [num_envs]."""
        return np.array([d is not None and not d.done for d in self.dialogues])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[VectorObservation, dict[str, Any]]:
        """Begin groups.

        Args:
            seed: Seeds the choice of samples; in sequential order it goes back to the start.
            options: ``reset_mask``: bool [num_envs], the same for all rows of a group, says which
                groups begin anew (all by default). ``sample_ids``: one id for each of those.

        Raises:
            ConfigError: On an unknown option, a mask that splits a group, or too few ids.
            DataError: If there is no such sample, or a picture is refused. Then nothing changes:
                rows, generator and order of samples stay as they were.
        """
        with self._all_or_none(), self.order.unmoved(self):
            super().reset(seed=seed)
            if seed is not None:
                self.order.next = 0
            given = options_of(options, _RESET_OPTIONS)
            groups = self._groups_to_reset(given.get("reset_mask"))
            samples = self._choose(len(groups), given.get("sample_ids"))
            changed = np.zeros(self.num_envs, bool)
            begun = self.task.begin_all(samples, self.group_size)
            for group, dialogues in zip(groups, begun, strict=True):
                rows = self._rows(group)
                self.dialogues[rows] = dialogues
                self._ended[rows] = False
                changed[rows] = True
            return self._observation(), self._info(changed)

    def step(
        self, actions: Sequence[str | ToolCall | NoTurn]
    ) -> tuple[
        VectorObservation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Take one turn in every active row. Whatever this raises, no row changes.

        Args:
            actions: One a row; those of rows that are not active are not read. A
                :class:`~vt_env.actions.NoTurn` gives its row up, unscored.

        Returns:
            Observations, rewards (float64 [num_envs], NaN where unscored), terminated and
            truncated (bool [num_envs]) and info. Either stays true until a reset; a row whose own
            rollout is over waits with both for its group.

        Raises:
            ActionError: If there is not one action a row, or one is of the wrong type.
            JudgeError: If too many judgements fail for a run to go on.
            gymnasium.error.ResetNeeded: If no row is active.
        """
        if len(actions) != self.num_envs:
            raise ActionError(f"expected {self.num_envs} actions, one a row, got {len(actions)}")
        active = self.active
        if not active.any():
            raise gym.error.ResetNeeded("no row is active; call reset() to begin new groups")
        turns: dict[int, str | NoTurn] = {}
        grammar = self.task.protocol.grammar
        for row in map(int, np.flatnonzero(active)):
            action = actions[row]
            turns[row] = action if isinstance(action, NoTurn) else as_turn(action, grammar)
        with self._all_or_none():
            taken = self._taken(turns)
            info = self._info(active)
            _put(info, "action", taken, self.num_envs)
            self.task.start_judging([self.dialogue(row) for row in turns])
            rewards = self._reward_finished_groups(info)
            over = np.array([d is not None and d.truncated for d in self.dialogues])
            terminated, truncated = self._ended & ~over, self._ended & over
            return self._observation(), rewards, terminated, truncated, info

    def _taken(self, turns: Mapping[int, str | NoTurn]) -> dict[int, Action]:
        """Every row's turn; groups that call a tool on picture files take theirs on all cores."""
        mark = self.task.protocol.grammar.mark
        calling: dict[int, list[int]] = {}
        rest: list[int] = []
        for row, turn in turns.items():
            self.dialogues[row] = dialogue = self.dialogue(row).fork()
            calls = isinstance(turn, str) and mark in turn and has_files(dialogue.sample)
            (calling.setdefault(row // self.group_size, []) if calls else rest).append(row)

        def take(rows: Sequence[int]) -> dict[int, Action]:
            return {row: self.dialogue(row).apply(turns[row]) for row in rows}

        taken = take(rest)
        for actions in at_once(take, list(calling.values())):
            taken |= actions
        return taken

    @contextmanager
    def _all_or_none(self) -> Generator[None]:
        """Where the block raises, leaves every row as it was."""
        before = self.dialogues, self._ended
        self.dialogues, self._ended = list(self.dialogues), self._ended.copy()
        try:
            yield
        except BaseException:
            self.dialogues, self._ended = before
            raise

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of what the judge holds, unless it was given to the environment ready."""
        if self._owns_judge:
            self.task.close()

    def _reward_finished_groups(self, info: dict[str, Any]) -> NDArray[np.float64]:
        rewards = np.zeros(self.num_envs)
        rows = [
            row
            for group in range(self.num_envs // self.group_size)
            for row in self._finished(self._rows(group))
        ]
        verdicts = self.task.judge_all([self.dialogue(row) for row in rows])
        outcomes = {
            row: self.dialogue(row).outcome(verdict)
            for row, verdict in zip(rows, verdicts, strict=True)
        }
        terms: dict[int, Reward] = {}
        for start in range(0, len(rows), self.group_size):
            group = rows[start : start + self.group_size]
            made = group_rewards([outcomes[row] for row in group], self.reward_config)
            terms |= dict(zip(group, made, strict=True))
        for row, reward in terms.items():
            rewards[row] = as_number(reward)
        self._ended[rows] = True
        _put(info, "verdict", dict(zip(rows, verdicts, strict=True)), self.num_envs)
        _put(info, "outcome", outcomes, self.num_envs)
        _put(info, "reward_terms", terms, self.num_envs)
        return rewards

    def _finished(self, rows: slice) -> range:
        """The rows of a group that is done and not rewarded yet, else none."""
        dialogues = self.dialogues[rows]
        done = all(d is not None and d.done for d in dialogues) and not self._ended[rows].any()
        return range(rows.start, rows.stop) if done else range(0)

    def _rows(self, group: int) -> slice:
        return slice(group * self.group_size, (group + 1) * self.group_size)

    def dialogue(self, row: int) -> Dialogue:
        """The rollout of one row.

        Raises:
            gymnasium.error.ResetNeeded: If the row was never reset.
        """
        dialogue = self.dialogues[row]
        if dialogue is None:
            raise gym.error.ResetNeeded(f"row {row} was never reset")
        return dialogue

    def _groups_to_reset(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs // self.group_size))
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ConfigError(
                f"reset_mask must be bool [{self.num_envs}], got {mask.dtype} {list(mask.shape)}"
            )
        by_group = mask.reshape(-1, self.group_size)
        if (by_group.any(1) != by_group.all(1)).any():
            raise ConfigError("reset_mask splits a group; rollouts of one sample begin together")
        return [int(group) for group in np.flatnonzero(by_group.all(1))]

    def _choose(self, number: int, ids: Sequence[str] | None) -> list[Sample]:
        if ids is None:
            return self.order.take(number, self.np_random)
        if len(ids) != number:
            raise ConfigError(f"expected {number} sample_ids, one a group, got {len(ids)}")
        return [self.task.source.by_id(sample_id) for sample_id in ids]

    def _observation(self) -> VectorObservation:
        shown = self.dialogues
        return {
            "image": tuple(d.views[-1].array if d else _NO_PICTURE for d in shown),
            "images": tuple(tuple(v.array for v in d.new_views) if d else () for d in shown),
            "text": tuple(d.text if d else "" for d in shown),
        }

    def _info(self, rows: NDArray[np.bool_]) -> dict[str, Any]:
        """Info of some rows, in Gymnasium's form: an array a key, and ``_key`` for who has it."""
        infos = {int(row): dialogue_info(self.dialogue(int(row))) for row in np.flatnonzero(rows)}
        made: dict[str, Any] = {"active": self.active}
        for key, empty in _INFO_DTYPES.items():
            _put(made, key, {row: info[key] for row, info in infos.items()}, self.num_envs, empty)
        return made


_INFO_DTYPES: dict[str, type] = {
    "sample_id": object,
    "turn": int,
    "messages": object,
    "new_image": bool,
    "visual_tokens": int,
    "full_visual_tokens": int,
    "futile_request": bool,
    "regions": object,
}


def _put(
    info: dict[str, Any], key: str, values: Mapping[int, Any], length: int, dtype: type = object
) -> None:
    """One array over all rows, and a mask of the rows that have a value."""
    array = np.full(length, None if dtype is object else 0, dtype)
    mask = np.zeros(length, bool)
    for row, value in values.items():
        array[row] = value
        mask[row] = True
    info[key], info[f"_{key}"] = array, mask
