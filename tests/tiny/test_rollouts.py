"""What the model said is never tokenised again: by whatever batches, copies and threads."""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from agents import Conversation, Episode, Reply, Steered, rollout
from agents.models import VisionLanguageModel, collate
from agents.rollout import AgentError
from agents.tiny import TinyAgent
from agents.tiny.tokenizer import call_turn
from tiny.games import Forced, environment, two_turns

CALL = call_turn() + " is" * 6


def tokens(episodes: Sequence[Episode]) -> list[list[tuple[object, object]]]:
    return [[(reply.prompt_ids, reply.token_ids) for reply in e.replies] for e in episodes]


class Elsewhere:
    """An agent that gets copies of conversations, as one in another process does, in shreds."""

    name = "elsewhere"

    def __init__(self, agent: TinyAgent, at_once: int = 10**6) -> None:
        self.agent = agent
        self.at_once = at_once

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        replies: list[Reply] = []
        for begin in range(0, len(conversations), self.at_once):
            for conversation in (part := conversations[begin : begin + self.at_once]):
                assert conversation.rollout
            copies = [
                replace(c, messages=pickle.loads(pickle.dumps(list(c.messages)))) for c in part
            ]
            forced = [CALL if c.turn == 0 else None for c in copies]
            replies += self.agent.act(copies, forced)
        return replies


@pytest.mark.parametrize("room", [0, 2**30])
def test_more_rollouts_than_are_remembered(vlm: VisionLanguageModel, room: int) -> None:
    """Those in play are kept whatever their number, so that every second turn is short."""
    agent = TinyAgent(vlm, temperature=1.0, batch=64)
    agent._rollouts.room = room
    for _ in range(2):
        played = rollout(environment(150, 2), Forced(agent, lambda _: CALL), seed=1)
        assert {len(e.replies) for e in played} == {2}
        assert {(e.replies[1].prompt_ids or ()).count(vlm.image_id) for e in played} == {16}
        collate(vlm, played)
    kept = sum(r.nbytes for r in agent._rollouts.values())
    assert len(agent._rollouts.values()) == (300 if room == 0 else 600)
    assert kept < 2**23


def test_copies_of_messages_go_on_with_the_same_tokens(vlm: VisionLanguageModel) -> None:
    def played(agent: object) -> list[Episode]:
        return rollout(environment(4, 4), agent, seed=2)  # type: ignore[arg-type]

    here = played(Forced(TinyAgent(vlm, temperature=1.0), lambda _: CALL))
    for at_once in (3, 10**6):
        away = played(Elsewhere(TinyAgent(vlm, temperature=1.0, batch=8), at_once))
        assert tokens(away) == tokens(here)


@pytest.mark.parametrize("cache_gib", [0.0, 1e-4])
def test_what_the_cache_cannot_hold_is_read_again(
    vlm: VisionLanguageModel, cache_gib: float
) -> None:
    kept = two_turns(TinyAgent(vlm, temperature=1.0, batch=4))
    agent = TinyAgent(vlm, temperature=1.0, batch=4, cache_gib=cache_gib)
    assert tokens(two_turns(agent)) == tokens(kept)
    caches = {id(r.cache): r.cache for r in agent._rollouts.values() if r.cache}
    assert sum(cache.nbytes for cache in caches.values()) <= cache_gib * 2**30


def test_the_cache_is_bounded_whatever_the_batch(vlm: VisionLanguageModel) -> None:
    most = 0

    class Watched(TinyAgent):
        def _bound(self, in_play, fresh):  # type: ignore[no-untyped-def]
            super()._bound(in_play, fresh)
            nonlocal most
            caches = {id(r.cache): r.cache for r in in_play if r.cache}
            most = max(most, sum(m.nbytes for m in caches.values()))

    for batch in (2, 8, 64):
        agent = Watched(vlm, temperature=1.0, batch=batch, cache_gib=2**-12)
        rollout(environment(32, 2), Forced(agent, lambda _: CALL), seed=1)
    assert 0 < most <= 2**18


def test_threads_take_turns(vlm: VisionLanguageModel) -> None:
    agent = TinyAgent(vlm, temperature=1.0)

    def played(seed: int) -> list[list[tuple[object, object]]]:
        return tokens(rollout(environment(2, 2), Forced(agent, lambda _: CALL), seed=seed))

    alone = [played(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(played, range(8))) == alone


def second_turn(first: str) -> Conversation:
    env = environment(1, 1)
    env.reset(seed=0)
    env.step([first])
    return Conversation.of(env.dialogue(0), np.random.default_rng(0))


def test_a_rollout_that_is_not_known_is_an_error(vlm: VisionLanguageModel) -> None:
    conversation = second_turn(call_turn())
    agent = TinyAgent(vlm)
    with pytest.raises(AgentError, match="1 turns whose tokens are not here"):
        agent.act([conversation])
    with pytest.raises(AgentError, match=r"give Conversation\.rollout"):
        agent.act([replace(conversation, rollout="")])
    env = environment(1, 1)
    env.reset(seed=0)
    first = Conversation.of(env.dialogue(0), np.random.default_rng(0))
    with pytest.raises(AgentError, match="comes twice"):
        agent.act([first, first])
    agent.act([first])
    env.step([call_turn()])
    with pytest.raises(AgentError, match="other turns than this agent said"):
        agent.act([Conversation.of(env.dialogue(0), np.random.default_rng(0))])


def test_turns_that_somebody_else_wrote_are_tokenised(vlm: VisionLanguageModel) -> None:
    class Model:
        """Not steerable, so its request is written for it."""

        name = "model"

        def __init__(self) -> None:
            self.agent = TinyAgent(vlm)

        def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
            return self.agent.act(conversations)

    (episode,) = rollout(environment(1, 1), Steered(Model(), lambda _: True))
    read = vlm.tokenizer.decode(episode.replies[1].prompt_ids)
    assert "<tool_call>" in read
    assert (episode.replies[1].prompt_ids or ()).count(vlm.image_id) == 20
