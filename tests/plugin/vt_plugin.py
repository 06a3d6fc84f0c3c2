"""Somebody else's package: one of everything that can be added, found by entry points alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vt_env import Query, Sample, Scene, Tool, Verdict, View, make_judge
from vt_env.sources import ListSource


class Squares(ListSource):
    """Grey squares; the answer is how bright they are."""

    def __init__(self, n: int = 4) -> None:
        samples = [
            Sample(f"square-{i}", "How bright?", (str(i),), np.full((64, 64, 3), i, np.uint8))
            for i in range(n)
        ]
        super().__init__(samples, "squares")


class Generous:
    """A judge that is content with anything."""

    name = "generous"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        return [Verdict(True, self.name, "why not") for _ in queries]


class Outage:
    """A judge that cannot be reached for its first queries, and is exact afterwards."""

    name = "outage"

    def __init__(self, first: str) -> None:
        self.left = int(first)
        self.exact = make_judge("exact")

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        down, self.left = self.left, max(0, self.left - len(queries))
        unscored = [Verdict(None, self.name, "no connection") for _ in queries[:down]]
        return [*unscored, *self.exact.score(queries[down:])]


class Mirror(Tool):
    """Shows the picture turned over."""

    name = "mirror"
    description = "Turns the image over."
    parameters: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {}}

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        return View(scene.picture.original.image.transpose(0), "mirror")


class Curious:
    """An agent that turns the picture over before it answers."""

    name = "curious"

    def act(self, conversations: Sequence[Any]) -> list[Any]:
        from agents import Reply
        from vt_env import ToolCall

        call, answer = ToolCall("mirror", {}).text, "<think></think><answer>0</answer>"
        return [Reply(call if c.turn == 0 else answer) for c in conversations]


def contrarian(**options: Any) -> Any:
    """An algorithm: GRPO under another name, with its own default."""
    from trainers.algorithms.catalogue import GRPO

    return GRPO(**{"kl_coef": 0.5, **options})


@dataclass
class Instant:
    """A trainer that is done before it begins."""

    def train(self, config: Any, out: Path, *, resume: bool = False, progress: Any = None) -> Any:
        from trainers import TrainResult

        model = out / "checkpoint" / "model"
        model.mkdir(parents=True)
        return TrainResult(steps=config.steps, checkpoint=model, log=out / "metrics.jsonl")
