import codecs
import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vt_env.errors import DataError
from vt_env.samples import Sample
from vt_env.sources import Refusal, open_source
from vt_env.sources.columns import column_table
from vt_env.sources.places import Place
from vt_env.sources.rows import read_row
from vt_env.sources.serving import JsonlSource
from vt_env.sources.tables import parse_object


def refusals(table, *rows, **options):
    path = table.jsonl(table.row(), *rows)
    return open_source(path, max_refused=1, **options).refused


def test_a_folder_of_scans_opens_whole(scans):
    source = open_source(str(scans), check="decode")
    assert len(source) == 6
    assert not source.refused
    first = source[0]
    assert first.id == "scan-0"
    assert first.question.startswith("What is the ")
    assert first.answer_type == "exact"
    assert first.kind in ("small", "large")
    assert first.source == "scans"
    assert "question" not in first.metadata
    assert first.image == source[1].image != source[2].image
    assert source.by_id("scan-5").references == source[5].references


def test_a_row_becomes_a_sample(table):
    row = table.row(
        source="s", kind="k", answer_type="mcq", choices=["noise", 3], extra={"a": [1, None]}
    )
    sample = open_source(table.jsonl(row))[0]
    assert sample.image == table.root / "images" / "a.png"
    assert sample.question == "What is it?"
    assert sample.references == ("noise", "static")
    assert sample.choices == ("noise", "3")
    assert (sample.source, sample.kind, sample.answer_type) == ("s", "k", "mcq")
    assert sample.metadata == {"extra": {"a": [1, None]}}
    assert pickle.loads(pickle.dumps(sample)).metadata == sample.metadata


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("answer", "noise", ("noise",)),
        ("references", ["a", "b"], ("a", "b")),
        ("ground_truth", 47, ("47",)),
        ("solution", "<answer> 3.5 </answer>", ("3.5",)),
        ("answers", [{"answer": "no", "answer_confidence": "yes"}, {"answer": "no"}], ("no", "no")),
        ("answer", "[1, 2]", ("[1, 2]",)),
    ],
)
def test_reference_columns(table, column, value, expected):
    row = {**table.row(answers=...), column: value}
    assert open_source(table.jsonl(row))[0].references == expected


def test_the_released_reward_reads_original_answer_so_it_comes_before_solution(table):
    row = table.row(answers=..., solution="B", original_answer="a cat")
    sample = open_source(table.jsonl(row))[0]
    assert sample.references == ("a cat",)
    assert sample.metadata == {"solution": "B"}


def test_other_column_names_can_be_given(table):
    row = table.row(question=..., text="Who?", answers="ignored")
    source = open_source(table.jsonl(row), columns={"question": "text"})
    assert source[0].question == "Who?"
    with pytest.raises(DataError, match="no question: expected a column text"):
        open_source(table.jsonl(table.row()), columns={"question": "text"})


def test_one_picture_in_a_list_and_placeholders_in_the_question(table):
    row = table.row(image=..., images=["images\\b.png"], question="<image>\nWhat <image> is it?")
    sample = open_source(table.jsonl(row))[0]
    assert sample.image == table.root / "images" / "b.png"
    assert sample.question == "What [image] is it?"


def test_numbered_columns_and_marks_are_several_pictures_in_their_order(table):
    pictures = {f"image_{i}": f"images/{name}.png" for i, name in enumerate("aba", 1)}
    row = table.row(image=..., question="<image 1> Is <image 3> <image 2>?", image_4="", **pictures)
    sample = open_source(table.jsonl(row))[0]
    assert [path.name for path in sample.images] == ["a.png", "b.png", "a.png"]
    assert sample.question == "[image 1] Is [image 3] [image 2]?"
    one = table.row(image=..., image_1="images/a.png", question="<image 1>\nWho?")
    assert open_source(table.jsonl(one))[0].question == "Who?"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"images": ["images/a.png", "images/b.png"]},
            "'image' has 1 of the pictures and 'images' 2: say which is meant, columns=image:image "
            "or columns=image:images",
        ),
        ({"question": "Like <image 2>?"}, "names <image 2>, and pictures are 1 to 1"),
        (
            {"image": ..., "image_1": "images/a.png", "image_2": None, "image_3": "images/b.png"},
            "image_3 has a picture, and image_2 has none",
        ),
    ],
)
def test_which_pictures_are_meant_is_never_guessed(table, changes, reason):
    path = table.jsonl(table.row(**changes))
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert reason in str(caught.value)


def test_a_list_as_long_as_the_preferred_column_is_passed_over(table):
    path = table.jsonl(table.row(image="images/a.png", images=["images/b.png"]))
    assert [image.name for image in open_source(path)[0].images] == ["a.png"]
    named = table.jsonl(table.row(images=["images/a.png", "images/b.png"]))
    sample = open_source(named, columns={"image": "images"})[0]
    assert [image.name for image in sample.images] == ["a.png", "b.png"]


def test_rows_without_an_id_are_numbered_by_line(table):
    source = open_source(table.jsonl("", table.row(id=...), table.row(id=7)))
    assert source.ids() == ["table-000002", "7"]


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(table):
    row = json.dumps(table.row(question="Où est-ce ?\u2028"), ensure_ascii=False)
    path = table.jsonl(codecs.BOM_UTF8 + row.encode() + b"\r")
    assert open_source(path)[0].question == "Où est-ce ?"


def test_utf_16_is_named(table):
    path = table.jsonl(json.dumps(table.row()).encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        open_source(path)


def test_every_refusal_has_the_row_and_the_reason(table):
    row = table.row
    cases = [
        (row(id="x", question=...), "x", "no question: expected a column question or problem"),
        (row(id="x", answers=...), "x", "no references: expected a column answers or"),
        (row(id="x", image=...), "x", "no image: expected a column image or images"),
        (row(id="x", question="  "), "x", "question is empty"),
        (row(id="x", question=""), "x", "the column 'question' is empty"),
        (row(id="x", question="<image>"), "x", "empty question"),
        (row(id="x", question=["a"]), "x", "question must be text, got list"),
        (row(id="x", answers=[]), "x", "the column 'answers' is empty"),
        (row(id="x", answers=["a", ""]), "x", "references is empty"),
        (row(id="x", answers=[None]), "x", "references must be text, got NoneType"),
        (row(id="x", answers=True), "x", "write yes or no, or true or false"),
        (row(id="x", choices={"A": "b"}), "x", "choices must be text, got dict"),
        (row(id="x", image="images/none.png"), "x", "'images/none.png' is not in the folder"),
        (row(id="x", image="images"), "x", "is not in the folder"),
        (row(id="x", image="a" * 5000), "x", "cannot be looked up"),
        (row(id="x", image="images/../../vqa/images/a.png"), "x", "leads out of the folder"),
        (row(id="x", image="images\\..\\..\\secret"), "x", "leads out of the folder"),
        (row(id="x", image=".."), "x", "leads out of the folder"),
        (row(id="x", image="/etc/passwd"), "x", "must be a path relative to 'vqa'"),
        (row(id="x", image="C:\\a.png"), "x", "must be a path relative to 'vqa'"),
        (row(id="x", image="https://a.b/c.png"), "x", "is a URL"),
        (row(id="x", image=3), "x", "must be a relative path, got int"),
        (row(id="x", image=["images/a.png"] * 65), "x", "expected 1 to 64 pictures, got 65"),
        (row(id="x", image=["images/a.png", "images/none.png"]), "x", "is not in the folder"),
        (row(id="x", image="images/text.png"), "x", ""),
        (row(id="good"), "good", "row 2 repeats the id of row 1"),
        (row(id=True), 2, "id must be text"),
        (row(id="x", note="\ud800"), 2, "the column 'note' is not valid Unicode text"),
        ('{"id": "x", ', 2, "not readable JSON"),
        ('["x"]', 2, "expected a JSON object, got list"),
        (b'{"id": "\xff"}', 2, "not UTF-8 text"),
        ("[" * 100_000, 2, "nested too deeply"),
        (f'{{"id": {"9" * 5000}}}', 2, "not readable JSON"),
        (json.dumps(row(id="x"))[:-1] + ', "m": ' + "[" * 700 + "]" * 700 + "}", "x", "nested"),
    ]
    for bad, where, reason in cases:
        (refusal,) = refusals(table, bad)
        assert refusal.row == where, bad
        assert reason in refusal.reason, (bad, refusal.reason)
        assert refusal.reason


def test_a_link_into_a_download_cache_is_followed(table, tmp_path, make_png):
    (tmp_path / "blob").write_bytes(make_png(4))
    (table.root / "images" / "link.png").symlink_to(tmp_path / "blob")
    assert len(open_source(table.jsonl(table.row(image="images/link.png")))) == 1


@pytest.mark.parametrize(("check", "refused"), [("none", []), ("header", ["t"])])
def test_checks_look_as_closely_as_asked(table, check, refused):
    rows = [table.row(id="t", image="images/text.png"), table.row(id="c", image="images/cut.png")]
    assert [r.row for r in refusals(table, *rows, check=check)] == refused
    assert [r.row for r in refusals(table, *rows, check="decode")] == ["t", "c"]


def test_too_many_refused_rows_stop_the_opening(table):
    rows = [table.row(id=f"good-{i}") for i in range(8)]
    bad = [table.row(id=f"bad-{i}", question="") for i in range(2)]
    path = table.jsonl(*rows, *bad)
    with pytest.raises(DataError) as caught:
        open_source(path)
    message = str(caught.value)
    assert "refused 2 of 10 rows, 20.0%; max_refused allows 10.0%" in message
    assert "bad-0: the column 'question' is empty" in message
    assert "raise max_refused" in message
    source = open_source(path, max_refused=0.2)
    assert len(source) == 8
    assert [str(r).split(":")[0] for r in source.refused] == ["bad-0", "bad-1"]


def test_a_source_without_any_sample_does_not_open(table):
    with pytest.raises(DataError, match="has no rows"):
        open_source(table.jsonl(""))
    with pytest.raises(DataError, match="refused 1 of 1 rows"):
        open_source(table.jsonl(table.row(question="")), max_refused=1.0)


def test_nothing_takes_the_place_of_a_refused_row(table):
    rows = [table.row(id="a"), table.row(id="b", image="images/text.png"), table.row(id="c")]
    source = open_source(table.jsonl(*rows), max_refused=0.5)
    assert [sample.id for sample in source] == ["a", "c"]
    with pytest.raises(DataError, match="refused sample 'b'"):
        source.by_id("b")


def test_limit_stops_reading(table):
    rows = [table.row(id=f"good-{i}") for i in range(5)]
    source = open_source(table.jsonl(*rows, "never read"), limit=3)
    assert len(source) == 3
    assert not source.refused


def test_access_by_position_and_id(table):
    source = open_source(table.jsonl(table.row(id="cat-1"), table.row(id="cat-2")))
    assert source[-1].id == source.by_id("cat-2").id == "cat-2"
    with pytest.raises(IndexError, match="has 2 samples, asked for number 2"):
        source[2]
    with pytest.raises(DataError, match="no sample 'cat-3' among its 2; did you mean 'cat-"):
        source.by_id("cat-3")
    assert repr(source) == "<JsonlSource 'table': 2 samples>"


def test_the_fingerprint_follows_the_data_and_not_the_place(table, tmp_path):
    path = table.jsonl(table.row())
    before = open_source(path).fingerprint()
    assert len(before) == 64
    table.root.rename(tmp_path / "moved")
    assert open_source(tmp_path / "moved" / "table.jsonl").fingerprint() == before
    (tmp_path / "moved" / "images" / "a.png").write_bytes(
        (tmp_path / "moved" / "images" / "b.png").read_bytes()
    )
    assert open_source(tmp_path / "moved" / "table.jsonl").fingerprint() != before


def test_which_file_a_folder_means(table):
    with pytest.raises(DataError, match="found none"):
        JsonlSource(table.root)
    table.jsonl(table.row(), name="one.jsonl")
    assert JsonlSource(table.root).path.name == "one.jsonl"
    table.jsonl(table.row(), name="two.jsonl")
    with pytest.raises(DataError, match=r"found one.jsonl, two.jsonl"):
        JsonlSource(table.root)
    table.jsonl(table.row(), name="vqa.jsonl")
    assert JsonlSource(table.root).path.name == "vqa.jsonl"
    with pytest.raises(DataError, match="found nothing at"):
        JsonlSource(table.root / "none.jsonl")


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
COLUMNS = ["id", "image", "images", "question", "answers", "solution", "choices", "kind", "other"]


@patient
@given(st.dictionaries(st.sampled_from(COLUMNS), json_values))
def test_any_row_is_a_sample_or_a_refusal(row):
    result = read_row(row, 1, name="t", table=column_table(None), locate=lambda _: b"")
    assert isinstance(result, Sample | Refusal)
    if isinstance(result, Sample):
        json.dumps(dict(result.metadata), allow_nan=False, ensure_ascii=False).encode()


@patient
@given(st.binary(max_size=40))
def test_any_line_is_read_or_refused(raw):
    assert isinstance(parse_object(raw), str | dict)


@pytest.fixture(scope="module")
def nest(tmp_path_factory):
    """A folder of pictures, with others beside it and above."""
    above = tmp_path_factory.mktemp("above")
    for name in ("root/a/b.png", "root/b.png", "root2/b.png", "b.png"):
        (above / name).parent.mkdir(exist_ok=True, parents=True)
        (above / name).touch()
    return above / "root"


pieces = st.sampled_from(["a", "b.png", "..", ".", "root", "root2", "/", "/", "\\", "C:", " "])


@patient
@given(st.text(max_size=20) | st.lists(pieces, max_size=9).map("".join))
@example("../b.png")
@example("a/../../root2/b.png")
@example("..\\root2\\b.png")
def test_no_path_leaves_the_folder(nest, text):
    assert _found(nest, text) in (None, nest / "b.png", nest / "a" / "b.png")


def test_paths_in_the_folder_are_found(nest):
    for text in ("b.png", "./b.png", "a/../b.png", "a\\..\\b.png", "a//../b.png"):
        assert _found(nest, text) == nest / "b.png"
    assert _found(nest, "a\\b.png") == nest / "a" / "b.png"


def _found(root, text):
    """The file that a path leads to; ``None`` if it is refused."""
    try:
        return Path(os.path.normpath(Place(root).picture(text)))
    except DataError:
        return None
