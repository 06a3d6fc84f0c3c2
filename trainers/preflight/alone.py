"""Stage 1, without a machine: recipe, versions, data, model and judge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from agents.judging.canaries import CANARIES
from agents.models.loading import load_processor
from trainers.base import check_settings, make_trainer
from trainers.data import fingerprint, lacking_weights, task_of
from trainers.installed import unmet, version_of
from trainers.models import parameters_of
from trainers.preflight.findings import Finding, tried
from trainers.preflight.known import Known
from trainers.preflight.sizes import Shape
from trainers.refusing import check_recipe
from trainers.runs import check_model, check_start
from vt_env.errors import ConfigError, MissingExtra
from vt_env.judges import Query
from vt_env.samples import Sample
from vt_env.task import Task

_SHOWN = ("torch", "transformers", "openrlhf", "verl", "trl", "ray", "vllm", "deepspeed")
_SAMPLES = 3
"""Of which the judge is shown a right and a wrong answer."""


def look_alone(known: Known) -> Iterator[Finding]:
    """Everything that needs no GPU and no cluster."""
    yield tried(1, "versions", lambda: _versions(known))
    yield tried(1, "recipe", lambda: _recipe(known))
    yield tried(1, "model", lambda: _model(known))
    yield tried(1, "training data", lambda: _data(known, "train"))
    if known.config.data.validation:
        yield tried(1, "validation data", lambda: _data(known, "validation"))
    else:
        yield Finding(1, "validation data", "look", "none: no step is measured",
                      "name a split in data.validation")  # fmt: skip
    if known.tasks:
        yield tried(1, "judge", lambda: _judge(known))
    else:
        yield Finding(1, "judge", "skipped", "no data can be opened")


def _versions(known: Known) -> str | Finding:
    found = {package: version_of(package) for package in _SHOWN}
    says = ", ".join(f"{package} {number}" for package, number in found.items() if number)
    name = known.config.trainer
    try:
        known.trainer = make_trainer(name)  # asks for the release that it needs
    except MissingExtra as error:
        return Finding(1, "versions", "look", f"{says}; {error}",
                       "here only what needs no library can be looked at: stages 1 and 2",
                       )  # fmt: skip
    if lacking := unmet(name):
        return Finding(1, "versions", "look", f"{says}; {name} asks for {', '.join(lacking)}",
                       f'pip install "visionthink-gym[{name}]"')  # fmt: skip
    return says


def _recipe(known: Known) -> str:
    config = known.config
    check_recipe(config)
    if known.trainer is not None:
        check_settings(known.trainer, config)
    check_model(config)
    check_start(config)
    rollout = config.rollout
    return (
        f"{config.name} through {config.trainer}: {config.steps} steps of {rollout.prompts} "
        f"questions × {rollout.group_size} rollouts"
    )


def _model(known: Known) -> str | Finding:
    path = known.config.model.path
    known.processor = load_processor(path)
    known.shape = Shape.of(known.processor.model.config, parameters_of(path))
    kind = known.processor.model.config.model_type
    says = f"{kind}, {known.shape.parameters / 1e9:.3g} billion parameters, {fingerprint(path):.60}"
    if not (lacking := lacking_weights(path)):
        return says
    says = f"{says}; of its weights {lacking} is not here"
    if Path(path).is_dir():
        return Finding(1, "model", "no", says, "bring all of the checkpoint's files")
    return Finding(1, "model", "look", says, f"hf download {path}")


def _data(known: Known, split: str) -> str | Finding:
    spec = getattr(known.config.data, split)
    began = time.perf_counter()
    task = task_of(spec, known.config.environment)
    known.tasks[split] = task
    source = task.source
    for name in {source.ids()[0], source.ids()[-1]}:
        task.begin(source.by_id(name))[0].picture.original  # noqa: B018 - decoded, or refused
    says = f"{len(source):,} samples, opened in {time.perf_counter() - began:.1f} s"
    says += f", commit {source.commit}" if source.commit else ""
    if source.n_refused:
        first = source.refused[0]
        return Finding(1, f"{split} data", "look",
                       f"{says}; {source.n_refused} rows are refused: {first}")  # fmt: skip
    if split == "validation" and "train" in known.tasks:
        shared = set(source.ids()) & set(known.tasks["train"].source.ids())
        if shared and spec != known.config.data.train:
            return Finding(1, "validation data", "look",
                           f"{says}; {len(shared):,} ids stand in the training data too",
                           "make sure that they are other samples")  # fmt: skip
    return says


def _judge(known: Known) -> str | Finding:
    """A right, a wrong and a planted answer, all of which it must know."""
    task = next(iter(known.tasks.values()))
    right, wrong = _answers(task)
    planted = list(CANARIES[:_SAMPLES])
    asked = [*right, *wrong, *planted]
    expects = [True] * len(right) + [False] * (len(asked) - len(right))
    task.judge.score([Query("Which colour?", ("red",), "blue")])  # what is made on first use
    began = time.perf_counter()
    verdicts = task.judge.score(asked)
    seconds = time.perf_counter() - began
    for query, verdict, expected in zip(asked, verdicts, expects, strict=True):
        if verdict.correct is None:
            raise ConfigError(f"the judge cannot decide: {verdict.reason}")
        if verdict.correct is not expected:
            return Finding(
                1, "judge", "no",
                f"it {'refuses' if expected else 'accepts'} {query.answer!r} for "
                f"{query.references[0]!r}: {verdict.reason}",
                "choose another judge, or look at the data's answers",
            )  # fmt: skip
    rollouts = known.config.rollout.prompts * known.config.rollout.group_size
    step = seconds / len(verdicts) * rollouts
    return (
        f"{task.judge.name}: {len(verdicts)} verdicts as they should be in {seconds:.2g} s; at "
        f"that rate a step's {rollouts:,} take {step:,.2g} s"
    )


def _answers(task: Task) -> tuple[list[Query], list[Query]]:
    """Some samples' own answers, and to each question an answer that is no reference."""
    samples = list(islice(task.source, 64))
    chosen = samples[:: max(1, len(samples) // _SAMPLES)][:_SAMPLES]
    return (
        [_query(sample, sample.references[0]) for sample in chosen],
        [_query(sample, "zyxwv 90210.5") for sample in chosen],
    )


def _query(sample: Sample, answer: str) -> Query:
    return Query(sample.question, sample.references, answer, sample.answer_type, sample.choices)
