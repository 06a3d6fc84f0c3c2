"""``VisionThink-v0``: one conversation about one picture as a Gymnasium environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vt_env.actions import ToolCall
from vt_env.dialogue import Dialogue
from vt_env.errors import ActionError, ConfigError, unknown_name
from vt_env.render import draw, transcript
from vt_env.rewards import Reward, RewardConfig, group_rewards
from vt_env.samples import Sample
from vt_env.spaces import ImageSpace, Turn, UnicodeText
from vt_env.task import Task, make_task

Observation = dict[str, Any]
RESET_OPTIONS = ("sample_id", "index")
ORDERS = ("random", "sequential")


class VisionThinkEnv(gym.Env[Observation, str | ToolCall]):
    """A policy sees a shrunk picture and a question; it answers, or asks for the original first.

    **Observation**: a dict of

    * ``image``: uint8 [H, W, 3], the view shown last. Sizes differ from step to step.
    * ``text``: what the environment said last: the question, the words around a tool's view, or
      why a call did not work. Empty once the episode is over.

    **Action**: the policy's turn as text, or a :class:`~vt_env.actions.ToolCall`, which has the
    effect of its text. Any text is an action; what it does is told by
    :func:`vt_env.actions.parse`.

    **Reward**: 0 until the episode ends, then accuracy + format - penalty - cost (see
    :mod:`vt_env.rewards`), or NaN if the judge could not score the answer: unscored is not wrong.
    A penalty that compares the rollouts of a group cannot be known here; ask for it in the vector
    environment, or apply :func:`vt_env.rewards.group_rewards` to the outcomes.

    **Episode end**: ``terminated`` after an answer, after ``max_turns``, or after a turn that
    neither answers nor calls. ``truncated`` is never true.

    **Info**: ``sample_id``, ``turn`` (taken so far), ``messages`` (chat format; pictures are marks,
    the n-th mark is the n-th new image), ``new_image`` (whether ``image`` was not shown before),
    ``visual_tokens`` (of all views so far), ``full_visual_tokens`` (of the original, once),
    ``futile_request`` (a request that brought no more visual tokens), after a step ``action``
    (what the turn was read as), and at the end ``verdict``, ``outcome`` and ``reward_terms``.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 1}

    def __init__(
        self,
        data: Any = "generated",
        *,
        protocol: Any = "visionthink",
        judge: Any = "auto",
        reward: RewardConfig | Mapping[str, Any] | None = None,
        order: str = "random",
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """Open the data and check every setting.

        Args:
            data: Samples, a source or its spec, or a :class:`~vt_env.task.Task`, which then holds
                all other settings.
            protocol: ``visionthink``, ``general`` or ``low``.
            judge: A judge or its spec.
            reward: Weights and penalty; by default the paper's weights and no penalty.
            order: ``random`` draws samples with the environment's generator; ``sequential`` goes
                through the source from its start.
            render_mode: ``rgb_array`` or ``ansi``.
            settings: Everything else that :func:`vt_env.task.make_task` takes: ``tokens``,
                ``factor``, ``tools``, ``prompt``, ``max_turns``, ``rules``, ``first_look``.

        Raises:
            ConfigError: On an unknown name, or a value out of range.
            DataError: If the data cannot be used.
        """
        self.task = as_task(data, protocol=protocol, judge=judge, **settings)
        self._owns_judge = owns_judge(data, judge)
        self.reward_config = as_reward_config(reward, default_penalty="none")
        if self.reward_config.needs_group:
            raise ConfigError(
                f"the penalty {self.reward_config.penalty!r} compares the rollouts of one "
                "question: use gym.make_vec with group_size of at least 2, or penalty='none' here "
                "and vt_env.rewards.group_rewards on the outcomes of the group"
            )
        if order not in ORDERS:
            raise unknown_name("order", order, ORDERS)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.order = order
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Dict({"image": ImageSpace(), "text": UnicodeText()})
        self.action_space = Turn()
        self._dialogue: Dialogue | None = None
        self._next = 0
        self._last_reward: Reward | None = None

    @property
    def dialogue(self) -> Dialogue:
        """The episode in progress.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self._dialogue is None:
            raise gym.error.ResetNeeded("call reset() first")
        return self._dialogue

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seeds the choice of samples; in sequential order it goes back to the start.
            options: ``sample_id`` or ``index`` chooses the sample.

        Raises:
            ConfigError: On an unknown option.
            DataError: If there is no such sample, or its picture is refused.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._next = 0
        sample = self._choose(options or {})
        self._dialogue = self.task.begin(sample)[0]
        self._last_reward = None
        return self._observation(), dialogue_info(self._dialogue)

    def _choose(self, options: Mapping[str, Any]) -> Sample:
        if unknown := [name for name in options if name not in RESET_OPTIONS]:
            raise unknown_name("reset option", unknown[0], RESET_OPTIONS)
        source = self.task.source
        if "sample_id" in options:
            return source.by_id(options["sample_id"])
        if "index" in options:
            return source[options["index"]]
        if self.order == "random":
            return source[int(self.np_random.integers(len(source)))]
        index, self._next = self._next % len(source), self._next + 1
        return source[index]

    def step(self, action: str | ToolCall) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one turn.

        Raises:
            ActionError: If the action is neither text nor a tool call.
            gymnasium.error.ResetNeeded: Before the first reset and after an episode's end.
        """
        dialogue = self.dialogue
        if dialogue.done:
            raise gym.error.ResetNeeded("this episode is over; call reset() to begin another")
        taken = dialogue.apply(as_turn(action))
        info = {**dialogue_info(dialogue), "action": taken}
        reward = 0.0
        if dialogue.done:
            verdict = self.task.judge_all([dialogue])[0]
            outcome = dialogue.outcome(verdict)
            self._last_reward = group_rewards([outcome], self.reward_config)[0]
            info |= {"verdict": verdict, "outcome": outcome, "reward_terms": self._last_reward}
            reward = as_number(self._last_reward)
        return self._observation(), reward, dialogue.done, False, info

    def _observation(self) -> Observation:
        return {"image": self.dialogue.views[-1].array.copy(), "text": self.dialogue.text}

    def close(self) -> None:
        """Let go of what the judge holds, unless it was given to the environment ready."""
        if self._owns_judge:
            self.task.close()

    def render(self) -> NDArray[np.uint8] | str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What an onlooker wants to see: the view, the talk, the reward.

        Returns:
            uint8 [540, 960, 3] for ``rgb_array``, text for ``ansi``, nothing without a mode.
        """
        if self.render_mode == "rgb_array":
            return draw(self.dialogue, self._last_reward)
        if self.render_mode == "ansi":
            return transcript(self.dialogue, self._last_reward)
        return None


def owns_judge(data: Any, judge: Any) -> bool:
    """Whether an environment made its judge itself, so closes it."""
    return not isinstance(data, Task) and isinstance(judge, str)


def as_task(data: Any, **settings: Any) -> Task:
    """A finished task as it is, or a new one."""
    return data if isinstance(data, Task) else make_task(data, **settings)


def as_reward_config(
    reward: RewardConfig | Mapping[str, Any] | None, *, default_penalty: str
) -> RewardConfig:
    """A reward configuration from a mapping, checked."""
    if isinstance(reward, RewardConfig):
        return reward
    given: dict[str, Any] = {"penalty": default_penalty, **(reward or {})}
    fields = RewardConfig.__dataclass_fields__
    if unknown := [name for name in given if name not in fields]:
        raise unknown_name("reward setting", unknown[0], fields)
    return RewardConfig(**given)


def as_turn(action: Any) -> str:
    """The text of an action.

    Raises:
        ActionError: If it is neither text nor a tool call.
    """
    if isinstance(action, ToolCall):
        try:
            return action.text
        except (TypeError, ValueError) as error:
            raise ActionError(f"the call's arguments cannot be written as JSON: {error}") from error
    if isinstance(action, str):
        return str(action)
    raise ActionError(f"an action is a str or a ToolCall, got {type(action).__name__}")


def as_number(reward: Reward) -> float:
    """The total; NaN where it is unscored, so that no trainer mistakes it for a reward."""
    return math.nan if reward.total is None else reward.total


def dialogue_info(dialogue: Dialogue) -> dict[str, Any]:
    """The info that every step has; nothing in it is shared with the next one."""
    return {
        "sample_id": dialogue.sample.id,
        "turn": dialogue.turn,
        "messages": [
            {"role": m["role"], "content": [dict(block) for block in m["content"]]}
            for m in dialogue.messages
        ],
        "new_image": dialogue.new_image,
        "visual_tokens": dialogue.visual_tokens,
        "full_visual_tokens": dialogue.full_tokens,
        "futile_request": dialogue.futile,
    }
