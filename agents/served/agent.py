"""A vision-language model behind an OpenAI-compatible server as an agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from agents.base import Conversation, Reply, cut_turn
from agents.rollout import AgentError
from agents.served.pictures import DataUris
from agents.served.request import Request, chat_messages
from agents.served.turns import Turn, read_turn
from vt_env.errors import ConfigError
from vt_env.judges.models import asking
from vt_env.judges.models.address import read_address
from vt_env.judges.models.client import Client, RefusedError
from vt_env.judges.models.limits import Limits
from vt_env.judges.models.retry import Trouble

logger = logging.getLogger(__name__)

_TOO_LONG = ("context length", "context_length", "context size", "maximum model length")


class OpenAiAgent:
    """``make_agent("openai:MODEL@http://127.0.0.1:8000/v1,temperature=1")``.

    A turn depends on the conversation and on its own generator, not on which conversations share a
    batch, as far as the server is deterministic.

    Args:
        address: ``MODEL@URL``, or ``MODEL`` alone for OpenAI's own server.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        stop: Whether a turn ends with one of :data:`agents.base.TURN_ENDS`, and not only where the
            model ends it.
        key_env: The environment variable that holds the server's key.
        concurrency: Requests at the same time.
        timeout: Seconds that one attempt may take.
        deadline: Seconds that one turn may take with all its attempts.
        tries: Attempts.
        longest_wait: Seconds between attempts at most.

    Raises:
        ConfigError: On a value out of range, an address that cannot be used, or a key that is not
            there. The message repeats no URL.
        MissingExtra: If the package ``openai`` is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        temperature: float = 0.0,
        max_new_tokens: int = 512,
        stop: bool = True,
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 32,
        timeout: float = 120.0,
        deadline: float = 600.0,
        tries: int = 4,
        longest_wait: float = 30.0,
    ) -> None:
        if not 0 <= temperature <= 2 or max_new_tokens < 1:
            raise ConfigError("temperature must be in [0, 2] and max_new_tokens at least 1")
        limits = Limits(concurrency, timeout, deadline, tries=tries, longest_wait=longest_wait)
        where = read_address(address, key_env, role="agent")
        self.client = Client(where, limits)
        self.request = Request(where.model, temperature, max_new_tokens, stop)
        self.name = where.model.rpartition("/")[2]
        self._uris = DataUris()

    def __repr__(self) -> str:
        return f"OpenAiAgent({self.request.model!r})"

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation, all asked for at the same time.

        Raises:
            AgentError: If the server gives no turn for one of them within the limits.
        """
        self._uris.prepare(view for c in conversations for view in c.images)
        asked = [(chat_messages(c, self._uris), int(c.rng.integers(2**31))) for c in conversations]
        done: Future[list[Reply]] = Future()

        async def all_of_them() -> None:
            turns = [asyncio.ensure_future(self._turn(*one)) for one in asked]
            try:
                done.set_result(await asyncio.gather(*turns))
            except BaseException as error:
                for turn in turns:
                    turn.cancel()
                done.set_exception(error)

        self.client.loop.run(all_of_them)
        try:
            return done.result()
        except KeyboardInterrupt:
            self.client.loop.cancel()
            raise

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    async def _turn(self, messages: list[dict[str, Any]], seed: int) -> Reply:
        heard: list[Turn] = []

        async def attempt() -> asking.Reply:
            heard.append(await self._heard(messages, seed))
            return asking.Reply(heard[-1].text)

        outcome = await self.client.persist(attempt)
        if isinstance(outcome, asking.Failure):
            raise AgentError(
                f"the server at {self.client.address.url} gave no turn of "
                f"{self.request.model!r} in {outcome.tries} attempt(s): {outcome.reason}"
            )
        turn = heard[-1]
        text, ended = cut_turn(turn.text) if self.request.stop else (turn.text, False)
        return Reply(text, truncated=turn.truncated and not ended, tokens=turn.tokens)

    async def _heard(self, messages: list[dict[str, Any]], seed: int) -> Turn:
        """One attempt; asking anew without what the server does not take is no new attempt."""
        while True:
            body = self.request.body(messages, seed)
            try:
                turn = read_turn(await self.client.send(body), "stop" in body)
            except RefusedError as refusal:
                self._mend(refusal, body)
                continue
            if not turn.vague:
                return turn
            self._without("stop", "does not say which stop string ended a turn")

    def _mend(self, refusal: RefusedError, body: dict[str, Any]) -> None:
        """Leave out what the server complains of.

        Raises:
            Trouble: If that is nothing that can be done without.
        """
        complaint = refusal.message.lower()
        if not any(sign in complaint for sign in _TOO_LONG):
            before = set(self.request.refused)
            name = self.request.leave_out(complaint, body)
            if name is not None:
                if name not in before:
                    self._told(name, "refuses it")
                return
        raise Trouble(str(refusal), again=False)

    def _without(self, name: str, why: str) -> None:
        if name not in self.request.refused:
            self.request.refused.add(name)
            self._told(name, why)

    def _told(self, name: str, why: str) -> None:
        logger.warning("asking %s without %s: the server %s", self.request.model, name, why)
