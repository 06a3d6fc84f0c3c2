"""An episode over a real server is the episode of the plain environment, without the answers."""

from __future__ import annotations

import asyncio
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from openenv.core import GenericEnvClient
from remote_sessions import Slow, http, made_samples, made_task, raw, run

from agents import Reply, answer_turn, make_agent, request_turn
from agents.answerers import Guess
from trainers.openenv.client import RemoteError, VisionThinkClient, play_group
from trainers.openenv.messages import PIXEL_LIMIT
from trainers.openenv.server import served
from vt_env import Sample, ToolCall, make_task
from vt_env.env import VisionThinkEnv
from vt_env.errors import ActionError, ConfigError
from vt_env.rewards import RewardConfig, group_rewards
from vt_env.sources.drawing import COLOURS

ASK, WRONG = request_turn("closer"), answer_turn("wrong", "clear")
TURNS = {
    "direct, right": [answer_turn("one", "clear")],
    "direct, wrong": [WRONG],
    "asked": [ASK, answer_turn("one", "clear")],
    "unscored": [answer_turn("unscored", "clear")],
    "malformed": ["nothing of use"],
    "an unknown tool": [ToolCall("magnify", {}, "a").text, WRONG],
    "asked twice": [ASK, ASK],
    "empty": [""],
}  # fmt: skip


@pytest.fixture(scope="module")
def url():
    with served(made_task(), reward={"token_price": 0.2}) as url:
        yield url


@pytest.mark.parametrize("turns", TURNS.values(), ids=TURNS)
def test_it_is_the_plain_environment(url, turns):
    env = VisionThinkEnv(made_task(), reward={"token_price": 0.2})
    seen, info = env.reset(options={"index": 1})

    async def play(client):
        nonlocal seen, info
        result = await client.reset(index=1)
        reward, done = None, False
        for turn in [None, *turns]:
            if turn is not None:
                result = await client.step(turn)
                seen, reward, terminated, truncated, info = env.step(turn)
                done = terminated or truncated
            there = result.observation
            assert result.done == there.done == done
            assert there.text == seen["text"]
            assert len(there.pictures) == info["new_image"]
            if info["new_image"]:
                assert (there.views()[0].array == seen["image"]).all()
            for name in ("sample_id", "turn", "messages", "visual_tokens", "full_visual_tokens"):
                assert getattr(there, name) == info[name]
            assert there.futile_request == info["futile_request"]
            assert there.question == "What is number 1?"
            assert there.can_request == (env.dialogue.can_request and not done)
            if not done:
                assert result.reward is there.outcome is there.terms is None
        assert done
        assert there.outcome == info["outcome"]
        assert there.terms == info["reward_terms"]
        assert there.flaws == env.dialogue.flaws
        if math.isnan(reward):
            assert result.reward is None
        else:
            assert result.reward == reward

    run(url, play)


def test_unscored_is_null_and_json_has_no_nan(url):
    with raw(url) as socket:
        socket.say("reset", index=0)
        reply = socket.say("step", text=answer_turn("unscored", "clear"))
    assert reply["data"]["done"] is True
    assert reply["data"]["reward"] is None
    assert reply["data"]["observation"]["outcome"]["correct"] is None
    assert set(reply["data"]["observation"]["terms"].values()) == {None}
    json.loads(socket.came[-1], parse_constant=lambda name: pytest.fail(name))


def test_a_tool_call_is_an_action_and_a_number_is_none(url):
    async def play(client):
        await client.reset(index=0)
        with pytest.raises(ActionError, match="got int"):
            await client.step(3)
        result = await client.step(ToolCall("resize_image", {"action": "resize"}))
        assert [view.size for view in result.observation.views()] == [(64, 48)]

    run(url, play)


def test_who_knows_openenv_alone_can_play(url):
    """Its own generic client, and its own way to play without awaiting."""
    with GenericEnvClient(url).sync() as client:
        assert client.reset(sample_id="s2").observation["question"] == "What is number 2?"
        result = client.step({"text": answer_turn("two", "clear")})
        told = result.observation
        assert result.done
        assert told["outcome"]["correct"]
        assert result.reward == told["terms"]["total"] == pytest.approx(1.5 - told["terms"]["cost"])
        assert client.state()["samples"] == 4
    with VisionThinkClient(url).sync() as client:
        client.reset(sample_id="s2")
        assert client.step(answer_turn("two", "clear")).observation.outcome.correct


def test_the_state(url):
    async def play(client):
        before = await client.state()
        assert (before.episode_id, before.sample_id, before.step_count) == (None, None, 0)
        assert before.samples == 4
        assert before.reward_config() == RewardConfig(penalty="none", token_price=0.2)
        await client.reset(index=2, episode_id="mine")
        await client.step(ASK)
        state = await client.state()
        assert (state.episode_id, state.sample_id, state.step_count) == ("mine", "s2", 1)
        ends = ["</answer>", "</tool_call>"]
        about = {"factor": 0.5, "max_turns": 2, "tools": ["resize_image"], "ends": ends}
        assert state.protocol == about

    run(url, play)


def test_seeds_choose_as_in_the_plain_environment(url):
    env = VisionThinkEnv(made_task())
    chosen = [env.reset(seed=seed)[1]["sample_id"] for seed in range(8)]
    again = [env.reset(seed=8)[1]["sample_id"], *(env.reset()[1]["sample_id"] for _ in range(4))]

    async def play(client):
        ids = [(await client.reset(seed=seed)).observation.sample_id for seed in range(8)]
        more = [await client.reset(seed=8), *[await client.reset() for _ in range(4)]]
        return ids, [result.observation.sample_id for result in more]

    assert run(url, play) == (chosen, again)


SECRET = "xylophone"


def cut_short() -> bytes:
    """A picture whose header is whole."""
    png = io.BytesIO()
    Image.fromarray(made_samples(1)[0].image).save(png, "PNG")
    return png.getvalue()[:2000]


def test_references_never_leave():
    """Not with right or wrong answers, errors, a judge that breaks, the state or the schema."""
    samples = [
        Sample(
            "s", "Which?", (SECRET,), np.zeros((40, 40, 3), np.uint8), kind=f"kind {SECRET}",
            source=f"from {SECRET}", metadata={"note": SECRET},
        ),
        Sample("broken", "Which?", (SECRET,), cut_short()),
    ]  # fmt: skip
    turns = [WRONG, answer_turn("fail", "x"), answer_turn("unscored", "x"), "", ASK + ASK]
    with served(make_task(samples, judge=Slow())) as url:
        with raw(url) as socket:
            for turn in turns:
                socket.say("reset", sample_id="s")
                socket.say("state")
                assert socket.say("step", text=turn)["type"]
                socket.send('{"type": "state"}')
            refused = socket.say("reset", sample_id="broken")
            assert "the picture of sample 'broken' is refused" in refused["data"]["message"]
            assert "index goes from 0 to 1" in socket.say("reset", sample_id="x")["data"]["message"]
            assert "index goes from 0 to 1" in socket.say("reset", index=2)["data"]["message"]
            assert socket.say("reset", index=0)["type"] == "observation"
        pages = [http(url, path)[1] for path in ("/health", "/schema", "/metadata", "/nowhere")]
    assert len(socket.came) > 20
    assert SECRET not in "".join([*socket.came, *pages])


def test_large_pictures():
    """Twelve megapixels of noise come through whole; more is refused at once, with a sentence."""
    twelve = Sample("12", "Which?", ("a",), made_samples(1, (3000, 4000))[0].image)
    wide = np.zeros((1000, PIXEL_LIMIT // 1000 + 1, 3), np.uint8)
    with served(make_task([twelve, Sample("13", "Which?", ("a",), wide)])) as url:

        async def play(client):
            small = (await client.reset(index=0)).observation
            whole = (await client.step(ASK)).observation
            with pytest.raises(RemoteError, match="picture of sample '13' is refused"):
                await client.reset(index=1)
            return *small.views(), *whole.views()

        small, whole = run(url, play)
    assert small.size == (2000, 1500)
    assert (whole.array == twelve.image).all()


def test_a_turn_shows_all_that_is_new():
    """Two pictures first, then a part of each: in one message."""
    first, second = made_samples(2, (60, 80))
    sample = Sample("two", "Which?", ("a",), first.image, more_images=(second.image,))
    tool = {"kind": "zoom", "space": "source", "picture": "image"}
    rules = {"tools": [tool], "grammar": {"several": "all"}, "prompt": "zoom", "max_turns": 2}
    calls = [ToolCall("zoom_in", {"bbox_2d": [0, 0, 40, 30], "image": i}) for i in (0, 1)]
    task = make_task([sample], **rules)
    turn = task.protocol.grammar.write(replace(calls[0], thought="Both.", also=(calls[1],)))
    (here,) = task.begin(sample)
    here.apply(turn)

    async def play(client):
        began = (await client.reset()).observation
        went_on = (await client.step(turn)).observation
        return [*began.views(), *went_on.views()], went_on.messages, await client.state()

    with served(task) as url:
        views, messages, state = run(url, play)
    assert len(views) == 4
    assert all((v.array == w.array).all() for v, w in zip(views, here.views, strict=True))
    assert messages == here.messages
    assert state.protocol["ends"] == []


def test_more_pixels_than_a_message_carries_are_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr("trainers.openenv.environment.PIXEL_LIMIT", 3000)
    with served(made_task()) as url:

        async def play(client):
            await client.reset(index=0)
            with pytest.raises(RemoteError, match=r"1 pictures of 3,072 pixels, and a message"):
                await client.step(ASK)
            with pytest.raises(RemoteError, match="there is no episode"):
                await client.step(ASK)

        run(url, play)


class Recites:
    """Says turns by a rollout's place among those that go on."""

    name = "recites"

    def __init__(self, *scripts: list[str]) -> None:
        self.scripts = scripts
        self.places: dict[int, int] = {}

    def act(self, conversations):
        return [
            Reply(self.scripts[self.places.setdefault(id(c.messages), len(self.places))][c.turn])
            for c in conversations
        ]


def test_a_group_is_rewarded_as_in_the_vector_environment(url):
    right = answer_turn("three", "clear")
    agent = Recites([right], [ASK, right], [ASK, WRONG], [WRONG])
    config = RewardConfig(penalty="paper", penalty_weight=0.25)

    async def play():
        clients = [VisionThinkClient(url) for _ in range(4)]
        try:
            return await play_group(clients, agent, config, index=3)
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    episodes = asyncio.run(play())
    assert [len(e.views) for e in episodes] == [1, 2, 2, 1]
    assert [e.outcome.correct for e in episodes] == [True, True, False, False]
    assert [e.reward for e in episodes] == group_rewards([e.outcome for e in episodes], config)
    assert [e.reward.penalty for e in episodes] == [0.0, 0.25, 0.25, 0.0]


def test_an_agent_of_the_project_plays():
    """One that reads the picture: it answers from pixels that came over the wire."""
    task, agent = make_task("generated:n=8,kinds=colour"), make_agent("request")
    agent.answerer = ByColour()

    async def play(url):
        async with VisionThinkClient(url) as client:
            return [(await play_group([client], agent, index=i))[0] for i in range(8)]

    with served(task) as url:
        episodes = asyncio.run(play(url))
    assert all(e.outcome.correct for e in episodes)


class ByColour:
    """Answers with the colour that most pixels are near to."""

    def guess(self, question, view, sample):
        assert sample is None
        pixels = view.array.reshape(-1, 1, 3).astype(int)
        near = np.abs(pixels - np.array(list(COLOURS.values()))).sum(2) < 60
        return Guess(list(COLOURS)[int(near.sum(0).argmax())], 1.0, "Most of it is.")


@pytest.mark.parametrize("penalty", ["paper", "released", "rate"])
def test_a_penalty_that_compares_is_refused(penalty):
    refused = pytest.raises(ConfigError, match="a session is one rollout")
    with refused, served(made_task(), reward={"penalty": penalty}):
        pass


def test_a_penalty_of_one_rollout_is_not():
    with served(made_task(), reward={"penalty": "every_request"}) as url:

        async def play(client):
            await client.reset(index=1)
            await client.step(ASK)
            return (await client.step(answer_turn("one", "clear"))).observation.terms.penalty

        assert run(url, play) == 0.1
