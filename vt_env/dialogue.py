"""One rollout in progress: the state machine behind every environment and trainer.

A dialogue knows no Gymnasium, no judge and no reward. It turns a policy's texts into views,
messages and, at the end, a query for a judge and an outcome for the rewards.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from vt_env.actions import Action, Answer, Malformed, NoTurn, ToolCall, calls
from vt_env.calls import (
    Done,
    ToolFailure,
    asking_turn,
    carry_out,
    gains,
    over_budget,
    said_of,
    said_of_budget,
)
from vt_env.errors import PictureError
from vt_env.judges.base import Query, Verdict
from vt_env.outcomes import Outcome
from vt_env.pictures import Picture, View
from vt_env.prompts import Block, block_text
from vt_env.protocol import Protocol
from vt_env.regions import Box, Region
from vt_env.samples import Sample
from vt_env.tools import Budget, Scene, ToolError

Message = dict[str, Any]
"""``{"role": …, "content": [blocks]}``; pictures are marks, and stand in :attr:`Dialogue.views`."""


class Dialogue:
    """One conversation about the pictures of a sample, of which most have one.

    Attributes:
        id: This rollout's own, of no other; copies that go on with it keep it.
        protocol: Its rules.
        sample: What is asked.
        pictures: The source pictures; siblings of a group share them.
        place: Of the rollout among those of its group, from 0.
        messages: The conversation in chat format.
        views: The pictures shown, in the order of their marks in ``messages``.
        actions: What each turn of the policy was read as.
        flaws: Every rule of the format that was broken, over all turns.
        shown_tokens: Visual tokens of what was shown before each turn of the policy.
        full_tokens: Visual tokens of the original pictures, shown once.
        new: How many of the views the last step showed.
        futile: Whether a request brought no more visual tokens for what it shows than there were.
        calls: Calls that were made, and of them those that ``failed``, and those that were
            ``repeated``: the same call once more, or one that shows a view once more.
        answer: The answer; ``None`` until there is one, and for good if there never is.
        over: Which budget a call went over, which ended it; empty if none did.
        failure: Why it was given up; empty if it was not.
        done: Whether it is over.
    """

    def __init__(
        self,
        protocol: Protocol,
        sample: Sample,
        pictures: Picture | Sequence[Picture],
        place: int = 0,
    ) -> None:
        """Show the first views.

        Raises:
            PictureError: If a picture is refused; the error names the sample.
        """
        self.id = uuid.uuid4().hex
        self.protocol = protocol
        self.sample = sample
        self.pictures = (pictures,) if isinstance(pictures, Picture) else tuple(pictures)
        self.place = place
        self.messages: list[Message] = protocol.opening(sample.question, len(self.pictures))
        self.views: list[View] = []
        self.actions: list[Action] = []
        self.flaws: list[str] = []
        self.shown_tokens: list[int] = []
        self.new = 0
        self.futile = False
        self.calls = self.failed = self.repeated = 0
        self._asked: set[str] = set()
        self.answer: str | None = None
        self.over = ""
        self.failure = ""
        self.done = False
        try:
            self.full_tokens = sum(protocol.tokens.count(*p.size) for p in self.pictures)
            first = [protocol.first_view(picture) for picture in self.pictures]
            self._show(first, [protocol.tokens.count(*view.size) for view in first])
        except PictureError as error:
            raise error.about(sample.id) from error

    @property
    def picture(self) -> Picture:
        """The first source picture, the only one of most samples."""
        return self.pictures[0]

    @property
    def partly_shown(self) -> str:
        """What of the sample's files is not shown, such as further pages; empty where all is."""
        return "; ".join(picture.notice for picture in self.pictures if picture.notice)

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of all views shown."""
        return sum(self.shown_tokens)

    @property
    def new_image(self) -> bool:
        """Whether the last step showed a view."""
        return self.new > 0

    @property
    def new_views(self) -> Sequence[View]:
        """The views that the last step showed."""
        return self.views[len(self.views) - self.new :]

    @property
    def truncated(self) -> bool:
        """Whether it ended because a budget did, and not because the policy ended it."""
        return bool(self.over)

    @property
    def scene(self) -> Scene:
        """What a tool that is called in the coming turn has before it."""
        return self._scene(self.protocol.budget(self.turn + 1, self.views, self.visual_tokens))

    @property
    def rollout(self) -> str:
        """Names the rollout: the sample, and its place in the group."""
        return f"{self.sample.id}#{self.place}"

    @property
    def turn(self) -> int:
        """Turns that the policy has taken."""
        return len(self.actions)

    @property
    def requested(self) -> bool:
        """Whether a call brought a view."""
        return len(self.views) > len(self.pictures)

    @property
    def can_request(self) -> bool:
        """Whether a call in the coming turn can still be carried out."""
        left = self.scene.budget
        room = 0 not in (left.pictures, left.visual_tokens)
        return bool(self.protocol.tools) and left.turns > 0 and room

    def ask(self, region: Region, thought: str = "") -> str:
        """The coming turn that asks for a region, in the protocol's own words.

        Raises:
            ToolError: If none of its tools can show it.
        """
        return asking_turn(self.protocol, self.scene, region, thought)

    @property
    def text(self) -> str:
        """What the environment said last; empty once it is over."""
        return "" if self.done else block_text(self.messages[-1]["content"])

    def fork(self) -> Dialogue:
        """The same rollout so far, which goes on without changing this one."""
        made = copy.copy(self)
        made.messages, made.views = list(self.messages), list(self.views)
        made.actions, made.flaws = list(self.actions), list(self.flaws)
        made.shown_tokens, made._asked = list(self.shown_tokens), set(self._asked)
        return made

    def apply(self, turn: str | NoTurn) -> Action:
        """Take one turn of the policy.

        Args:
            turn: The policy's text, exactly as it was generated; or why there is none, which ends
                the dialogue unscored.

        Returns:
            What it was read as.

        Raises:
            RuntimeError: If the dialogue is over.
            Exception: What a tool raised, if the protocol is strict; see
                :func:`vt_env.calls.carry_out`.
        """
        if self.done:
            raise RuntimeError("the dialogue is over; begin a new one")
        if isinstance(turn, NoTurn):
            self.actions.append(Malformed(turn.reason))
            self.failure, self.new, self.done = turn.reason, 0, True
            return self.actions[-1]
        action = self.protocol.grammar.read(turn)
        self.messages.append({"role": "assistant", "content": [{"type": "text", "text": turn}]})
        self.actions.append(action)
        self.flaws.extend(action.flaws)
        self.new = 0
        if isinstance(action, Answer):
            self.answer = action.text
            self.done = True
        elif calls(action) and self.turn < self.protocol.max_turns:
            self._answer_calls(action)
        else:
            if calls(action):
                self._end_over("a call in the last turn")
            self.done = True
        return action

    def _answer_calls(self, action: Action) -> None:
        """Show what was asked for, or say why not. What goes over a budget is not shown at all."""
        made = list(action.calls) if isinstance(action, ToolCall) else [action]
        shown, tokens, said = list(self.views), self.visual_tokens, list[list[Block]]()
        each: list[int] = []
        futile = True
        for call in made:
            left = self.protocol.budget(self.turn, shown, tokens)
            self.calls += 1
            try:
                if not isinstance(call, ToolCall):
                    raise ToolError(action.flaws[0])
                done = carry_out(self.protocol, call, self._scene(left, shown))
            except ToolError as error:
                self.failed += 1
                if not isinstance(error, ToolFailure):
                    self.flaws.append(str(error))
                told = {**said_of_budget(left), "tool": getattr(call, "name", "")}
                said.append(self.protocol.prompt.error_blocks(str(error), told))
                continue
            if went_over := over_budget(left, done):
                self._end_over(went_over)
                return
            self.repeated += self._repeats(done, shown)
            futile = futile and not gains(done, shown, self.protocol.tokens)
            first = len(shown)
            shown += done.result.views
            each += done.tokens
            tokens += sum(done.tokens)
            said += self._told(done, first, self.protocol.budget(self.turn, shown, tokens))
        if len(shown) > len(self.views):
            self.futile = futile
        self._show(shown[len(self.views) :], each)
        self._say(said)

    def _told(self, done: Done, first: int, left: Budget) -> list[list[Block]]:
        """What is said of a call that was carried out, view by view."""
        prompt, budget = self.protocol.prompt, said_of_budget(left)
        called = partial(self.protocol.called, len(self.pictures))
        places = range(len(done.result.views))
        told = [said_of(done, place, first, called(first + place)) for place in places]
        said = [prompt.result_blocks({**budget, **values}) for values in told]
        if done.result.text and not (said and prompt.tells_text):
            text = {**budget, "tool": done.call.name, "text": done.result.text}
            said.insert(0, prompt.text_blocks(text))
        return said

    def _end_over(self, budget: str) -> None:
        """End because a call went over a budget."""
        self.flaws.append(budget)
        self.over = budget if self.protocol.tools else ""
        self.done = True

    def _scene(self, left: Budget, shown: Sequence[View] | None = None) -> Scene:
        views = self.views if shown is None else shown
        protocol, box, first = self.protocol, self.sample.answer_box, self.pictures[0]
        target = box and Region(0, box.whole().within(Box.of(first.size)), first.size)
        return Scene(self.pictures, tuple(views), protocol.tokens, left, protocol.rules, target)

    def _repeats(self, done: Done, shown: Sequence[View]) -> bool:
        """Whether a call was made before, or shows a view that was shown before."""
        asked = json.dumps([done.call.name, dict(done.call.arguments)], sort_keys=True)
        known = asked in self._asked
        self._asked.add(asked)
        old = [(view.region, view.size) for view in shown if view.region]
        return known or any((view.region, view.size) in old for view in done.result.views)

    def _show(self, views: Sequence[View], tokens: Sequence[int]) -> None:
        self.views += views
        self.shown_tokens.append(sum(tokens))
        self.new = len(views)

    def _say(self, said: Sequence[list[Block]]) -> None:
        """One turn of the environment's, from what is said of each view or call."""
        blocks: list[Block] = []
        for part in said:
            if blocks:
                blocks.append({"type": "text", "text": "\n"})
            blocks += part
        left = self.protocol.budget(self.turn, self.views, self.visual_tokens)
        blocks += self.protocol.prompt.after_blocks(said_of_budget(left))
        self.messages.append({"role": "user", "content": blocks})

    def query(self) -> Query | None:
        """What a judge is asked once it is over; ``None`` if there is no answer to judge."""
        if self.answer is None:
            return None
        sample = self.sample
        return Query(
            sample.question, sample.references, self.answer, sample.answer_type, sample.choices
        )

    def no_answer(self) -> Verdict:
        """The verdict where there is nothing to judge.

        It is unscored if it was given up, or went over a budget and the protocol leaves such
        rollouts out; else it is wrong.
        """
        if self.failure:
            return Verdict(None, "protocol", f"no turn: {self.failure}")
        if self.over and self.protocol.over_budget == "unscored":
            return Verdict(None, "protocol", f"over budget: {self.over}")
        reason = self.flaws[-1] if self.flaws else "no turn was taken"
        return Verdict(False, "protocol", f"no answer: {reason}")

    def outcome(self, verdict: Verdict) -> Outcome:
        """What the rewards need to know."""
        asked = [view.region for view in self.views[len(self.pictures) :] if view.region]
        return Outcome(
            correct=verdict.correct,
            well_formed=not self.flaws,
            requested=self.requested,
            visual_tokens=self.visual_tokens,
            full_tokens=self.full_tokens,
            score=verdict.score,
            truncated=self.truncated,
            calls=self.calls,
            failed_calls=self.failed,
            repeated_calls=self.repeated,
            regions=tuple(asked),
            found=_found(self.sample.answer_box, asked),
            tokens_by_turn=tuple(self.shown_tokens),
        )


def _found(box: Box | None, asked: Sequence[Region]) -> float | None:
    """The largest share of a box in the first picture that one of the views shows."""
    if box is None:
        return None
    shares = [box.within(seen.box).area / box.area for seen in asked if seen.picture == 0]
    return max(shares, default=0.0)
