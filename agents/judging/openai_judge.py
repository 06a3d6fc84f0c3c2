"""The judge ``openai``: a model behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.judging.asking import Ask, Completion, Failure, OnResponse, Response
from agents.judging.judge import ModelJudge
from agents.judging.reading import read_completion
from agents.judging.settings import Judging, make, read_spec
from agents.llm.address import Address, read_address
from agents.llm.client import Client, RefusedError
from agents.llm.retry import Limits, Spent, Trouble
from vt_env.errors import ConfigError

logger = logging.getLogger(__name__)

_CANDIDATES = 20
_REFUSABLE = ("structured_outputs", "logprobs", "temperature", "max_tokens")
"""Parameters that a server may refuse; they are left out from then on."""


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


@dataclass(frozen=True, slots=True)
class _Key:
    key_env: str = "OPENAI_API_KEY"


def openai_judge(spec: str = "", **options: Any) -> ModelJudge:
    """From ``MODEL@URL[,option=value…]``; without a URL, OpenAI's own server.

    Options are the fields of ``Judging``, ``Limits`` and ``Sampling``, and ``key_env``.

    Raises:
        ConfigError: On a wrong setting, or a key that is not there.
        MissingExtra: If the package ``httpx2`` is not installed.
    """
    head, options = read_spec("openai", spec, options)
    judging, limits, sampling, key = make("openai", options, Judging, Limits, Sampling, _Key)
    return ModelJudge(Server(read_address(head, key.key_env), limits, sampling), judging)


class Server:
    """Asks a server, many requests at a time, within limits.

    Args:
        address: Where, and which model.
        limits: Bounds.
        sampling: How verdicts are drawn.

    Raises:
        ConfigError: If a key is needed and not there.
        MissingExtra: If the package ``httpx2`` is not installed.
    """

    def __init__(
        self, address: Address, limits: Limits | None = None, sampling: Sampling | None = None
    ) -> None:
        self.address, self.limits = address, limits or Limits()
        self.sampling = sampling = sampling or Sampling()
        self.client = Client(address, self.limits)
        self.name = f"openai:{address.model}"
        self.identity = f"openai model {address.model!r}, {sampling.identity}"
        wanted = {"structured_outputs": sampling.constrain, "logprobs": sampling.scores}
        self._left_out = {name for name, is_wanted in wanted.items() if not is_wanted}

    def __reduce__(self) -> tuple[Any, ...]:
        return Server, (self.address, self.limits, self.sampling)

    def __repr__(self) -> str:
        return f"Server({self.address.model!r})"

    def start(self, asks: Sequence[Ask], on_response: OnResponse) -> None:
        """Begin to ask, and return at once."""

        async def one(place: int, ask: Ask) -> None:
            reply, spent = await self.client.persist(lambda: self._attempt(ask))
            on_response(place, _outcome(reply, spent))

        async def all_of_them() -> None:
            await asyncio.gather(*(one(place, ask) for place, ask in enumerate(asks)))

        self.client.loop.run(all_of_them)

    def drop(self) -> None:
        """Give up what is being asked."""
        self.client.loop.cancel()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self.client.close()

    async def _attempt(self, ask: Ask) -> Completion:
        """One attempt; parameters that the server refuses are left out, which is no new attempt."""
        guessed: set[str] = set()
        while True:
            sent = [name for name in _REFUSABLE if name not in self._left_out | guessed]
            try:
                reply = await self._request(ask, sent)
            except RefusedError as refusal:
                if named := [name for name in sent if name in refusal.message]:
                    self._leave_out(set(named[:1]))
                elif "structured_outputs" in sent:
                    guessed.add("structured_outputs")
                else:
                    raise Trouble(str(refusal), again=False) from None
            else:
                self._leave_out(guessed)
                return reply

    def _leave_out(self, names: set[str]) -> None:
        if new := names - self._left_out:
            self._left_out |= new
            logger.warning(
                "the server of the judge %s refuses %s: asking without", self.name, ", ".join(new)
            )

    async def _request(self, ask: Ask, sent: Collection[str]) -> Completion:
        limit = "max_tokens" if "max_tokens" in sent else "max_completion_tokens"
        optional: dict[str, dict[str, Any]] = {
            "temperature": {"temperature": self.sampling.temperature},
            "logprobs": {"logprobs": True, "top_logprobs": _CANDIDATES},
            "structured_outputs": {"structured_outputs": {"choice": list(ask.choices)}},
        }
        body = {
            "model": self.address.model,
            "messages": ask.messages(),
            limit: self.sampling.max_tokens,
        }
        for name in sent:
            body |= optional.get(name, {})
        reply = read_completion(await self.client.send(body), ask)
        return reply if "logprobs" in sent else replace(reply, probability=None)


def _outcome(reply: Completion | None, spent: Spent) -> Response:
    """What came of an ask, with what all attempts took."""
    if reply is None:
        return Failure(spent.reason, spent.tokens_in, spent.tokens_out, spent.tries)
    tokens_in, tokens_out = reply.tokens_in + spent.tokens_in, reply.tokens_out + spent.tokens_out
    return replace(reply, tokens_in=tokens_in, tokens_out=tokens_out, tries=spent.tries)
