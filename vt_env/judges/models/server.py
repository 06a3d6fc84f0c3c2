"""The judge ``openai``: a model behind an OpenAI-compatible server, by the official client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vt_env.judges.models.address import Address, read_address
from vt_env.judges.models.asking import Ask, Heard, Reply
from vt_env.judges.models.client import Client, RefusedError
from vt_env.judges.models.completion import read_completion
from vt_env.judges.models.judge import ModelJudge
from vt_env.judges.models.judging import Judging
from vt_env.judges.models.limits import Limits
from vt_env.judges.models.parameters import Parameters, Sampling
from vt_env.judges.models.retry import Trouble
from vt_env.judges.models.settings import make, read_spec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Key:
    key_env: str = "OPENAI_API_KEY"


def openai_judge(spec: str = "", **options: Any) -> ModelJudge:
    """From ``MODEL@URL[,option=value…]``; without a URL, OpenAI's own server.

    Options are the fields of ``Judging``, ``Limits`` and ``Sampling``, and ``key_env``.

    Raises:
        ConfigError: On a wrong setting, or a key that is not there.
        MissingExtra: If the package ``openai`` is not installed.
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
        MissingExtra: If the package ``openai`` is not installed.
    """

    def __init__(
        self, address: Address, limits: Limits | None = None, sampling: Sampling | None = None
    ) -> None:
        sampling = sampling or Sampling()
        self.client = Client(address, limits or Limits())
        self.name = f"openai:{address.model}"
        self.identity = f"openai model {address.model!r}, {sampling.identity}"
        self.parameters = Parameters(sampling)

    @property
    def address(self) -> Address:
        """Where, and which model."""
        return self.client.address

    @property
    def limits(self) -> Limits:
        """Bounds."""
        return self.client.limits

    def __repr__(self) -> str:
        return f"Server({self.address.model!r})"

    def start(self, asks: Sequence[Ask], heard: Heard) -> None:
        """Begin to ask, and return at once."""

        async def one(place: int, ask: Ask) -> None:
            heard(place, await self.client.persist(lambda: self._attempt(ask)))

        async def all_of_them() -> None:
            await asyncio.gather(*(one(place, ask) for place, ask in enumerate(asks)))

        self.client.loop.run(all_of_them)

    def drop(self) -> None:
        """Give up what is being asked."""
        self.client.loop.cancel()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self.client.close()

    async def _attempt(self, ask: Ask) -> Reply:
        """One attempt; parameters that the server refuses are left out, which is no new attempt."""
        without: set[str] = set()
        while True:
            sent = self.parameters.sent(without)
            try:
                reply = await self._request(ask, sent)
            except RefusedError as refusal:
                name = self.parameters.blamed(refusal.message, sent)
                guess = "structured_outputs" if "structured_outputs" in sent else None
                if name is not None:
                    self._leave_out({name})
                elif guess is not None:
                    without.add(guess)
                else:
                    raise Trouble(str(refusal), again=False) from None
                continue
            if without:
                self._leave_out(without)
            return reply

    def _leave_out(self, names: set[str]) -> None:
        if new := names - self.parameters.refused:
            self.parameters.refused |= new
            logger.warning(
                "the server of the judge %s refuses %s: asking without", self.name, ", ".join(new)
            )

    async def _request(self, ask: Ask, sent: Sequence[str]) -> Reply:
        asked = {"model": self.address.model, **self.parameters.body(ask, sent)}
        reply = read_completion(await self.client.send(asked), ask)
        return reply if "logprobs" in sent else replace(reply, probability=None)
