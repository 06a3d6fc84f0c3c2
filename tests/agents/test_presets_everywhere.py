"""Every preset is played by the hosted trainers as by the local one, token by token."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("torch")

from families import make, picture, save

from agents import Reply, rollout
from agents.models.loading import load_processor
from agents.models.transcript import Transcript, Transcripts, reply_of
from trainers.hosted.rollouts import play_turns
from vt_env import Answer, Sample, make_task
from vt_env.protocol import PRESETS
from vt_env.regions import Box, Region
from vt_env.vector import VisionThinkVectorEnv


class Says:
    """An agent that says given turns, in a model's own tokens."""

    name = "says"

    def __init__(self, vlm, turns):
        self.vlm, self.turns = vlm, iter(turns)
        self.transcripts = Transcripts(Transcript)

    def spoken(self, text):
        tokenizer = self.vlm.tokenizer
        return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

    def act(self, conversations):
        (conversation,) = conversations
        (transcript,) = self.transcripts.of(conversations)
        prompt = transcript.prompt(self.vlm, conversation.messages, conversation.images)
        text = next(self.turns)
        transcript.add_turn(text, ids := self.spoken(text))
        reply: Reply = reply_of(self.vlm, prompt, ids, [0.0] * len(ids))
        return [reply]

    async def generate(self, transcript, views, room):
        ids = self.spoken(next(self.turns))
        return ids, [0.0] * len(ids)


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return load_processor(save(make("qwen2_vl"), tmp_path_factory.mktemp("qwen") / "qwen"))


@pytest.mark.parametrize("over", [False, True], ids=["answers", "over budget"])
@pytest.mark.parametrize("name", PRESETS)
def test_the_tokens_are_the_same(name, over, vlm):
    sample = Sample("s", "?", ("one",), picture(96, 64))
    task = make_task([sample], protocol=name, tokens="qwen2-vl")
    (dialogue,) = task.begin(sample)
    turns = []
    while not dialogue.done:
        last = dialogue.turn + 1 == task.protocol.max_turns
        if task.protocol.tools and (over or not last):
            asked = Region(0, Box(0, 0, 48, 32), (96, 64))
            turns.append(said(dialogue, asked))
        else:
            turns.append(task.protocol.grammar.write(Answer("one", "Now.")))
        dialogue.apply(turns[-1])
    (episode,) = rollout(VisionThinkVectorEnv(1, data=task), Says(vlm, turns), sample_ids=["s"])
    (again,) = task.begin(sample)
    engine = Says(vlm, turns)
    played = asyncio.run(
        play_turns(vlm, again, engine.generate, max_new_tokens=500, max_length=20_000)
    )
    here = [(r.prompt_ids, r.token_ids) for r in episode.replies]
    assert [(r.prompt_ids, r.token_ids) for r in played.replies] == here
    assert [view.size for view in played.dialogue.views] == [view.size for view in episode.views]
    assert played.dialogue.truncated == episode.outcome.truncated
    assert episode.outcome.truncated == (over and bool(task.protocol.tools))


def said(dialogue, region):
    """The turn that asks for a region; VisionThink's tool knows none."""
    if dialogue.protocol.tools[0].name == "resize_image":
        from agents.base import request_turn

        return request_turn("Small.")
    return dialogue.ask(region, "Small.")
