"""VisionThink as a Gymnasium.

Importing this package registers the environments, so ``gym.make("vt_env:VisionThink-v0")`` works.
"""

from gymnasium.envs.registration import register  # pyright: ignore[reportUnknownVariableType]

from vt_env.actions import Action, Answer, Malformed, ToolCall, parse
from vt_env.errors import (
    ActionError,
    ConfigError,
    DataError,
    JudgeError,
    MissingExtra,
    PictureError,
    VisionThinkError,
)
from vt_env.judges import Judge, Query, Verdict, make_judge
from vt_env.pictures import Picture, PictureRules, View
from vt_env.protocol import Protocol, make_protocol
from vt_env.rewards import Outcome, Reward, RewardConfig, group_rewards
from vt_env.samples import Sample
from vt_env.sources import Source, open_source
from vt_env.task import Task, make_task
from vt_env.tokens import TokenCounter, token_counter
from vt_env.tools import Tool, ToolError, register_tool

register(
    id="VisionThink-v0",
    entry_point="vt_env.env:VisionThinkEnv",
    vector_entry_point="vt_env.vector:VisionThinkVectorEnv",
)
register(id="VisionThinkDiscrete-v0", entry_point="vt_env.discrete:make_discrete")

__all__ = [
    "Action",
    "ActionError",
    "Answer",
    "ConfigError",
    "DataError",
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
    "Reward",
    "RewardConfig",
    "Sample",
    "Source",
    "Task",
    "TokenCounter",
    "Tool",
    "ToolCall",
    "ToolError",
    "Verdict",
    "View",
    "VisionThinkError",
    "group_rewards",
    "make_judge",
    "make_protocol",
    "make_task",
    "open_source",
    "parse",
    "register_tool",
    "token_counter",
]
