"""Every benchmark from small tables in the Hub's layout, and odd rows of each kind."""

import io
import os
import subprocess
import sys

import pytest
from evaluating import evaluate
from PIL import Image
from tables import FEATURES, cell, datasets, png, row, table

from agents import Episode
from agents.answerers import Guess
from agents.scripted import Direct
from experiments.benchmarks import BENCHMARKS, open_benchmark
from experiments.episodes import episode_row
from vt_env import Task, make_protocol
from vt_env.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def opened(tmp_path):
    """Save rows as `save_to_disk` does and open them."""

    def make(name, *rows, variant="fixed", **options):
        folder = tmp_path / f"set-{len(list(tmp_path.iterdir()))}"
        table(name, *rows).save_to_disk(folder)
        return open_benchmark(name, folder, variant, **options)

    return make


def parquet(root, name, *rows, shards=1):
    """A repository as `huggingface_hub` downloads it."""
    benchmark = BENCHMARKS.make(name)
    folder = root / (benchmark.config or "data")
    folder.mkdir(parents=True)
    data = table(name, *rows)
    for i in range(shards):
        part = data.shard(shards, i, contiguous=True)
        part.to_parquet(folder / f"{benchmark.split}-{i:05d}-of-{shards:05d}.parquet")
    return root


@pytest.mark.parametrize("name", FEATURES)
def test_one_sample_from_either_layout(name, opened, tmp_path):
    made = opened(name, row(name))
    (sample,) = made
    assert sample.image == png()
    assert sample.source == name
    assert BENCHMARKS.make(name).bare(sample.question) in sample.question
    assert not made.complete
    again = open_benchmark(name, parquet(tmp_path / "repo", name, row(name)))
    assert again.fingerprint() == made.fingerprint()


def test_what_the_samples_say(opened):
    def first(name, **changes):
        return opened(name, row(name, **changes))[0]

    chart = first("chartqa")
    assert chart.question == "How many?\nAnswer the question with a single word."
    assert (chart.id, chart.references, chart.kind) == ("chartqa-000000", ("47",), "human_test")
    assert first("ocrbench").answer_type == "math"
    assert first("ocrbench", answer=["", "x^2"]).references == ("x^2",)
    assert first("docvqa").kind == "form, layout"
    assert first("docvqa").id == "49153"
    assert first("mme").question.startswith("Are there two dogs?\nAnswer")
    assert first("mme").metadata == {"question_id": "count/1.png"}
    assert first("mmvet").references == ("-1, -5", "none")
    vista = first("mathvista")
    assert vista.question.startswith(
        "How long? (Unit: cm)\nAnswer the question using a single float"
    )
    assert vista.metadata["skills"] == ["algebra"]
    chosen = first(
        "mathvista", choices=["a", "b"], question_type="multi_choice", answer_type="text"
    )
    assert "\nA. a\nB. b\n" in chosen.question
    assert (chosen.choices, chosen.answer_type) == (("a", "b"), "mcq")
    mmmu = first("mmmu")
    assert (mmmu.choices, mmmu.kind) == (("Klee", "O'Keeffe"), "Art_Theory")
    bench = first("mmbench")
    assert bench.choices == ("cat", "dog")
    assert bench.question.startswith("Which? There are several options:\nA. cat\nB. dog\n\nAnswer")
    gaps = first("mmbench", A="nan", B="dog", C="None", D=None, answer="C")
    assert gaps.choices == ("", "dog", "None")
    assert "options:\nB. dog\nC. None\n\nAnswer" in gaps.question
    assert (gaps.references, gaps.metadata["options"]) == (("C",), 2)
    assert gaps.metadata["form_of"] == gaps.id
    assert first("mathverse").metadata["form_of"] == "1"
    assert first("mmbench", hint="Look.").question.startswith("Look. Which?")
    assert first("chartqa", question="图中有多少?", answer="четыре").references == ("четыре",)


def test_pictures_of_mmmu_stand_in_the_order_of_their_numbers(opened):
    shown = {f"image_{i}": cell(png(i)) for i in (1, 2, 3)}
    sample = opened("mmmu", row("mmmu", question="Is <image 2> like <image 3>?", **shown))[0]
    assert [bytes(image) for image in sample.images] == [png(1), png(2), png(3)]
    assert "Is <image 2> like <image 3>?" in sample.question
    alone = opened("mmmu", row("mmmu", image_1=None, image_4=cell(png(4))))[0]
    assert [bytes(image) for image in alone.images] == [png(4)]


def test_open_answers_of_mmmu_may_be_a_list_for_the_fixed_metric(opened):
    one = row("mmmu", question_type="open", options="[]", answer="['7', 'seven']")
    assert opened("mmmu", one)[0].references == ("7", "seven")
    assert opened("mmmu", one, variant="official")[0].references == ("['7', 'seven']",)


def test_vision_only_is_a_part_of_mathverse(opened):
    rows = [
        row("mathverse", sample_index=str(i), problem_version=version)
        for i, version in enumerate(("Text Lite", "Vision Only", "Vision Only"))
    ]
    assert len(opened("mathverse", *rows)) == 3
    assert opened("mathverse-vision", *rows).ids() == ["1", "2"]
    with pytest.raises(DataError, match="no row has 'Vision Only'"):
        opened("mathverse-vision", rows[0])


def bomb():
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


ODD = [
    ("chartqa", {"answer": None}, "the column 'answer' is empty"),
    ("chartqa", {"answer": " "}, "the column 'answer' is empty"),
    ("chartqa", {"question": ""}, "the column 'question' is empty"),
    ("chartqa", {"image": None}, "the picture is empty"),
    ("chartqa", {"image": cell(b"not a picture")}, ""),
    ("chartqa", {"image": cell(bomb())}, "400,000,000"),
    ("docvqa", {"answers": []}, "the column 'answers' is empty"),
    ("ocrbench", {"answer": ["", " "]}, "the column 'answer' is empty"),
    ("mme", {"answer": "perhaps"}, "must be yes or no, got 'perhaps'"),
    ("pope", {"answer": "nan"}, "must be yes or no"),
    ("mathvista", {"precision": 3.0}, "'precision' must be 1 or 2"),
    ("mathvista", {"precision": float("nan")}, "'precision' must be 1 or 2"),
    ("mathvista", {"answer_type": "text"}, "'answer_type' must be"),
    ("mathvista", {"choices": ["a"]}, "'choices' must hold options for multi_choice"),
    ("mathvista", {"metadata": None}, "'metadata' must be a table"),
    ("mmmu", {"image_3": cell(png(1))}, "has the pictures [1, 3]; expected one, or several from"),
    ("mmmu", {"image_1": None}, "has the pictures []"),
    ("mmmu", {"options": "Klee, Kahlo"}, "'options' is no written list"),
    ("mmmu", {"answer": "E"}, "is none of the 2 options"),
    ("mmmu", {"id": "odd"}, "'id' must be SPLIT_SUBJECT_NUMBER"),
    ("mmbench", {"answer": "D"}, "is none of the 2 options"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), ODD)
def test_an_odd_row_is_refused_with_its_reason(name, changes, reason, opened):
    key = {"docvqa": "questionId", "mathvista": "pid", "mmmu": "id", "mmbench": "index"}.get(name)
    good = row(name, **({key: {"mmbench": 1}.get(name, "validation_Art_9")} if key else {}))
    made = opened(name, good, row(name, **changes), max_refused=0.5)
    assert len(made) == 1
    (refusal,) = made.refused
    assert reason in refusal.reason
    with pytest.raises(DataError, match="refused 1 of 2 rows"):
        opened(name, good, row(name, **changes))


def test_repeated_ids_are_refused(opened):
    made = opened("docvqa", row("docvqa"), row("docvqa"), max_refused=0.5)
    assert "repeats the id" in made.refused[0].reason


def test_numbers_where_text_is_expected(tmp_path):
    for value, reason in ((float("nan"), "not a number"), (True, "must be text")):
        data = (
            table("chartqa", row("chartqa")).remove_columns("answer").add_column("answer", [value])
        )
        data.save_to_disk(tmp_path / str(value))
        with pytest.raises(DataError, match=reason):
            open_benchmark("chartqa", tmp_path / str(value))


def test_a_missing_column_is_named_with_its_type(tmp_path):
    table("pope", row("pope")).remove_columns("category").save_to_disk(tmp_path / "pope")
    with pytest.raises(DataError, match=r"needs the columns category \(string\); there are id"):
        open_benchmark("pope", tmp_path / "pope")


def test_folders(tmp_path):
    rows = [row("docvqa", questionId=str(i)) for i in range(4)]
    repo = parquet(tmp_path / "datasets--x" / "snapshots" / "abc", "docvqa", *rows, shards=2)
    assert open_benchmark("docvqa", tmp_path / "datasets--x").ids() == ["0", "1", "2", "3"]
    (repo / "DocVQA" / "validation-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match="expected all of 2"):
        open_benchmark("docvqa", repo)
    with pytest.raises(DataError, match=r"no test-\*.parquet .* there is DocVQA/validation-00001"):
        open_benchmark("chartqa", repo)
    (tmp_path / "datasets--x" / "snapshots" / "def").mkdir()
    with pytest.raises(DataError, match="holds 2 snapshots"):
        open_benchmark("docvqa", tmp_path / "datasets--x")
    with pytest.raises(DataError, match="found nothing at"):
        open_benchmark("docvqa", tmp_path / "none")
    (repo / "DocVQA" / "validation-00001-of-00002.parquet").rename(repo / "validation.parquet")
    assert len(open_benchmark("docvqa", repo)) == 2
    (repo / "validation.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        open_benchmark("docvqa", repo)


def test_splits_of_a_saved_set(tmp_path):
    data = table("mmmu", row("mmmu"))
    datasets.DatasetDict({"dev": data, "validation": data}).save_to_disk(tmp_path / "mmmu")
    assert len(open_benchmark("mmmu", tmp_path / "mmmu")) == 1
    datasets.DatasetDict({"dev": data}).save_to_disk(tmp_path / "dev")
    with pytest.raises(DataError, match="asked for 'validation'"):
        open_benchmark("mmmu", tmp_path / "dev")


def test_wrong_names(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'chartqa'"):
        open_benchmark("chartq", tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'official'"):
        open_benchmark("chartqa", tmp_path, "offical")


def test_from_the_hub(monkeypatch):
    asked = {}

    def load(path, **options):
        asked[path] = options
        return table("mmbench", row("mmbench"))

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(open_benchmark("mmbench")) == 1
    assert asked == {"lmms-lab/MMBench": {"name": "en", "split": "dev", "revision": None}}


def test_without_a_network_the_real_way_to_the_hub_says_so(tmp_path):
    code = "from experiments.benchmarks import open_benchmark; open_benchmark('chartqa')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DataError: the Hub cannot be reached for lmms-lab/ChartQA" in done.stderr
    assert "hf download lmms-lab/ChartQA --repo-type dataset" in done.stderr


class Knows:
    """An answerer that reads the references."""

    name = "knows"

    def guess(self, question, view, sample):
        return Guess(sample.references[0], 1.0, "it was told")


def test_played_judged_and_summed_up(opened):
    """From a table to the paper's number, through the environment."""
    pope = BENCHMARKS.make("pope")
    rows = [row("pope", answer=answer) for answer in ("yes", "no", "yes")]
    task = Task(opened("pope", *rows), make_protocol("visionthink"), pope.judge("official"))
    played = [
        {**episode_row(e), "score": e.verdict.score, "metadata": dict(e.sample.metadata)}
        for e in evaluate(task, Direct(Knows()))
        if isinstance(e, Episode)
    ]
    assert [one["id"] for one in played] == [f"pope-{i:06d}" for i in range(3)]
    assert {one["judge"] for one in played} == {"yesno:word"}
    made = pope.summary(played, "official")
    assert (made["n"], made["score"], made["coverage"]) == (3, 100, 3 / 9000)
