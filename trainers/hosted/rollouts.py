"""Rollouts that a library asks for, one call each: played, judged with their siblings, rewarded.

A rollout is played turn by turn and token by token, see :mod:`agents.models.engine`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from agents import Episode, Reply
from agents.judging.usage import total
from agents.llm import FailureWatch, share_requests
from agents.models import VisionLanguageModel
from agents.models.loading import load_processor
from agents.models.transcript import Transcript, reply_of
from agents.rollout import TokenMismatch
from trainers.data import task_of
from trainers.episodes import FAILURES_OVER, begun, episode_of, has_failed
from trainers.errors import TrainingError
from trainers.hosted.run import HostedRun
from trainers.probes import probe_starts
from vt_env.dialogue import Dialogue
from vt_env.errors import PictureError
from vt_env.pictures import View
from vt_env.rewards import RewardConfig, group_rewards
from vt_env.task import Task

logger = logging.getLogger(__name__)

Generate = Callable[[Transcript, Sequence[View], int], Awaitable[tuple[list[int], list[float]]]]
"""Asks an engine for a turn: the prompt, all views, the most tokens it may generate. Gives the
tokens it generated and their log-probabilities, none where they are not known. A TokenMismatch
stops the run; whatever else it raises costs this rollout."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout whose dialogue is over.

    Attributes:
        dialogue: The dialogue.
        replies: The policy's turns.
    """

    dialogue: Dialogue
    replies: list[Reply]


async def play_turns(
    processor: VisionLanguageModel,
    dialogue: Dialogue,
    generate: Generate,
    start: Sequence[int] = (),
    *,
    max_new_tokens: int,
    max_length: int,
    log_probs: bool = False,
) -> Rollout:
    """Play all turns of one rollout.

    Where the engine gives no turn, the rollout is given up there, unscored. The end of a turn
    stands in the turn's place, since no library takes an empty one; nothing is learnt from it.

    Args:
        processor: The policy's.
        dialogue: What is played.
        generate: The engine.
        start: Tokens that the first turn is made to begin with, if it could ask.
        max_new_tokens: Tokens that a turn may have.
        max_length: Tokens that the whole rollout may have.
        log_probs: Whether the engine tells them; then a turn that it does not give has zeros.

    Raises:
        TrainingError: If tokens do not agree, or there is no room for a turn.
    """
    transcript, replies = Transcript(), list[Reply]()
    forced, sample = start if dialogue.can_request else (), f"sample {dialogue.sample.id!r}"
    while not dialogue.done:
        prompt = transcript.prompt(processor, dialogue.messages, dialogue.views)
        transcript.ids += forced
        room = min(max_new_tokens - len(forced), max_length - len(transcript.ids))
        if room < 1:
            raise TrainingError(
                f"{sample} has {len(transcript.ids)} tokens before turn {dialogue.turn + 1}, of "
                f"{max_length}: raise the trainer's max_length"
            )
        try:
            tokens, known = await generate(transcript, dialogue.views, room)
        except TokenMismatch as error:
            raise TrainingError(f"{sample}: {error}") from error
        except Exception as error:  # of no one type: every engine has its own
            failure = f"{type(error).__name__}: {error}"
            logger.warning("%s has no turn %d: %s", sample, dialogue.turn + 1, failure)
            said = (*forced, min(processor.stop_ids))
            zeros = (0.0,) * len(said) if log_probs else None
            reply = Reply("", tuple(prompt), said, zeros, forced=len(forced), failure=failure)
        else:
            known = [0.0] * len(forced) + known if known else []
            reply = reply_of(processor, prompt, [*forced, *tokens], known, forced=len(forced))
            transcript.add_turn(reply.text, tokens)
        replies.append(reply)
        forced = ()
        await asyncio.to_thread(dialogue.apply, reply.action)
    features = sum(processor.count(view) for view in dialogue.views)
    if features != (marks := transcript.ids.count(processor.image_id)):
        raise TrainingError(f"{sample}: {marks} image tokens for {features} features")
    return Rollout(dialogue, replies)


def refusing(error: PictureError) -> Generate:
    """In the place of an engine, where the picture is refused that it would be asked about."""

    async def generate(*_: object) -> tuple[list[int], list[float]]:
        raise error

    return generate


MEASURED = RewardConfig(penalty="none")
"""The reward of an evaluation: what a policy can do, without what steers its training."""


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout with its reward, and what stands in its place where it has none.

    Attributes:
        episode: The rollout; a reward of ``None`` is unscored.
        views: The pictures that it was played with.
        reward: Its reward. An unscored one shows the mean of its scored siblings, which leaves
            their mean where it is; the trainer trains on none of its tokens.
        accuracy: Likewise.
        spread: Largest less smallest reward of the scored ones of its group; ``None`` without any.
    """

    episode: Episode
    views: Sequence[View]
    reward: float
    accuracy: float
    spread: float | None

    def facts(self) -> dict[str, float]:
        """What the log tells of it, by the log's names."""
        outcome = self.episode.outcome
        return {
            "rollout/request_rate": float(outcome.requested),
            "rollout/futile_requests": float(self.episode.futile),
            "rollout/tokens": float(sum(len(r.token_ids or ()) for r in self.episode.replies)),
            "env/well_formed": float(outcome.well_formed),
            "env/visual_tokens": float(outcome.visual_tokens),
            "env/unscored": float(outcome.correct is None),
            "rollout/failed": float(has_failed(self.episode)),
        }


TOGETHER = 512
"""Rollouts that a process plays at once, twice what an engine of vLLM reads at once by default:
the engine never waits, and pictures of those that wait for it are not decoded yet."""

Played = Sequence[ScoredRollout | BaseException]


@dataclass(eq=False)
class Group:
    """The rollouts of one question, which are played and judged together.

    A library asks for them by as many calls in one process, on one event loop.

    Attributes:
        played: What each rollout came to; one that failed does not hold the others up.
        engines: Who speaks in each rollout, in the order of the calls.
    """

    played: asyncio.Task[Played]
    engines: list[Generate] = field(default_factory=list[Generate])


class RolloutWorker:
    """All that one process plays.

    Attributes:
        processor: The policy's, without its weights.
        tasks: What is played, by split.
        groups: Those that are still joined.
        failures: Has an eye on the rollouts that fail.
        refusals: Likewise on the questions whose pictures are refused.

    Args:
        run: What is played, how, and what it is worth.
    """

    def __init__(self, run: HostedRun) -> None:
        self.run = run
        os.chdir(run.cwd)  # this process plays for this run alone
        share_requests(run.players)
        self.config = config = run.config
        self.processor = load_processor(run.model)
        self.tasks = {"train": task_of(config.data.train, config.environment)}
        if config.data.validation:
            self.tasks["validation"] = task_of(config.data.validation, config.environment)
        starts = probe_starts(config, self.tasks["train"].protocol)
        self.starts = [self.processor.chat.start(start) for start in starts]
        self.engine = uuid4().hex
        self.entering = asyncio.Lock()
        self.room = asyncio.Semaphore(max(TOGETHER, config.rollout.group_size))
        self.groups: dict[Hashable, Group] = {}
        self.failures = FailureWatch(config.rollout.max_failed, FAILURES_OVER)
        self.refusals = FailureWatch(config.rollout.max_failed, FAILURES_OVER)

    async def play(
        self,
        label: Mapping[str, Any],
        generate: Generate,
        *,
        group: Hashable,
        max_length: int,
        log_probs: bool,
    ) -> ScoredRollout:
        """Play one rollout, together with its siblings.

        Args:
            label: ``split`` and ``id`` of the sample, and whether its pictures are to be ``shown``.
            generate: The engine.
            group: What its siblings give too, and no other rollout in flight.
            max_length: Tokens that the whole rollout may have.
            log_probs: Whether the engine tells log-probabilities.

        Raises:
            TrainingError: If tokens do not agree, there is no room for a turn, not all siblings
                came at the same time, or too many rollouts fail or pictures are refused.
        """
        if group not in self.groups:
            playing = asyncio.create_task(self._play_group(group, label, max_length, log_probs))
            self.groups[group] = Group(playing)
        siblings = self.groups[group]
        place = len(siblings.engines)
        siblings.engines.append(generate)
        made = (await asyncio.shield(siblings.played))[place]
        if isinstance(made, BaseException):
            raise made
        return made

    async def _play_group(
        self, key: Hashable, label: Mapping[str, Any], max_length: int, log_probs: bool
    ) -> Played:
        """Play, judge and reward the rollouts that have entered by now."""
        await asyncio.sleep(0)  # all siblings enter before any goes on
        engines = self.groups.pop(key).engines
        training = label["split"] == "train"
        if training and len(engines) != self.config.rollout.group_size:
            raise TrainingError(
                f"{len(engines)} of {self.config.rollout.group_size} rollouts of a prompt met in a "
                "process; the penalty needs all of them together: is this another version of the "
                "library, or another number of rollouts than rollout.group_size?"
            )
        task = self.tasks[label["split"]]
        forced = self.starts if training or self.config.rollout.arm else []
        starts = [*forced, *[()] * len(engines)]

        async def played(dialogue: Dialogue, generate: Generate, start: Sequence[int]) -> Rollout:
            made = await play_turns(
                self.processor,
                dialogue,
                generate,
                start,
                max_new_tokens=self.config.rollout.max_new_tokens,
                max_length=max_length,
                log_probs=log_probs,
            )
            task.start_judging([dialogue])
            return made

        async with self._room_for(len(engines)):
            sample = task.source.by_id(label["id"])
            dialogues, refused = await asyncio.to_thread(begun, task, sample, len(engines))
            if refused:
                engines = [refusing(refused)] * len(engines)
            rollouts = await asyncio.gather(
                *map(played, dialogues, engines, starts), return_exceptions=True
            )
        whole = {at: r for at, r in enumerate(rollouts) if isinstance(r, Rollout)}
        self._note(str(refused or ""), [rollout.replies[-1].failure for rollout in whole.values()])
        reward = self.config.reward if training else MEASURED
        scored = await asyncio.to_thread(_scored, task, whole, reward, label["shown"])
        if usages := [t.judge.usage for t in self.tasks.values() if t.judge.usage is not None]:
            self.run.write_judge_usage(self.engine, total(usages))
        return [scored[at] if isinstance(r, Rollout) else r for at, r in enumerate(rollouts)]

    def _note(self, refused: str, failures: Sequence[str]) -> None:
        """Take note of a question's picture, and of its rollouts.

        A refused picture is one failure and not one for each rollout, and none of the engine's.

        Raises:
            TrainingError: If too many fail.
        """
        reason = self.refusals.too_many([refused], "questions")
        if not refused:
            reason = reason or self.failures.why_stop(failures, "rollouts")
        if reason:
            raise TrainingError(reason)

    @asynccontextmanager
    async def _room_for(self, rollouts: int) -> AsyncIterator[None]:
        """Wait until so many more may be played; groups enter whole, one after the other."""
        async with self.entering:
            for _ in range(rollouts):
                await self.room.acquire()
        try:
            yield
        finally:
            for _ in range(rollouts):
                self.room.release()


def flattened(
    replies: Sequence[Reply],
) -> tuple[list[int], list[tuple[int, int]], list[float] | None]:
    """The turns as one sequence.

    Returns:
        All tokens; where each turn of the policy begins and ends in them; the tokens'
        log-probabilities (0 for those that were read), or ``None`` where not all are known.
    """
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    log_probs: list[float] = []
    for reply in replies:
        prompt_ids, generated = reply.prompt_ids or (), reply.token_ids or ()
        tokens += prompt_ids
        ranges.append((len(tokens), len(tokens) + len(generated)))
        tokens += generated
        log_probs += [*[0.0] * len(prompt_ids), *(reply.log_probs or ())]
    return tokens, ranges, log_probs if len(log_probs) == len(tokens) else None


def _scored(
    task: Task, played: Mapping[int, Rollout], config: RewardConfig, shown: bool
) -> dict[int, ScoredRollout]:
    """Judge and reward the rollouts of a group that did not fail."""
    places = list(played)
    dialogues = [played[place].dialogue for place in places]
    verdicts = task.judge_all(dialogues)
    outcomes = [d.outcome(v) for d, v in zip(dialogues, verdicts, strict=True)]
    rewards = group_rewards(outcomes, config)
    known = [r.total for r in rewards if r.total is not None]
    spread = max(known) - min(known) if known else None
    reward = _mean(known)
    accuracy = _mean([o.correct for o in outcomes])
    made: dict[int, ScoredRollout] = {}
    for place, d, verdict, outcome, terms in zip(
        places, dialogues, verdicts, outcomes, rewards, strict=True
    ):
        views = [_thumbnail(view) for view in d.views] if shown else ()
        episode = episode_of(d, played[place].replies, verdict, terms, views)
        made[place] = ScoredRollout(
            episode,
            d.views,
            reward=reward if terms.total is None else terms.total,
            accuracy=accuracy if outcome.correct is None else float(outcome.correct),
            spread=spread,
        )
    return made


def _mean(values: Sequence[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _thumbnail(view: View) -> View:
    """A view that may travel: at most 512 pixels wide and high."""
    image = view.image.copy()
    image.thumbnail((512, 512))
    return View(image, view.method)
