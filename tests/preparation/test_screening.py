"""What is left out before anything is rolled out."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from experiments.preparation.run import ROLLOUTS as FILE
from vt_env import DataError


def photo(seed, size=96):
    """Smooth colours, of which a JPEG keeps all but details."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rows(out):
    return [json.loads(line) for line in (out / FILE).read_text().splitlines()]


def statuses(out):
    return [row["status"] for row in rows(out)]


def test_duplicates(tmp_path, prepare, make_sample, known, want):
    one = photo(1)
    png = encoded(one, "PNG")
    rough, other_size = encoded(one, "JPEG", quality=60), encoded(photo(1, 64), "PNG")
    asked = {"question": "What is it?", "references": ("a cat",)}
    data = [
        make_sample(0, image=png, **asked),
        make_sample(1, image=encoded(one, "BMP"), question=" what  IS it?", references=("a dog",)),
        make_sample(2, image=rough, **asked),
        make_sample(3, image=other_size, question="WHAT IS IT?", references=("A  cat",)),
        make_sample(4, image=rough, question="What is it?", references=("a dog",)),
        make_sample(5, image=png, question="Is it a cat?", references=("yes",)),
        make_sample(6, 0, image=encoded(photo(2), "PNG"), **asked),
    ]
    made = prepare(tmp_path / "near", data, agent=known)
    wanted = ["played", "duplicate", "duplicate", "duplicate", "played", "played", "played"]
    assert statuses(tmp_path / "near") == wanted
    assert made["status"]["duplicate"] == 3
    reasons = [row.get("reason") for row in rows(tmp_path / "near")]
    assert reasons[1] == "the same as 's0' (the same pixels)"
    assert "bits differ" in reasons[2]
    assert [aside["id"] for aside in made["set_aside"]] == ["s1", "s2", "s3"]
    assert not [name for name in known.played if name.split()[0] in ("s1", "s2", "s3")]
    prepare(tmp_path / "equal", data, near=None)
    assert statuses(tmp_path / "equal")[2:4] == ["played", "played"]


def test_a_duplicate_of_what_an_earlier_run_played(tmp_path, prepare, make_sample):
    data = [make_sample(0), make_sample(1, 0), make_sample(2)]
    again = [make_sample(3, image=data[0].image, question=data[0].question), make_sample(4, 0)]
    prepare(tmp_path, [*data, *again], limit=2)
    made = prepare(tmp_path, [*data, *again], resume=True)
    assert statuses(tmp_path) == ["played", "played", "played", "duplicate", "played"]
    assert made["samples"] == 5


def test_contamination(tmp_path, prepare, make_sample, known):
    held = tmp_path / "held"
    held.mkdir()
    photo(1).save(held / "a.jpg", quality=80)
    (held / "cut.png").write_bytes(encoded(photo(5), "PNG")[:400])
    table = [
        {"id": "a", "image": "a.jpg", "question": "How many?", "answers": ["1"]},
        {"id": "b", "image": "cut.png", "question": "How many?", "answers": ["1"]},
    ]
    (held / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    data = [
        make_sample(0, image=encoded(photo(1), "PNG"), question="Something else?"),
        make_sample(1, image=encoded(photo(1), "PNG"), question="how many?"),
        make_sample(2),
        make_sample(3, 0),
    ]
    made = prepare(tmp_path / "out", data, agent=known, against=(f"jsonl:{held}",))
    assert statuses(tmp_path / "out") == ["contaminated", "contaminated", "played", "played"]
    reasons = [row.get("reason", "") for row in rows(tmp_path / "out")]
    assert reasons[0].startswith("a picture that looks alike occurs in 'held/a'")
    said = "the question and a picture that looks alike occur in 'held/a'"
    assert reasons[1].startswith(said)
    assert made["status"]["contaminated"] == 2
    ((unread,),) = [made["against_unread"]]
    assert (unread["set"], unread["id"]) == ("held", "b")
    assert {name.split()[0] for name in known.played} == {"s2", "s3"}


def test_refused_pictures_are_reported_and_not_played(tmp_path, prepare, make_sample, known):
    cut = encoded(photo(1), "PNG")[:300]
    long = np.zeros((3, 600, 3), np.uint8)  # 200:1, and over it at half size
    data = [
        make_sample(0),
        make_sample(1, image=cut),
        make_sample(2, 0),
        make_sample(3, image=long),
    ]
    with pytest.raises(DataError, match="2 of 4 pictures are refused, more than the share of 10%"):
        prepare(tmp_path, data, agent=known)
    made = prepare(tmp_path, data, agent=known, max_refused=0.5)
    assert statuses(tmp_path) == ["played", "refused", "played", "refused"]
    assert {aside["id"] for aside in made["set_aside"]} == {"s1", "s3"}
    assert all(aside["reason"] for aside in made["set_aside"])
    assert {name.split()[0] for name in known.played} == {"s0", "s2"}
