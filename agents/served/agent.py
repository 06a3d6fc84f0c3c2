"""A vision-language model behind an OpenAI-compatible server as an agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from agents.base import Conversation, Reply, cut_turn
from agents.llm import Client, FailureWatch, Limits, RefusedError, Trouble, read_address
from agents.rollout import AgentError
from agents.served.request import DataUris, Request, chat_messages
from agents.served.turns import Turn, read_turn
from vt_env.errors import ConfigError
from vt_env.grammars import opened_turn

logger = logging.getLogger(__name__)

_MAX_FAILURES, _FAILURES_OVER = 0.5, 50
"""Share of the last turns that may fail, and after how many."""


class OpenAiAgent:
    """A model behind a server: ``openai:MODEL@http://127.0.0.1:8000/v1,temperature=1``.

    A picture that the conversation shows as it is in its file is sent as that file. A turn depends
    on the conversation and on its own generator, not on which conversations share a
    batch, as far as the server is deterministic.

    Args:
        address: ``MODEL@URL``, or ``MODEL`` alone for OpenAI's own server.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        stop: Whether a turn ends with the stop strings of its protocol's grammar, and not only
            where the model ends it.
        opened: Whether the server's chat template writes the ``<think>`` of a turn by itself, so
            that its replies lack it: turns have it all the same, as those of a model in this
            process (:func:`vt_env.grammars.opened_turn`).
        key_env: The environment variable that holds the server's key.
        concurrency: Requests at the same time.
        timeout: Seconds that one attempt may take.
        deadline: Seconds that one turn may take with all its attempts.
        tries: Attempts.
        longest_wait: Seconds between attempts at most.

    Raises:
        ConfigError: On a value out of range, an address that cannot be used, or a key that is not
            there. The message repeats no URL.
        MissingExtra: If the package ``httpx2`` is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        temperature: float = 0.0,
        max_new_tokens: int = 512,
        stop: bool = True,
        opened: bool = False,
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
        self.opened = opened
        self.name = where.model.rpartition("/")[2]
        self._uris = DataUris()
        self._watch = FailureWatch(_MAX_FAILURES, _FAILURES_OVER)

    def __repr__(self) -> str:
        return f"OpenAiAgent({self.request.model!r})"

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation, all asked for at the same time.

        Where the server gives no turn within the limits, the reply says so
        (:attr:`~agents.base.Reply.failure`), and the others are what they are.

        Raises:
            AgentError: If the server has never given a turn yet, or if it gives none in more than
                half of the last 50 turns.
        """
        asked = [(c, int(c.rng.integers(2**31))) for c in conversations]
        done: Future[list[Reply]] = Future()

        async def all_of_them() -> None:
            try:
                done.set_result(await asyncio.gather(*(self._turn(*one) for one in asked)))
            except asyncio.CancelledError:
                done.set_exception(AgentError(f"{self!r} was closed while it was asked"))

        self.client.loop.run(all_of_them)
        try:
            replies = done.result()
        except KeyboardInterrupt:
            self.client.loop.cancel()
            raise
        if reason := self._watch.why_stop((reply.failure for reply in replies), "turns"):
            raise AgentError(reason)
        return replies

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    async def _turn(self, conversation: Conversation, seed: int) -> Reply:
        async def attempt() -> Turn:
            messages = await asyncio.to_thread(chat_messages, conversation, self._uris)
            return await self._requested(messages, seed, conversation.ends)

        turn, spent = await self.client.persist(attempt)
        if turn is None:
            failure = (
                f"the server at {self.client.address.url} gave no turn of "
                f"{self.request.model!r} in {spent.tries} attempt(s): {spent.reason}"
            )
            logger.warning("%s", failure)
            return Reply("", tokens=0, failure=failure)
        said = opened_turn(turn.text) if self.opened else turn.text
        text, ended = cut_turn(said, conversation.ends if self.request.stop else ())
        return Reply(text, truncated=turn.truncated and not ended, tokens=turn.tokens)

    async def _requested(
        self, messages: list[dict[str, Any]], seed: int, ends: Sequence[str]
    ) -> Turn:
        """One attempt; asking anew without what the server does not take is no new attempt."""
        while True:
            body = self.request.body(messages, seed, ends)
            try:
                turn = read_turn(await self.client.send(body), body.get("stop", ()))
            except RefusedError as refusal:
                name = self.request.complained_of(refusal.message.lower(), body)
                if name is None:
                    raise Trouble(str(refusal), again=False) from None
                self._without(name, "refuses it")
                continue
            if not turn.vague:
                return turn
            self._without("stop", "does not say which stop string ended a turn")

    def _without(self, name: str, why: str) -> None:
        if name not in self.request.refused:
            self.request.refused.add(name)
            logger.warning("asking %s without %s: the server %s", self.request.model, name, why)
