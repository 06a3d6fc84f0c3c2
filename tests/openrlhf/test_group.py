"""Rollouts that wait for each other: all of a request, none of another, whoever fails."""

from __future__ import annotations

import asyncio
import random

import pytest

pytest.importorskip("torch")

from trainers.hosted.group import Groups


async def member(groups: Groups, token: object, value: int, seed: int) -> tuple[int, int]:
    """Leaves its value unless it is negative; gets the sum of its group's."""

    async def finish(left):
        await asyncio.sleep(0)
        return {place: sum(left.values()) for place in left}

    group, place = groups.join(token, finish)
    left = None
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(random.Random(seed).random() / 100)
        if value < 0:
            raise RuntimeError("engine")
        left = value
    finally:
        groups.leave(group, place, left)
    return group.size, await group.outcome(place)


def test_groups_of_any_size_meet_and_do_not_mix():
    groups: Groups = Groups()

    async def run():
        requests = [
            asyncio.gather(*[member(groups, token, 10**i, 100 * i + j) for j in range(2 + i % 5)])
            for i, token in enumerate(object() for _ in range(12))
        ]
        return await asyncio.gather(*requests)

    for i, members in enumerate(asyncio.run(run())):
        size = 2 + i % 5
        assert members == [(size, size * 10**i)] * size
    assert len(groups) == 0


@pytest.mark.parametrize("failing", [1, 3])
def test_failures_leave_nobody_waiting(failing):
    groups: Groups = Groups()

    async def run():
        token = object()
        values = [-1] * failing + [5] * (3 - failing)
        members = [member(groups, token, value, at) for at, value in enumerate(values)]
        return await asyncio.wait_for(asyncio.gather(*members, return_exceptions=True), 5)

    made = asyncio.run(run())
    assert sum(isinstance(m, RuntimeError) for m in made) == failing
    assert [m for m in made if isinstance(m, tuple)] == [(3, 5 * (3 - failing))] * (3 - failing)
    assert len(groups) == 0


def test_what_goes_wrong_at_the_end_reaches_every_member():
    groups: Groups = Groups()

    async def one(token):
        async def finish(left):
            raise ValueError("the judge broke")

        group, place = groups.join(token, finish)
        await asyncio.sleep(0)
        groups.leave(group, place, 1)
        return await group.outcome(place)

    async def run():
        token = object()
        return await asyncio.gather(*[one(token) for _ in range(3)], return_exceptions=True)

    assert [str(error) for error in asyncio.run(run())] == ["the judge broke"] * 3


def test_what_the_first_makes_is_made_once():
    made = []

    async def make():
        made.append(1)
        await asyncio.sleep(0)
        return object()

    async def run():
        groups: Groups = Groups()

        async def finish(left):
            return left

        token = object()
        group, _ = groups.join(token, finish)
        return await asyncio.gather(*[group.once(make) for _ in range(4)])

    assert len(set(map(id, asyncio.run(run())))) == 1
    assert made == [1]
