"""Folders, files and column shapes as people have them, through ``hf:``."""

import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from vt_env.errors import ConfigError, DataError, PictureError
from vt_env.pictures import Picture
from vt_env.sources import open_source

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was fetched"))


def saved(tmp_path, rows, features=None, name="set"):
    data = datasets.Dataset.from_list(rows, features=features)
    data.save_to_disk(tmp_path / name)
    return tmp_path / name


def parquet(folder, rows, name="train.parquet", **options):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name, **options)
    return folder


def row(picture, **changes):
    return {"image": {"bytes": picture, "path": None}, "question": "?", "answer": "a", **changes}


def test_a_readme_cannot_make_it_fetch_or_read_elsewhere(tmp_path, make_png):
    outside = parquet(tmp_path / "outside", [row(make_png(), question="SECRET")], "x.parquet")
    for elsewhere in ("http://127.0.0.1:9/x.parquet", f"{outside}/x.parquet", "../outside/*"):
        folder = parquet(tmp_path / "set", [row(make_png(), question="ours")])
        lines = ["---", "configs:", "- config_name: default", f'  data_files: "{elsewhere}"', "---"]
        (folder / "README.md").write_text("\n".join(lines))
        (folder / ".huggingface.yaml").write_text("\n".join(lines[1:4]))
        assert [sample.question for sample in open_source(f"hf:{folder}")] == ["ours"]
        (folder / "train.parquet").unlink()
        with pytest.raises(DataError, match="is no data set"):
            open_source(f"hf:{folder}")


@pytest.mark.parametrize(
    "name", ["../other/data-00000-of-00001.arrow", "/etc/passwd", "..", "a\\b", 3]
)
def test_a_saved_set_cannot_name_files_elsewhere(tmp_path, make_png, name):
    folder = saved(tmp_path, [row(make_png())])
    shutil.copytree(folder, tmp_path / "other")
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="which is no file or folder in it"):
        open_source(folder)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["../other"]}))
    with pytest.raises(DataError, match="which is no file or folder in it"):
        open_source(folder)


def many(folder, size, n=1000):
    """Rows with pictures of ``size`` bytes of noise after a small PNG."""
    noise = np.random.default_rng(0).bytes(size)
    rows = [row(noise, question=f"{i}?") for i in range(200)]
    schema = pa.Table.from_pylist(rows).schema
    folder.mkdir(parents=True)
    with pq.ParquetWriter(folder / "train.parquet", schema, compression="none") as file:
        for _ in range(n // 200):
            file.write_table(pa.Table.from_pylist(rows), row_group_size=100)
    return folder


def cpu_to_open(spec):
    begun = time.process_time()
    source = open_source(spec)
    return time.process_time() - begun, source


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_opening_reads_no_picture(tmp_path, kind):
    """100 times the bytes take no more time, and no more memory than the texts."""
    folders = {size: many(tmp_path / str(size), size) for size in (100, 100_000)}
    if kind == "saved":
        for size, folder in folders.items():
            data = datasets.Dataset.from_parquet(str(folder / "train.parquet"))
            data.save_to_disk(tmp_path / f"saved-{size}", max_shard_size="50MB")
            folders[size] = tmp_path / f"saved-{size}"
    cpu_to_open(f"hf:{folders[100]}")
    small, _ = cpu_to_open(f"hf:{folders[100]}")
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    large, source = cpu_to_open(f"hf:{folders[100_000]}")
    assert len(source) == 1000
    assert pa.total_allocated_bytes() - before < 10e6
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert large < 5 * small + 0.5
    assert len(source[789].image) == 100_000


def test_a_process_that_has_read_parquet_ends_in_silence(tmp_path, make_png):
    """Batches that nobody asked for any more complained when the interpreter ended."""
    parquet(tmp_path / "set", [row(make_png(), question=f"q{n}") for n in range(200)])
    code = (
        "import sys; from vt_env import open_source; s = open_source(sys.argv[1]); print(s[0].id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"hf:{tmp_path / 'set'}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout
    assert "ignored" not in done.stderr


def test_rows_of_parquet_can_be_asked_for_in_any_order(tmp_path, make_png):
    rows = [row(make_png(i), question=f"{i}?") for i in range(50)]
    folder = parquet(tmp_path / "set", rows[:30], "train-00000-of-00002.parquet", row_group_size=20)
    parquet(folder, rows[30:], "train-00001-of-00002.parquet", row_group_size=7)
    source = open_source(f"hf:{folder}")
    for source_ in (source, pickle.loads(pickle.dumps(source))):
        for place in (0, 1, 2, 49, 3, 19, 20, 8, 30, 29, 44):
            assert source_[place].image == rows[place]["image"]["bytes"]
    assert [sample.image for sample in source] == [r["image"]["bytes"] for r in rows]
    wrong = []

    def read(seed):
        for place in np.random.default_rng(seed).integers(0, 50, 40):
            if source[int(place)].image != rows[place]["image"]["bytes"]:
                wrong.append(place)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_picture_that_is_none_is_refused_when_it_is_shown(tmp_path):
    source = open_source(saved(tmp_path, [row(b"no picture")]))
    assert len(source) == 1
    with pytest.raises(DataError):
        Picture(source[0].image).check()
    with pytest.raises(DataError, match="refused 1 of 1"):
        open_source(tmp_path / "set", check="header")


def test_a_cell_without_a_picture_is_refused_when_it_is_shown(tmp_path, make_png):
    """That of a Parquet file says so only in the bytes, which opening does not read."""
    gone = row(b"", image={"bytes": None, "path": "../gone.png"})
    source = open_source(f"hf:{parquet(tmp_path / 'p', [row(make_png()), gone])}")
    with pytest.raises(PictureError):
        Picture(source[1].image).check()
    (refusal,) = open_source(f"hf:{tmp_path / 'p'},check=header,max_refused=0.5").refused
    assert "leads out of the folder" in refusal.reason


def test_many_files_are_not_all_kept_open(tmp_path, make_png):
    for i in range(20):
        parquet(tmp_path / "p", [row(make_png(i))], f"train-{i:05d}-of-00020.parquet")
    source = open_source(f"hf:{tmp_path / 'p'}")
    assert [s.image for s in source] == [make_png(i) for i in range(20)]
    assert len(source._table._open) <= 8


def test_a_missing_picture_is_refused_on_opening(tmp_path, make_png):
    rows = [row(make_png()), {**row(b""), "image": None}]
    for spec in (saved(tmp_path, rows), f"hf:{parquet(tmp_path / 'p', rows)}"):
        source = open_source(spec, max_refused=0.5)
        assert [str(r) for r in source.refused] == [
            f"{source.name}-000001: the column 'image' is empty"
        ]


def test_numbers_of_32_bits_are_the_shortest_that_mean_them(tmp_path, make_png):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answers": datasets.Sequence(datasets.Value("float32")),
            "box": {"x": datasets.Value("float32"), "y": datasets.Value("float64")},
        }
    )
    picture = {"bytes": make_png(), "path": None}
    one = {
        "image": picture,
        "question": "?",
        "answers": [0.1, 3.14, 1e-7, 12.0],
        "box": {"x": 0.3, "y": 0.3},
    }
    folder = saved(tmp_path, [one], features)
    datasets.Dataset.load_from_disk(folder).to_parquet(tmp_path / "x.parquet")
    for spec in (folder, f"hf:{tmp_path / 'x.parquet'}"):
        sample = open_source(spec)[0]
        assert sample.references == ("0.1", "3.14", "1e-07", "12.0")
        assert sample.metadata == {"box": {"x": 0.3, "y": 0.3}}


def test_numbers_of_16_bits_are_refused(tmp_path, make_png):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answers": datasets.Sequence(datasets.Value("float16")),
        }
    )
    one = {"image": {"bytes": make_png(), "path": None}, "question": "?", "answers": [0.1]}
    with pytest.raises(DataError, match="column 'answers' has numbers of 16 bits"):
        open_source(saved(tmp_path, [one], features))


def test_class_labels_in_lists_and_objects(tmp_path, make_png):
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answers": datasets.Sequence(label),
            "more": {"label": label},
        }
    )
    one = {
        "image": {"bytes": make_png(), "path": None},
        "question": "?",
        "answers": [1, 0],
        "more": {"label": 1},
    }
    folder = saved(tmp_path, [one], features)
    datasets.Dataset.load_from_disk(folder).to_parquet(tmp_path / "x.parquet")
    for spec in (folder, f"hf:{tmp_path / 'x.parquet'}"):
        assert open_source(spec)[0].references == ("dog", "cat")
        assert open_source(spec)[0].metadata == {"more": {"label": "dog"}}
        assert open_source(spec, columns="answer:more.label")[0].references == ("dog",)


def test_images_serve_where_image_is_null(tmp_path, make_png):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "images": datasets.Sequence(datasets.Image()),
            "question": datasets.Value("string"),
            "answer": datasets.Value("string"),
        }
    )
    picture = {"bytes": make_png(5), "path": None}
    rows = [{"image": None, "images": [picture], "question": "?", "answer": "a"}]
    for check in ("none", "header"):
        assert open_source(saved(tmp_path, rows, features, check), check=check)[
            0
        ].image == make_png(5)


def test_an_empty_set_has_no_rows(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "question": datasets.Value("string"),
                                  "answer": datasets.Value("string")})  # fmt: skip
    folder = tmp_path / "set"
    datasets.Dataset.from_dict({name: [] for name in features}, features).save_to_disk(folder)
    pq.write_table(pa.table({name: [] for name in features}), tmp_path / "x.parquet")
    for spec in (folder, f"hf:{tmp_path / 'x.parquet'}"):
        with pytest.raises(DataError, match="has no rows"):
            open_source(spec)


@pytest.mark.parametrize(
    ("part", "numbers"),
    [
        ("train[:10]", range(10)),
        ("train[10:]", range(10, 20)),
        ("train[5:7]", range(5, 7)),
        ("train[-3:]", range(17, 20)),
        ("train[:10%]", range(2)),
        ("train[50%:75%]", range(10, 15)),
        ("train[:]", range(20)),
    ],
)
def test_parts_of_a_split(tmp_path, make_png, part, numbers):
    rows = [row(make_png(), question=f"{i}?") for i in range(20)]
    data = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "s")
    wanted = [f"{i}?" for i in numbers]
    for spec in (tmp_path / "s", parquet(tmp_path / "p", rows), tmp_path / "p" / "train.parquet"):
        assert [s.question for s in open_source(f"hf:{spec},split={part}")] == wanted


def test_parts_that_are_none(tmp_path, make_png):
    folder = parquet(tmp_path / "p", [row(make_png())])
    for part in ("train[", "train[1]", "train[a:b]", "train[:5]+train[7:]"):
        with pytest.raises(DataError, match=r"expected a split as in train\[:100\]"):
            open_source(f"hf:{folder},split={part}")
    with pytest.raises(DataError, match="has no rows"):
        open_source(f"hf:{folder},split=train[5:]")


def test_which_files_are_which_split(tmp_path, make_png):
    def put(name):
        path = tmp_path / "set" / name
        parquet(path.parent, [row(make_png(), question=name)], path.name)

    def opened(**options):
        return [s.question for s in open_source(f"hf:{tmp_path / 'set'}", **options)]

    put("data/train-00000-of-00001.parquet")
    put("data/testmini-00000-of-00001-0123abcd.parquet")
    put("val/x.parquet")
    assert opened(split="testmini") == ["data/testmini-00000-of-00001-0123abcd.parquet"]
    assert opened(split="validation") == ["val/x.parquet"]
    with pytest.raises(DataError, match="has the splits testmini, train, validation; name one"):
        opened()
    put("hard/test.parquet")
    with pytest.raises(DataError, match=r"subsets \(the folder itself\), hard; name one"):
        opened(split="test")
    assert opened(subset="hard") == ["hard/test.parquet"]
    with pytest.raises(DataError, match="no subset 'harder'; its subsets: hard"):
        opened(subset="harder")
    (tmp_path / "set" / "more.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"several formats: \.csv, \.parquet"):
        opened(subset="hard")


def test_other_files_than_parquet(tmp_path, make_png):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(make_png(7))
    one = {"image": "a.png", "question": "What?", "answers": ["x", "y"]}
    for name, text in (
        ("train.jsonl", json.dumps(one) + "\nnonsense\n"),
        ("train.json", json.dumps([one, 3])),
        ("train.csv", 'image,question,answers\na.png,What?,"[""x"", ""y""]"\nb.png,?\n'),
        ("train.tsv", "image\tquestion\tanswers\na.png\tWhat?\t['x', 'y']\nb\n"),
    ):
        file = tmp_path / "set" / name
        file.write_text(text)
        for spec in (f"hf:{file}", f"hf:{file.parent}"):
            source = open_source(spec, max_refused=0.5)
            assert source[0].references == ("x", "y")
            assert source[0].image == tmp_path / "set" / "a.png"
            assert source.n_refused == 1
        file.unlink()
    with pytest.raises(DataError, match=r"expected a file \.parquet"):
        open_source(f"hf:{tmp_path / 'set' / 'a.png'}")


def test_image_folders(tmp_path, make_png):
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / "a.png").write_bytes(make_png(1))
        rows = [{"file_name": name, "question": split, "answer": "a"}
                for name in ("a.png", "../train/a.png")]  # fmt: skip
        text = "".join(json.dumps(one) + "\n" for one in rows)
        (tmp_path / "set" / split / "metadata.jsonl").write_text(text)
    source = open_source(f"hf:{tmp_path / 'set'},split=test", max_refused=0.5)
    assert source[0].image == tmp_path / "set" / "test" / "a.png"
    assert "leads out of the folder 'test'" in source.refused[0].reason
    both = open_source(f"hf:{tmp_path / 'set'},split=test,root={tmp_path / 'set'}", max_refused=0.5)
    assert both.n_refused == 1  # "a.png" starts at root, where it is not
    assert both[0].image == tmp_path / "set" / "train" / "a.png"
    for split in ("train", "test"):
        (tmp_path / "set" / split / "metadata.jsonl").unlink()
        one = {"file_name": "a.png", "question": split, "answer": "a"}
        parquet(tmp_path / "set" / split, [one], "metadata.parquet")
    assert open_source(f"hf:{tmp_path / 'set'},split=test")[0].image == (
        tmp_path / "set" / "test" / "a.png"
    )


def test_webdataset(tmp_path, make_png):
    import io
    import tarfile

    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "train-000.tar", "w") as tar:
        for name, data in (
            ("0.png", make_png(3)),
            ("0.json", json.dumps({"q": {"text": "Who?"}, "a": ["me", "I"]}).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    spec = f"hf:{tmp_path / 'set'},columns=image:png+question:json.q.text+answer:json.a"
    sample = open_source(spec)[0]
    assert (sample.question, sample.references) == ("Who?", ("me", "I"))
    assert Picture(sample.image).size == (64, 48)


def test_chat_messages_with_blocks(tmp_path, make_png):
    block = pa.struct([("type", pa.string()), ("text", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.list_(block))])
    said = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "me"}]},
    ]
    table = pa.table(
        {
            "messages": pa.array([said], pa.list_(message)),
            "images": pa.array([[{"bytes": make_png(), "path": "x.png"}]]),
        }
    )
    pq.write_table(table, tmp_path / "chat.parquet")
    columns = "question:messages.0.content+answer:messages.-1"
    sample = open_source(f"hf:{tmp_path / 'chat.parquet'},columns={columns}")[0]
    assert (sample.question, sample.references) == ("Who is it?", ("me",))


def test_options_of_other_types(tmp_path, make_png):
    folder = parquet(tmp_path / "p", [row(make_png())])
    for option in ("split=3", "subset=3"):
        with pytest.raises(DataError, match="'3'"):
            open_source(f"hf:{folder},{option}")
    with pytest.raises(ConfigError, match="belongs to a set on the Hub"):
        open_source(f"hf:{folder},revision=main")


def test_a_damaged_file_is_a_sentence(tmp_path, make_png):
    folder = parquet(tmp_path / "p", [row(make_png(i)) for i in range(20)])
    data = (folder / "train.parquet").read_bytes()
    for broken in (b"", b"PAR1", data[:2000], data[:100] + b"\0" * 400 + data[500:]):
        (folder / "train.parquet").write_bytes(broken)
        with pytest.raises(DataError, match=r"as Parquet|refused|picture of"):
            [Picture(sample.image).check(decode=True) for sample in open_source(f"hf:{folder}")]
