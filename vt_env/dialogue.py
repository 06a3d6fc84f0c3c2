"""One rollout in progress: the state machine behind every environment and trainer.

A dialogue knows no Gymnasium, no judge and no reward. It turns a policy's texts into views,
messages and, at the end, a query for a judge and an outcome for the rewards.
"""

from __future__ import annotations

from typing import Any

from vt_env.actions import Action, Answer, ToolCall, calls, parse
from vt_env.errors import PictureError
from vt_env.judges.base import Query, Verdict
from vt_env.pictures import Picture, View
from vt_env.prompts import Block, block_text
from vt_env.protocol import Protocol
from vt_env.rewards import Outcome
from vt_env.samples import Sample
from vt_env.tools import ToolError, argument_error

Message = dict[str, Any]
"""``{"role": …, "content": [blocks]}``; pictures are marks, and stand in :attr:`Dialogue.views`."""


class Dialogue:
    """One conversation about one picture.

    Attributes:
        protocol: Its rules.
        sample: What is asked.
        picture: The source picture; siblings of a group share one.
        messages: The conversation in chat format.
        views: The pictures shown, in the order of their marks in ``messages``.
        actions: What each turn of the policy was read as.
        flaws: Every rule of the format that was broken, over all turns.
        visual_tokens: Visual tokens of all views shown.
        full_tokens: Visual tokens of the original picture, shown once.
        new_image: Whether the last step showed a view.
        futile: Whether a request brought no more visual tokens than the view before it had.
        answer: The answer; ``None`` until there is one, and for good if there never is.
        done: Whether it is over.
    """

    def __init__(self, protocol: Protocol, sample: Sample, picture: Picture) -> None:
        """Show the first view.

        Raises:
            PictureError: If the picture is refused; the error names the sample.
        """
        self.protocol = protocol
        self.sample = sample
        self.picture = picture
        self.messages: list[Message] = protocol.opening(sample.question)
        self.views: list[View] = []
        self.actions: list[Action] = []
        self.flaws: list[str] = []
        self.visual_tokens = 0
        self.new_image = True
        self.futile = False
        self.answer: str | None = None
        self.done = False
        try:
            self.full_tokens = protocol.tokens.count(*picture.size)
            self._show(picture.shrunk(protocol.factor))
        except PictureError as error:
            raise error.about(sample.id) from error

    @property
    def turn(self) -> int:
        """Turns that the policy has taken."""
        return len(self.actions)

    @property
    def requested(self) -> bool:
        """Whether a call brought a second view."""
        return len(self.views) > 1

    @property
    def can_request(self) -> bool:
        """Whether a call in the coming turn can still be carried out."""
        return bool(self.protocol.tools) and self.turn + 1 < self.protocol.max_turns

    @property
    def text(self) -> str:
        """What the environment said last; empty once it is over."""
        return "" if self.done else block_text(self.messages[-1]["content"])

    def apply(self, turn: str) -> Action:
        """Take one turn of the policy.

        Args:
            turn: The policy's text, exactly as it was generated.

        Returns:
            What it was read as.

        Raises:
            RuntimeError: If the dialogue is over.
            PictureError: If the original is refused only when it is asked for.
        """
        if self.done:
            raise RuntimeError("the dialogue is over; begin a new one")
        action = parse(turn)
        self.messages.append({"role": "assistant", "content": [{"type": "text", "text": turn}]})
        self.actions.append(action)
        self.flaws.extend(action.flaws)
        self.new_image = False
        if isinstance(action, Answer):
            self.answer = action.text
            self.done = True
        elif calls(action) and self.turn < self.protocol.max_turns:
            self._answer_call(action)
        else:
            if calls(action):
                self.flaws.append("a call in the last turn")
            self.done = True
        return action

    def _answer_call(self, action: Action) -> None:
        """Show what was asked for, or say why not."""
        try:
            view = self._carry_out(action)
        except ToolError as error:
            self.flaws.append(str(error))
            self._say(self.protocol.prompt.error_blocks(str(error)))
            return
        before = self.protocol.tokens.count(*self.views[-1].size)
        self.futile = self._show(view) <= before
        self._say(self.protocol.prompt.result_blocks())

    def _carry_out(self, action: Action) -> View:
        if not isinstance(action, ToolCall):
            raise ToolError(action.flaws[0])
        tool = self.protocol.tool(action.name)
        if tool is None:
            known = ", ".join(t.name for t in self.protocol.tools) or "none"
            raise ToolError(f"there is no tool {action.name!r:.60}; the tools are: {known}")
        if problem := argument_error(tool.parameters, action.arguments):
            raise ToolError(problem)
        try:
            return tool.apply(self.picture, self.views, action.arguments)
        except PictureError as error:  # a first look by draft mode does not read the whole file
            raise error.about(self.sample.id) from error

    def _show(self, view: View) -> int:
        tokens = self.protocol.tokens.count(*view.size)
        self.views.append(view)
        self.visual_tokens += tokens
        self.new_image = True
        return tokens

    def _say(self, blocks: list[Block]) -> None:
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
        """The verdict where there is nothing to judge."""
        reason = self.flaws[-1] if self.flaws else "no turn was taken"
        return Verdict(False, "protocol", f"no answer: {reason}")

    def outcome(self, verdict: Verdict) -> Outcome:
        """What the rewards need to know."""
        return Outcome(
            correct=verdict.correct,
            well_formed=not self.flaws,
            requested=self.requested,
            visual_tokens=self.visual_tokens,
            full_tokens=self.full_tokens,
        )
