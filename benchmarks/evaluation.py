"""What it costs to sum episodes up as `vt eval` does, to copy them, and to judge them anew.

    python benchmarks/evaluation.py [--episodes N] [--out FILE]

In processes of their own, on episodes of pages with answers of which four in ten are wrong:
seconds of the processor, so that other programs do not count, the most memory, and how the time
grows with the number of episodes. 100,000 are summed up in a minute and 1 GiB, also as a benchmark
of a suite, with its own numbers: --episodes 100000.

Leaves with status 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from bounds import Bound, conclude

from agents import make_agent
from experiments.episodes import episode_row
from experiments.evaluation.player import play
from experiments.evaluation.result import CONFIG, JOURNAL
from experiments.files import SealedLog, json_line
from trainers.files import write_sealed
from vt_env import make_task
from vt_env.vector import VisionThinkVectorEnv

DATA = "pages:n=32,kinds=form+receipt"
SUITE = "benchmark:mme-realworld"
THOUGHT = "The picture shows a table with several columns, and the question is about one of them. "


def episodes(file: Path, n: int) -> None:
    """Write so many: questions about pages, four answers in ten wrong, half after a request."""
    agents = [make_agent(name) for name in ("ocr:threads=1", "request:answerer=ocr")]
    rows = []
    for agent in agents:
        task = make_task(DATA)
        env = VisionThinkVectorEnv(32, group_size=1, data=task)
        played, _ = play(env, agent, task.source.ids(), 0)
        rows.append([episode_row(episode) for episode in played])
    rng = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as stream:
        for number in range(n):
            row = dict(rows[number % 2][number // 2 % len(rows[0])])
            right = rng.random() < 0.6
            answer = row["references"][0] if right else f"about {number} of them, I think"
            turns = [{**turn, "text": THOUGHT * 5 + turn["text"]} for turn in row["turns"]]
            row |= {"id": f"e{number}", "answer": answer, "turns": turns, "correct": right}
            row |= {"score": float(right), "kind": f"{row['kind']} {number % 5}"}
            stream.write(json_line(row))


def lettered(row: dict[str, Any], number: int) -> dict[str, Any]:
    """An episode as one of MME-RealWorld: a question with options, answered by a letter."""
    choices = [
        f"{text}, as number {number} of the picture shows it" for text in THOUGHT.split()[:5]
    ]
    options = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCDE", choices, strict=True))
    right = "ABCDE"[number % 5]
    said = right if row["correct"] else "ABCDE"[(number + 1) % 5]
    known = {"task": "Perception", "subtask": f"part {number % 9}", "l2_category": "position"}
    question = f"{THOUGHT * 2}The choices are listed below:\n{options}"
    return row | {
        "question": question, "references": [right], "answer": f"({said})", "answer_type": "mcq",
        "choices": choices, "metadata": known, "source": "mme-realworld",
    }  # fmt: skip


def shard(
    file: Path,
    folder: Path,
    n: int,
    data: str = DATA,
    judge: str = "auto",
    made: Callable[[dict[str, Any], int], dict[str, Any]] = lambda row, _: row,
) -> Path:
    """The episodes as the journal of a shard, in which they were not played in order."""
    folder.mkdir()
    config = {
        "format": 2, "agent": "recorded", "data": data, "fingerprint": "", "samples": n,
        "mode": "", "rate": None, "protocol": "visionthink", "judge": judge, "judge_name": judge,
        "tokens": "qwen2.5-vl", "seed": 0, "refused_rows": [], "n_refused": 0, "shard": "0/1",
    }  # fmt: skip
    write_sealed(folder / CONFIG, config)
    log = SealedLog(folder / JOURNAL)
    with file.open(encoding="utf-8") as stream:
        for start in range(0, n, 1000):
            rows = [json.loads(line) for line in islice(stream, 1000)]
            block = [{"at": at, "row": made(row, at)} for at, row in enumerate(rows, start)]
            spent = {"spent": {"seconds": 1.0, "agent_seconds": 1.0}}
            log.append([*reversed(block), spent], sync=False)
    return folder


def cost(out: Path, *words: str) -> tuple[float, float]:
    """Seconds of the processor, and the most memory in MiB, of one command of ``vt``."""
    command = [sys.executable, "-m", "experiments.cli", *words]
    process = subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1]
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0, f"{command} left with {status}"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(n: int, folder: Path) -> list[Bound]:
    """All numbers."""
    file, half = folder / "episodes.jsonl", folder / "half.jsonl"
    writer = multiprocessing.get_context("spawn").Process(target=episodes, args=(file, n))
    writer.start()  # apart: a process that is begun counts the memory of who began it as its own
    writer.join()
    assert writer.exitcode == 0
    with file.open("rb") as whole, half.open("wb") as part:
        part.writelines(line for _, line in zip(range(n // 2), whole, strict=False))
    found: list[Bound] = []
    seconds: dict[str, float] = {}
    plain = shard(file, folder / "shard", n)
    of_suite = shard(file, folder / "of-suite", n, SUITE, SUITE, lettered)
    for what, played in (("summed up", plain), ("of a benchmark summed up", of_suite)):
        taken, memory = cost(folder / f"merged-{played.name}", "eval", "--merge", str(played))
        found += [
            Bound(f"{n} episodes {what}: seconds", taken, max(20, 60 * n / 100_000)),
            Bound(f"{n} episodes {what}: MiB", memory, 1024),
        ]
    for what, more in (("as recorded", ()), ("judged anew by `auto`", ("--judge", "auto"))):
        name = what.split()[0]
        seconds[name], memory = cost(folder / name, "judge", str(file), *more)
        found += [
            Bound(f"{n} episodes {what}: seconds", seconds[name], 60 * n / 10_000),
            Bound(f"{n} episodes {what}: MiB", memory, 1024),
        ]
    half_judged, _ = cost(folder / "half", "judge", str(half), "--judge", "auto")
    growth = seconds["judged"] / half_judged
    return [*found, Bound("judging anew, over half as many episodes", growth, 2.2)]


def main() -> None:
    """Measure, print, write, and leave with status 1 if a bound was missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--episodes", type=int, default=10_000, metavar="N")
    options.add_argument("--out", type=Path, default=Path("runs/benchmarks/evaluation.json"))
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bounds = measure(arguments.episodes, Path(folder))
    conclude(bounds, arguments.out, {"episodes": arguments.episodes})


if __name__ == "__main__":
    main()
