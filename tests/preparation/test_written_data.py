"""What is written opens again, as it was."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from experiments.preparation.rule import Balance
from vt_env import MissingExtra, Picture, open_source


@pytest.fixture
def odd(make_sample, tmp_path):
    """Samples that have everything a sample can have, in several scripts."""
    path = tmp_path / "picture.webp"
    Image.fromarray(make_sample(7).image).save(path, lossless=True)
    return [
        make_sample(0, question="¿Cuántos pájaros hay?", references=("três", "3"), source="鳥"),
        make_sample(
            1,
            0,
            id="質問-1",
            question="この看板には何と書いてありますか?",
            references=("出口", "でぐち"),
            kind="標識",
            metadata={"language": "ja", "nested": {"a": [1, "б"]}, "image": "mine", "id": 5},
        ),
        make_sample(
            2,
            question="أيّ حرف؟",
            references=("ب",),
            answer_type="mcq",
            choices=("ا", "ب"),
            metadata={"language": "ar", "score": 0.5, "options": ["not these"]},
        ),
        make_sample(3, 0, image=path, metadata={"language": "x", "solution": "<answer>y</answer>"}),
    ]


FIELDS = ("id", "question", "references", "kind", "answer_type", "choices")


def same(kept, sample):
    assert [getattr(kept, f) for f in FIELDS] == [getattr(sample, f) for f in FIELDS]
    pixels, expected = (Picture(s.image).original.array for s in (kept, sample))
    assert np.array_equal(pixels, expected)


def test_jsonl(tmp_path, prepare, odd):
    prepare(tmp_path / "out", odd)
    source = open_source(f"jsonl:{tmp_path / 'out' / 'jsonl'}", max_refused=0)
    assert source.ids() == [s.id for s in odd]
    for kept, sample in zip(source, odd, strict=True):
        same(kept, sample)
        assert kept.source == (sample.source or "samples")
        told = kept.metadata["preparation"]
        assert told["class"] == ("low_enough" if sample.metadata["low"] else "needs_high")
        expected = {
            f"metadata_{key}"
            if key in ("image", "id") or (key == "options" and not sample.choices)
            else key: value
            for key, value in sample.metadata.items()
        }
        assert {k: v for k, v in kept.metadata.items() if k != "preparation"} == expected


def test_datasets(tmp_path, prepare, odd, want):
    datasets = pytest.importorskip("datasets")
    prepare(tmp_path / "out", odd, what=want("jsonl+hf"))
    source = open_source(f"hf:{tmp_path / 'out' / 'hf'}", max_refused=0)
    assert source.ids() == [s.id for s in odd]
    for kept, sample in zip(source, odd, strict=True):
        same(kept, sample)
        known = dict(kept.metadata)
        assert (known.pop("low"), known.pop("full")) == (sample.metadata["low"], 8)
        needed = known["preparation"]["class"] == "needs_high"
        assert known.pop("info") == {"tgt_width": 12, "tgt_height": 12, "use_tool": needed}
        assert known.pop("original_answer") == sample.references[0]
        rest = json.loads(known["metadata"]) if known["metadata"] else {}
        for key in ("nested", "score", "language"):
            if key in sample.metadata:
                assert rest[key] == sample.metadata[key]
    data = datasets.load_from_disk(tmp_path / "out" / "hf")
    assert {"problem", "original_answer", "solution", "images", "data_source", "info"} <= set(
        data.column_names
    )
    assert data[1]["problem"] == "<image>\nこの看板には何と書いてありますか?"
    assert data[1]["images"][0].size == (24, 24)
    assert data[1]["preparation"]["low"] == {"right": 0, "scored": 8}
    files = sorted(p.name for p in (tmp_path / "out" / "hf").iterdir())
    kinds = ("data-00000-of-00001.arrow", "dataset_info.json", "manifest.json", "state.json")
    assert files == list(kinds)


def test_written_data_are_data(tmp_path, prepare, odd, want):
    pytest.importorskip("datasets")
    prepare(tmp_path / "out", odd, what=want("jsonl+hf"))
    for kind in ("jsonl", "hf"):
        again = tmp_path / f"again-{kind}"
        prepare(again, list(open_source(tmp_path / "out" / kind)))
        source = open_source(again / "jsonl")
        for kept, sample in zip(source, odd, strict=True):
            same(kept, sample)


def test_without_datasets(tmp_path, prepare, odd, want, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r'pip install "visionthink-gym\[hf\]"'):
        prepare(tmp_path / "out", odd, what=want("jsonl+hf"))
    prepare(tmp_path / "out", odd, resume=True)


def test_formats_that_are_not_wanted_any_more_are_gone(tmp_path, prepare, odd, want):
    pytest.importorskip("datasets")
    out = tmp_path / "out"
    prepare(out, odd, what=want("jsonl+hf"))
    prepare(out, odd, what=want("hf"), resume=True)
    assert not (out / "jsonl").exists()
    assert (out / "hf").is_dir()
    prepare(out, odd, what=want("jsonl"), resume=True)
    assert not (out / "hf").exists()


def test_one_picture_is_written_once(tmp_path, prepare, make_sample, want):
    image = make_sample(0).image
    data = [make_sample(n, image=image) for n in range(3)]
    prepare(tmp_path, data, what=want(balance=Balance(equal=False)))
    assert len(list((tmp_path / "jsonl" / "images").iterdir())) == 1
    assert len(open_source(tmp_path / "jsonl")) == 3


def test_the_report(tmp_path, prepare, odd, make_sample, want):
    data = [*odd, make_sample(4, 4, 5, question="<script>alert(1)</script>")]
    prepare(tmp_path / "out", data, what=want(page=True))
    html = (tmp_path / "out" / "report.html").read_text()
    assert "low_enough 2, needs_high 2, rest 1" in html
    assert "<script>alert" not in html
    assert "この看板" in html
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", html)
    assert (tmp_path / "out" / "plot.png").stat().st_size > 1000
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert made["right_at"][0] == {"low": 0, "full": 8, "samples": 2}
    assert made["provenance"]["data"]
