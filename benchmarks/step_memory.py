"""The host's memory in a step of the paper: pictures from engines to learners, without a model.

    tests/openrlhf/env python benchmarks/step_memory.py                 # 512 x 16 rollouts
    tests/openrlhf/env python benchmarks/step_memory.py --prompts 64    # an eighth

Engines are Ray actors that play with OpenRLHF's own executor and recorded turns: half of the
rollouts ask for the original. What each rollout's learner is given goes through the driver to the
learners, in chunks, as OpenRLHF sends it, and every learner goes through its rollouts (``--passes``
times) and cuts the patches that a model would read.

Measured is the proportional set size of all processes together, Ray's among them, at its peak and
before the step; a page that several share counts once. The bound is twice the bytes of the views.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import ray
from bounds import Bound, conclude
from PIL import Image

from trainers.preflight.rehearsal import again_and_again

LIMIT = 2.0
"""Peak over the bytes of the views."""
FILES = 16
"""Different picture files; every row decodes its own."""


@ray.remote(num_cpus=0)
class Engine:
    """Plays groups as an engine of OpenRLHF does; what the model would say is recorded."""

    def __init__(self, folder: str) -> None:
        from trainers.openrlhf.executor import executor_for

        self.executor = executor_for(Path(folder))()
        encode = self.executor.processor.tokenizer.encode
        from agents import answer_turn, request_turn

        end = self.executor.processor.tokenizer.eos_token_id
        self.said = [
            [*encode(text, add_special_tokens=False), end]
            for text in (answer_turn("7", "clear"), request_turn("blurry"))
        ]

    async def play(self, labels: Sequence[dict[str, Any]], size: int) -> list[Any]:
        """All rollouts of some questions."""
        made = await asyncio.gather(*(self._group(label, size) for label in labels))
        return [
            {"pictures": one["mm_train_inputs"], "tokens": np.array(one["observation_tokens"])}
            for group in made
            for one in group
        ]

    async def _group(self, label: dict[str, Any], size: int) -> list[Any]:
        sampling = SimpleNamespace(max_tokens=None, logit_bias=None, logprobs=None, temperature=1.0)
        return await asyncio.gather(
            *(
                self.executor.execute(
                    "", label, sampling, 100_000, None, SimpleNamespace(generate=self._says(place))
                )
                for place in range(size)
            )
        )

    def _says(self, place: int) -> Any:
        turns = iter([self.said[1], self.said[0]] if place % 2 else [self.said[0]])

        async def generate(ids: list[int], sampling: Any, multi_modal_data: Any = None) -> Any:
            await asyncio.sleep(random.uniform(0.0, 0.2))
            count = self.executor.processor.counter.count
            left, read = iter(multi_modal_data["image"]), []
            for token in ids:
                mark = token == self.executor.processor.image_id
                read += [token] * (count(*next(left).size) if mark else 1)
            output = SimpleNamespace(token_ids=next(turns), logprobs=None, finish_reason="stop")
            return SimpleNamespace(prompt_token_ids=read, outputs=[output])

        return generate


@ray.remote(num_cpus=0)
class Learner:
    """Cuts the patches of its rollouts, as a model's forward pass would have it do."""

    def learn(self, chunk: Sequence[dict[str, Any]], passes: int) -> int:
        """Bytes of patches that were cut."""
        cut = 0
        for _ in range(passes):
            for rollout in chunk:
                tensors = dict(rollout["pictures"].items())
                cut += tensors["pixel_values"].numel() * 4
        return cut


def resident() -> float:
    """Bytes of this process and of all that it began, shared pages counted once."""
    total = 0.0
    for pid in family():
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += float(line.split()[1]) * 1024
    return total


def family() -> list[int]:
    """This process and its descendants."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            parents.setdefault(parent, []).append(int(folder.name))
    found, left = [], [os.getpid()]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


@contextmanager
def watched() -> Iterator[list[float]]:
    """The peak of :func:`resident` while the block runs."""
    peak = [0.0]

    def look() -> None:
        peak[0] = max(peak[0], resident())

    with again_and_again(look, 0.2):
        yield peak


def prepared(folder: Path, prompts: int, group: int, size: tuple[int, int]) -> Path:
    """A run's folder: pictures, rows, a checkpoint with the family's real grid, and settings."""
    from agents.tiny.checkpoint import save
    from agents.tiny.pages.model import make_vlm
    from experiments.recipe import load_recipe
    from trainers.openrlhf.run import OpenRLHFRun

    rng = np.random.default_rng(0)
    for number in range(FILES):
        coarse = rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / f"{number}.jpg", quality=90)
    rows = [
        {
            "id": str(i),
            "image": f"{i % FILES}.jpg",
            "question": f"Which number? ({i})",
            "answer": "7",
        }
        for i in range(prompts)
    ]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    model = save(make_vlm(), folder / "model")
    config = load_recipe(
        "qwen2.5-vl-3b",
        [f"model.path={model}", f"data.train=jsonl:{data}", "data.validation=",
         f"rollout.prompts={prompts}", f"rollout.group_size={group}", "rollout.max_new_tokens=64",
         "rollout.probes=0", "environment.judge=auto", "environment.prompt=tiny"],
    )  # fmt: skip
    run = OpenRLHFRun(folder / "run", Path.cwd(), config, max_length=100_000)
    run.write()
    return run.folder


def main() -> None:
    """Run a step, and conclude with the bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--group", type=int, default=16)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--learners", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 960))
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/step-memory.json"))
    arguments = parser.parse_args()
    wide, high = arguments.size
    views = arguments.prompts * 3 * (wide * high + (wide // 2) * (high // 2))
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name), arguments.prompts, arguments.group, (wide, high))
        ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2,
                 object_store_memory=int(2 * views + 2e9))  # fmt: skip
        engines = [Engine.remote(str(folder)) for _ in range(arguments.engines)]
        learners = [Learner.remote() for _ in range(arguments.learners)]
        ray.get([engine.play.remote([], 0) for engine in engines])
        ray.get([learner.learn.remote([], 1) for learner in learners])
        before, began = resident(), time.perf_counter()
        with watched() as peak:
            labels = [{"split": "train", "id": str(i), "shown": False}
                      for i in range(arguments.prompts)]  # fmt: skip
            played = ray.get([
                engine.play.remote(labels[place :: len(engines)], arguments.group)
                for place, engine in enumerate(engines)
            ])  # fmt: skip
            rollouts = [rollout for part in played for rollout in part]
            del played
            chunks = [ray.put(rollouts[place :: len(learners)]) for place in range(len(learners))]
            cut = sum(ray.get([
                learner.learn.remote(chunk, arguments.passes)
                for learner, chunk in zip(learners, chunks, strict=True)
            ]))  # fmt: skip
        seconds = time.perf_counter() - began
        ray.shutdown()
    added = peak[0] - before
    print(
        f"{len(rollouts):,} rollouts, views {views / 1e9:.2f} GB, patches {cut / 1e9:.0f} GB in "
        f"all, {added / 1e9:.2f} GB at the peak beyond {before / 1e9:.2f} before, {seconds:.0f} s"
    )
    conclude(
        [Bound("peak memory of a step over the bytes of its views", added / views, LIMIT)],
        arguments.out,
        {"rollouts": len(rollouts), "views": views, "added": added, "before": before},
    )


if __name__ == "__main__":
    main()
