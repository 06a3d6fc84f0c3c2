"""A session: OpenEnv's environment around ``VisionThinkEnv``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from gymnasium.error import ResetNeeded
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import EnvironmentMetadata

from trainers.openenv.messages import (
    VisionThinkAction,
    VisionThinkObservation,
    VisionThinkState,
)
from trainers.openenv.pictures import SharedTask
from vt_env.env import Observation, VisionThinkEnv
from vt_env.errors import DataError, PictureError
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
        step_s: Seconds that a reset or a step may take.
        workers: Where they run.
    """

    task: SharedTask
    reward: RewardConfig
    order: str
    step_s: float
    workers: Executor


class _Unseen(VisionThinkEnv):
    """The plain environment without arrays of pixels, which nobody here looks at."""

    def _observation(self) -> Observation:
        return {}


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
        self.env = _Unseen(shared.task, reward=shared.reward, order=shared.order)
        self.episode_id: str | None = None
        self._running: Future[VisionThinkObservation] | None = None
        self._shown = 0

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **options: Any
    ) -> VisionThinkObservation:
        """Begin an episode.

        Args:
            seed: Seeds the choice of samples.
            episode_id: What the state calls it; a new name by default.
            options: ``sample_id`` or ``index`` chooses the sample.

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
        """Take one turn.

        Args:
            action: The turn.
            timeout_s: Not used: the server's own limit holds.
            unused: What OpenEnv may add.

        Raises:
            SessionError: Before the first reset, after an episode's end, and after a reset or a
                step that took too long.
        """
        if self.episode_id is None:
            raise SessionError("there is no episode; call reset() first")
        try:
            _, _, done, _, info = self.env.step(action.text)
        except ResetNeeded as error:
            raise SessionError(str(error)) from error
        return self._observed(info, done)

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, **options: Any
    ) -> VisionThinkObservation:
        """As :meth:`reset`, in the time that is allowed."""
        return await self._in_time(partial(self.reset, seed, episode_id, **options))

    async def step_async(
        self, action: VisionThinkAction, timeout_s: float | None = None, **unused: Any
    ) -> VisionThinkObservation:
        """As :meth:`step`, in the time that is allowed."""
        return await self._in_time(partial(self.step, action))

    async def _in_time(self, work: Callable[[], VisionThinkObservation]) -> VisionThinkObservation:
        if self._running is not None and not self._running.done():
            raise SessionError("what took too long still runs; try again later, or connect anew")
        limit = self.shared.step_s
        self._running = self.shared.workers.submit(work)
        waiting = asyncio.wrap_future(self._running)
        _done, late = await asyncio.wait({waiting}, timeout=limit)
        if late:
            self._running.cancel()
            self._running.add_done_callback(self._abandon)
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

    def _abandon(self, _: Future[VisionThinkObservation]) -> None:
        """Forget the episode whose reply nobody got, when its work has ended."""
        self.episode_id = None

    def _observed(self, info: dict[str, Any], done: bool = False) -> VisionThinkObservation:
        dialogue = self.env.dialogue
        new, self._shown = dialogue.views[self._shown :], len(dialogue.views)
        terms, verdict = info.get("reward_terms"), info.get("verdict")
        return VisionThinkObservation(
            done=done,
            reward=terms.total if terms else None,
            sample_id=dialogue.sample.id,
            question=dialogue.sample.question,
            text=dialogue.text,
            messages=info["messages"],
            picture=self.shared.task.kept.text(new[-1]) if new else None,
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
        playing = self.episode_id is not None
        return VisionThinkState(
            episode_id=self.episode_id,
            step_count=self.env.dialogue.turn if playing else 0,
            sample_id=self.env.dialogue.sample.id if playing else None,
            samples=len(self.shared.task.source),
            protocol={
                "factor": protocol.factor,
                "max_turns": protocol.max_turns,
                "tools": [tool.name for tool in protocol.tools],
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
