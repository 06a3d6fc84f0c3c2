"""The zoom suite: its layouts, metrics, boxes, and the way from copies to a table."""

import json
from itertools import pairwise

import pytest
from tables import datasets, png
from zoom_tables import COPIES, encoded, hrbench, parquet, row, treebench, tsv, vstar, vstar_mirror

from experiments.benchmarks import BENCHMARKS, open_benchmark
from experiments.benchmarks.suite import SUITES, suite_parts, zooming_gaps
from experiments.benchmarks.zoom_layouts import shuffled
from experiments.benchmarks.zoom_summaries import looked
from experiments.cli import main
from experiments.report.reading import read_results
from vt_env.errors import ConfigError, DataError
from vt_env.regions import Box
from vt_env.sources.encoded import EncodedTsv


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def opened(name, root, variant="fixed", write=None, **options):
    (write or COPIES[name])(root / name)
    return open_benchmark(name, root / name, variant, **options)


def test_the_suite_has_all_of_them():
    assert list(SUITES["zoom"]) == list(COPIES)
    with pytest.raises(ConfigError, match="--judge-model"):
        suite_parts("zoom")
    with pytest.raises(ConfigError, match="the benchmark 'vstar' is given twice"):
        suite_parts("zoom", ["vstar", "treebench", "vstar"])
    parts = suite_parts("zoom", variant="rules")
    assert [part.name for part in parts] == list(COPIES)


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("check", ["header", "none"])
def test_every_layout_is_read(name, check, tmp_path):
    made = opened(name, tmp_path, check=check)
    assert len(made) >= 1
    for sample in made:
        picture = sample.image if isinstance(sample.image, bytes) else sample.image.read_bytes()
        assert picture in [png(seed) for seed in range(4)]
        assert BENCHMARKS.make(name).bare(sample.question) in sample.question
        if sample.choices:
            assert sample.references[0] in "ABCDE"[: len(sample.choices)]


def test_vstar_keeps_the_boxes_and_shuffles_the_options(tmp_path):
    official, fixed = (opened("vstar", tmp_path, variant)[0] for variant in ("official", "fixed"))
    assert official.question == (
        "What is the material of the glove?\nA. rubber\nB. cotton\nC. kevlar\nD. leather"
        "\nAnswer with the option's letter from the given choices directly."
    )
    assert official.references == ("A",)
    assert official.metadata["target_boxes"] == [[10, 4, 16, 12]]
    assert fixed.answer_box == Box(10, 4, 16, 12)
    order = fixed.metadata["options_order"]
    assert [official.choices["ABCD".index(letter)] for letter in order] == list(fixed.choices)
    assert fixed.choices["ABCD".index(fixed.references[0])] == "rubber"
    second = opened("vstar", tmp_path)[1]
    assert second.metadata["target_boxes"] == [[0, 0, 4, 4], [8, 8, 16, 16]]
    assert second.answer_box == Box(0, 0, 16, 16)
    mirror = opened("vstar", tmp_path / "mirror", write=vstar_mirror)
    assert mirror.ids() == ["0", "1"]
    assert mirror[0].answer_box is None
    assert (mirror[0].question, mirror[0].references) == (fixed.question, fixed.references)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"response": "(B)"}, (("red", "blue"), "B")),
        ({"response": "blue"}, ((), "blue")),
        ({"response": "C"}, ((), "C")),
        ({"query": "Which, (A) red or (B) blue?"}, ((), "B")),
        ({"question_type": "blank"}, ((), "B")),
        ({"question_type": None}, ((), "B")),
    ],
)
def test_options_of_zoombench_are_known_where_lines_letter_them(changes, found, tmp_path):
    made = opened("zoombench", tmp_path, write=lambda root: COPIES["zoombench"](root, **changes))
    assert (made[1].choices, made[1].references[0]) == found


def test_a_box_of_zoombench_is_checked(tmp_path):
    COPIES["zoombench"](tmp_path, bbox=[1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="four numbers each"):
        open_benchmark("zoombench", tmp_path)


def test_another_seed_draws_another_order(tmp_path):
    vstar(tmp_path / "vstar")
    orders = {
        seed: open_benchmark("vstar", tmp_path / "vstar", option_seed=seed)[0] for seed in range(9)
    }
    assert orders[0].question == open_benchmark("vstar", tmp_path / "vstar")[0].question
    assert len({sample.question for sample in orders.values()}) > 4
    for seed, sample in orders.items():
        assert sample.choices["ABCD".index(sample.references[0])] == "rubber"
        assert sample.metadata["option_seed"] == seed
    for name, variant in (("vstar", "official"), ("o3bench", "fixed")):
        COPIES[name](tmp_path / name)
        with pytest.raises(ConfigError, match="in their own order: leave option_seed out"):
            open_benchmark(name, tmp_path / name, variant, option_seed=1)
    with pytest.raises(ConfigError, match="at least 0"):
        open_benchmark("vstar", tmp_path / "vstar", option_seed=-1)
    with pytest.raises(ConfigError, match="leave --option-seed out"):
        suite_parts("zoom", ["treebench", "o3bench"], option_seed=3)
    parts = suite_parts("zoom", ["treebench", "vstar"], option_seed=3)
    assert [str(part.data).endswith(",option_seed=3") for part in parts] == [False, True]


def test_shuffling_is_fair_and_always_the_same():
    orders = [shuffled(list("wxyz"), "A", str(key)) for key in range(2000)]
    assert orders == [shuffled(list("wxyz"), "A", str(key)) for key in range(2000)]
    for letter in "ABCD":
        assert 420 < sum(right == letter for _, right, _ in orders) < 580
    assert all(choices["ABCD".index(right)] == "w" for choices, right, _ in orders)


def test_what_the_samples_say(tmp_path):
    hr = opened("hrbench-4k", tmp_path)
    assert hr.ids() == ["0", "1", "2", "3"]
    assert hr[0].question == (
        "What number?\nA. 27B\nB. 37B\nC. None\nD. 27E\nAnswer the option letter directly."
    )
    assert [s.references for s in hr] == [("A",), ("B",), ("C",), ("D",)]
    assert {s.choices["ABCD".index(s.references[0])] for s in hr} == {"27B"}
    assert len({s.metadata["form_of"] for s in hr}) == 1
    real = opened("mme-realworld-lite", tmp_path)[1]
    assert real.id == "perception/remote_sensing/position/1"
    assert real.choices[-1] == "The image does not feature it."
    assert real.metadata["task"] == "Reasoning"
    assert "are listed below:\n(A) left\n(B) right" in real.question
    probe = opened("visualprobe-hard", tmp_path)[0]
    assert (probe.question, probe.references) == ("What colour is the lampshade?", ("White.",))
    whole, cropped = opened("zoombench", tmp_path), opened("zoombench-crop", tmp_path)
    assert [s.metadata["has_crop"] for s in whole] == [True, False]
    assert len(cropped) == cropped.n_refused == 1
    assert (whole[0].image, cropped[0].image) == (png(0), png(1))
    assert [s.id for s in whole] == ["7", "9"]
    assert (whole[0].answer_box, cropped[0].answer_box) == (Box(2, 2, 10, 8), None)
    assert [(s.kind, s.choices, s.references) for s in whole] == [
        ("blank", (), ("3",)),
        ("mcq", ("red", "blue"), ("B",)),
    ]
    tree = opened("treebench", tmp_path)
    assert tree[0].question.startswith('Question: Where is the "Titan" sign?\nOptions:\nA. To the')
    assert tree[0].choices == ("To the left ", "To the right", "Front\tright", "None")
    assert tree[0].answer_box == Box(8, 0, 24, 16)
    assert tree[1].answer_box is None
    chart = opened("o3bench", tmp_path)[0]
    assert chart.choices == ("−$13,046", "−$14,895", "No right choice")


ODD = [
    ("vstar", {"label": "E"}, "the answer 'E' is none of the 4 options"),
    ("vstar", {"text": "What is it? (B) x (C) y"}, "lettered from A, got B, C"),
    ("vstar", {"image": "direct_attributes/none.jpg"}, "is not in the folder"),
    ("o3bench", {"options": "yes or no"}, "lettered from A, got none"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), ODD)
def test_an_odd_row_is_refused_with_its_reason(name, changes, reason, tmp_path):
    COPIES[name](tmp_path)
    table = tmp_path / BENCHMARKS.make(name).file
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    table.write_text(json.dumps({**rows[0], **changes}))
    with pytest.raises(DataError, match=f"(?s)refused 1 of 1 rows.*{reason}"):
        open_benchmark(name, tmp_path)


def test_odd_cells_of_pictures_and_boxes(tmp_path):
    vstar(tmp_path)
    beside = tmp_path / "direct_attributes" / "sa_4690.json"
    for text, reason in (
        ('{"bbox": [[1, 2, 3]]}', "four numbers each"),
        ('{"bbox": [[1, 2, 0, 3]]}', "has nothing inside"),
        ("[1]", "sa_4690.json, beside the picture, is expected a JSON object"),
    ):
        beside.write_text(text)
        with pytest.raises(DataError, match=reason):
            open_benchmark("vstar", tmp_path)
    from zoom_tables import HRBENCH

    row = {"index": 1, "question": "?", "answer": "A", "category": "single", "A": "x", "B": "y",
           "cycle_category": "0"}  # fmt: skip
    for image, reason in (("§§", "is not base64"), (None, "the picture is empty")):
        parquet(tmp_path / "hr_bench_4k.parquet", HRBENCH, [{**row, "image": image}])
        with pytest.raises(DataError, match=reason):
            open_benchmark("hrbench-4k", tmp_path)


def test_copies_that_are_not_there_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"hf download .* Mini-o3/VisualProbe_Hard --local-dir"):
        open_benchmark("visualprobe-hard")
    with pytest.raises(DataError, match=r"no TreeBench\.tsv, and no folder of save_to_disk"):
        open_benchmark("treebench", tmp_path)
    hrbench(tmp_path, "8k")
    with pytest.raises(DataError, match=r"no hr_bench_4k\.parquet.*there is hr_bench_8k"):
        open_benchmark("hrbench-4k", tmp_path)


def test_a_tsv_is_read_record_by_record(tmp_path, monkeypatch):
    rows = [
        {"index": str(i), "image": encoded(i), "question": text}
        for i, text in enumerate(('He said "A\tB"', "two\nlines", "", '"', "ünï"))
    ]
    tsv(tmp_path / "t.tsv", rows)
    table = EncodedTsv(tmp_path / "t.tsv", ["image"])
    assert [table.whole(i) for i in (4, 0, 3, 1, 2)] == [rows[i] for i in (4, 0, 3, 1, 2)]
    assert [row["question"] for row in table.opening()] == [row["question"] for row in rows]
    assert {row["image"] for row in table.opening()} == {b"?"}
    with (tmp_path / "t.tsv").open("ab") as file:
        file.write(b'\n5\tx\n6\ty"z"\tq\n7\t\xff\tq\n')
    table = EncodedTsv(tmp_path / "t.tsv", ["image"])
    assert [str(table.whole(i)) for i in (5, 6, 7)] == [
        "expected 3 cells as in the header, got 2",
        "not a readable row: a quote in it is not as TSV has it",
        "not UTF-8 text: invalid start byte at byte 2",
    ]
    monkeypatch.setattr("vt_env.sources.encoded.RECORD", 400)
    (tmp_path / "t.tsv").write_text('index\timage\n1\t"' + "x\n" * 500)
    with pytest.raises(DataError, match="a quote in it does not close"):
        EncodedTsv(tmp_path / "t.tsv", ["image"])


def test_hrbench_is_the_mean_of_its_rotations():
    rows = [
        row(correct, metadata={"category": category, "cycle_category": str(turn)})
        for turn, correct, category in (
            (0, True, "single"),
            (0, False, "cross"),
            (1, True, "cross"),
        )
    ]
    made = BENCHMARKS.make("hrbench-4k").summary(rows, "official")
    assert (made["average"], made["single"], made["cross"]) == (0.75, 1, 0.5)
    assert made["score"] == 75


TARGETS = {"category": "Reasoning/Ordering", "target_boxes": [[0, 0, 10, 10], [20, 0, 30, 10]]}


@pytest.mark.parametrize(
    ("text", "regions", "official", "fixed"),
    [
        ("<think>at <box>[0,0,10,10]</box></think>", [None], 0.5, 0.5),
        ("<think>at <box>[0,0,10,10]</box> and <box>[20,0,30,5]</box></think>", [None], 0.75, 0.75),
        ("<think>at [0.0, 0, 10, 10]</think>", [None], 0, 0.5),
        ("<think>at <box>[10,0,0,10]</box></think>", [None], 0, 0),
        ("<box>[0,0,10,10]</box>", [[0, 0, 0, 40, 40], [0, 20, 0, 30, 10]], 0.5, 1),
        ("none", [[0, 0, 0, 40, 40]], 0, 0),
    ],
)
def test_treebench_overlaps(text, regions, official, fixed):
    rows = [row(True, metadata=TARGETS, turns=[{"text": text}], regions=regions)]
    for variant, wanted in (("official", official), ("fixed", fixed)):
        assert BENCHMARKS.make("treebench").summary(rows, variant)["miou"] == wanted


def test_where_an_agent_looked():
    views = [[0, 0, 0, 40, 40], [0, 0, 0, 20, 10], [0, 0, 0, 5, 10]]
    found = looked([row(True, metadata=TARGETS, regions=views)])
    assert (found["looked_iou"], found["looked_share"]) == (0.25, 0.5)
    assert looked([row(True, metadata=TARGETS, regions=[None])])["looked_share"] == 0
    assert looked([row(True)]) == {}


def test_the_suite_from_copies_to_a_table(tmp_path, capsys):
    for name in ("vstar", "treebench", "hrbench-4k", "zoombench", "zoombench-crop"):
        COPIES[name](tmp_path / "copies" / name)
    chosen = [word for name in ("vstar", "treebench", "hrbench-4k", "zoombench", "zoombench-crop")
              for word in ("--benchmark", name)]  # fmt: skip
    argv = ["eval", "--suite", "zoom", *chosen, "--suite-data", str(tmp_path / "copies"),
            "--variant", "rules", "--option-seed", "4", "--agent", "request",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "left out of zoombench-crop: 1 has no cropped view" in shown
    told = json.loads((tmp_path / "out" / "vstar" / "result.json").read_text())["metrics"]
    assert {"chosen/none", "looked_share", "vstar_direct_attributes_acc"} <= set(told)
    assert told["option_seed"] == 4
    assert "letter bias" in shown
    assert "option seed" in shown
    suite = json.loads((tmp_path / "out" / "suite.json").read_text())
    lines = suite["agents"]["request"]
    assert [line["benchmark"] for line in lines][:2] == ["vstar", "treebench"]
    assert suite["zooming_gaps"] == {"request": {"zoombench": {"": 0.0}}}
    seeds = [line.get("letters", {}).get("option_seed") for line in lines]
    assert seeds == [4, None, None, None, None, None]
    page = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "out"), "--out", str(page)]) == 0
    assert "request: letters" in page.read_text()


def test_the_zooming_gap_is_of_the_rows_that_have_both_views():
    def result(**metrics):
        return {"modes": {"full": {"metrics": metrics}, "low": {"metrics": {}}}}

    whole, crop = result(accuracy=0.25, accuracy_with_crop=0.5), result(accuracy=0.75)
    assert zooming_gaps({"zoombench": whole, "zoombench-crop": crop}) == {
        "zoombench": {"full": 0.25}
    }
    assert zooming_gaps({"zoombench": whole, "vstar": crop}) == {}


def test_oracle_crops_are_played_on_a_benchmark_with_boxes(tmp_path):
    vstar(tmp_path / "vstar")
    out = tmp_path / "out"
    data = f"benchmark:vstar,path={tmp_path / 'vstar'}"
    argv = ["eval", "--data", data, "--judge", "benchmark:vstar", "--protocol", "mini-o3",
            "--agent", "zoom-oracle", "--out", str(out)]  # fmt: skip
    assert main(argv) == 0
    rows = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    result = json.loads((out / "result.json").read_text())
    assert all(len(one["regions"]) > 1 for one in rows)
    assert result["metrics"]["looked_share"] == 1


def test_a_copy_is_found_by_its_repository(tmp_path):
    treebench(tmp_path / "TreeBench")
    (part,) = suite_parts("zoom", ["treebench"], tmp_path)
    assert str(part.data).endswith("TreeBench")
    assert all(a != b for a, b in pairwise(SUITES["zoom"]))


def test_places_are_shown_where_they_are_known_and_a_suite_is_diagnosed(tmp_path, capsys):
    """A row without a box, or a benchmark without any, stopped the suite when its turn came."""
    names = ("vstar", "treebench", "hrbench-4k")
    for name in names:
        COPIES[name](tmp_path / "copies" / name)
    chosen = [word for name in names for word in ("--benchmark", name)]
    out = tmp_path / "out"
    argv = ["eval", "--suite", "zoom", "--suite-data", str(tmp_path / "copies"), "--agent",
            "zoom-random", "--protocol", "qwen3-vl", "--mode", "visionthink", "--mode", "no-tool",
            "--mode", "oracle-crop", "--max-refused", "0"]  # fmt: skip
    assert main([*argv, *chosen, "--out", str(out)]) == 0
    shown = " ".join("".join(capsys.readouterr()).split())
    assert "hrbench-4k does not say where the answer is: without oracle-crop" in shown
    assert "left out of treebench: 1 does not say where the answer is" in shown
    assert "left out of hrbench-4k: 4 does not say where the answer is" in shown
    assert "zoom-random: Does looking closer help?" in shown
    assert not (out / "hrbench-4k" / "oracle-crop").exists()
    result = json.loads((out / "treebench" / "result.json").read_text())["modes"]["oracle-crop"]
    assert (result["n"], result["refused"]) == (1, 1)
    (told,) = json.loads((out / "suite.json").read_text())["diagnosis"].values()
    assert {name: one["n"] for name, one in told.items()} == {
        "all": 8, "vstar": 2, "treebench": 2, "hrbench-4k": 4
    }  # fmt: skip
    assert told["all"]["left_out"] == {"oracle-crop": 5}
    found = [one.name for one in read_results([out]).diagnosed]
    assert found == [f"zoom-random: {data}" for data in ("all benchmarks", *sorted(names))]
    argv[argv.index("--mode") :] = ["--mode", "oracle-crop"]
    assert main([*argv, "--benchmark", "hrbench-4k", "--out", str(tmp_path / "none")]) == 2
    assert "metadata['answer_box'], and none does" in capsys.readouterr().err
