"""Rows, their order, and what is found out before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines import torn_sample

from agents.models.loading import load_processor
from trainers.data import SampleOrder, task_of
from trainers.hosted.export import export
from trainers.lengths import training_order
from trainers.openrlhf.run import OpenRLHFRun
from vt_env import ConfigError, DataError, make_task


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_rows_are_those_that_the_local_trainer_plays(recipe, tmp_path):
    config = recipe("steps=20")
    run = export(OpenRLHFRun(tmp_path, Path.cwd(), config))
    ids = task_of(config.data.train, config.environment).source.ids()
    order, position, expected = SampleOrder(ids, config.seed), 0, []
    for _ in range(20):
        taken, position = order.take(position, config.rollout.prompts)
        expected += taken
    rows = rows_of(run.rows("train"))
    assert [row["label"]["id"] for row in rows] == expected
    measured = rows_of(run.rows("validation"))
    assert len(measured) == 8
    assert all(row["label"]["split"] == "validation" for row in measured)
    assert OpenRLHFRun.read(run.folder) == run


def test_openrlhf_reads_the_rows(recipe, tmp_path):
    prompts = pytest.importorskip(
        "openrlhf.datasets.prompts_dataset", reason="OpenRLHF is not installed"
    )
    run = export(OpenRLHFRun(tmp_path, Path.cwd(), recipe()))
    row = rows_of(run.rows("train"))[0]
    prompt, label = prompts.preprocess_data(row, input_key="question", label_key="label")
    assert prompt.endswith("?")
    assert label == {"split": "train", "id": row["label"]["id"], "shown": False}


def test_a_torn_picture_is_replaced_and_counted(recipe, untrained):
    config = recipe("steps=2", "rollout.prompts=3")
    good = list(make_task("generated:n=7").source)
    task = make_task([torn_sample("torn"), *good], prompt="tiny", tokens="tiny")
    played, checked = training_order(task, load_processor(str(untrained)), config)
    assert len(played) == 6
    assert "torn" not in played
    assert checked.refused in (["torn"], [])
    longer, _ = training_order(
        task, load_processor(str(untrained)), recipe("steps=5", "rollout.prompts=3")
    )
    assert longer[:6] == played  # a resumed run may have more steps
    few = make_task(
        [torn_sample("torn"), *good[:2]],
        prompt="tiny",
        tokens="tiny",
    )
    with pytest.raises(DataError, match="too few samples"):
        training_order(few, load_processor(str(untrained)), config)


def test_the_longest_rollout_is_worked_out(recipe, tmp_path):
    run = export(OpenRLHFRun(tmp_path, Path.cwd(), recipe()))
    assert 40 < run.max_length < 400
    with pytest.raises(ConfigError, match=r"openrlhf.max_length is 60: raise it"):
        export(OpenRLHFRun(tmp_path, Path.cwd(), recipe("openrlhf.max_length=60")))
    with pytest.raises(ConfigError, match="and the model takes 1024"):
        export(OpenRLHFRun(tmp_path, Path.cwd(), recipe("rollout.max_new_tokens=600")))


def test_pictures_and_empty_tokens_are_forbidden(untrained):
    processor = load_processor(str(untrained))
    texts = processor.tokenizer.convert_ids_to_tokens(processor.forbidden)
    assert {"<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|unknown|>"} <= set(texts)
    assert "<|im_end|>" not in texts
