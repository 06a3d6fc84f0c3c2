"""What the environment costs beside the work that nobody can avoid.

    python benchmarks/environment.py [--images DIR] [--repeat N] [--out FILE]

Ratios of seconds of the processor, each from one run whose sides take turns; the fewest of the
repeats count, so that what else the machine does matters little:

* an episode (reset and a direct answer) against bare Pillow decode + LANCZOS of the same file;
* a group of 16 on one sample (reset, 16 direct answers, one judgement, the group's rewards) against
  one bare decode + LANCZOS plus 100 microseconds a rollout;
* the parser, on turns of several lengths, against a regular expression that finds their words, and
  how its time a character grows with length.

Leaves with status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scans
from bounds import Bound, conclude, quickest
from PIL import Image

from vt_env import Sample, parse
from vt_env.env import VisionThinkEnv
from vt_env.vector import VisionThinkVectorEnv

ANSWER = "<think>The total is printed in bold at the bottom.</think>\n<answer>45.35</answer>"
THOUGHT = "The chart shows one bar a year; I read the tallest. "
GROUP = 16
LENGTHS = {"300 B": 300, "1 kB": 1_000, "10 kB": 10_000, "1 MB": 1_000_000}
WORDS = re.compile(r"\w+")


def bare(path: Path) -> np.ndarray:
    """Decode and halve with Pillow alone: uint8 [H, W, 3]."""
    image = Image.open(path)
    image = image if image.mode == "RGB" else image.convert("RGB")
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(half)


def beside_bare(
    play: Callable[[Path], object], paths: list[Path], repeat: int
) -> tuple[float, float]:
    """Seconds for all files: ours, and bare Pillow."""
    ours = theirs = 0.0
    for path in paths:
        bare(path)  # into the page cache
        one, two = quickest([lambda p=path: play(p), lambda p=path: bare(p)], repeat)
        ours, theirs = ours + one, theirs + two
    return ours, theirs


def episodes(paths: list[Path], repeat: int) -> Bound:
    """An episode on each file."""
    env = VisionThinkEnv([_sample(path) for path in paths], order="sequential")

    def play(path: Path) -> None:
        env.reset(options={"sample_id": path.name})
        env.step(ANSWER)

    ours, theirs = beside_bare(play, paths, repeat)
    return Bound("an episode, over bare decode + LANCZOS", ours / theirs, 1.10)


def groups(paths: list[Path], repeat: int) -> Bound:
    """A group of 16 on each file."""
    env = VisionThinkVectorEnv(GROUP, group_size=GROUP, data=[_sample(path) for path in paths])

    def play(path: Path) -> None:
        env.reset(options={"sample_ids": [path.name]})
        env.step([ANSWER] * GROUP)

    ours, theirs = beside_bare(play, paths, repeat)
    allowed = theirs + 100e-6 * GROUP * len(paths)
    what = f"a group of {GROUP}, over that once and 100 us a rollout"
    return Bound(what, ours / allowed, 1.25)


def parser(repeat: int) -> list[Bound]:
    """Turns of several lengths."""
    bounds: list[Bound] = []
    each: dict[str, float] = {}
    for name, length in LENGTHS.items():
        thought = (THOUGHT * (length // len(THOUGHT) + 1))[:length]
        turn = f"<think>{thought}</think>\n<answer>2019</answer>"
        times = range(max(1, 1_000_000 // length))
        ours, words = quickest(
            [
                lambda t=turn, n=times: [parse(t) for _ in n],
                lambda t=turn, n=times: [WORDS.findall(t) for _ in n],
            ],
            repeat,
        )
        each[name] = ours / (len(turn) * len(times))
        bounds.append(Bound(f"parsing turns of {name}, over finding words", ours / words, 0.75))
    growth = each["1 MB"] / each["10 kB"]
    return [*bounds, Bound("parsing a character of 1 MB, over one of 10 kB", growth, 1.5)]


def _sample(path: Path) -> Sample:
    return Sample(path.name, "What is the total?", ("45.35",), path, answer_type="numeric")


def main() -> None:
    """Measure, print, and leave with status 1 if a target was missed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--images", type=Path, help="a folder of JPEG files; pages, if left out")
    options.add_argument("--repeat", type=int, default=7)
    options.add_argument("--out", type=Path, default=Path("runs/bench/environment.json"))
    arguments = options.parse_args()
    repeat = arguments.repeat
    with tempfile.TemporaryDirectory() as folder:
        images = arguments.images or scans.write(Path(folder) / "pages", 6) / scans.IMAGES
        paths = sorted(images.glob("*.jpg"))
        if not paths:
            options.error(f"expected a folder of .jpg files, got {images}")
        bounds = [episodes(paths, repeat), groups(paths, repeat), *parser(repeat)]
    conclude(bounds, arguments.out, {"files": len(paths), "repeat": repeat})


if __name__ == "__main__":
    main()
