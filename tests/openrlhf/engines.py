"""An engine that says what a test tells it to, as vLLM would."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from vt_env import Sample


def torn_sample(sample_id: str) -> Sample:
    """A sample whose picture looks right until it is decoded."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return Sample(sample_id, "What colour is the shape?", ("red",), stream.getvalue()[:900])


class Sampling(SimpleNamespace):
    """What vLLM's parameters have of which the executor knows."""

    def __init__(self) -> None:
        super().__init__(max_tokens=None, logit_bias=None, logprobs=None, temperature=1.0)


class ScriptedEngine:
    """Says the next turn of a transcript, found by the rollout's place.

    Args:
        processor: Tokenises the turns.
        transcripts: One for each rollout of a group, in the order in which they begin.
    """

    def __init__(self, processor: Any, transcripts: Sequence[Sequence[str | Exception]]) -> None:
        self.processor = processor
        self.transcripts = transcripts
        self.requests: list[SimpleNamespace] = []
        self._places: dict[int, int] = {}
        self._next = itertools.count()

    async def generate(self, ids: list[int], sampling: Any, multi_modal_data: Any = None) -> Any:
        """One turn. RolloutWorker are told apart by their own copy of the parameters."""
        place = self._places.setdefault(id(sampling), next(self._next))
        turn = sum(request.place == place for request in self.requests)
        self.requests.append(
            SimpleNamespace(
                place=place,
                ids=ids,
                sampling=SimpleNamespace(**vars(sampling)),
                images=multi_modal_data["image"],
                keep=sampling,
            )
        )
        await asyncio.sleep(0.002 * ((7 * place) % 5))
        text = self.transcripts[place][turn]
        if isinstance(text, Exception):
            raise text
        said = self.processor.tokenizer.encode(text, add_special_tokens=False)
        said.append(self.processor.tokenizer.eos_token_id)
        cut = said[: sampling.max_tokens]
        ended = "stop" if cut == said else "length"
        read = self._expanded(ids, multi_modal_data["image"])
        output = SimpleNamespace(token_ids=cut, logprobs=None, finish_reason=ended)
        return SimpleNamespace(prompt_token_ids=read, outputs=[output])

    def _expanded(self, ids: list[int], images: Sequence[Any]) -> list[int]:
        """As many image tokens as each picture has, in the place of its mark."""
        left = iter(images)
        read: list[int] = []
        for token in ids:
            picture = token == self.processor.image_id
            count = self.processor.counter.count(*next(left).size) if picture else 1
            read += [token] * count
        return read


async def play(
    executor: Any,
    engine: Any,
    label: dict[str, Any],
    number: int,
    *,
    max_length: int = 400,
    settle: Callable[..., Any] = asyncio.gather,
) -> list[dict[str, Any]]:
    """What ``RolloutRayActor.generate_responses`` does with an executor."""
    sampling = Sampling()
    rollouts = [
        executor.execute(
            prompt="?",
            label=label,
            sampling_params=sampling,
            max_length=max_length,
            hf_tokenizer=None,
            llm_engine=engine,
            images=None,
        )
        for _ in range(number)
    ]
    return await settle(*rollouts)
