"""Pictures of a large data set are decoded once, and what was found is kept between starts."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

from PIL import Image  # noqa: E402

from agents.models.loading import load_processor  # noqa: E402
from agents.tiny import make_vlm, save  # noqa: E402
from trainers.lengths import check, kept_lengths, training_order  # noqa: E402
from vt_env import PictureRules, make_task, progress  # noqa: E402
from vt_env.pictures import Picture  # noqa: E402
from vt_env.sources.arrow import ParquetRows  # noqa: E402

ROWS = 20_000
TORN = 7


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def decoded(monkeypatch):
    """Numbers of the rows whose pictures were read, and all pictures that were decoded."""
    read, seen = [], []
    whole, original = ParquetRows.whole, Picture.original
    monkeypatch.setattr(ParquetRows, "whole", lambda self, n: (read.append(n), whole(self, n))[1])

    def counted(self):
        if not any(picture is self for picture in seen):
            seen.append(self)
        return original.fget(self) if isinstance(original, property) else original.func(self)

    monkeypatch.setattr(Picture, "original", property(counted))
    return read, seen


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    return load_processor(save(make_vlm(), tmp_path_factory.mktemp("untrained")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parquet with the columns of the released data, one of whose pictures is torn."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(stream, "PNG")
    png = stream.getvalue()
    rows = {
        "problem": [f"Which colour has number {n}?" for n in range(ROWS)],
        "original_answer": ["red"] * ROWS,
        "solution": ["<answer>red</answer>"] * ROWS,
        "images": [{"bytes": png[:40] if n == TORN else png, "path": None} for n in range(ROWS)],
        "data_source": ["made"] * ROWS,
        "info": [{"tgt_width": 64, "tgt_height": 48, "use_tool": n % 2 == 0} for n in range(ROWS)],
    }
    features = datasets.Features(
        {name: datasets.Value("string") for name in rows}
        | {
            "images": datasets.Image(),
            "info": {
                "tgt_width": datasets.Value("int64"),
                "tgt_height": datasets.Value("int64"),
                "use_tool": datasets.Value("bool"),
            },
        }
    )
    made = tmp_path_factory.mktemp("set")
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(made / "train.parquet")
    return made


def test_opening_many_rows_reads_no_picture(folder, decoded):
    task = make_task(f"hf:{folder}", prompt="tiny", tokens="tiny")
    assert len(task.source) == ROWS
    assert decoded == ([], [])
    assert task.source[5].references == ("red",)
    assert decoded[0] == [5]


def test_a_second_start_decodes_nothing(folder, decoded, processor, recipe, monkeypatch, caplog):
    read, seen = decoded
    config = recipe("steps=4", "rollout.prompts=5")
    task = make_task(f"hf:{folder},limit=40", prompt="tiny", tokens="tiny")
    monkeypatch.setattr(progress, "EVERY", 0)
    caplog.set_level("INFO")
    order, found = training_order(task, processor, config)
    assert len(seen) == 20
    assert read[-20:] == sorted(read[-20:])  # in the order of the file, not of the steps
    assert "20 of 20 pictures are looked at" in caplog.text
    seen.clear()
    again = make_task(f"hf:{folder},limit=40", prompt="tiny", tokens="tiny")
    assert training_order(again, processor, config) == (order, found)
    assert seen == []
    longer, _ = training_order(again, processor, recipe("steps=5", "rollout.prompts=5"))
    assert longer[:20] == order
    assert len(seen) == 5


def test_a_refusal_is_kept_too(folder, decoded, processor, recipe, caplog):
    task = make_task(f"hf:{folder},limit=9", prompt="tiny", tokens="tiny")
    ids = list(task.source.ids())
    for _ in range(2):
        found = check(task, ids, processor, recipe())
        assert found.refused == [ids[TORN]]
        assert list(found.longest) == ids[:TORN] + ids[TORN + 1 :]
        assert caplog.text.count("it is not played") == 1
        caplog.clear()
    assert len(decoded[1]) == 8  # the torn one fails earlier


def test_other_rules_are_looked_at_anew(folder, decoded, processor, recipe):
    shown = []
    for limit, other in (
        (3, {}),
        (3, {"factor": 0.25}),
        (3, {"judge": "exact"}),  # which decides no length
        (3, {"rules": PictureRules(shrink_above=256)}),
        (4, {}),
    ):
        task = make_task(f"hf:{folder},limit={limit}", prompt="tiny", tokens="tiny", **other)
        check(task, list(task.source.ids()), processor, recipe())
        shown.append(len(decoded[1]))
    assert shown == [3, 6, 6, 9, 13]


def test_a_damaged_file_is_no_harm(folder, decoded, processor, recipe, caplog):
    task = make_task(f"hf:{folder},limit=3", prompt="tiny", tokens="tiny")
    ids = list(task.source.ids())
    found = check(task, ids, processor, recipe())
    file = kept_lengths(task, processor, recipe()).path
    record = json.loads(file.read_text())
    record["kept"][ids[0]][0] += 1
    file.write_text(json.dumps(record, indent=2))
    assert check(task, ids, processor, recipe()) == found
    assert "cannot be read, and is made anew" in caplog.text
    assert len(decoded[1]) == 6


def test_a_cache_that_cannot_be_written_is_no_harm(folder, processor, recipe, monkeypatch, caplog):
    monkeypatch.setenv("VT_CACHE", "/proc/nowhere")
    task = make_task(f"hf:{folder},limit=3", prompt="tiny", tokens="tiny")
    found = check(task, task.source.ids(), processor, recipe())
    assert len(found.longest) == 3
    assert "cannot be written" in caplog.text
