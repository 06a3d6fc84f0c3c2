"""What a model judge costs beside the model's own time.

    python benchmarks/judges.py [--delay SECONDS] [--out FILE]

Against a server on this machine that takes a set time for every reply:

* 1,000 judgements, 100 at a time, over the least time they can take: ten times the delay;
* verdicts a second from memory, and from disk by a judge that is new;
* generation (here: waiting) and judging of the same length, one batch behind the other, over the
  least time that both can take together: one batch more than generation alone.

Leaves with status 1 if one is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bounds import Bound, conclude

from agents.judging import ModelJudge
from vt_env import Query, make_judge

N, AT_ONCE, WARM = 1_000, 100, 20_000


def queries(n: int, name: str) -> list[Query]:
    """Different queries that only a model can decide."""
    return [
        Query("What is the man on the left holding in his hand?", ("an umbrella",), f"a {name} {i}")
        for i in range(n)
    ]


@contextmanager
def server(delay: float) -> Iterator[str]:
    """The address of a slow server in a process of its own."""
    script = str(Path(__file__).with_name("slow_server.py"))
    command = [sys.executable, script, "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def judge_at(url: str, cache: Path) -> ModelJudge:
    """A judge with room for 100 requests."""
    judge = make_judge(f"openai:m@{url},concurrency={AT_ONCE},canaries=0,cache={cache}")
    assert isinstance(judge, ModelJudge)
    return judge


def timed(judge: ModelJudge, asked: list[Query]) -> float:
    """Seconds of one call; every verdict must have come."""
    start = time.perf_counter()
    verdicts = judge.score(asked)
    seconds = time.perf_counter() - start
    assert all(verdict.correct for verdict in verdicts)
    return seconds


def overlapping(judge: ModelJudge, delay: float, batches: int = 8) -> float:
    """Seconds of generating batches and judging each while the next is generated."""
    start = time.perf_counter()
    pending = []
    for number in range(batches):
        time.sleep(delay)
        pending.append(judge.submit(queries(AT_ONCE, f"batch {number} thing")))
    for waiting in pending:
        assert all(verdict.correct for verdict in waiting.result())
    return (time.perf_counter() - start) / ((batches + 1) * delay)


def measure(delay: float, folder: Path) -> list[Bound]:
    """All numbers."""
    cache, asked = folder / "cache.sqlite", queries(N, "thing")
    with server(delay) as url:
        with judge_at(url, cache) as judge:
            timed(judge, queries(AT_ONCE, "first thing"))  # connections, and imports of the client
            ratio = timed(judge, asked) / (N / AT_ONCE * delay)
            warm = WARM / sum(timed(judge, asked) for _ in range(WARM // N))
            overlap = overlapping(judge, delay)
        with judge_at(url, cache) as judge:
            disk = N / timed(judge, asked)
            assert judge.usage.answered == 0
    return [
        Bound(f"{N} judgements, {AT_ONCE} at a time, over the least time", ratio, 1.15),
        Bound("verdicts a second from memory", warm, 20_000, least=True),
        Bound("verdicts a second from disk, by a new judge", disk, 5_000, least=True),
        Bound("generating and judging together, over the least time", overlap, 1.15),
    ]


def main() -> None:
    """Measure, print, write, and leave with status 1 if a bound was missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--delay", type=float, default=1.0, help="of a reply, in seconds")
    options.add_argument("--out", type=Path, default=Path("runs/benchmarks/judges.json"))
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bounds = measure(arguments.delay, Path(folder))
    conclude(bounds, arguments.out, {"delay": arguments.delay})


if __name__ == "__main__":
    main()
