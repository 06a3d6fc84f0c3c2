"""The price study: policies trained at several prices of a visual token, beside what bounds them.

Training is a study (:mod:`experiments.study`) over ``reward.token_price``. Here each of its
policies is played on one test pool, freely and forced into each arm, and compared with what could
be had for as many tokens. What was played leaves a file, so that it is not played again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import AGENTS, Episode, rollout
from experiments.recipe import load_recipe
from experiments.study import Run, Study
from studies.frontier import Arms, Frontier, Rates, gap, grouped, mixing
from trainers import TrainConfig
from vt_env import (
    ConfigError,
    DataError,
    Query,
    Sample,
    Source,
    Task,
    make_judge,
    make_task,
    open_source,
)
from vt_env.errors import Damaged
from vt_env.sealed import read_sealed_bytes, write_sealed_bytes
from vt_env.vector import VisionThinkVectorEnv

PRICE = "reward.token_price"
CONTRAST_STEP = 4
"""Width of a bin of contrasts, in grey levels."""
BATCH = 128
"""Questions at once."""

Played = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Exam:
    """How policies are measured.

    Attributes:
        pool: The test pool's spec, the same for all policies.
        samples: Pictures of it, from the start.
        rollouts: Of each question and arm, at temperature 1; even.

    Raises:
        ConfigError: On an odd number of rollouts, or more samples than there are.
    """

    pool: str
    samples: int = 2000
    rollouts: int = 8

    def __post_init__(self) -> None:
        if self.rollouts < 2 or self.rollouts % 2:
            raise ConfigError(f"rollouts must be an even number from 2 up, got {self.rollouts}")
        if (there := len(self.test)) < self.samples:
            raise ConfigError(f"{self.pool} has {there} samples, fewer than {self.samples}")

    @property
    def test(self) -> Source:
        """The test pool."""
        return open_source(f"{self.pool},limit={self.samples}")


def recipe_of(study: Study, run: Run) -> TrainConfig:
    """The recipe of one of a study's runs.

    Raises:
        ConfigError: If the study does not vary the price, or a setting is wrong.
    """
    if study.across != PRICE:
        raise ConfigError(f"the study varies {study.across or 'nothing'!r}, not {PRICE}")
    return load_recipe(study.recipe, run.settings)


def played(study: Study, run: Run, exam: Exam) -> Played:
    """What :func:`play` tells of a finished run's policy, played if it was not played yet.

    Raises:
        ConfigError: If it was played otherwise.
        DataError: If what was written of it is damaged.
    """
    done = run.folder / "played.sealed"
    if not done.exists():
        arrays = play(run.checkpoint, exam, recipe_of(study, run), run.seed)
        made = io.BytesIO()
        np.savez_compressed(made, allow_pickle=False, **arrays)
        write_sealed_bytes(done, made.getvalue())
    try:
        with np.load(io.BytesIO(read_sealed_bytes(done))) as arrays:
            found = dict(arrays)
    except Damaged as error:
        raise DataError(f"{error}; delete it to play again") from error
    if found["free"].shape != (exam.samples, exam.rollouts):
        raise ConfigError(
            f"{done} has {found['free'].shape} questions and rollouts, not "
            f"{(exam.samples, exam.rollouts)}; delete it to play again"
        )
    return found


def play(model: Path, exam: Exam, recipe: TrainConfig, seed: int) -> dict[str, NDArray[Any]]:
    """Play a policy on the test pool, judged without noise.

    Args:
        model: The policy's checkpoint.
        exam: How it is measured.
        recipe: How it was trained.
        seed: Of the rollouts.

    Returns:
        By name: whether rollouts were right: ``free``, ``low`` and ``high`` (forced into an arm),
        bool [questions, rollouts], and ``greedy``, bool [questions, 1]; ``noisy``, bool
        [questions]: what the judge of its training makes of the greedy ones; ``asked`` and
        ``greedy_asked``, shaped alike; ``tokens``, float [3]: visual tokens of ``free``, ``low``
        and ``high`` over the originals'; and ``greedy_tokens``, float [].
    """
    from agents.models import load_vlm

    vlm = load_vlm(model)
    source, rules = exam.test, recipe.environment
    task = make_task(source, protocol=rules.protocol, prompt=rules.prompt, judge="exact")

    def episodes(copies: int, temperature: float, arm: str | None = None) -> list[Episode]:
        agent = AGENTS.make(recipe.model.agent, vlm, temperature=temperature, arm=arm)
        return _episodes(task, agent, copies, seed)

    def right(played: Sequence[Episode]) -> NDArray[np.bool_]:
        verdicts = [episode.verdict.correct is True for episode in played]
        return np.array(verdicts).reshape(len(source), -1)

    def asked(played: Sequence[Episode]) -> NDArray[np.bool_]:
        return np.array([e.outcome.requested for e in played]).reshape(len(source), -1)

    greedy = episodes(1, 0.0)
    free = episodes(exam.rollouts, 1.0)
    arms = {arm: episodes(exam.rollouts, 1.0, arm) for arm in ("direct", "request")}
    return {
        "greedy": right(greedy),
        "greedy_asked": asked(greedy),
        "greedy_tokens": np.array(_tokens(greedy)),
        "noisy": _judged(greedy, rules.judge),
        "free": right(free),
        "asked": asked(free),
        "low": right(arms["direct"]),
        "high": right(arms["request"]),
        "tokens": np.array([_tokens(free), *(_tokens(arms[a]) for a in arms)]),
    }


def _episodes(task: Task, agent: Any, copies: int, seed: int) -> list[Episode]:
    """So many rollouts of every sample, sample by sample."""
    env = VisionThinkVectorEnv(
        BATCH * copies, group_size=copies, data=task, reward={"penalty": "none"}
    )
    ids = task.source.ids()
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
    known = sample.metadata
    return sample.kind, known.get("page"), int(known.get("number_contrast", 0)) // CONTRAST_STEP


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


def result(
    study: Study, exam: Exam, cells: Mapping[int, Mapping[float, Played]], noise: float
) -> dict[str, Any]:
    """Everything that ``result.json`` says but where it comes from.

    Args:
        study: What was trained.
        exam: How it was measured.
        cells: What was played, by seed and price.
        noise: As :func:`compared` takes it.
    """
    groups = grouped([visible(sample) for sample in exam.test])
    return {
        "test": exam.pool,
        "samples": exam.samples,
        "rollouts": exam.rollouts,
        "warmup": dict(study.warmup),
        "recipe": study.recipe,
        "settings": dict(study.settings),
        "seeds": {str(seed): compared(found, groups, noise) for seed, found in cells.items()},
    }
