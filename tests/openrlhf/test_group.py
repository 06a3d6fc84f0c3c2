"""Rollouts that wait for each other: all of a request, none of another, whoever fails."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from agents import answer_turn
from trainers.hosted.rollouts import RolloutWorker
from trainers.openrlhf.run import OpenRLHFRun

RIGHT = {"split": "train", "shown": False}


@pytest.fixture
def worker(recipe, tmp_path):
    config = recipe("rollout.probes=0", "reward.penalty=none")
    run = OpenRLHFRun(tmp_path, tmp_path, config, max_length=400)
    run.write()
    return RolloutWorker(run)


def asked(worker: RolloutWorker, key: object, turns: list[str | Exception], index: int = 0):
    """The rollouts of one request, each of which says its turn after a while."""
    label = {**RIGHT, "id": worker.tasks["train"].source.ids()[index]}

    def saying(turn: str | Exception, seed: int):
        async def generate(transcript, views, room):
            await asyncio.sleep(random.Random(seed).random() / 100)
            if isinstance(turn, Exception):
                raise turn
            end = worker.processor.tokenizer.eos_token_id
            said = worker.processor.tokenizer.encode(turn, add_special_tokens=False)
            return [*said, end], []

        return generate

    return [
        worker.play(label, saying(turn, 31 * index + place), group=key, max_length=400)
        for place, turn in enumerate(turns)
    ]


def run(*requests):
    async def all_of_them():
        made = [asyncio.gather(*request, return_exceptions=True) for request in requests]
        return await asyncio.wait_for(asyncio.gather(*made), 20)

    return asyncio.run(all_of_them())


def test_groups_meet_and_do_not_mix(worker):
    source = worker.tasks["train"].source
    right = [answer_turn(source[i].references[0], "clear") for i in range(6)]
    groups = [[right[i]] * (i % 5) + ["clear"] * (4 - i % 5) for i in range(6)]
    made = run(*[asked(worker, object(), turns, i) for i, turns in enumerate(groups)])
    for i, rollouts in enumerate(made):
        assert [r.episode.sample.id for r in rollouts] == [source.ids()[i]] * 4
        assert [r.episode.verdict.correct for r in rollouts] == [
            turn == right[i] for turn in groups[i]
        ]
        assert len({r.spread for r in rollouts}) == 1
    assert not worker.groups


@pytest.mark.parametrize("failing", [1, 3, 4])
def test_failures_leave_nobody_waiting(worker, failing):
    turns = [RuntimeError("engine")] * failing + ["clear"] * (4 - failing)
    (made,) = run(asked(worker, object(), turns))
    assert [isinstance(m, RuntimeError) for m in made] == [True] * failing + [False] * (4 - failing)
    assert not worker.groups


def test_what_goes_wrong_at_the_end_reaches_every_member(worker):
    class Broken:
        name = "broken"

        def score(self, queries):
            raise ValueError("the judge broke")

    worker.tasks["train"] = replace(worker.tasks["train"], judge=Broken())
    (made,) = run(asked(worker, object(), [answer_turn("red", "clear")] * 4))
    assert [str(error) for error in made] == ["the judge broke"] * 4


def test_a_sample_is_opened_once(worker, monkeypatch):
    opened = []
    by_id = type(worker.tasks["train"].source).by_id
    monkeypatch.setattr(
        type(worker.tasks["train"].source),
        "by_id",
        lambda source, name: opened.append(name) or by_id(source, name),
    )
    (made,) = run(asked(worker, object(), ["clear"] * 4))
    assert len(opened) == 1
    assert len(made) == 4
