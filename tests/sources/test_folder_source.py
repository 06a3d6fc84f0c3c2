import json

import pytest

from vt_env.errors import DataError
from vt_env.sources import open_source

HEADER = "file_name,question,answer\n"


def test_csv_beside_pictures(table):
    table.text(
        "metadata.csv",
        "id,file_name,question,answers,page\r\n"
        'a,images/a.png,"What, if\nanything?","[""noise"", ""static""]",3\r\n'
        "\r\n"
        "b,images/b.png,<image> Who?,[nobody],4\r\n",
    )
    source = open_source(str(table.root))
    assert source.name == "vqa"
    assert source.ids() == ["a", "b"]
    assert source[0].question == "What, if\nanything?"
    assert source[0].references == ("noise", "static")
    assert source[0].metadata == {"page": "3"}
    assert source[1].references == ("[nobody]",)
    assert source[1].image == table.root / "images" / "b.png"


def test_tsv_with_a_byte_order_mark(table):
    path = table.text("vqa.tsv", "\ufeffimage\tquestion\tanswer\nimages/a.png\tWhat, now?\t7\n")
    for spec in (table.root, path, f"folder:{table.root}"):
        assert open_source(spec)[0].references == ("7",)
    assert open_source(path).ids() == ["vqa-000002"]


def test_metadata_jsonl(table):
    row = table.row(image=..., file_name="images/a.png")
    table.text("metadata.jsonl", json.dumps(row) + "\n")
    assert open_source(table.root)[0].id == "good"


def test_refusals_carry_the_line(table):
    table.text(
        "metadata.csv",
        HEADER + "images/a.png,Why?,because\n"
        "images/a.png,Why?\n"
        "images/none.png,Why?,because\n"
        "images/a.png,Why?,\n"
        'images/a.png,"Why"?,because\n'
        'images/a.png,"Why?,because\n',
    )
    source = open_source(table.root, max_refused=1)
    assert [r.row for r in source.refused] == [3, "vqa-000004", "vqa-000005", 6, 7]
    reasons = [r.reason for r in source.refused]
    assert reasons[0] == "expected 3 cells as in the header, got 2"
    assert "is not in the folder" in reasons[1]
    assert reasons[2] == "the column 'answer' is empty"
    assert reasons[3].startswith("not a readable row")
    assert reasons[4].startswith("not a readable row")


def test_bytes_that_are_not_utf_8_are_refused_with_their_row(table):
    path = table.root / "metadata.csv"
    path.write_bytes(HEADER.encode() + b"images/a.png,Caf\xe9?,yes\nimages/a.png,Why?,yes\n")
    (refusal,) = open_source(table.root, max_refused=0.5).refused
    assert refusal.row == 2
    assert refusal.reason == "the column 'question' is not valid Unicode text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,answer\n", r"no question column \(question, problem, query\); its columns"),
        ("file_name,question\n", "no references column"),
        ("", "no readable header"),
        ("file_name,question,answer,answer\n", "names a column twice"),
        (HEADER, "has no rows"),
    ],
)
def test_tables_that_cannot_be_used(table, text, message):
    table.text("metadata.csv", text)
    with pytest.raises(DataError, match=message):
        open_source(table.root)


def test_a_folder_without_a_table(table):
    with pytest.raises(DataError, match=r"expected metadata.csv, .*; it has images"):
        open_source(f"folder:{table.root}")
    with pytest.raises(DataError, match="found nothing at"):
        open_source(f"folder:{table.root}/none")
