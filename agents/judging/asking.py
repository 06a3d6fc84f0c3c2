"""What a model is asked and what comes back, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model.

    Attributes:
        system: The system turn.
        user: The user turn.
        right: The word that accepts.
        wrong: The word that rejects.
    """

    system: str
    user: str
    right: str
    wrong: str

    @property
    def choices(self) -> tuple[str, str]:
        """The two words, the accepting one first."""
        return self.right, self.wrong

    def messages(self) -> list[dict[str, str]]:
        """The turns in chat format."""
        turns = (("system", self.system), ("user", self.user))
        return [{"role": role, "content": text} for role, text in turns if text]


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said.

    Attributes:
        text: Its whole reply.
        probability: Of the accepting word against the rejecting one, in [0, 1]; ``None`` where
            the model does not tell.
        tokens_in: Tokens of the prompt.
        tokens_out: Tokens generated, thoughts included.
        tries: Attempts it took.
    """

    text: str
    probability: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """No judgement could be had.

    Attributes:
        reason: Why, in a few words and without secrets.
        tokens_in: Tokens that were paid for all the same.
        tokens_out: Likewise.
        tries: Attempts that were made.
    """

    reason: str
    tokens_in: int = 0
    tokens_out: int = 0
    tries: int = 1


Response = Completion | Failure
OnResponse = Callable[[int, Response], None]
"""Is called with the place of an ask and what came of it, from any thread."""


class Backend(Protocol):
    """Runs a model.

    Attributes:
        name: What verdicts are signed with, e.g. ``openai:qwen``.
        identity: Everything about the model and its sampling that decides a verdict. It is part of
            the cache's key, so it holds neither an address nor a secret.
    """

    name: str
    identity: str

    def start(self, asks: Sequence[Ask], on_response: OnResponse) -> None:
        """Begin to ask, and return at once; every ask is heard of exactly once, in any order."""
        ...

    def drop(self) -> None:
        """Give up what is being asked; nothing more is heard of it."""
        ...

    def close(self) -> None:
        """Let go of all resources; ``start`` takes them up again."""
        ...
