"""Looks for wrong acceptances with an oracle that knows values and shares no code with the judge.

    python benchmarks/judge_fuzz.py [--n 1000000] [--seed 0] [--judge auto] [--processes N]

Prints the share of equal values that is accepted, by kind and language, and every wrong
acceptance (the first 100); leaves with status 1 if there is one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "judges"))

from bounds import Bound, conclude
from oracle import KINDS, LANGUAGES, Pair, pair

from vt_env import Query, make_judge

CHUNK = 2_000
SHOWN = 100
Counts = Counter[tuple[str, str, str]]
"""Pairs by kind, language, and what they are and what the judge said: ``equal True``."""


def judge_chunk(task: tuple[str, int, int]) -> tuple[Counts, list[Pair]]:
    """Counts of n pairs from a seed, and the wrong acceptances."""
    spec, seed, n = task
    rng = random.Random(seed)
    pairs = [pair(rng) for _ in range(n)]
    with make_judge(spec) as judge:
        verdicts = judge.score([Query(p.question, (p.reference,), p.answer) for p in pairs])
    counts, wrong = Counts(), list[Pair]()
    for one, verdict in zip(pairs, verdicts, strict=True):
        accepted = verdict.correct is True
        counts[one.kind, one.language, f"{'equal' if one.equal else 'other'} {accepted}"] += 1
        if accepted and not one.equal:
            wrong.append(one)
    return counts, wrong


def judged(spec: str, n: int, seed: int, processes: int) -> Iterator[tuple[Counts, list[Pair]]]:
    """What the chunks of n pairs found, as they come; the pairs depend on the seed alone."""
    sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
    tasks = [(spec, seed + 10**9 * number, size) for number, size in enumerate(sizes, 1)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(judge_chunk, tasks)


def table(counts: Counts) -> str:
    """Recall of equal values, in Markdown."""
    lines = [f"| kind | {' | '.join(LANGUAGES)} | others accepted |", f"|{'---|' * 8}"]
    for kind in KINDS:
        cells: list[str] = []
        for language in LANGUAGES:
            right = counts[kind, language, "equal True"]
            total = right + counts[kind, language, "equal False"]
            cells.append(f"{right / total:.0%}" if total else "–")
        wrong = sum(counts[kind, language, "other True"] for language in LANGUAGES)
        total = wrong + sum(counts[kind, language, "other False"] for language in LANGUAGES)
        lines.append(f"| {kind} | {' | '.join(cells)} | {wrong} of {total} |")
    return "\n".join(lines)


def main() -> None:
    """Judge, print, and leave with status 1 after a wrong acceptance."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--n", type=int, default=1_000_000, help="pairs")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--judge", default="auto")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    options.add_argument("--out", type=Path, default=Path("runs/judge_fuzz.json"))
    given = options.parse_args()
    if given.n < 1:
        options.error(f"--n must be at least 1, got {given.n}")
    started, counts, wrong = time.monotonic(), Counts(), 0
    for some, found in judged(given.judge, given.n, given.seed, given.processes):
        counts.update(some)
        for one in found[: max(0, SHOWN - wrong)]:
            print(f"ACCEPTED {one.reference!r} <- {one.answer!r}   {one.question}", flush=True)
        wrong += len(found)
    print(table(counts))
    seconds = time.monotonic() - started
    print(f"{counts.total():,} pairs in {seconds:.0f} s by {given.processes} processes")
    told = {"judge": given.judge, "seed": given.seed, "pairs": counts.total(), "seconds": seconds}
    conclude([Bound("other values accepted", wrong, 0)], given.out, told)


if __name__ == "__main__":
    main()
