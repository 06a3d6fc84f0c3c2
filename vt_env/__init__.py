"""VisionThink as a Gymnasium.

Importing this package registers the environments, so ``gym.make("vt_env:VisionThink-v0")`` works:

>>> import gymnasium as gym
>>> env = gym.make("vt_env:VisionThink-v0")
>>> observation, info = env.reset(seed=0)
>>> observation["image"].shape, observation["text"].splitlines()[0]
((16, 16, 3), 'What number is it?')
>>> observation, reward, terminated, truncated, info = env.step(
...     "<think>Too small to read.</think>"
...     '<tool_call>{"name": "resize_image", "arguments": {"action": "resize"}}</tool_call>'
... )
>>> observation["image"].shape
(32, 32, 3)
>>> *_, info = env.step("<think>I can read it now.</think><answer>42</answer>")
>>> info["verdict"].correct, info["reward_terms"].total
(True, 1.5)
"""

from importlib.metadata import PackageNotFoundError, version

from gymnasium.envs.registration import register  # pyright: ignore[reportUnknownVariableType]

from vt_env.actions import Action, Answer, Malformed, ToolCall
from vt_env.errors import (
    ActionError,
    ConfigError,
    DataError,
    JudgeError,
    MissingExtra,
    PictureError,
    VisionThinkError,
)
from vt_env.grammars import Grammar, parse
from vt_env.judges import Judge, Query, Verdict, make_judge
from vt_env.pictures import Picture, PictureRules, View
from vt_env.protocol import Protocol, make_protocol
from vt_env.regions import Box, Region
from vt_env.rewards import Outcome, Reward, RewardConfig, group_rewards
from vt_env.samples import Sample
from vt_env.sources import Source, open_source
from vt_env.task import Task, make_task
from vt_env.tokens import TokenCounter, token_counter
from vt_env.tools import Budget, Result, Scene, Tool, ToolError, register_tool

register(
    id="VisionThink-v0",
    entry_point="vt_env.env:VisionThinkEnv",
    vector_entry_point="vt_env.vector:VisionThinkVectorEnv",
)
register(id="VisionThinkDiscrete-v0", entry_point="vt_env.discrete:make_discrete")

try:
    __version__ = version("visionthink-gym")
except PackageNotFoundError:  # files on the path, never installed
    __version__ = "0+unknown"

__all__ = [
    "Action",
    "ActionError",
    "Answer",
    "Box",
    "Budget",
    "ConfigError",
    "DataError",
    "Grammar",
    "Judge",
    "JudgeError",
    "Malformed",
    "MissingExtra",
    "Outcome",
    "Picture",
    "PictureError",
    "PictureRules",
    "Protocol",
    "Query",
    "Region",
    "Result",
    "Reward",
    "RewardConfig",
    "Sample",
    "Scene",
    "Source",
    "Task",
    "TokenCounter",
    "Tool",
    "ToolCall",
    "ToolError",
    "Verdict",
    "View",
    "VisionThinkError",
    "__version__",
    "group_rewards",
    "make_judge",
    "make_protocol",
    "make_task",
    "open_source",
    "parse",
    "register_tool",
    "token_counter",
]
