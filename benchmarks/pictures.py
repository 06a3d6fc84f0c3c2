"""What many large pictures cost: on all cores, in memory, and with several parts asked for.

    python benchmarks/pictures.py [--pictures N] [--repeat N] [--out FILE]

* A reset of 64 groups on 4k JPEGs, over the same one picture after the other. By the clock on the
  wall, the fewest seconds of some rounds that take turns: it needs two cores that nobody else uses.
* What stays resident after that reset, and after a part of each was shown, over the views shown and
  their arrays: the decoded pictures must not be among it.
* An episode with three parts of a JPEG of 12 megapixels, over bare Pillow that decodes once,
  shrinks once and cuts three parts, resampled alike.

Leaves with status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bounds import Bound, conclude, quickest
from common import resident
from first_look import photo
from PIL import Image

from vt_env import Sample, make_task
from vt_env.decoding import RECENT
from vt_env.env import VisionThinkEnv
from vt_env.regions import Box, Region

BOXES = ((0, 0, 500, 500), (250, 250, 750, 750), (600, 100, 900, 400))
"""Left, top, right, bottom in thousandths."""
FIRST, MOST = 1024, 802_816
"""The first view's longer side, and the pixels of a part at most."""
PART = Box(400, 400, 1360, 960)
"""Of a picture of 4k, in its pixels."""
LAST = "<think>I see.</think><answer>red</answer>"


def pool(samples: list[Sample], repeat: int) -> Bound:
    """All at once, over one after the other."""
    task = make_task(samples, judge="exact")
    one, other = quickest(
        [lambda: task.begin_all(samples), lambda: [task.begin(sample) for sample in samples]],
        repeat,
        time.perf_counter,
    )
    return Bound(f"{len(samples)} pictures of 4k at once, over one by one", one / other, 0.6)


def held() -> float:
    """Bytes that are resident, without what was used last and what the allocator keeps."""
    RECENT.clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident() * 2**20


def memory(samples: list[Sample]) -> list[Bound]:
    """What stays of pictures that are shown at half size, and then in part."""
    task = make_task(samples, protocol="adaptvision", judge="exact")
    task.begin_all(samples)  # what is only made once
    before, bounds = held(), list[Bound]()
    begun = [dialogues[0] for dialogues in task.begin_all(samples)]
    arrays = [dialogue.views[-1].array for dialogue in begun]
    for after in ("it", "a part of each"):
        if after != "it":
            for dialogue in begun:
                dialogue.apply(dialogue.ask(Region(0, PART, dialogue.picture.size)))
                arrays.append(dialogue.views[-1].array)
        grown = held() - before
        due = sum(4 * array.nbytes // 3 + array.nbytes for array in arrays)
        bounds.append(
            Bound(f"resident after {after}, over views and their arrays", grown / due, 1.15)
        )
    return bounds


def parts(path: Path, repeat: int) -> Bound:
    """An episode with three parts, over bare Pillow."""
    sample = Sample("s", "What colour is it?", ("red",), path)
    tool = {"max_pixels": MOST, "min_pixels": 1, "multiple": 1}
    env = VisionThinkEnv(
        [sample], protocol="qwen3-vl", first_look=f"side:{FIRST}", tools=[tool], judge="exact"
    )

    def call(box: tuple[int, ...]) -> str:
        arguments = {"bbox_2d": box, "label": "it", "img_idx": 0}
        said = json.dumps({"name": "image_zoom_in_tool", "arguments": arguments})
        return f"<think>Closer.</think><tool_call>{said}</tool_call>"

    sizes: list[tuple[int, int]] = []

    def ours() -> None:
        RECENT.clear()  # the decoded picture of the round before
        env.reset()
        for box in BOXES:
            env.step(call(box))
        sizes[:] = [view.size for view in env.dialogue.views]
        env.step(LAST)

    ours()
    cut = [view.region.box.pixels for view in env.dialogue.views[1:] if view.region]

    def bare() -> None:
        with Image.open(path) as image:
            image.load()
            np.asarray(image.resize(sizes[0], Image.Resampling.LANCZOS))
            for box, size in zip(cut, sizes[1:], strict=True):
                np.asarray(image.crop(box).resize(size, Image.Resampling.BICUBIC))

    one, other = quickest([ours, bare], repeat)
    return Bound("an episode with three parts of 12 MP, over bare Pillow", one / other, 1.15)


def main() -> None:
    """Measure, print, and leave with status 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/pictures.json"))
    arguments = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this measures memory as Linux tells it")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "4k.jpg"
        photo(3840, 2160, 0).save(file, quality=90)
        large = Path(folder) / "12mp.jpg"
        photo(4000, 3000, 1).save(large, quality=90)
        data = file.read_bytes()
        samples = [
            Sample(f"s{index}", "What colour is it?", ("red",), data)
            for index in range(arguments.pictures)
        ]
        bounds = [
            *memory(samples),
            pool(samples, arguments.repeat),
            parts(large, arguments.repeat),
        ]
    details = {"pictures": arguments.pictures, "repeat": arguments.repeat}
    conclude(bounds, arguments.out, details)


if __name__ == "__main__":
    main()
