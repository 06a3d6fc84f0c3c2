"""``VisionThink-v0``: one conversation about one picture as a Gymnasium environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vt_env.actions import NoTurn, ToolCall
from vt_env.dialogue import Dialogue
from vt_env.errors import ActionError, ConfigError, unknown_name
from vt_env.grammars import VISIONTHINK, Grammar
from vt_env.order import SampleOrder, options_of
from vt_env.render import draw, transcript
from vt_env.rewards import Reward, RewardConfig, group_rewards
from vt_env.samples import Sample
from vt_env.spaces import ImageSpace, Turn, UnicodeText
from vt_env.task import Task, make_task

Observation = dict[str, Any]
RESET_OPTIONS = ("sample_id", "index")


class VisionThinkEnv(gym.Env[Observation, str | ToolCall]):
    """A policy sees a first look and a question; it answers, or asks to look closer first.

    **Observation**: a dict of

    * ``image``: uint8 [H, W, 3], the view shown last. Sizes differ from step to step.
    * ``images``: a tuple of such arrays, all views that this step showed: several where the sample
      has several pictures or a turn several calls, none where there is only text.
    * ``text``: what the environment said last: the question, the words around a tool's view, or
      why a call did not work. Empty once the episode is over.

    **Action**: the policy's turn as text, or a :class:`~vt_env.actions.ToolCall`, which has the
    effect of its text. Any text is an action; what it does is told by the protocol's
    :class:`~vt_env.grammars.Grammar`.

    **Reward**: 0 until the episode ends, then accuracy + format - penalty - cost (see
    :mod:`vt_env.rewards`), or NaN if the judge could not score the answer: unscored is not wrong.
    A penalty that compares the rollouts of a group cannot be known here; ask for it in the vector
    environment, or apply :func:`vt_env.rewards.group_rewards` to the outcomes.

    **Episode end**: ``terminated`` after an answer, or a turn that neither answers nor calls;
    ``truncated`` after a call that goes over the budget of turns, pictures or visual tokens.
    Whether that is wrong or unscored is the protocol's ``over_budget``.

    **Info**: ``sample_id``, ``turn`` (taken so far), ``messages`` (chat format; pictures are marks,
    the n-th mark is the n-th new image), ``new_image`` (whether ``image`` was not shown before),
    ``visual_tokens`` (of all views so far), ``full_visual_tokens`` (of the originals, once),
    ``futile_request`` (a request that brought no more visual tokens for what it shows), ``regions``
    (of each view so far: a :class:`~vt_env.regions.Region` of its source, or ``None``), after a
    step ``action`` (what the turn was read as), and at the end ``verdict``, ``outcome`` and
    ``reward_terms``.
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
            data: Samples, a source or its spec, or a :class:`~vt_env.task.Task`, which holds its
                own protocol, judge and other settings: none may be given beside it.
            protocol: One of :data:`vt_env.protocol.PRESETS`, or a protocol.
            judge: A judge or its spec.
            reward: Weights and penalty; by default the paper's weights and no penalty.
            order: ``random`` draws samples with the environment's generator; ``sequential`` goes
                through the source from its start.
            render_mode: ``rgb_array`` or ``ansi``.
            settings: Everything else that :func:`vt_env.task.make_task` takes: ``tokens`` and
                :data:`vt_env.protocol.SETTINGS`.

        Raises:
            ConfigError: On an unknown name, or a value out of range.
            DataError: If the data cannot be used.
        """
        self.task = as_task(data, protocol=protocol, judge=judge, **settings)
        self._owns_judge = owns_judge(data, judge)
        self.reward_config = as_reward_config(reward, group_size=1)
        self.order = SampleOrder(self.task.source, order)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = Turn()
        self._dialogue: Dialogue | None = None
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
            ConfigError: On an unknown option, or both of them.
            DataError: If there is no such sample, or its picture is refused. Then nothing changes:
                the episode in progress, the generator and the order of samples stay as they were.
        """
        with self.order.unmoved(self):
            super().reset(seed=seed)
            if seed is not None:
                self.order.next = 0
            sample = self._choose(options_of(options, RESET_OPTIONS))
            dialogue = self.task.begin(sample)[0]
            observation = _observation(dialogue)
        self._dialogue, self._last_reward = dialogue, None
        return observation, dialogue_info(dialogue)

    def _choose(self, options: Mapping[str, Any]) -> Sample:
        if len(options) > 1:
            raise ConfigError("the options sample_id and index name one sample each; give one")
        if "sample_id" in options:
            return self.task.source.by_id(options["sample_id"])
        if "index" in options:
            return self.order.at(options["index"])
        return self.order.take(1, self.np_random)[0]

    def step(
        self, action: str | ToolCall | NoTurn
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one turn. Whatever this raises, the episode stays as it was.

        A :class:`~vt_env.actions.NoTurn` in its place ends the episode, unscored.

        Raises:
            ActionError: If the action is neither text nor a tool call.
            JudgeError: If too many judgements fail for a run to go on.
            gymnasium.error.ResetNeeded: Before the first reset and after an episode's end.
        """
        if self.dialogue.done:
            raise gym.error.ResetNeeded("this episode is over; call reset() to begin another")
        dialogue = self.dialogue.fork()
        grammar = self.task.protocol.grammar
        taken = dialogue.apply(action if isinstance(action, NoTurn) else as_turn(action, grammar))
        info = {**dialogue_info(dialogue), "action": taken}
        reward, terms = 0.0, None
        if dialogue.done:
            verdict = self.task.judge_all([dialogue])[0]
            outcome = dialogue.outcome(verdict)
            terms = group_rewards([outcome], self.reward_config)[0]
            info |= {"verdict": verdict, "outcome": outcome, "reward_terms": terms}
            reward = as_number(terms)
        observation = _observation(dialogue)
        self._dialogue, self._last_reward = dialogue, terms
        truncated = dialogue.truncated
        return observation, reward, dialogue.done and not truncated, truncated, info

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


def observation_space() -> gym.spaces.Dict:
    """Of one environment: see :class:`VisionThinkEnv`."""
    images = gym.spaces.Sequence(ImageSpace())
    return gym.spaces.Dict({"image": ImageSpace(), "images": images, "text": UnicodeText()})


def _observation(dialogue: Dialogue) -> Observation:
    new = tuple(view.array.copy() for view in dialogue.new_views)
    image = new[-1] if new else dialogue.views[-1].array.copy()
    return {"image": image, "images": new, "text": dialogue.text}


def owns_judge(data: Any, judge: Any) -> bool:
    """Whether an environment made its judge itself, so closes it."""
    return not isinstance(data, Task) and isinstance(judge, str)


def as_task(data: Any, **settings: Any) -> Task:
    """A finished task as it is, or a new one.

    Raises:
        ConfigError: If there are settings beside a task, which holds its own.
    """
    if not isinstance(data, Task):
        return make_task(data, **settings)
    usual = {"protocol": "visionthink", "judge": "auto"}
    if beside := [name for name, value in settings.items() if value != usual.get(name)]:
        raise ConfigError(f"{', '.join(beside)}: a Task holds its own; give them to make_task")
    return data


def as_reward_config(
    reward: RewardConfig | Mapping[str, Any] | None, group_size: int
) -> RewardConfig:
    """A reward configuration, by default without a penalty, checked.

    Raises:
        ConfigError: On an unknown setting, a value out of range, or a penalty that compares the
            rollouts of a group where each plays alone.
    """
    config = reward
    if not isinstance(config, RewardConfig):
        given: dict[str, Any] = {"penalty": "none", **(config or {})}
        fields = RewardConfig.__dataclass_fields__
        if unknown := [name for name in given if name not in fields]:
            raise unknown_name("reward setting", unknown[0], fields)
        config = RewardConfig(**given)
    if group_size == 1 and config.needs_group:
        raise ConfigError(
            f"the penalty {config.penalty!r} compares the rollouts of one question, so group_size "
            "must be at least 2 (gym.make_vec); where each plays alone, give penalty='none' "
            "(RewardConfig's own default is 'paper'), and apply vt_env.group_rewards to the "
            "outcomes of a group"
        )
    return config


def as_turn(action: Any, grammar: Grammar = VISIONTHINK) -> str:
    """The text of an action, in a grammar.

    Raises:
        ActionError: If it is neither text nor a tool call.
    """
    if isinstance(action, ToolCall):
        try:
            return grammar.write(action)
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
        "regions": [view.region for view in dialogue.views],
    }
