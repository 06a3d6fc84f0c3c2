"""What a served environment costs, and that no client gets what belongs to another.

    python benchmarks/remote.py [--clients N] [--episodes N] [--out FILE]

`vt serve` runs as a process of its own; so many clients play so many episodes each, at once, each
on samples of its own, in both arms, with right and wrong answers. Of every reply the sample, the
question, every pixel of the picture, the facts and the reward are compared with what that very
sample should give. First small drawings, where the protocol is all that costs, then pages
in JPEG files, each client with its own, and eight clients to a page, as in training.

Leaves with status 1 if anything was mixed up, any client met an error, or a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scans
from bounds import Bound, conclude

from agents import answer_turn, request_turn
from trainers.openenv.client import RemoteError, VisionThinkClient
from vt_env import Task, make_task
from vt_env.env import VisionThinkEnv


class Expected:
    """What every sample should show and earn, worked out in this process.

    Args:
        task: What is served.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.sample = cache(self._sample)

    def _sample(self, index: int) -> tuple[str, str, str, list[np.ndarray[Any, Any]]]:
        sample = self.task.source[index]
        (dialogue,) = self.task.begin(sample)
        views = [dialogue.views[0].array, dialogue.picture.original.array]
        return sample.id, sample.question, sample.references[0], views

    def differences(self, index: int, asks: bool, right: bool, results: list[Any]) -> list[str]:
        """What is wrong with the replies of one episode."""
        sample_id, question, _, views = self.sample(index)
        pictures = [view for r in results for view in r.observation.views()]
        last = results[-1].observation
        reward = 1.5 if right else 0.5
        checks = {
            "sample": all(r.observation.sample_id == sample_id for r in results),
            "question": all(r.observation.question == question for r in results),
            "pictures": len(pictures) == 1 + asks
            and all(np.array_equal(p.array, v) for p, v in zip(pictures, views, strict=False)),
            "done": [r.done for r in results] == [False] * (len(results) - 1) + [True],
            "reward": results[-1].reward == reward,
            "correct": last.outcome is not None and last.outcome.correct is right,
            "requested": last.outcome is not None and last.outcome.requested is asks,
        }
        return [name for name, met in checks.items() if not met]


@dataclass
class Played:
    """What came of it.

    Attributes:
        episodes: Played to their end.
        errors: What clients were told or met.
        mixed_up: Replies that belong to no episode of their client.
        seconds: On the clock, all clients together.
    """

    episodes: int
    errors: list[str]
    mixed_up: list[str]
    seconds: float


async def play_all(url: str, task: Task, clients: int, episodes: int, *, share: int = 1) -> Played:
    """So many clients at once, so many episodes each.

    Args:
        url: The server's.
        task: What it serves.
        clients: How many.
        episodes: Of each.
        share: Clients to a sample.
    """
    expected, played = Expected(task), Played(0, [], [], 0.0)
    samples = len(task.source)
    for index in range(min(samples, clients * episodes // share + 1)):
        expected.sample(index)

    async def play(client: VisionThinkClient, number: int) -> None:
        index = number // share % samples
        asks, right = bool(number & 1), bool(number & 2)
        answer = expected.sample(index)[2] if right else "no such thing"
        turns = [request_turn("closer")] * asks + [answer_turn(answer, f"episode {number}")]
        results = [await client.reset(index=index)]
        results += [await client.step(turn) for turn in turns]
        played.episodes += 1
        if wrong := expected.differences(index, asks, right, results):
            played.mixed_up.append(f"episode {number}: {', '.join(wrong)}")

    async def one(place: int) -> None:
        async with VisionThinkClient(url, connect_timeout_s=60) as client:
            for episode in range(episodes):
                try:
                    await play(client, episode * clients + place)
                except RemoteError as error:
                    played.errors.append(f"client {place}: {error}")

    begun = time.perf_counter()
    await asyncio.gather(*(one(place) for place in range(clients)))
    played.seconds = time.perf_counter() - begun
    return played


@contextmanager
def process(data: str, sessions: int) -> Iterator[tuple[str, int]]:
    """`vt serve` in a process of its own: the URL and the process's number."""
    options = ["serve", "--data", data, "--port", "0", "--sessions", str(sessions)]
    server = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split(": ")[0].removeprefix("serving at "), server.pid
    finally:
        server.terminate()
        server.wait()


def processor(pid: int) -> float:
    """Seconds that a process has had of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, what: str) -> float:
    """MiB that a process has (``VmRSS``) or had at most (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def plain(task: Task, episodes: int) -> float:
    """Seconds of the processor that so many episodes take without a server."""
    env = VisionThinkEnv(task)
    begun = time.process_time()
    for number in range(episodes):
        env.reset(options={"index": number % len(task.source)})
        if number & 1:
            env.step(request_turn("closer"))
        env.step(answer_turn("no such thing", f"episode {number}"))
    return time.process_time() - begun


def measure(data: str, clients: int, episodes: int, share: int) -> tuple[dict[str, Any], Played]:
    """One server, all clients."""
    task = make_task(data)
    with process(data, clients) as (url, pid):
        asyncio.run(play_all(url, task, 2, 2))
        before, resident = processor(pid), memory(pid, "VmRSS")
        played = asyncio.run(play_all(url, task, clients, episodes, share=share))
        used, most = processor(pid) - before, memory(pid, "VmHWM")
    number = clients * episodes
    alone = plain(task, min(number, 500)) / min(number, 500)
    return {
        "data": data,
        "clients": clients,
        "clients_to_a_sample": share,
        "episodes": played.episodes,
        "errors": len(played.errors),
        "mixed_up": len(played.mixed_up),
        "seconds": round(played.seconds, 2),
        "episodes_per_second": round(played.episodes / played.seconds, 1),
        "server_ms_per_episode": round(1000 * used / number, 2),
        "plain_ms_per_episode": round(1000 * alone, 2),
        "server_mib_before": round(resident),
        "server_mib_at_most": round(most),
    }, played


def main() -> None:
    """Measure, print, write, and leave with status 1 if anything is wrong."""
    options = argparse.ArgumentParser(description="What a served environment costs.")
    options.add_argument("--clients", type=int, default=64, metavar="N")
    options.add_argument("--episodes", type=int, default=100, metavar="N")
    options.add_argument("--out", type=Path, default=Path("runs/benchmarks/remote.json"))
    arguments = options.parse_args()
    clients, episodes = arguments.clients, arguments.episodes
    rows, bounds = [], []
    with tempfile.TemporaryDirectory() as folder:
        pages = str(scans.write(Path(folder) / "pages", 25))
        for name, data, of_each, share in (
            ("drawings", f"generated:n={clients * episodes}", episodes, 1),
            ("pictures", pages, max(1, episodes // 10), 1),
            ("groups", pages, max(1, episodes // 10), 8),
        ):
            row, played = measure(data, clients, of_each, share)
            rows.append({**row, "data": name if data == pages else data})
            print(json.dumps(rows[-1]))
            print(*(played.errors + played.mixed_up)[:20], sep="\n", end="")
            missing = clients * of_each - played.episodes
            added = row["server_mib_at_most"] - row["server_mib_before"]
            bounds += [
                Bound(f"{name}: episodes missing, with errors or mixed up",
                      missing + row["errors"] + row["mixed_up"], 0),
                Bound(f"{name}: MiB that {clients} sessions add", added, 16 * clients),
            ]  # fmt: skip
    conclude(bounds, arguments.out, {"runs": rows})


if __name__ == "__main__":
    main()
