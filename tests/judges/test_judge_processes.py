"""Judges in forked, spawned and threaded programs: real processes, real servers, real files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from chat_server import ChatServer, says

from agents.judging import Ask, Completion, Judging, Local, ModelJudge
from agents.judging.cascade import Cascade
from agents.judging.noisy import NoisyJudge
from agents.judging.panel import Panel
from vt_env.judges import JUDGES, Judge, Query, make_judge

OPEN = Query("What is the man holding?", ("an umbrella",), "a black umbrella")
MANY = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(40)]


def thing_one(asks: list[Ask]) -> list[Completion]:
    """A model that accepts what has a 1 in it."""
    return [Completion("right" if "thing 1" in ask.user else "wrong", None, 5, 1) for ask in asks]


def local(**judging: Any) -> ModelJudge:
    return ModelJudge(Local("test", "test", thing_one), Judging(canaries=0, **judging))


def correct(judge: Judge, queries: list[Query]) -> list[bool | None]:
    return [verdict.correct for verdict in judge.score(queries)]


def in_a_fork(work: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What a function returns in a forked child, which is killed if it hangs."""
    source, sink = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(sink, pickle.dumps(work()))
        except BaseException as error:
            os.write(sink, pickle.dumps(repr(error)))
        os._exit(0)
    os.close(sink)
    killer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    killer.start()
    try:
        with os.fdopen(source, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
    finally:
        killer.cancel()
    assert said, f"the forked child hung for {seconds:g} s"
    return pickle.loads(said)


def test_a_local_judge_goes_on_in_a_fork():
    with local() as judge:
        assert correct(judge, MANY[:3]) == [False, True, False]
        assert in_a_fork(lambda: correct(judge, MANY[9:12])) == [False, True, True]
        assert in_a_fork(lambda: judge.usage.answered) == 3
        assert correct(judge, MANY[9:12]) == [False, True, True]


def test_a_served_judge_goes_on_in_a_fork_and_so_does_its_parent():
    pytest.importorskip("httpx2")
    with (
        ChatServer(says("right")) as server,
        make_judge(f"openai:m@{server.url},canaries=0,timeout=5") as judge,
    ):
        for start in range(0, 40, 10):  # a child that closes must not close its parent's sockets
            assert correct(judge, MANY[start : start + 5]) == [True] * 5

            def ask(start: int = start) -> list[bool | None]:
                found = correct(judge, MANY[start + 5 : start + 10])
                judge.close()
                return found

            assert in_a_fork(ask) == [True] * 5


def test_what_a_parent_waits_for_is_asked_anew_in_a_fork():
    entered, go_on = threading.Event(), threading.Event()

    def slow(asks):
        entered.set()
        go_on.wait(20)
        return thing_one(asks)

    with ModelJudge(Local("test", "test", slow), Judging(canaries=0)) as judge:
        begun = judge.submit(MANY[:2])
        assert entered.wait(10)

        def ask() -> list[bool | None]:
            go_on.set()  # the child's own
            return correct(judge, MANY[:2])

        assert in_a_fork(ask) == [False, True]
        go_on.set()
        assert [v.correct for v in begun.result()] == [False, True]


def test_forks_while_threads_judge(tmp_path: Path):
    """Locks that other threads hold at the fork are not held in the child for ever."""
    with local(cache=str(tmp_path / "cache.sqlite")) as judge:
        over = threading.Event()

        def work(number: int) -> None:
            turn = 0
            while not over.is_set():
                turn += 1
                judge.score([Query("What is it?", ("thing",), f"thing 2 {number} {turn}")])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(15):
                asked = [*MANY[:2], Query("Which?", ("x",), f"a forked thing 1 {turn}")]
                assert in_a_fork(lambda asked=asked: correct(judge, asked)) == [False, True, True]
                time.sleep(0.01)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    with local(cache=str(tmp_path / "cache.sqlite")) as judge:
        assert correct(judge, [Query("Which?", ("x",), "a forked thing 1 14")]) == [True]
        assert judge.usage.cached == 1


def _score_sent(sent: bytes, results: Any) -> None:
    judge = pickle.loads(sent)
    results.put((judge.name, correct(judge, MANY[:3])))
    judge.close()


def test_a_judge_is_sent_to_a_spawned_process(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with local(cache=str(tmp_path / "cache.sqlite")) as judge:
        assert correct(judge, MANY[:2]) == [False, True]
        sent = pickle.dumps(Panel([judge, NoisyJudge(judge, 0.0), Cascade(judge)]))
        child = context.Process(target=_score_sent, args=(sent, results))
        child.start()
        name, found = results.get(timeout=60)
        child.join()
        assert name == "panel:test+noisy:test,rate=0,seed=0+cascade:test"
        assert found == [False, True, False]


SPECS = {
    "openai": "openai:m@http://127.0.0.1:1/v1,tries=2",
    "cascade": "cascade:numeric:0.1",
    "panel": "panel:[numeric:0.01]+mathvista+exact",
    "noisy": "noisy:[relaxed:official],rate=0.3,seed=4",
    "numeric": "numeric:0.05",
    "mathvista": "mathvista:rules",
    "benchmark": "benchmark:pope",
}


@pytest.mark.parametrize("how", [pickle, cloudpickle], ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", [n for n in JUDGES.names() if n not in ("transformers", "vllm")])
def test_every_judge_made_from_a_spec_is_pickled_as_its_spec(name: str, how):
    pytest.importorskip("httpx2")
    queries = [Query("How many?", ("5",), text) for text in ("5.1", "5", "five", "6")]
    with make_judge(SPECS.get(name, name)) as judge, how.loads(how.dumps(judge)) as copy:
        assert type(copy) is type(judge)
        assert copy.name == judge.name
        if name != "openai":
            assert copy.score(queries) == judge.score(queries)


def test_options_given_apart_are_pickled_too():
    pytest.importorskip("httpx2")
    with make_judge("openai:m@http://127.0.0.1:1/v1", tries=7) as judge:
        assert pickle.loads(pickle.dumps(judge)).backend.limits.tries == 7


def test_what_cannot_be_pickled_says_so():
    pytest.importorskip("torch")
    from agents.judging.transformers_judge import Reader

    judge = ModelJudge(Local("held", "held", Reader(None, None)))
    with pytest.raises(TypeError, match="make it there, from its spec transformers:PATH"):
        pickle.dumps(judge)


def test_threads_make_one_loop_between_them():
    pytest.importorskip("httpx2")
    barrier = threading.Barrier(8)
    found: list[list[bool | None]] = []
    with (
        ChatServer(says("right")) as server,
        make_judge(f"openai:m@{server.url},canaries=0") as judge,
    ):

        def work(number: int) -> None:
            barrier.wait()
            found.append(correct(judge, [MANY[number]]))

        for start in range(0, 40, 8):
            judge.close()
            threads = [threading.Thread(target=work, args=(start + n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len([t for t in threading.enumerate() if t.name == "judge"]) == 1
    assert found == [[True]] * 40
