"""Any source as rows, in the order in which they are played.

A row names its sample; pictures and references stay in the source, which every process opens for
itself, so that what is trained on is what the environment shows. All pictures that will be played
are decoded once, see :mod:`trainers.lengths`: one that is refused is reported before anything
starts, and the next sample takes its place, as in the local trainer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from agents.models import VisionLanguageModel
from agents.models.loading import load_processor
from trainers.data import commits, fingerprints, task_of
from trainers.hosted.run import HostedRun
from trainers.lengths import check, training_order
from trainers.models import parameters_of
from trainers.runs import same_start
from vt_env.errors import ConfigError, DataError
from vt_env.task import Task

R = TypeVar("R", bound=HostedRun)


def export(run: R) -> R:
    """Write rows and settings.

    Returns:
        The run with all that was found out, which is written too.

    Raises:
        ConfigError: If the longest rollout does not fit into the trainer's ``max_length``, or model
            or data are not those that the run began with.
        DataError: If a step has fewer samples than prompts, or too many pictures are refused.
    """
    config = run.config
    processor = load_processor(run.model)
    task = task_of(config.data.train, config.environment)
    order, checked = training_order(task, processor, config)
    lengths = list(checked.longest.values())
    measured = None
    if config.data.validation:
        measured = task_of(config.data.validation, config.environment)
    found = fingerprints(run.config, task, measured)
    if run.fingerprints:
        same_start(run.fingerprints, found, config)
    run.folder.mkdir(parents=True, exist_ok=True)
    _write(run.rows("train"), (_row(task, sample_id, "train") for sample_id in order))
    if measured is not None:
        limit = config.evaluation.limit or len(measured.source)
        ids = list(measured.source.ids()[:limit])
        seen = check(measured, ids, processor, config)
        kept = [sample_id for sample_id in ids if sample_id in seen.longest]
        if not kept:
            raise DataError(f"no picture of {measured.source.name!r} can be shown")
        lengths += seen.longest.values()
        shown = config.tracking.episodes
        _write(
            run.rows("validation"),
            (_row(measured, name, "validation", at < shown) for at, name in enumerate(kept)),
        )
    made = replace(
        run,
        max_length=_max_length(run, max(length.whole for length in lengths), processor),
        max_prompt=max(length.prompt for length in lengths),
        max_rest=max(length.rest for length in lengths),
        refused=len(checked.refused),
        parameters=parameters_of(run.model),
        fingerprints=found,
        commits=commits(config, task, measured),
    )
    made.write()
    return made


def _max_length(run: HostedRun, longest: int, processor: VisionLanguageModel) -> int:
    """Tokens that a rollout may have, which must be enough for the longest."""
    length = run.wanted_length or longest
    if length < longest:
        raise ConfigError(
            f"a rollout can have {longest} tokens (prompts, pictures and "
            f"{run.config.rollout.max_new_tokens} generated ones a turn), and "
            f"{run.NAME}.max_length is {length}: raise it, or leave it at 0 to have it worked out"
        )
    limit = getattr(processor.model.config.get_text_config(), "max_position_embeddings", length)
    if length > limit:
        raise ConfigError(
            f"a rollout can have {length} tokens, and the model takes {limit}: lower the number of "
            "pixels (environment.tokens), environment.max_visual_tokens or rollout.max_new_tokens"
        )
    return length


def _row(task: Task, sample_id: str, split: str, shown: bool = False) -> dict[str, Any]:
    question = task.source.by_id(sample_id).question
    return {"question": question, "label": {"split": split, "id": sample_id, "shown": shown}}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
