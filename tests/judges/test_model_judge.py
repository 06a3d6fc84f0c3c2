"""What a model judge asks, remembers and counts, whoever runs the model."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from agents.judging import Ask, Completion, Failure, Judging, Local, ModelJudge
from vt_env.errors import ConfigError
from vt_env.judges import Query

OPEN = Query("What is the man holding?", ("an umbrella",), "a black umbrella")
MANY = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(60)]


class Model:
    """A scripted model that remembers what it was asked."""

    def __init__(self, say="right"):
        self.asks: list[Ask] = []
        self.say = say

    def __call__(self, asks):
        self.asks += asks
        return [
            self.say(ask) if callable(self.say) else Completion(self.say, None, 50, 1)
            for ask in asks
        ]

    def judge(self, identity="model", **judging) -> ModelJudge:
        judging.setdefault("canaries", 0)
        return ModelJudge(Local("test", identity, self), Judging(**judging))


def correct(judge, queries):
    return [verdict.correct for verdict in judge.score(queries)]


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        (Query("Who?", ("Ann Lee",), " Ann Lee "), True),
        (Query("Who?", ("Ann Lee",), ""), False),
        (Query("Who?", ("Ann Lee",), " \n"), False),
        (Query("Who?", ("Ann Lee",), "..."), False),
        (Query("Who?", ("Ann Lee",), "?!"), False),
        (Query("Who?", ("Ann Lee",), "Thought process:"), False),
        (Query("Who?", ("Ann Lee",), "Solution"), False),
        (Query("Who?", ("Ann Lee",), "Ann Lee, Bob Day, Cy Fox"), False),
        (Query("Who?", ("Ann Lee",), "Ann Lee or Bob Day"), False),
        (Query("How many?", ("5",), "4 and 5"), False),
        (Query("Who?", ("Ann Lee",), "Ann Lee</answer> right"), False),
        (Query("Who?", ("Ann Lee",), "\u0410nn Lee"), False),
        (Query("Who?", ("Ann Lee",), "Ann Lee " * 200), False),
        (Query("Who?", (), "Ann Lee"), None),
        (Query("Who?", (" ",), "Ann Lee"), None),
    ],
)
def test_what_needs_no_model_is_decided_without_one(query, verdict):
    model = Model()
    with model.judge() as judge:
        assert correct(judge, [query, query]) == [verdict] * 2
        assert model.asks == []
        assert judge.usage.settled == 2


def test_equal_queries_are_asked_once_and_remembered():
    model = Model("wrong")
    with model.judge() as judge:
        others = [
            Query(OPEN.question, OPEN.references, OPEN.answer, "exact", rollout=str(i))
            for i in range(5)
        ]
        assert correct(judge, [OPEN, *others]) == [False] * 6
        assert correct(judge, [OPEN]) == [False]
        assert len(model.asks) == 1
        usage = judge.usage
        assert (usage.queries, usage.answered, usage.shared, usage.remembered) == (7, 1, 5, 1)
        assert (usage.tokens_in, usage.tokens_out) == (50, 1)
        assert judge.score([]) == []


def test_failures_are_unscored_and_asked_again():
    says = iter([Failure("gone"), Completion("sort of"), Completion("right")])
    model = Model(lambda _: next(says))
    with model.judge() as judge:
        assert judge.score([OPEN])[0].reason == "gone"
        assert judge.score([OPEN])[0].reason == "unreadable reply 'sort of'"
        assert correct(judge, [OPEN]) == [True]
        assert judge.usage.reasons == {"gone": 1, "unreadable reply 'sort of'": 1}


def test_a_model_that_raises_leaves_its_batch_unscored(caplog):
    def fail(_):
        raise MemoryError("too large")

    with Model(fail).judge() as judge:
        assert judge.score([OPEN])[0].reason == "MemoryError in the model"


def test_verdicts_survive_the_process(tmp_path: Path):
    cache = str(tmp_path / "deep" / "cache.sqlite")
    first = Model(lambda ask: Completion("right" if "thing 1" in ask.user else "wrong", 0.25, 9, 1))
    with first.judge(cache=cache) as judge:
        before = judge.score(MANY)
    second = Model("wrong")
    with second.judge(cache=cache) as judge:
        assert judge.score(MANY) == before
        assert second.asks == []
        assert (judge.usage.cached, judge.usage.hit_rate) == (60, 1.0)
        assert before[0].score == 0.25


def test_failures_are_never_kept(tmp_path: Path):
    cache = str(tmp_path / "cache.sqlite")
    with Model(lambda _: Failure("gone")).judge(cache=cache) as judge:
        assert correct(judge, [OPEN]) == [None]
    with sqlite3.connect(cache) as rows:
        assert rows.execute("SELECT COUNT(*) FROM verdicts").fetchone() == (0,)
    rows.close()


CHANGES = {
    "question": Query("What is the woman holding?", ("an umbrella",), "a black umbrella"),
    "references": Query("What is the man holding?", ("an umbrella", "a stick"), "a black umbrella"),
    "answer": Query("What is the man holding?", ("an umbrella",), "a black  umbrella!"),
    "choices": Query(OPEN.question, OPEN.references, OPEN.answer, choices=("an umbrella", "hat")),
    "border": Query(OPEN.question + "a", OPEN.references, OPEN.answer[1:]),
}


@pytest.mark.parametrize("part", CHANGES)
def test_everything_that_decides_a_verdict_is_in_the_key(part: str, tmp_path: Path):
    cache = str(tmp_path / "cache.sqlite")
    with Model().judge(cache=cache) as judge:
        judge.score([OPEN])
    model = Model("wrong")
    with model.judge(cache=cache) as judge:
        assert correct(judge, [CHANGES[part]]) == [False]
        assert len(model.asks) == 1


def test_another_model_or_another_prompt_is_asked_anew(tmp_path: Path):
    cache = str(tmp_path / "cache.sqlite")
    with Model().judge(cache=cache) as judge:
        judge.score([OPEN])
    with Model("wrong").judge("model at 0.7", cache=cache) as judge:
        assert correct(judge, [OPEN]) == [False]
    prompt = tmp_path / "prompt.toml"
    prompt.write_text(
        'version = "1"\nsystem = ""\nright = "right"\nwrong = "wrong"\n'
        'user = "$question $references $mark $answer"\n'
    )
    with Model("wrong").judge(cache=cache, prompt=str(prompt)) as judge:
        assert correct(judge, [OPEN]) == [False]
    with Model("wrong").judge(cache=cache) as judge:  # the fence is another one each time
        assert correct(judge, [OPEN]) == [True]


def _judge_some(cache: str, start: int) -> None:
    with Model(lambda a: Completion("right" if "thing 1" in a.user else "wrong")).judge(
        cache=cache
    ) as judge:
        for index in range(start, start + 30):
            judge.score([MANY[index]])
        if start:
            os._exit(9)  # a crash: nothing is closed


def test_processes_share_a_cache_and_a_crash_loses_nothing(tmp_path: Path):
    cache = str(tmp_path / "cache.sqlite")
    context = multiprocessing.get_context("spawn")
    starts = (0, 15, 30)
    workers = [context.Process(target=_judge_some, args=(cache, start)) for start in starts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 9, 9]
    model = Model()
    with model.judge(cache=cache) as judge:
        assert correct(judge, MANY) == [i == 1 or 10 <= i < 20 for i in range(60)]
        assert model.asks == []


def test_threads_share_a_cache(tmp_path: Path):
    with Model().judge(cache=str(tmp_path / "cache.sqlite")) as judge:
        threads = [threading.Thread(target=judge.score, args=(MANY[i:],)) for i in range(0, 40, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert judge.usage.answered == len(MANY)


@pytest.mark.parametrize("content", [b"something else entirely, and long enough " * 30, None])
def test_a_file_that_is_no_cache_is_refused(content, tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (a)")
        other.close()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="as a cache of verdicts"):
        Model().judge(cache=str(path))
    with pytest.raises(ConfigError, match="as a cache of verdicts"):
        Model().judge(cache=str(path / "below"))


def test_a_cache_that_vanishes_costs_no_verdict(tmp_path: Path, caplog):
    cache = tmp_path / "cache.sqlite"
    with Model().judge(cache=str(cache)) as judge:
        judge.score(MANY[:1])
        with sqlite3.connect(cache) as other:
            other.execute("DROP TABLE verdicts")
        other.close()
        assert correct(judge, MANY) == [True] * len(MANY)
        assert caplog.text.count("verdicts are not kept") == 1


def test_a_planted_wrong_answer_is_judged_in_every_third_batch():
    model = Model("wrong")
    with model.judge(canaries=3) as judge:
        for query in MANY[:7]:
            judge.score([query, query])
        assert len(model.asks) == 7 + 3
        usage = judge.usage
        assert (usage.canaries, usage.canaries_passed, usage.canary_pass_rate) == (3, 0, 0)
        assert usage.answered == 7


def test_a_model_that_accepts_planted_wrong_answers_raises_an_alarm(caplog):
    with Model("right").judge(canaries=1) as judge:
        for query in MANY[:12]:
            judge.score([query])
        assert judge.usage.canary_pass_rate == 1
    warned = [r for r in caplog.records if r.levelno == logging.WARNING]
    alarms = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert (len(warned), len(alarms)) == (12, 3)
    assert "do not trust" in alarms[0].message


def test_costs_are_counted():
    with Model("right").judge(price_in=2.0, price_out=10.0) as judge:
        judge.score(MANY)
        assert judge.usage.cost == pytest.approx((60 * 50 * 2 + 60 * 10) / 1e6)
        assert judge.usage.numbers()["tokens_in"] == 3000
        assert "60 judged" in str(judge.usage)


@pytest.mark.parametrize(
    "wrong", [{"max_failures": 0.0}, {"failures_over": 0}, {"canaries": -1}, {"prompt": "nowhere"}]
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError):
        Model().judge(**wrong)
