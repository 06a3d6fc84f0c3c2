"""The price study: policies trained at several prices of a visual token, beside what bounds them.

For each seed a tiny model is warmed up; from it one policy is trained for each price; each is
played on one test pool, freely and forced into each arm. Every part leaves a file when it is done,
so that a study that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import Episode, rollout
from experiments.files import write_json
from experiments.frontier import Arms, Frontier, Rates, gap, grouped, mixing
from experiments.recipe import SNAPSHOT, load_recipe, write_snapshot
from trainers import TrainConfig, make_trainer
from vt_env import ConfigError, Query, Sample, Source, make_judge, make_task, open_source
from vt_env.vector import VisionThinkVectorEnv

TEST = "generated:n={n},split=test,kinds=close"
WARMUP = {"kinds": "big_number+faint_number", "vision_steps": 900}
"""Big black numbers beside the faint ones, so that digits are found early; see docs/price.md."""
CONTRAST_STEP = 4
"""Width of a bin of contrasts, in grey levels."""
BATCH = 128
"""Questions at once."""

Say = Callable[[str], None]
Played = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PriceStudy:
    """What is tried.

    Attributes:
        recipe: The training run; its model, seed and price are replaced.
        prices: Of as many visual tokens as the original has.
        seeds: Of warm-up and training.
        samples: Pictures of the test pool, the same for all.
        rollouts: Of each question and arm, at temperature 1; even.

    Raises:
        ConfigError: On an odd number of rollouts, or a price or seed out of range.
    """

    recipe: TrainConfig
    prices: Sequence[float]
    seeds: Sequence[int]
    samples: int = 2000
    rollouts: int = 8

    def __post_init__(self) -> None:
        if self.rollouts < 2 or self.rollouts % 2:
            raise ConfigError(f"rollouts must be an even number from 2 up, got {self.rollouts}")
        for price in self.prices:
            replace(self.recipe.reward, token_price=price)
        for seed in self.seeds:
            replace(self.recipe, seed=seed)

    @property
    def test(self) -> Source:
        """The test pool."""
        return open_source(TEST.format(n=self.samples))


def run_study(study: PriceStudy, out: Path, say: Say) -> dict[int, dict[float, Played]]:
    """Warm up, train and play whatever is not done yet.

    Returns:
        What was played, by seed and price; see :func:`play`.

    Raises:
        ConfigError: If ``out`` holds parts that were made with other settings.
    """
    from agents.tiny import WarmupConfig, warm_up

    played: dict[int, dict[float, Played]] = {}
    for seed in study.seeds:
        folder = out / f"seed-{seed}"
        warm = folder / "warmup"
        if not (done := folder / "warmup.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(done, warm_up(WarmupConfig(**WARMUP), warm, seed))
            say(f"seed {seed}: warmed up")
        played[seed] = {}
        for price in study.prices:
            cell = _cell(study, seed, price, folder)
            played[seed][price] = cell
            say(
                f"seed {seed}, price {price:g}: accuracy {cell['free'].mean():.3f}, "
                f"asks {cell['asked'].mean():.0%}"
            )
    return played


def _cell(study: PriceStudy, seed: int, price: float, folder: Path) -> Played:
    """One policy, trained and played where that is not done yet.

    Raises:
        ConfigError: If it was done with other settings.
    """
    out = folder / f"price-{price:g}"
    recipe = study.recipe
    config = replace(
        recipe,
        seed=seed,
        model=replace(recipe.model, path=str(folder / "warmup")),
        reward=replace(recipe.reward, token_price=price),
    )
    if (out / SNAPSHOT).exists():
        before = load_recipe(out / SNAPSHOT)
        if replace(before, model=config.model) != config:
            raise ConfigError(
                f"{out} was made with other settings, see {SNAPSHOT} there; "
                "choose another --out, or add --overwrite"
            )
    if not (done := out / "played.npz").exists():
        out.mkdir(parents=True, exist_ok=True)
        write_snapshot(out / SNAPSHOT, config)
        trained = make_trainer(config.trainer).train(config, out, resume=True)
        part = out / "played.npz.part"
        with part.open("wb") as stream:
            arrays = play(trained.checkpoint, study, seed)
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        part.replace(done)
    with np.load(done) as arrays:
        found = dict(arrays)
    if found["free"].shape != (study.samples, study.rollouts):
        raise ConfigError(
            f"{done} has {found['free'].shape} questions and rollouts, not "
            f"{(study.samples, study.rollouts)}; delete it to play again"
        )
    return found


def play(model: Path, study: PriceStudy, seed: int) -> dict[str, NDArray[Any]]:
    """Play a policy on the test pool, judged without noise.

    Returns:
        By name: whether rollouts were right: ``free``, ``low`` and ``high`` (forced into an arm),
        bool [questions, rollouts], and ``greedy``, bool [questions, 1]; ``noisy``, bool
        [questions]: what the recipe's judge makes of the greedy ones; ``asked`` and
        ``greedy_asked``, shaped alike; ``tokens``, float [3]: visual tokens of ``free``, ``low``
        and ``high`` over the originals'; and ``greedy_tokens``, float [].
    """
    from agents.models import load_vlm
    from agents.tiny import TinyAgent

    vlm = load_vlm(model)
    source = study.test

    def episodes(copies: int, temperature: float, arm: str | None = None) -> list[Episode]:
        agent = TinyAgent(vlm, temperature=temperature, arm=arm)
        return _episodes(source, agent, copies, seed)

    def right(played: Sequence[Episode]) -> NDArray[np.bool_]:
        verdicts = [episode.verdict.correct is True for episode in played]
        return np.array(verdicts).reshape(len(source), -1)

    def asked(played: Sequence[Episode]) -> NDArray[np.bool_]:
        return np.array([e.outcome.requested for e in played]).reshape(len(source), -1)

    greedy = episodes(1, 0.0)
    free = episodes(study.rollouts, 1.0)
    arms = {arm: episodes(study.rollouts, 1.0, arm) for arm in ("direct", "request")}
    return {
        "greedy": right(greedy),
        "greedy_asked": asked(greedy),
        "greedy_tokens": np.array(_tokens(greedy)),
        "noisy": _judged(greedy, study.recipe.environment.judge),
        "free": right(free),
        "asked": asked(free),
        "low": right(arms["direct"]),
        "high": right(arms["request"]),
        "tokens": np.array([_tokens(free), *(_tokens(arms[a]) for a in arms)]),
    }


def _episodes(source: Source, agent: Any, copies: int, seed: int) -> list[Episode]:
    """So many rollouts of every sample, sample by sample."""
    task = make_task(source, prompt="tiny", judge="exact")
    env = VisionThinkVectorEnv(
        BATCH * copies, group_size=copies, data=task, reward={"penalty": "none"}
    )
    ids = source.ids()
    played: list[Episode] = []
    for begin in range(0, len(ids), BATCH):
        for episode in rollout(env, agent, seed=seed, sample_ids=ids[begin : begin + BATCH]):
            played.append(replace(episode, messages=(), views=(), replies=()))
        agent.forget()
    return played


def _tokens(episodes: Sequence[Episode]) -> float:
    shown = sum(e.outcome.visual_tokens for e in episodes)
    return shown / sum(e.outcome.full_tokens for e in episodes)


def _judged(episodes: Sequence[Episode], spec: str) -> NDArray[np.bool_]:
    """What another judge says of the answers: bool [episodes]."""
    queries = [
        Query(e.sample.question, e.sample.references, e.answer or "", rollout=f"{e.sample.id}#0")
        for e in episodes
    ]
    verdicts = make_judge(spec).score(queries)
    right = [verdict.correct is True for verdict in verdicts]
    return np.array(right) & np.array([e.answer is not None for e in episodes])


def visible(sample: Sample) -> tuple[object, ...]:
    """What of a question's difficulty can be seen in its half-size picture."""
    return sample.kind, int(sample.metadata.get("number_contrast", 0)) // CONTRAST_STEP


def readers(cells: Mapping[float, Played]) -> Arms:
    """The arms of one seed's policies together: K is the number of prices times the rollouts.

    One policy's rates from a few rollouts are so uncertain that the oracle would choose badly.
    """
    low, high = (np.concatenate([c[arm] for c in cells.values()], 1) for arm in ("low", "high"))
    tokens = np.mean([cell["tokens"] for cell in cells.values()], 0)
    return Arms(low, high, float(tokens[1]), float(tokens[2]))


def compared(
    cells: Mapping[float, Played], groups: NDArray[np.int64], noise: float = 0.0
) -> dict[str, Any]:
    """One seed's policies beside the references, as JSON has it.

    Args:
        cells: What was played, by price.
        groups: Which questions look alike: int [questions].
        noise: Share of the verdicts that training saw flipped, below one half. It shrinks every
            gain in accuracy by 1 - 2 · noise, as a price that much higher would.

    Returns:
        For each policy ``gap``: what references get right more at the same number of tokens, each
        with half of its 95 % interval; and ``at_price``: what references that know the price and
        the noise show and get right.
    """
    arms = readers(cells)
    curves = {"oracle": Frontier(arms), "visible": Frontier(arms, groups)}
    rows: list[dict[str, Any]] = []
    for price, cell in cells.items():
        own = Arms(cell["low"], cell["high"], cell["tokens"][1], cell["tokens"][2])
        tokens, accuracy = float(cell["tokens"][0]), cell["free"].mean(1)
        references = {
            **{name: curve.at(tokens) for name, curve in curves.items()},
            "visible_own": Frontier(own, groups).at(tokens),
            "mixing": mixing(arms, tokens),
        }
        rows.append(
            {
                "price": price,
                "accuracy": float(accuracy.mean()),
                "tokens": tokens,
                "asks": float(cell["asked"].mean()),
                "accuracy_greedy": float(cell["greedy"].mean()),
                "accuracy_greedy_noisy_judge": float(cell["noisy"].mean()),
                "tokens_greedy": float(cell["greedy_tokens"]),
                "accuracy_low": float(cell["low"].mean()),
                "accuracy_high": float(cell["high"].mean()),
                "gap": {name: gap(rates, accuracy) for name, rates in references.items()},
                "at_price": {
                    name: _means(*arms.asking(price / (1 - 2 * noise), known))
                    for name, known in (("oracle", None), ("visible", groups))
                },
            }
        )
    whole = {
        name: {"tokens": curve.tokens.tolist(), "accuracy": curve.accuracy.tolist()}
        for name, curve in curves.items()
    }
    return {"policies": rows, "curves": whole, "arms": _ends(arms)}


def _means(accuracy: Rates, tokens: Rates) -> dict[str, float]:
    return {"accuracy": float(accuracy.mean()), "tokens": float(tokens.mean())}


def _ends(arms: Arms) -> dict[str, float]:
    return {
        "accuracy_low": float(arms.low.mean()),
        "accuracy_high": float(arms.high.mean()),
        "low_tokens": arms.low_tokens,
        "high_tokens": arms.high_tokens,
        "rollouts": arms.low.shape[1],
    }


def result(study: PriceStudy, played: Mapping[int, Mapping[float, Played]]) -> dict[str, Any]:
    """Everything that ``result.json`` says but where it comes from."""
    groups = grouped([visible(sample) for sample in study.test])
    noise = float(getattr(make_judge(study.recipe.environment.judge), "rate", 0.0))
    seeds = {str(seed): compared(cells, groups, noise) for seed, cells in played.items()}
    return {
        "test": TEST.format(n=study.samples),
        "rollouts": study.rollouts,
        "warmup": WARMUP,
        "recipe": asdict(study.recipe),
        "seeds": seeds,
    }
