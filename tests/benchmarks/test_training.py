"""Training sets from small copies in the layouts of their repositories."""

import json

import pytest
from tables import IMAGE, TEXT, TEXTS, cell, datasets, png
from zoom_tables import NUMBERS, files, parquet

from experiments.benchmarks.training import TRAINING
from vt_env import make_task, open_source
from vt_env.errors import ConfigError, DataError
from vt_env.regions import Box

PICTURES = datasets.Sequence(IMAGE)
MESSAGES = [{"role": TEXT, "content": TEXT}]
DRAWN = "Only focus on the things inside the red bounding box of the image, please."
ASKED = "<image>\nWhat colour is it?\nThink first, call **image_zoom_in_tool** if needed, then …"


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def visionthink(root):
    features = {"problem": TEXT, "original_answer": TEXT, "solution": TEXT, "images": PICTURES,
                "data_source": TEXT, "info": TEXT}  # fmt: skip
    row = {"problem": "<image>What colour is it?", "original_answer": "red", "data_source": "vqa",
           "solution": "<answer>red</answer>", "images": [cell(png())]}  # fmt: skip
    parquet(root / "data" / "train-00000-of-00001.parquet", features, [row])


def deepeyes(name):
    def write(root):
        features = {
            "data_source": TEXT, "prompt": MESSAGES, "images": PICTURES, "ability": TEXT,
            "env_name": TEXT, "reward_model": {"ground_truth": TEXT, "style": TEXT},
            "extra_info": {"question": TEXT, "answer": TEXT, "index": TEXT, "split": TEXT},
        }  # fmt: skip
        row = {
            "data_source": "vstar", "images": [cell(png())], "ability": "vqa",
            "prompt": [{"role": "system", "content": "Tools."}, {"role": "user", "content": ASKED}],
            "reward_model": {"ground_truth": "red", "style": "model"},
            "extra_info": {"question": "What colour is it?", "answer": "red"},
        }  # fmt: skip
        bare = {**row, "extra_info": {"question": None}}
        parquet(root / TRAINING[name].file, features, [row, bare])

    return write


def visualprobe(root):
    files(root, ["data/1.jpg"])
    row = {"problem": "<image>\nWhat colour is it?", "solution": "<answer>red</answer>",
           "images": ["VisualProbe_train/data/1.jpg"], "doc_id": "1"}  # fmt: skip
    (root / "train.json").write_text(json.dumps([row]))


def pixelreasoner(root):
    files(root, ["images/a/1.jpg"])
    features = {"question": TEXT, "answer": TEXTS, "image": TEXTS, "qid": TEXT,
                "is_video": datasets.Value("bool")}  # fmt: skip
    row = {"question": "What colour is it?", "answer": ["\\boxed{red}"], "image": ["a/1.jpg"],
           "is_video": False, "qid": "q1"}  # fmt: skip
    video = {**row, "is_video": True, "image": ["v/1.jpg", "v/2.jpg"], "qid": "q2"}
    parquet(root / "release.parquet", features, [row, video])


def zwz(root):
    files(root, ["images/1.png"])
    features = {"images": TEXTS, "problem": TEXT, "answer": TEXT, "bbox": NUMBERS, "status": TEXT}
    row = {"images": ["images/1.png"], "problem": "What colour is it?", "answer": "red",
           "bbox": [1.5, 2.0, 20.0, 10.5], "status": "valid vqa"}  # fmt: skip
    parquet(root / "train.parquet", features, [row])


def zwz_original(root):
    files(root, ["original_images/1.jpg"])
    features = {"original_images": TEXTS, "problem": TEXT, "answer": TEXT, "bbox": NUMBERS}
    row = {"original_images": ["original_images/1.jpg"], "answer": "red",
           "problem": f"What colour is it?\n\n{DRAWN}", "bbox": [1.5, 2.0, 20.0, 10.5]}  # fmt: skip
    parquet(root / "train1.parquet", features, [row])


COPIES = {
    "visionthink-smart": visionthink,
    **{name: deepeyes(name) for name in ("deepeyes-vstar", "deepeyes-chart", "deepeyes-reasoning")},
    "visualprobe": visualprobe,
    "pixelreasoner": pixelreasoner,
    "zwz": zwz,
    "zwz-original": zwz_original,
}


@pytest.mark.parametrize("name", TRAINING)
def test_every_set_can_be_played(name, tmp_path):
    COPIES[name](tmp_path)
    source = open_source(f"training:{name},path={tmp_path}")
    for sample in source:
        assert (sample.question, sample.references) == ("What colour is it?", ("red",))
        assert sample.source == name
        picture = sample.image if isinstance(sample.image, bytes) else sample.image.read_bytes()
        assert picture == png()
    assert make_task(source, judge="auto").source.fingerprint() == source.fingerprint()


@pytest.mark.parametrize("name", ["zwz", "zwz-original"])
def test_boxes_are_kept(name, tmp_path):
    COPIES[name](tmp_path)
    (sample,) = open_source(f"training:{name},path={tmp_path}")
    assert sample.answer_box == Box(1.5, 2, 20, 10.5)


def test_videos_are_refused_and_counted(tmp_path):
    pixelreasoner(tmp_path)
    source = open_source(f"training:pixelreasoner,path={tmp_path}")
    assert (source.ids(), source.n_refused) == (["q1"], 1)
    assert source.refused[0].reason == "shows a video"


def test_pictures_elsewhere_need_root(tmp_path):
    table, pictures = tmp_path / "table", tmp_path / "pictures"
    zwz(table)
    (table / "images").rename(pictures)
    features = {"images": TEXTS, "problem": TEXT, "answer": TEXT, "bbox": TEXT}
    row = {"images": [str(pictures / "1.png")], "problem": "?", "answer": "red"}
    parquet(table / "train.parquet", features, [{**row, "bbox": "(1,2,3,4)"}])
    with pytest.raises(DataError, match="to allow absolute ones, give root=FOLDER"):
        open_source(f"training:zwz,path={table}")
    assert len(open_source(f"training:zwz,path={table},root={pictures}")) == 1
    for box in ("(1,2,3)", "(1,2,1,4)", "", "1,", "a box"):
        parquet(table / "train.parquet", features, [{**row, "bbox": box}])
        with pytest.raises(DataError, match=r"four numbers|nothing inside|is empty|is no list"):
            open_source(f"training:zwz,path={table},root={pictures}")


def test_wrong_input_is_told(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'visualprobe'"):
        open_source("training:visualprob")
    with pytest.raises(DataError, match="hf download --repo-type dataset inclusionAI/ZwZ-RL-VQA"):
        open_source("training:zwz")
    with pytest.raises(DataError, match=r"no data_v0\.8_visual_toolbox_v2\.parquet"):
        open_source(f"training:deepeyes-chart,path={tmp_path}")
