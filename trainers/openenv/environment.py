"""A session: OpenEnv's environment around ``VisionThinkEnv``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from gymnasium.error import ResetNeeded
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import EnvironmentMetadata

from trainers.openenv.messages import (
    PIXEL_LIMIT,
    VisionThinkAction,
    VisionThinkObservation,
    VisionThinkState,
)
from trainers.openenv.pictures import SharedTask
from trainers.openenv.threads import Busy, Threads
from vt_env.env import VisionThinkEnv
from vt_env.errors import ConfigError, DataError, PictureError
from vt_env.rewards import RewardConfig

LOG = logging.getLogger("vt.serve")


class SessionError(RuntimeError):
    """What a client is told; nothing else that goes wrong leaves the server."""


@dataclass(frozen=True)
class Shared:
    """What all sessions have in common.

    Attributes:
        task: Data, rules, judge.
        reward: Weights; no penalty that needs a group.
        order: In which samples come, ``random`` or ``sequential``, in each session.
        step_s: Seconds that a reset may take, and a step beside its judgement.
        workers: Where they run.
    """

    task: SharedTask
    reward: RewardConfig
    order: str
    step_s: float
    workers: Threads


class VisionThinkEnvironment(
    Environment[VisionThinkAction, VisionThinkObservation, VisionThinkState]
):
    """One session: one episode at a time.

    Its errors are :class:`SessionError`, whose sentence OpenEnv sends to the client; the session
    goes on. What is not meant for clients is logged, and they are told that there is a log.

    Args:
        shared: What all sessions have in common.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.shared = shared
        self.env = VisionThinkEnv(shared.task, reward=shared.reward, order=shared.order)
        self.episode_id: str | None = None
        self._running: Future[VisionThinkObservation] | None = None
        self._late = False
        self._shown = 0

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **options: Any
    ) -> VisionThinkObservation:
        """Begin an episode; see :class:`~trainers.openenv.messages.ResetOptions`.

        Raises:
            SessionError: If there is no such sample, or its picture is refused.
        """
        self.episode_id, self._shown = None, 0
        chosen = {name: value for name, value in options.items() if value is not None}
        try:
            _, info = self.env.reset(seed=seed, options=chosen)
        except PictureError as error:
            LOG.warning("reset: %s", error)
            whose = f"sample {error.sample_id!r}" if error.sample_id else "this sample"
            raise SessionError(
                f"the picture of {whose} is refused; the server's log says why. Choose another"
            ) from error
        except ConfigError as error:
            raise SessionError(str(error)) from error
        except (DataError, IndexError) as error:
            number = len(self.shared.task.source)
            raise SessionError(
                f"there is no sample {chosen!r:.200}; index goes from 0 to {number - 1}"
            ) from error
        self.episode_id = episode_id or uuid4().hex
        return self._observed(info)

    def step(
        self, action: VisionThinkAction, timeout_s: float | None = None, **unused: Any
    ) -> VisionThinkObservation:
        """Take one turn; the server's own limit of time holds.

        Raises:
            SessionError: Before the first reset, after an episode's end, and after a reset or a
                step that took too long.
        """
        if self.episode_id is None:
            raise SessionError("there is no episode; call reset() first")
        try:
            _, _, terminated, truncated, info = self.env.step(action.text)
        except ResetNeeded as error:
            raise SessionError(str(error)) from error
        return self._observed(info, terminated or truncated)

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, **options: Any
    ) -> VisionThinkObservation:
        """As :meth:`reset`, in the time that is allowed."""
        limit = self.shared.step_s
        return await self._in_time(partial(self.reset, seed, episode_id, **options), limit)

    async def step_async(
        self, action: VisionThinkAction, timeout_s: float | None = None, **unused: Any
    ) -> VisionThinkObservation:
        """As :meth:`step`, in the time that is allowed: the judge has as much for itself."""
        return await self._in_time(partial(self.step, action), 2 * self.shared.step_s)

    async def _in_time(
        self, work: Callable[[], VisionThinkObservation], limit: float
    ) -> VisionThinkObservation:
        if self._running is not None and not self._running.done():
            raise SessionError("what took too long still runs; try again later, or connect anew")
        if self._late:  # the episode whose reply nobody got
            self.episode_id, self._late = None, False
        try:
            self._running = self.shared.workers.submit(work)
        except Busy as error:
            LOG.warning("no thread for a session: %s", error)
            raise SessionError("the server is busy with work that does not end") from error
        waiting = asyncio.wrap_future(self._running)
        _done, late = await asyncio.wait({waiting}, timeout=limit)
        if late:
            self._late = True
            waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            LOG.warning("a reset or a step took longer than %g s", limit)
            raise SessionError(f"not done after {limit:g} s, so the episode is lost; call reset()")
        try:
            return waiting.result()
        except SessionError:
            raise
        except Exception as error:
            self.episode_id = None
            LOG.exception("a session failed")
            raise SessionError(
                "the server failed, and its log says why; the episode is lost; call reset()"
            ) from error

    def _observed(self, info: dict[str, Any], done: bool = False) -> VisionThinkObservation:
        dialogue = self.env.dialogue
        new, self._shown = dialogue.views[self._shown :], len(dialogue.views)
        if (pixels := sum(view.size[0] * view.size[1] for view in new)) > PIXEL_LIMIT:
            self.episode_id = None
            raise SessionError(
                f"this turn shows {len(new)} pictures of {pixels:,} pixels, and a message carries "
                f"{PIXEL_LIMIT:,}: the episode is lost; play it without a server"
            )
        terms, verdict = info.get("reward_terms"), info.get("verdict")
        return VisionThinkObservation(
            done=done,
            reward=terms.total if terms else None,
            sample_id=dialogue.sample.id,
            question=dialogue.sample.question,
            text=dialogue.text,
            messages=info["messages"],
            pictures=[self.shared.task.kept.text(view) for view in new],
            turn=dialogue.turn,
            can_request=dialogue.can_request and not done,
            visual_tokens=dialogue.visual_tokens,
            full_visual_tokens=dialogue.full_tokens,
            futile_request=dialogue.futile,
            flaws=list(dialogue.flaws),
            outcome=info.get("outcome"),
            terms=terms,
            judge=verdict.judge if verdict else None,
        )

    @property
    def state(self) -> VisionThinkState:
        """What the session is, without the answers."""
        protocol = self.shared.task.protocol
        playing = self.episode_id is not None and not self._late
        return VisionThinkState(
            episode_id=self.episode_id,
            step_count=self.env.dialogue.turn if playing else 0,
            sample_id=self.env.dialogue.sample.id if playing else None,
            samples=len(self.shared.task.source),
            protocol={
                "factor": protocol.factor,
                "max_turns": protocol.max_turns,
                "tools": [tool.name for tool in protocol.tools],
                "ends": list(protocol.grammar.ends),
            },
            reward=asdict(self.shared.reward),
        )

    def get_metadata(self) -> EnvironmentMetadata:
        """What ``/metadata`` says."""
        return EnvironmentMetadata(
            name="VisionThink-v0",
            description="A policy looks at a shrunk picture first and asks for the original only "
            "when it needs it.",
        )
