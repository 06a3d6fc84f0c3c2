"""The laptop run from nothing: warm-up, reinforcement learning, comparison, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import Episode
from experiments.evaluation import episode_row, evaluate
from experiments.files import json_line, whole_file, write_json
from experiments.plots import accuracy_against_tokens, training_curves
from experiments.policies import NAMES, compare
from experiments.recipe import SNAPSHOT, write_snapshot
from experiments.report import card_of, write_report
from experiments.summary import summarise
from experiments.targets import missed_beside
from trainers import Progress, TrainConfig, make_trainer
from trainers.tracking import LOG, JsonLines
from vt_env import make_task, open_source

if TYPE_CHECKING:
    from agents.tiny import WarmupConfig

TEST = "generated:n={n},split=test,kinds=laptop"
CARDS = 10
"""Episodes of each kind in the report, the notable ones first."""

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


@dataclass(slots=True)
class Judged:
    """What the test split said.

    Attributes:
        results: Results of the policies by their names, as in ``result.json``.
        played: Their episodes.
        sampled: The trained policy's result at temperature 1.
    """

    results: dict[str, dict[str, Any]]
    played: dict[str, list[Episode]]
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

    source = open_source(TEST.format(n=config.samples) + f",seed={config.seed}")
    task = make_task(source, prompt="tiny")
    full = make_task(source, protocol="general", prompt="tiny")
    made = Judged({}, {})
    players = compare(TinyAgent(model), TinyAgent(before), task, full, seed=config.seed)
    for name, episodes in players:
        made.results[name] = _written(out / "policies" / name, name, episodes, config.seed)
        made.played[name] = episodes
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


def report(out: Path, judged: Judged, origin: Mapping[str, Any]) -> None:
    """Write ``result.json``, the plots and ``report.html``."""
    results = {name: judged.results[name] for name in NAMES}
    write_json(
        out / "result.json",
        {
            "policies": results,
            "sampled": judged.sampled,
            "missed": judged.missed,
            "provenance": origin,
        },
    )
    accuracy_against_tokens(results, "Accuracy against visual tokens, test split", out / "plot")
    curves(list(JsonLines(out / "train" / LOG).rows()), out / "training")
    write_report(
        out / "report.html",
        title="VisionThink on a laptop",
        lead=LEAD,
        policies=results,
        plots={
            "Accuracy against visual tokens, with 95 % intervals": out / "plot.svg",
            "The training run: what it asks for, and what it gets": out / "training.svg",
        },
        cards=[card_of(*notable) for notable in chosen(judged.played)],
        provenance=origin,
    )


def curves(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Request rate by kind of question and the reward's parts over training."""

    def line(key: str) -> list[tuple[int, float]]:
        return [(row["step"], row[key]) for row in rows if row.get(key) is not None]

    prefix = "rollout/request_rate/"
    kinds = sorted({key.removeprefix(prefix) for row in rows for key in row if prefix in key})
    series = {
        "request rate": {kind: line(prefix + kind) for kind in kinds},
        "reward and accuracy": {
            "reward": line("reward/mean"),
            "accuracy": line("env/accuracy"),
            "visual tokens, as a share": line("env/token_ratio"),
        },
    }
    training_curves(series, "Training", out)


def chosen(
    played: Mapping[str, Sequence[Episode]],
) -> Iterable[tuple[Episode, bool | None, bool | None]]:
    """Some episodes of each kind for the report, with what the two fixed arms would have got."""
    low, high = (
        {e.sample.id: e.verdict.correct for e in played[name]} for name in ("low", "always_request")
    )
    notable = [(e, low[e.sample.id], high[e.sample.id]) for e in played["trained"]]
    notable.sort(key=lambda item: item[0].verdict.correct is True and item[0].outcome.requested
                 is not item[1])  # fmt: skip
    counts: dict[str, int] = {}
    for item in notable:
        kind = item[0].sample.kind
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= CARDS:
            yield item
