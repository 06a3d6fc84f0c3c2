import datetime
import sys

import pytest

from vt_env.errors import DataError, MissingExtra
from vt_env.sources import open_source

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def released(rows):
    """A data set in the layout of VisionThink's release."""
    features = datasets.Features(
        {
            "problem": datasets.Value("string"),
            "original_answer": datasets.Value("string"),
            "solution": datasets.Value("string"),
            "images": datasets.Sequence(datasets.Image()),
            "data_source": datasets.Value("string"),
            "info": {
                "tgt_width": datasets.Value("int64"),
                "tgt_height": datasets.Value("int64"),
                "use_tool": datasets.Value("bool"),
            },
        }
    )
    return datasets.Dataset.from_list(rows, features=features)


def row(picture, **changes):
    return {
        "problem": "<image>\nHow many?",
        "original_answer": "Three birds.",
        "solution": "3",
        "images": [{"bytes": picture, "path": None}],
        "data_source": "birds",
        "info": {"tgt_width": 32, "tgt_height": 24, "use_tool": True},
        **changes,
    }


def test_the_released_layout(tmp_path, make_png):
    pictures = [make_png(i) for i in range(3)]
    released([row(p) for p in pictures]).save_to_disk(tmp_path / "smart")
    source = open_source(str(tmp_path / "smart"))
    assert source.ids() == ["smart-000000", "smart-000001", "smart-000002"]
    sample = source[1]
    assert sample.image == pictures[1]
    assert sample.question == "How many?"
    assert sample.references == ("Three birds.",)
    assert sample.source == "birds"
    assert sample.metadata == {
        "solution": "3",
        "info": {"tgt_width": 32, "tgt_height": 24, "use_tool": True},
    }
    assert source.by_id("smart-000002").image == pictures[2]
    solved = open_source(tmp_path / "smart", columns={"references": "solution"})
    assert solved[0].references == ("3",)


def test_odd_rows_are_refused_and_the_others_keep_their_place(tmp_path, make_png):
    one = {"bytes": make_png(1), "path": None}
    rows = [
        row(make_png(0)),
        row(b"", images=[one, one]),
        row(b"", images=[]),
        row(b"", images=None),
        row(make_png(2), problem=None),
        row(make_png(2), problem="<image>"),
        row(make_png(2), original_answer=None, solution=None),
        row(make_png(2), original_answer=None),
        row(b"not a picture"),
        row(b"", images=[None]),
        row(make_png(9)),
    ]
    released(rows).save_to_disk(tmp_path / "odd")
    with pytest.raises(DataError, match=r"refused 7 of 11 rows"):
        open_source(tmp_path / "odd", check="header")
    source = open_source(tmp_path / "odd", max_refused=0.8, check="header")
    assert source.ids() == ["odd-000000", "odd-000001", "odd-000007", "odd-000010"]
    assert [len(sample.images) for sample in source] == [1, 2, 1, 1]
    assert source[2].references == ("3",)
    assert source[3].image == rows[10]["images"][0]["bytes"]
    reasons = {refusal.row: refusal.reason for refusal in source.refused}
    assert reasons["odd-000002"] == "the column 'images' is empty"
    assert reasons["odd-000004"] == "the column 'problem' is empty"
    assert "empty question" in reasons["odd-000005"]
    assert reasons["odd-000006"].endswith("is empty")
    assert reasons["odd-000008"]
    assert reasons["odd-000009"] == "the picture is empty"


def test_the_usual_columns_of_vqa_sets(tmp_path, make_png):
    features = datasets.Features(
        {
            "question_id": datasets.Value("int64"),
            "image": datasets.Image(),
            "masks": datasets.Image(),
            "question": datasets.Value("string"),
            "answer": datasets.ClassLabel(names=["no", "yes"]),
            "options": datasets.Sequence(datasets.Value("string")),
            "seen": datasets.Value("timestamp[s]"),
        }
    )
    picture = {"bytes": make_png(), "path": None}
    row = {
        "question_id": 12,
        "image": picture,
        "masks": picture,
        "question": "Is it?",
        "answer": 1,
        "options": ["no", "yes"],
        "seen": datetime.datetime(2026, 1, 2),
    }
    data = datasets.Dataset.from_list([row], features=features)
    datasets.DatasetDict({"test": data}).save_to_disk(tmp_path / "vqa")
    sample = open_source(f"hf:{tmp_path}/vqa,check=decode")[0]
    assert sample.id == "12"
    assert sample.references == ("yes",)
    assert sample.choices == ("no", "yes")
    assert sample.metadata == {"seen": "2026-01-02 00:00:00"}


def test_opening_decodes_nothing_and_keeps_no_picture(tmp_path, make_png, monkeypatch):
    released([row(make_png(i)) for i in range(4)]).save_to_disk(tmp_path / "big")
    monkeypatch.setattr(datasets.Image, "decode_example", lambda *_, **__: pytest.fail("decoded"))
    source = open_source(tmp_path / "big")
    assert not any(isinstance(value, bytes) for value in vars(source).values())
    assert len(source.fingerprint()) == 64
    assert not (tmp_path / "cache").exists()


def test_splits(tmp_path, make_png):
    data = released([row(make_png())])
    two = datasets.DatasetDict({"train": data, "test": datasets.concatenate_datasets([data] * 2)})
    two.save_to_disk(tmp_path / "two")
    assert len(open_source(f"hf:{tmp_path / 'two'},split=test")) == 2
    with pytest.raises(DataError, match="splits train, test; name one"):
        open_source(tmp_path / "two")
    with pytest.raises(DataError, match="splits train, test; asked for 'dev'"):
        open_source(tmp_path / "two", split="dev")
    assert len(open_source(tmp_path / "two" / "train")) == 1


def test_a_folder_that_datasets_can_read(tmp_path, make_png):
    """The way to the Hub, ``load_dataset``, on a local Parquet file."""
    (tmp_path / "parquet").mkdir()
    released([row(make_png())]).to_parquet(tmp_path / "parquet" / "train.parquet")
    source = open_source(f"hf:{tmp_path / 'parquet'}", split="train")
    assert source[0].image == make_png()
    with pytest.raises(DataError, match="has the splits train; asked for 'dev'"):
        open_source(f"hf:{tmp_path / 'parquet'},split=dev")


def test_the_commit_on_the_hub_is_known_by_the_files_addresses(tmp_path, make_png, monkeypatch):
    data, commit = released([row(make_png())]), "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setattr("vt_env.sources.hf.from_hub", lambda *_: data)
    assert open_source("hf:nobody/nothing").commit is None
    data.info.download_checksums = {f"hf://datasets/nobody/nothing@{commit}/a.parquet": {}}
    assert open_source("hf:nobody/nothing").commit == commit


def test_sets_that_cannot_be_used(tmp_path, make_png):
    data = released([row(make_png())])
    data.remove_columns("problem").save_to_disk(tmp_path / "lacks")
    with pytest.raises(DataError, match="no question column"):
        open_source(tmp_path / "lacks")
    with pytest.raises(DataError, match="found nothing at"):
        open_source(f"hf:{tmp_path / 'none'}")


def test_a_picture_path_must_stay_in_the_set(tmp_path, make_png):
    (tmp_path / "outside.png").write_bytes(make_png())
    rows = [
        {"image": path, "question": "?", "answer": "a"} for path in ("in.png", "../outside.png")
    ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "paths")
    (tmp_path / "paths" / "in.png").write_bytes(make_png())
    source = open_source(tmp_path / "paths", max_refused=0.5)
    assert source[0].image == tmp_path / "paths" / "in.png"
    assert "leads out of the folder" in source.refused[0].reason


def test_without_datasets_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"visionthink-gym\[hf\]"):
        open_source(f"hf:{tmp_path}")


def test_without_the_hub_it_says_how_to_bring_the_data(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as caught:
        open_source("hf:Senqiao/VisionThink-Smart-Train,revision=main")
    said = str(caught.value)
    assert said.startswith("the Hub cannot be reached for Senqiao/VisionThink-Smart-Train (")
    assert (
        "hf download Senqiao/VisionThink-Smart-Train --repo-type dataset --revision main "
        "--local-dir FOLDER; bring FOLDER here, and write hf:FOLDER"
    ) in said
