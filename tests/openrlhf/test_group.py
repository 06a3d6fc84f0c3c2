"""Rollouts that wait for each other: all of a request, none of another, whoever fails."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from agents import answer_turn, request_turn
from agents.rollout import AgentError, TokenMismatch
from experiments.preparation.writing import write_jsonl
from trainers.errors import TrainingError
from trainers.hosted.rollouts import RolloutWorker, flattened
from trainers.metrics import rollout_metrics
from trainers.openrlhf.run import OpenRLHFRun
from vt_env import PictureError, open_source

RIGHT = {"split": "train", "shown": False}


@pytest.fixture
def worker(recipe, tmp_path):
    config = recipe("rollout.probes=0", "reward.penalty=none")
    run = OpenRLHFRun(tmp_path, tmp_path, config, max_length=400)
    run.write()
    return RolloutWorker(run)


def asked(
    worker: RolloutWorker,
    key: object,
    turns: list[str | Exception],
    index: int = 0,
    *,
    log_probs: bool = False,
):
    """The rollouts of one request, each of which says its turn after a while."""
    label = {**RIGHT, "id": worker.tasks["train"].source.ids()[index]}

    def saying(turn: str | Exception, seed: int):
        async def generate(transcript, views, room):
            await asyncio.sleep(random.Random(seed).random() / 100)
            if isinstance(turn, Exception):
                raise turn
            end = worker.processor.tokenizer.eos_token_id
            said = worker.processor.tokenizer.encode(turn, add_special_tokens=False)
            return [*said, end], [-0.5] * (len(said) + 1) * log_probs

        return generate

    return [
        worker.play(
            label,
            saying(turn, 31 * index + place),
            group=key,
            max_length=400,
            log_probs=log_probs,
        )
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


LOST = RuntimeError("the request is lost")


@pytest.mark.parametrize("lost", [LOST, AgentError("the engine said nothing")])
def test_one_that_fails_is_unscored_and_its_siblings_are_as_without_it(worker, lost):
    truth = worker.tasks["train"].source[0].references[0]
    right, wrong = answer_turn(truth, "clear"), answer_turn("checker", "clear")
    (made,) = run(asked(worker, object(), [right, lost, wrong, right]))
    assert [r.episode.reward.total for r in made] == [1.5, None, 0.5, 1.5]
    assert made[1].reward == pytest.approx(3.5 / 3)
    assert str(lost) in made[1].episode.verdict.reason
    tokens, ((begin, end),), _ = flattened(made[1].episode.replies)
    assert (len(tokens), end - begin) == (end, 1)  # no library takes an empty turn
    numbers = rollout_metrics([r.episode for r in made], 4)
    assert (numbers["rollout/failed"], numbers["env/unscored"]) == (1, 1)
    assert [r.facts()["rollout/failed"] for r in made] == [0, 1, 0, 0]
    assert not worker.groups


def test_log_probabilities_are_there_for_all_or_for_none(worker):
    (made,) = run(asked(worker, "one", [LOST, *["clear"] * 3], log_probs=True))
    for rollout in made:
        tokens, ranges, log_probs = flattened(rollout.episode.replies)
        assert len(log_probs) == len(tokens)
        assert {log_probs[at] for at in range(*ranges[0])} == {0.0 if rollout is made[0] else -0.5}


def test_a_second_turn_that_fails_keeps_the_first_and_its_pictures(worker):
    async def generate(transcript, views, room):
        if len(views) > 1:
            raise LOST
        said = worker.processor.tokenizer.encode(request_turn("blurry"), add_special_tokens=False)
        return [*said, worker.processor.tokenizer.eos_token_id], []

    label = {**RIGHT, "id": worker.tasks["train"].source.ids()[0]}
    good = asked(worker, "two", ["clear"] * 3)
    first = worker.play(label, generate, group="two", max_length=400, log_probs=False)
    (made,) = run([first, *good])
    tokens, ranges, _ = flattened(made[0].episode.replies)
    assert len(ranges) == len(made[0].views) == 2
    features = sum(worker.processor.count(view) for view in made[0].views)
    assert tokens.count(worker.processor.image_id) == features
    assert made[0].episode.outcome.correct is None


def test_where_none_has_worked_yet_the_run_stops(worker):
    (made,) = run(asked(worker, object(), [LOST] * 4))
    assert [str(error) for error in made] == ["RuntimeError: the request is lost"] * 4
    assert all(isinstance(error, TrainingError) for error in made)
    assert not worker.groups


def test_too_many_that_fail_stop_the_run(worker):
    for _ in range(4):
        run(asked(worker, object(), ["clear"] * 4))
    (made,) = run(asked(worker, object(), [LOST, LOST, "clear", "clear"]))  # 2 of 20
    assert [r.episode.outcome.correct for r in made] == [None, None, False, False]
    (made,) = run(asked(worker, object(), [LOST, "clear", "clear", "clear"]))
    assert all(isinstance(error, TrainingError) for error in made)
    assert "in 3 of its last 21 rollouts, too many to go on" in str(made[1])


def test_none_may_fail_where_the_recipe_says_so(recipe, tmp_path):
    config = recipe("rollout.probes=0", "rollout.max_failed=0")
    run_ = OpenRLHFRun(tmp_path, tmp_path, config, max_length=400)
    run_.write()
    (made,) = run(asked(RolloutWorker(run_), object(), ["clear", "clear", "clear", LOST]))
    assert all(isinstance(error, TrainingError) for error in made)


@pytest.fixture
def on_disk(recipe, tmp_path):
    """A worker whose data are files, and what breaks the picture of one of its questions."""
    drawn = open_source("generated:n=60,split=train")
    write_jsonl(tmp_path / "data", ((drawn.by_id(name), {}) for name in drawn.ids()), "drawn")

    def make(*overrides):
        settings = (f"data.train=jsonl:{tmp_path / 'data'}", "rollout.probes=0", *overrides)
        run_ = OpenRLHFRun(tmp_path, tmp_path, recipe(*settings), max_length=400)
        run_.write()
        worker = RolloutWorker(run_)

        def tear(index):
            file = worker.tasks["train"].source[index].image
            file.write_bytes(file.read_bytes()[:-40])

        return worker, tear

    return make


def test_a_picture_that_breaks_in_play_costs_its_question_and_not_the_run(on_disk, caplog):
    """Also where it is the first that a process plays: it says nothing about the engine."""
    worker, tear = on_disk()
    tear(0)
    torn, good = run(
        asked(worker, "torn", ["clear"] * 4, log_probs=True),
        asked(worker, "good", ["clear"] * 4, 1, log_probs=True),
    )
    assert [r.episode.reward.total for r in torn] == [None] * 4
    assert [r.episode.outcome.correct for r in good] == [False] * 4
    assert f"PictureError: sample {torn[0].episode.sample.id!r}" in torn[0].episode.verdict.reason
    numbers = rollout_metrics([r.episode for r in (*torn, *good)], 4)
    assert (numbers["rollout/failed"], numbers["env/unscored"]) == (4, 4)
    for rollout in torn:  # what a library has to be given for every rollout
        (view,) = rollout.views
        tokens, ((begin, end),), log_probs = flattened(rollout.episode.replies)
        assert (len(tokens), end - begin) == (end, 1)
        assert log_probs == [0.0] * len(tokens)
        assert tokens.count(worker.processor.image_id) == worker.processor.count(view) == 1
    assert "has no turn 1: PictureError" in caplog.text


def test_an_original_that_is_refused_is_told_to_the_policy(worker, monkeypatch):
    """As in every environment: the rollout goes on, and is scored."""

    def torn(*_):
        raise PictureError("the file is torn")

    monkeypatch.setattr("vt_env.tools.ResizeImage.apply", torn)
    spoke = set()

    async def generate(transcript, views, room):
        turn = answer_turn("checker", "clear") if transcript.turns else request_turn("blurry")
        spoke.add((len(transcript.turns), len(views)))
        said = worker.processor.tokenizer.encode(turn, add_special_tokens=False)
        return [*said, worker.processor.tokenizer.eos_token_id], []

    label = {**RIGHT, "id": worker.tasks["train"].source.ids()[0]}
    settings = {"group": "one", "max_length": 400, "log_probs": False}
    (made,) = run([worker.play(label, generate, **settings) for _ in range(4)])
    assert spoke == {(0, 1), (1, 1)}
    assert [r.episode.outcome.correct for r in made] == [False] * 4
    assert [r.facts()["rollout/failed"] for r in made] == [0] * 4


def test_too_many_pictures_that_break_stop_the_run(on_disk):
    worker, tear = on_disk()
    for index in (3, 19, 20, 21):
        tear(index)
    for index in range(20):
        (made,) = run(asked(worker, index, ["clear"] * 4, index))
        assert not any(isinstance(rollout, Exception) for rollout in made)  # 2 of 20 may
    (made,) = run(asked(worker, "more", ["clear"] * 4, 20))
    assert all(isinstance(error, TrainingError) for error in made)
    assert "that is so in 3 of its last 21 questions, too many to go on" in str(made[0])


def test_no_picture_may_break_where_the_recipe_says_so(on_disk):
    worker, tear = on_disk("rollout.max_failed=0")
    tear(0)
    (made,) = run(asked(worker, "torn", ["clear"] * 4))
    assert all(isinstance(error, TrainingError) for error in made)
    assert str(made[0]).startswith(f"sample {worker.tasks['train'].source.ids()[0]!r}: ")


def test_tokens_that_do_not_agree_stop_at_once(worker):
    (made,) = run(asked(worker, object(), ["clear", TokenMismatch("other tokens"), *["clear"] * 2]))
    assert [isinstance(m, TrainingError) for m in made] == [False, True, False, False]
    assert "'train-0-000000': other tokens" in str(made[1])


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
