"""Many clients at once; the whole of it is benchmarks/remote.py."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from remote import Expected, play_all
from remote_sessions import Slow, made_samples

from agents import Reply, answer_turn, request_turn
from trainers.openenv import pictures
from trainers.openenv.client import RemoteError, VisionThinkClient, play_group
from trainers.openenv.pictures import Kept
from trainers.openenv.server import Serving, served
from vt_env import make_task
from vt_env.pictures import Picture


@pytest.mark.parametrize("share", [1, 8])
def test_no_client_gets_what_belongs_to_another(share):
    task = make_task("generated:n=100")
    with served(task, Serving(port=0, sessions=16)) as url:
        played = asyncio.run(play_all(url, task, 16, 12, share=share))
    assert (played.errors, played.mixed_up) == ([], [])
    assert played.episodes == 16 * 12


def test_the_check_sees_what_is_mixed_up():
    """Replies of one sample, held against another, or against another way to play."""
    task = make_task("generated:n=20")

    async def play(url):
        async with VisionThinkClient(url) as client:
            results = [await client.reset(index=4), await client.step(request_turn("x"))]
            return [*results, await client.step(answer_turn("no such thing", "x"))]

    with served(task) as url:
        results = asyncio.run(play(url))
    expected = Expected(task)
    assert expected.differences(4, True, False, results) == []
    assert {"sample", "pictures"} <= set(expected.differences(5, True, False, results))
    assert "reward" in expected.differences(4, True, True, results)
    assert "requested" in expected.differences(4, False, False, results)
    assert "done" in expected.differences(4, True, False, results[:2])


def test_a_group_makes_its_picture_once(monkeypatch):
    """Decoded, shrunk and encoded once for eight sessions; the next sample anew."""
    made = []
    encoded = pictures.encoded
    monkeypatch.setattr(pictures, "encoded", lambda view: made.append(view) or encoded(view))
    turns = [request_turn("x"), answer_turn("no such thing", "x")]

    async def play(url):
        clients = [VisionThinkClient(url) for _ in range(8)]
        try:
            return [await play_group(clients, Says(turns), index=i) for i in (0, 1)]
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    task = make_task(made_samples(2), judge=Slow())
    with served(task) as url:
        first, second = asyncio.run(play(url))
    assert len(made) == 4
    assert len({id(view) for view in made}) == 4
    for index, group in enumerate((first, second)):
        for episode in group:
            assert np.array_equal(episode.views[1].array, task.source[index].image)


class Says:
    name = "says"

    def __init__(self, turns):
        self.turns = turns

    def act(self, conversations):
        return [Reply(self.turns[c.turn]) for c in conversations]


def test_a_group_that_fails_leaves_its_sessions_usable():
    """One session's error is raised when no other waits for a reply; then all play on."""

    async def play(url):
        clients = [VisionThinkClient(url) for _ in range(4)]
        try:
            await clients[0].connect()
            with pytest.raises(RemoteError, match="the server failed") as failed:
                await play_group(clients, Breaks(), index=0)
            again = await play_group(clients, Says([answer_turn("zero", "x")]), index=0)
            return failed.value.code, [episode.reward.total for episode in again]
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    with served(make_task(made_samples(2), judge=Slow(0.3))) as url:
        assert asyncio.run(play(url)) == ("EXECUTION_ERROR", [1.5] * 4)


class Breaks:
    """The second rollout's answer breaks the judge; the others' take it long."""

    name = "breaks"

    def act(self, conversations):
        return [
            Reply(answer_turn("fail" if i == 1 else "wait", "x")) for i in range(len(conversations))
        ]


def test_pictures_are_kept_within_bounds():
    kept = Kept(pixels=2 * 2**16)
    a, b, c = (Picture(np.zeros((8, 6, 3), np.uint8)) for _ in range(3))
    assert kept.picture("a", a) is a
    assert kept.picture("b", b) is b
    assert kept.picture("a", c) is a  # used again: b is the oldest now
    assert kept.picture("c", c) is c
    assert kept.picture("a", b) is a
    assert kept.picture("b", c) is c
    large = Picture(np.zeros((400, 400, 3), np.uint8))
    assert kept.picture("large", large) is large
    assert kept.picture("large", c) is large
    assert kept.picture("broken", Picture(b"no picture"))


def test_a_view_that_cannot_be_encoded_is_an_error_each_time(monkeypatch):
    def breaks(view):
        raise OSError("no memory")

    monkeypatch.setattr(pictures, "encoded", breaks)
    kept, view = Kept(), Picture(np.zeros((8, 6, 3), np.uint8)).original
    for _ in range(2):
        with pytest.raises(OSError, match="no memory"):
            kept.text(view)
