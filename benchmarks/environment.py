"""What the environment costs beside the work that nobody can avoid.

    python benchmarks/environment.py [--images DIR] [--repeat N]

Three ratios, each measured in one run with its two sides taking turns, so that a noisy machine
slows both:

* an episode (reset and a direct answer) against bare Pillow decode + LANCZOS of the same file;
* a group of 16 on one sample (reset, 16 direct answers, one judgement, the group's rewards) against
  one bare decode + LANCZOS plus 100 microseconds a rollout;
* the parser: megabytes a second on ordinary turns, and how its time grows with length.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from vt_env import Sample, parse
from vt_env.env import VisionThinkEnv
from vt_env.vector import VisionThinkVectorEnv

IMAGES = Path(__file__).parents[1] / "experiments" / "data" / "realvqa" / "images"
ANSWER = "<think>The total is printed in bold at the bottom.</think>\n<answer>45.35</answer>"
GROUP = 16


def bare(path: Path) -> np.ndarray:
    """Decode and halve with Pillow alone: uint8 [H, W, 3]."""
    image = Image.open(path)
    image = image if image.mode == "RGB" else image.convert("RGB")
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(half)


def together(
    actions: list[Callable[[], object]],
    repeat: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds of each action; they take turns."""
    spent: list[list[float]] = [[] for _ in actions]
    for _ in range(repeat):
        for action, times in zip(actions, spent, strict=True):
            start = clock()
            action()
            times.append(clock() - start)
    return [statistics.median(times) for times in spent]


def episodes(paths: list[Path], repeat: int) -> tuple[float, float]:
    """Seconds for all files: the environment, and bare Pillow."""
    env = VisionThinkEnv([_sample(p) for p in paths], order="sequential")

    def play(index: int) -> None:
        env.reset(options={"index": index})
        env.step(ANSWER)

    ours = bare_time = 0.0
    for index, path in enumerate(paths):
        bare(path)  # into the page cache
        one, two = together([lambda i=index: play(i), lambda p=path: bare(p)], repeat)
        ours, bare_time = ours + one, bare_time + two
    return ours, bare_time


def groups(paths: list[Path], repeat: int) -> tuple[float, float]:
    """Seconds for a group of 16 on every file, and for one bare decode + resize of each."""
    env = VisionThinkVectorEnv(GROUP, data=[_sample(p) for p in paths])

    def play(path: Path) -> None:
        env.reset(options={"sample_ids": [path.name]})
        env.step([ANSWER] * GROUP)

    ours = bare_time = 0.0
    for path in paths:
        bare(path)
        one, two = together([lambda p=path: play(p), lambda p=path: bare(p)], repeat)
        ours, bare_time = ours + one, bare_time + two
    return ours, bare_time


def parser_speed(repeat: int) -> dict[str, float]:
    """Megabytes a second on turns of several lengths."""
    speeds: dict[str, float] = {}
    for name, length in (("300 B", 300), ("1 kB", 1_000), ("10 kB", 10_000), ("1 MB", 1_000_000)):
        thought = ("The chart shows one bar a year; I read the tallest. " * (length // 52 + 1))[
            :length
        ]
        turn = f"<think>{thought}</think>\n<answer>2019</answer>"
        times = max(1, 2_000_000 // len(turn))
        seconds = together([lambda t=turn, n=times: [parse(t) for _ in range(n)]], repeat)[0]
        speeds[name] = len(turn) * times / seconds / 1e6
    return speeds


def _sample(path: Path) -> Sample:
    return Sample(path.name, "What is the total?", ("45.35",), path, answer_type="numeric")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=Path, default=IMAGES, help="a folder of JPEG files")
    options.add_argument("--repeat", type=int, default=7)
    arguments = options.parse_args()
    paths = sorted(arguments.images.glob("*.jpg"))
    print(f"{len(paths)} JPEG files, {platform.python_version()}, medians of {arguments.repeat}")
    ours, bare_time = episodes(paths, arguments.repeat)
    print(f"episode / bare decode + LANCZOS: {ours / bare_time:.3f}  (target: at most 1.10)")
    ours, bare_time = groups(paths, arguments.repeat)
    allowed = bare_time + 100e-6 * GROUP * len(paths)
    extra = (ours - bare_time) / GROUP / len(paths) * 1e6
    print(
        f"group of {GROUP} / (bare decode + LANCZOS + 100 us a rollout): {ours / allowed:.3f}  "
        f"(target: at most 1.25); {extra:.0f} us a rollout beyond the bare work"
    )
    for name, speed in parser_speed(arguments.repeat).items():
        print(f"parser, turns of {name}: {speed:.0f} MB/s  (target: at least 50)")


if __name__ == "__main__":
    main()
