"""The laptop run from nothing: warm-up, reinforcement learning, comparison, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import Episode
from experiments.evaluation import episode_row, evaluate
from experiments.files import json_line, whole_file, write_json
from experiments.policies import NAMES, compare
from experiments.recipe import SNAPSHOT, write_snapshot
from experiments.report import ReportConfig, make_report
from experiments.report.tracked import track
from experiments.summary import summarise
from experiments.targets import missed_beside
from trainers import Progress, TrainConfig, make_trainer
from vt_env import make_task, open_source

if TYPE_CHECKING:
    from agents.tiny import WarmupConfig

TEST = "generated:n={n},split=test,kinds=laptop"

LEAD = (
    "A tiny Qwen2.5-VL sees a 16 × 16 picture and a question, and may ask for the 32 × 32 "
    "original. Reinforcement learning taught it when. Colour, shape, corner and the big number can "
    "be read from the small picture; the small number and the texture cannot, and both numbers "
    "are asked for in the same words, so it has to look before it decides."
)


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """What the demo does.

    Attributes:
        recipe: The training run; its model path is replaced by the warm-up's result.
        warmup_steps: Steps of each part of the warm-up, if not its own.
        samples: Pictures of the test split that every policy plays.
        seed: Of warm-up, training and test pictures.
    """

    recipe: TrainConfig
    warmup_steps: int | None = None
    samples: int = 2000
    seed: int = 0

    @property
    def test(self) -> str:
        """The spec of the test split."""
        return TEST.format(n=self.samples) + f",seed={self.seed}"


@dataclass(slots=True)
class Judged:
    """What the test split said.

    Attributes:
        results: Results of the policies by their names, as in ``result.json``.
        sampled: The trained policy's result at temperature 1.
    """

    results: dict[str, dict[str, Any]]
    sampled: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """What the run should have reached and did not, in words."""
        return missed_beside(self.results, self.sampled)


def warm(config: DemoConfig, out: Path, progress: Progress) -> Path:
    """Warm a fresh tiny policy up; its checkpoint's folder."""
    from agents.tiny import warm_up

    def told(numbers: Mapping[str, float]) -> None:
        progress(int(numbers["step"]), numbers)

    folder = out / "warmup"
    warm_up(warmup_of(config), folder, config.seed, told)
    return folder


def warmup_of(config: DemoConfig) -> WarmupConfig:
    """The warm-up's settings."""
    from agents.tiny import WarmupConfig

    return WarmupConfig.cut(config.warmup_steps)


def train(config: DemoConfig, out: Path, model: Path, progress: Progress) -> Path:
    """Train the warmed-up policy; its checkpoint's folder."""
    recipe = replace(
        config.recipe, seed=config.seed, model=replace(config.recipe.model, path=str(model))
    )
    folder = out / "train"
    folder.mkdir(parents=True, exist_ok=True)
    write_snapshot(folder / SNAPSHOT, recipe)
    return make_trainer(recipe.trainer).train(recipe, folder, progress=progress).checkpoint


def judge_policies(
    config: DemoConfig, out: Path, before: Path, model: Path, progress: Progress
) -> Judged:
    """Play all policies on the test split; results and episodes are written to ``out``."""
    from agents.tiny import TinyAgent

    source = open_source(config.test)
    task = make_task(source, prompt="tiny")
    full = make_task(source, protocol="general", prompt="tiny")
    made = Judged({})
    players = compare(TinyAgent(model), TinyAgent(before), task, full, seed=config.seed)
    for name, episodes in players:
        made.results[name] = _written(out / "policies" / name, name, episodes, config.seed)
        progress(len(made.results), {})
    sampler = TinyAgent(model, temperature=1.0)
    episodes = [e for e in evaluate(task, sampler, seed=config.seed) if isinstance(e, Episode)]
    made.sampled = _written(out / "policies" / "sampled", "sampled", episodes, config.seed)
    progress(len(made.results) + 1, {})
    return made


def _written(folder: Path, name: str, episodes: Sequence[Episode], seed: int) -> dict[str, Any]:
    """Write a policy's episodes; its result."""
    rows = [episode_row(episode) for episode in episodes]
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "episodes.jsonl") as stream:
        stream.writelines(json_line(row) for row in rows)
    return {**summarise(rows, seed=seed), "agent": name}


def report(config: DemoConfig, out: Path, judged: Judged, origin: Mapping[str, Any]) -> None:
    """Write ``result.json``, ``report.html`` and the plots; show them where training was shown."""
    write_json(
        out / "result.json",
        {
            "policies": {name: judged.results[name] for name in NAMES},
            "sampled": judged.sampled,
            "missed": judged.missed,
            "data": config.test,
            "provenance": origin,
        },
    )
    made = make_report([out], out / "report.html", ReportConfig("VisionThink on a laptop", LEAD))
    tracking = config.recipe.tracking
    track(made, tracking.wandb, tracking.project, config.recipe.name, out)
