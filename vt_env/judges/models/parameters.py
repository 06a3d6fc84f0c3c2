"""What a request says beside its messages, and what of that a server turned out to refuse."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from vt_env.errors import ConfigError
from vt_env.judges.models.asking import Ask

_CANDIDATES = 20
_REFUSABLE = ("structured_outputs", "logprobs", "temperature", "max_tokens")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a verdict is drawn.

    Attributes:
        temperature: 0 for the likeliest verdict.
        max_tokens: Tokens that may be generated; a model that thinks first needs thousands.
        constrain: Whether to ask for one of the two words and nothing else, where a server can.
        scores: Whether to grade by the two words' probabilities.
        revision: A word of your own that tells models of one name apart.

    Raises:
        ConfigError: On a value out of range.
    """

    temperature: float = 0.0
    max_tokens: int = 16
    constrain: bool = True
    scores: bool = False
    revision: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2 or not 1 <= self.max_tokens <= 1_000_000:
            raise ConfigError("temperature must be in [0, 2] and max_tokens at least 1")

    @property
    def identity(self) -> str:
        """What of this decides a verdict. Whether a server constrains does not: all are checked."""
        return (
            f"revision {self.revision!r}, temperature {self.temperature:g}, "
            f"max_tokens {self.max_tokens}, scores {self.scores}"
        )


class Parameters:
    """A request's parameters; those that a server refuses are left out from then on.

    Args:
        sampling: What is wanted.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.refused: set[str] = set()
        if not sampling.constrain:
            self.refused.add("structured_outputs")
        if not sampling.scores:
            self.refused.add("logprobs")

    def sent(self, without: Collection[str] = ()) -> list[str]:
        """The names that may be refused yet, of those that are sent."""
        return [name for name in _REFUSABLE if name not in self.refused and name not in without]

    def body(self, ask: Ask, sent: Collection[str]) -> dict[str, Any]:
        """The parameters of a request with what is sent."""
        limit = "max_tokens" if "max_tokens" in sent else "max_completion_tokens"
        body: dict[str, Any] = {"messages": ask.messages(), limit: self.sampling.max_tokens}
        if "temperature" in sent:
            body["temperature"] = self.sampling.temperature
        if "logprobs" in sent:
            body |= {"logprobs": True, "top_logprobs": _CANDIDATES}
        if "structured_outputs" in sent:
            body["structured_outputs"] = {"choice": list(ask.choices)}
        return body

    def blamed(self, message: str, sent: Collection[str]) -> str | None:
        """Which of the parameters that were sent an error's message names."""
        return next((name for name in sent if name in message), None)
