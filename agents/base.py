"""What an agent reads, what it says, and the protocol between."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vt_env.actions import NoTurn
from vt_env.dialogue import Dialogue
from vt_env.grammars import VISIONTHINK
from vt_env.pictures import Picture, View
from vt_env.regions import Region
from vt_env.samples import Sample


@dataclass(frozen=True, slots=True)
class Conversation:
    """One rollout, as the agent sees it when it is its turn.

    Attributes:
        question: The question in plain text.
        messages: The conversation in chat format; the n-th image mark is ``images[n]``.
        images: The views shown so far, oldest first.
        turn: Turns taken so far.
        can_request: Whether a tool can still be called in this turn.
        rng: This rollout's own generator, the same over its turns; it does not depend on which
            rollouts share a batch.
        sample: What is asked about, with the references. Only oracles may read it.
        rollout: The rollout's own id, the same over its turns and in every copy; by it an agent
            that is a model finds the tokens of the turns before. ``""``: there is none, and the
            conversation cannot be gone on with.
        picture: The source picture, as the environment decodes it. Only oracles may look at it.
        written: How many of the first turns somebody else wrote in the agent's place.
        ask: Writes the turn that asks for a region, with a thought, in the protocol's own words;
            ToolError where none of its tools can. ``None`` where that is not known.
        ends: Where a turn may be taken to end, though the model has not said that it does: the
            stop strings of the protocol's grammar, of which some have none.
    """

    question: str
    messages: Sequence[dict[str, Any]]
    images: Sequence[View]
    turn: int
    can_request: bool
    rng: np.random.Generator
    sample: Sample
    rollout: str = ""
    picture: Picture | None = None
    written: int = 0
    ask: Callable[[Region, str], str] | None = None
    ends: Sequence[str] = VISIONTHINK.ends

    @classmethod
    def of(cls, dialogue: Dialogue, rng: np.random.Generator) -> Conversation:
        """The view of a dialogue in progress."""
        return cls(
            question=dialogue.sample.question,
            messages=dialogue.messages,
            images=dialogue.views,
            turn=dialogue.turn,
            can_request=dialogue.can_request,
            rng=rng,
            sample=dialogue.sample,
            rollout=dialogue.id,
            picture=dialogue.picture,
            ask=dialogue.ask,
            ends=dialogue.protocol.grammar.ends,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn of an agent.

    Attributes:
        text: The turn, exactly as generated, up to a stop string where one ended it. It begins with
            what the chat template has opened of it, where a model here spoke.
        prompt_ids: Where the agent is a model: the tokens that stand between its previous turn (or
            the beginning) and this one, image tokens included. An episode's sequence is
            ``prompt_ids + token_ids`` of its replies, one after the other.
        token_ids: The generated tokens, the end-of-turn token included where it was generated.
        log_probs: Their log-probabilities under the sampling distribution, in nats.
        truncated: Whether generation stopped at a limit instead of an end-of-turn token.
        forced: How many of the first ``token_ids`` the caller chose; their ``log_probs`` are the
            model's own.
        tokens: How many tokens were generated, where that is all that is known of them.
        text_tokens: How many of ``prompt_ids`` and ``token_ids`` are text, not pictures.
        failure: Why there is no turn: the rollout is given up, unscored. Empty if there is one.
        asking: The probability with which this turn would call a tool, in [0, 1], where the agent
            knows it.
    """

    text: str
    prompt_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    log_probs: tuple[float, ...] | None = None
    truncated: bool = False
    forced: int = 0
    tokens: int | None = None
    text_tokens: int | None = None
    failure: str = ""
    asking: float | None = None

    @property
    def action(self) -> str | NoTurn:
        """What an environment is given."""
        return NoTurn(self.failure) if self.failure else self.text

    @property
    def generated(self) -> int | None:
        """Tokens that the agent generated, forced ones not included; ``None``: not known."""
        return self.tokens if self.token_ids is None else len(self.token_ids) - self.forced


@runtime_checkable
class Agent(Protocol):
    """A policy. It answers batches of any size, in order."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation."""
        ...


def cut_turn(text: str, ends: Sequence[str], start: int = 0) -> tuple[str, bool]:
    """A turn up to the first of its ends after ``start``, and whether there is one."""
    places = ((text.find(mark, start), mark) for mark in ends)
    found = [place + len(mark) for place, mark in places if place >= 0]
    return (text[: min(found)], True) if found else (text, False)


def answer_turn(answer: str, thought: str) -> str:
    """A well-formed turn that answers."""
    return f"<think>{thought}</think>\n<answer>{answer}</answer>"


def request_turn(thought: str) -> str:
    """A well-formed turn that asks for the original."""
    call = json.dumps({"name": "resize_image", "arguments": {"action": "resize"}})
    return f"<think>{thought}</think>\n<tool_call>{call}</tool_call>"
