"""What travels between server and client, as typed messages.

A picture travels as a PNG in base64, which loses nothing, and only when it is new. References, the
kind of a question, metadata and a judge's reasons do not travel.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import base64
import io
from typing import Annotated, Any

from openenv.core.env_server.types import Action, Observation, State
from pydantic import BaseModel, ConfigDict, Field

from vt_env.pictures import Picture, PictureRules, View
from vt_env.rewards import Outcome, Reward, RewardConfig

TEXT_LIMIT = 2**18
"""Characters of a turn."""

MESSAGE_LIMIT = 2**22
"""Bytes of a message to the server: a turn of :data:`TEXT_LIMIT`, every character escaped."""

PIXEL_LIMIT = 12_845_056
"""Pixels of what is new in a message: as many as Qwen2.5-VL's checkpoints look at in a picture."""

REPLY_LIMIT = 2**26
"""Bytes of a message to the client: pictures of noise of :data:`PIXEL_LIMIT`, and words."""


class VisionThinkAction(Action):
    """One turn of the policy.

    Attributes:
        text: The turn, exactly as it was generated.
    """

    text: str = Field(max_length=TEXT_LIMIT)


class VisionThinkObservation(Observation):
    """What the environment shows and says.

    ``reward`` is ``None`` until the episode is over, and where the answer is unscored.

    Attributes:
        sample_id: Which question it is.
        question: The question in plain text.
        text: What the environment said last; empty once the episode is over.
        messages: The conversation in chat format; its n-th image mark is the n-th picture of all
            observations of the episode.
        pictures: The views that were not shown before: PNG, base64.
        turn: Turns taken so far.
        can_request: Whether a tool can still be called in the coming turn.
        visual_tokens: Of all views so far.
        full_visual_tokens: Of the original, shown once.
        futile_request: Whether a request brought no more visual tokens.
        flaws: Rules of the format that were broken so far.
        outcome: At the end: what rewards are worked out from, alone or in a group.
        terms: At the end: the terms of the reward, each ``None`` where it is unscored.
        judge: At the end: who decided.
    """

    sample_id: str
    question: str
    text: str
    messages: list[dict[str, Any]]
    pictures: list[str]
    turn: int
    can_request: bool
    visual_tokens: int
    full_visual_tokens: int
    futile_request: bool
    flaws: list[str]
    outcome: Outcome | None = None
    terms: Reward | None = None
    judge: str | None = None

    def views(self) -> list[View]:
        """The new views, decoded; ``view.image`` is a PIL picture.

        Raises:
            PictureError: If what came is no picture.
        """
        return [decoded(picture) for picture in self.pictures]


class VisionThinkState(State):
    """What a session is, beside OpenEnv's ``episode_id`` and ``step_count``.

    Attributes:
        sample_id: Of the episode in progress.
        samples: How many there are; ``reset(index=…)`` takes 0 to ``samples - 1``.
        protocol: ``factor``, ``max_turns``, the names of ``tools``, and ``ends``, the stop strings
            of a turn.
        reward: The settings of the server's :class:`~vt_env.rewards.RewardConfig`.
    """

    sample_id: str | None = None
    samples: int = 0
    protocol: dict[str, Any] = Field(default_factory=dict)
    reward: dict[str, Any] = Field(default_factory=dict)

    def reward_config(self) -> RewardConfig:
        """The server's weights and prices."""
        return RewardConfig(**self.reward)


class ResetOptions(BaseModel):
    """What a reset may say; all of it may be left out.

    Attributes:
        seed: Seeds the choice of samples.
        episode_id: What the state calls the episode.
        sample_id: Chooses the sample.
        index: Chooses the sample by its place.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    episode_id: Annotated[str, Field(max_length=255)] | None = None
    sample_id: Annotated[str, Field(max_length=4096)] | None = None
    index: Annotated[int, Field(ge=0, lt=2**63)] | None = None


def encoded(view: View) -> str:
    """A view as a PNG in base64."""
    png = io.BytesIO()
    view.image.save(png, "PNG", compress_level=1)
    return base64.b64encode(png.getbuffer()).decode("ascii")


_RULES = PictureRules(formats=("PNG",), max_pixels=PIXEL_LIMIT)


def decoded(picture: str) -> View:
    """The view of a PNG in base64, pixel for pixel.

    Raises:
        PictureError: If it is none.
    """
    return View(Picture(base64.b64decode(picture), _RULES).original.image, "shown")
