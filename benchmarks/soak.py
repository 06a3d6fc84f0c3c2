"""Does memory grow? Many episodes in several ways, and the slope of what stays resident.

    python benchmarks/soak.py                              # 50,000 episodes each: `make soak`
    python benchmarks/soak.py --episodes 2000 --limit 2    # minutes; memories still fill
    python benchmarks/soak.py --only judge --only agent

Each way runs in a process of its own: single and batched environments, parts of JPEGs, strict
judges, a judge that asks a server, a tiny model that plays, and a server whose clients give long
answers (`serve`, which needs the extra `openenv` and runs only where it is named). No answer comes
twice. The slope is that of a line through the second half of the run, after memories have filled;
`--limit` is the most that it may be. Leaves with status 1 if one is steeper.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from bounds import Bound, conclude

LIMIT = 1.0
"""MiB that may stay for every 1,000 episodes, a kilobyte an episode. A judge's memory of 65,536
decisions still fills at 50,000; one answer that is kept is twenty times as much."""

POINTS = 40
ASK = (
    "<think>look</think><tool_call>"
    '{"name": "resize_image", "arguments": {"action": "resize"}}</tool_call>'
)
BAD = '<think>look</think><tool_call>{"name": "zoom", "arguments": {"by": 1e999}}</tool_call>'
LONG = "word " * 4000


def answer(text: str) -> str:
    """A turn that answers."""
    return f"<think>I see</think><answer>{text}</answer>"


def single() -> Iterator[int]:
    """``gym.make``: requests, calls that do not work, and answers."""
    import gymnasium as gym

    env = gym.make("vt_env:VisionThink-v0", data="generated:n=5000")
    number = 0
    while True:
        env.reset(seed=number)
        *_, ended, _, _ = env.step((ASK, BAD, "nonsense", answer(f"red {number}"))[number % 4])
        if not ended:
            env.step(answer(f"blue {number}"))
        number += 1
        yield 1


def vector() -> Iterator[int]:
    """``gym.make_vec``: groups of eight."""
    import gymnasium as gym

    env = gym.make_vec(
        "vt_env:VisionThink-v0", num_envs=64, group_size=8, data="generated:n=5000",
        reward={"penalty": "paper"},
    )  # fmt: skip
    number = 0
    while True:
        env.reset(seed=number)
        turns = (ASK, BAD, "nonsense", answer(f"red {number}"))
        env.step([turns[row % 4] for row in range(64)])
        if env.unwrapped.active.any():
            env.step([answer(f"blue {row} {number}") for row in range(64)])
        number += 1
        yield 64


def parts() -> Iterator[int]:
    """Parts of JPEGs too large to stay decoded: two, a call that does not work, and an answer."""
    from io import BytesIO

    from PIL import Image

    from vt_env import Sample
    from vt_env.env import VisionThinkEnv

    samples: list[Sample] = []
    for shade in range(256):
        stream = BytesIO()
        Image.new("RGB", (640, 480), (shade, 0, 0)).save(stream, "JPEG")
        samples.append(Sample(f"s{shade}", "What colour is it?", ("red",), stream.getvalue()))
    env = VisionThinkEnv(samples, protocol="deepeyes", judge="exact")
    number = 0
    while True:
        env.reset(options={"index": number % len(samples)})
        for left in (0, 100 + number % 100, 600):
            box = [left, left, left + 200, left + 200]
            env.step(
                '<think>closer</think><tool_call>{"name": "image_zoom_in_tool", '
                f'"arguments": {{"bbox_2d": {box}}}}}</tool_call>'
            )
        env.step(answer(f"red {number}"))
        number += 1
        yield 1


def judge() -> Iterator[int]:
    """Strict judges: long answers, expressions, quantities and options."""
    from vt_env import Query, make_judge

    judges = [make_judge(name) for name in ("auto", "math", "relaxed", "anls")]
    number = 0
    while True:
        asked = (
            Query("What is written?", ("red",), f"{number} {LONG}"),
            Query("What is x?", ("2x+1",), f"2x+1+{number}y-{number}y"),
            Query("How long is it?", ("5 km",), f"{number} m"),
            Query("Which one?\nA. red\nB. blue", ("A",), f"B. blue {number}"),
        )[number % 4]
        for one in judges:
            one.score([asked])
        number += 1
        yield 1


def model() -> Iterator[int]:
    """A judge that asks a server, 64 answers at a time."""
    from vt_env import Query, make_judge

    script = str(Path(__file__).with_name("slow_server.py"))
    with subprocess.Popen(
        [sys.executable, script, "--delay", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            asking, number = make_judge(f"openai:m@{url},canaries=0"), 0
            while True:
                texts = [f"{LONG[:400]}{number + row}" for row in range(64)]
                asking.score([Query("What is written?", ("red",), text) for text in texts])
                number += 64
                yield 64
        finally:
            server.terminate()


def agent() -> Iterator[int]:
    """A tiny model plays; whatever it says, it is asked again where it may go on."""
    import torch

    from agents import rollout
    from agents.tiny import TinyAgent, make_vlm
    from vt_env.vector import VisionThinkVectorEnv

    torch.set_num_threads(1)
    player = TinyAgent(make_vlm(seed=1), temperature=1.0, max_new_tokens=4)
    env = VisionThinkVectorEnv(64, group_size=8, data="generated:n=5000", prompt="tiny")
    seed = 0
    while True:
        rollout(env, player, seed=seed)
        seed += 1
        yield 64


def serve() -> Iterator[int]:
    """A session of a server in this process: it may ask, and then says 20,000 characters."""
    from trainers.openenv.client import VisionThinkClient
    from trainers.openenv.server import Serving, served
    from vt_env import make_task

    number = 0
    with (
        served(make_task("generated:n=5000"), Serving(port=0)) as url,
        VisionThinkClient(url).sync() as client,
    ):
        while True:
            client.reset(index=number % 5000)
            if number % 2:
                client.step(ASK)
            client.step(answer(f"{number} {LONG}"))
            number += 1
            yield 1


Way = Callable[[], Iterator[int]]

WAYS: dict[str, Way] = {
    way.__name__: way for way in (single, vector, parts, judge, model, agent, serve)
}
ELSEWHERE = {"serve"}
"""What needs an environment of its own, so that it runs only where it is named."""


def resident() -> float:
    """MiB of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def slope(playing: Iterator[int], episodes: int) -> tuple[float, float, int]:
    """MiB for every 1,000 episodes, MiB at the end, and the episodes played."""
    played, seen = 0, []
    while played < episodes:
        played += next(playing)
        if played >= episodes * (len(seen) + 1) / POINTS:
            seen.append((played, resident()))
    late = np.array(seen[len(seen) // 2 :])
    return float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) * 1000, float(late[-1, 1]), played


def slope_of(way: Way, episodes: int) -> tuple[float, float, int]:
    """:func:`slope` of a way, which ends what it began."""
    playing = way()
    try:
        return slope(playing, episodes)
    finally:
        playing.close()  # type: ignore[attr-defined]


def apart(way: Way, episodes: int) -> tuple[float, float, int]:
    """:func:`slope` of a way, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(slope_of, (way, episodes))


def main() -> None:
    """Run the ways, and conclude with a bound on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=50_000)
    parser.add_argument("--limit", type=float, default=LIMIT, help="MiB for every 1,000 episodes")
    parser.add_argument("--only", choices=WAYS, action="append")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/soak.json"))
    arguments = parser.parse_args()
    if arguments.episodes < 1000:
        parser.error(f"--episodes must be at least 1,000, got {arguments.episodes}")
    bounds, details = [], {}
    for way in arguments.only or [way for way in WAYS if way not in ELSEWHERE]:
        grows, end, played = apart(WAYS[way], arguments.episodes)
        print(f"{way}: {played:,} episodes, {end:,.0f} MiB at the end", flush=True)
        bounds.append(Bound(f"{way}: MiB for every 1,000 episodes", grows, arguments.limit))
        details[way] = {"episodes": played, "mib": end}
    conclude(bounds, arguments.out, details)


if __name__ == "__main__":
    main()
