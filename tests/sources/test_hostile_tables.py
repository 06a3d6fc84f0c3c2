"""Tables that are larger, longer or odder than they should be; each within its bound."""

import json
import time
import tracemalloc

import pytest

from vt_env.errors import ConfigError, DataError
from vt_env.sources import open_source
from vt_env.sources.admission import KEPT
from vt_env.sources.base import REASON_LIMIT
from vt_env.sources.rows import written_list
from vt_env.sources.seeded import MOST
from vt_env.sources.tables import LIMIT

HEADER = "file_name,question,answer\n"


def peak(make):
    """The result and the most memory that Python took for it, in MiB."""
    tracemalloc.start()
    try:
        made = make()
        return made, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bomb", [b"[" + b"{}," * 7_000_000 + b"{}]", b"x" * 2**24, b'"' * 2**24])
def test_a_long_line_is_one_refused_row(table, bomb):
    path = table.jsonl(table.row(), bomb, table.row(id="next"))
    source, mib = peak(lambda: open_source(path, max_refused=0.5))
    assert source.ids() == ["good", "next"]
    (refusal,) = source.refused
    assert refusal.row == 2
    assert refusal.reason == f"the line has {len(bomb) + 1} characters, at most {LIMIT} are read"
    assert mib < 20


def test_a_line_without_an_end_is_not_read_at_once(table):
    path = table.jsonl(table.row(), b"{" * 2**25)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    source, mib = peak(lambda: open_source(path, max_refused=0.5))
    assert (len(source), source.n_refused) == (1, 1)
    assert mib < 20


@pytest.mark.parametrize("lines", [500, 20_000])
def test_an_open_quote_costs_its_line_alone(table, lines):
    """Also where the file goes on for megabytes without another quote."""
    good = "images/a.png,Why?,because\n"
    filler = good * 3 + "\n" * lines
    table.text("metadata.csv", HEADER + good + '"images/a.png,Why?,because\n' + filler)
    begun = time.process_time()
    source, mib = peak(lambda: open_source(table.root, max_refused=0.5))
    assert source.ids() == ["vqa-000002", "vqa-000004", "vqa-000005", "vqa-000006"]
    (refusal,) = source.refused
    assert refusal.row == 3
    assert "a quote is opened in it and does not close" in refusal.reason
    assert mib < 20
    assert time.process_time() - begun < 60


def test_many_open_quotes_take_linear_time(table):
    def seconds(n):
        table.text("metadata.csv", HEADER + "images/a.png,Why?,because\n" + '"x\n""\n' * n)
        begun = time.process_time()
        source = open_source(table.root, max_refused=1)
        assert source.n_refused > n
        return time.process_time() - begun

    assert seconds(8_000) < 12 * seconds(2_000) + 1


def test_refusals_are_counted_and_not_hoarded(table):
    n = 20_000
    table.text("metadata.csv", HEADER + "images/a.png,Why?,because\n" + "x\n" * n)
    source, mib = peak(lambda: open_source(table.root, max_refused=1))
    assert (source.n_refused, len(source.refused)) == (n, KEPT)
    assert source.refused[0].row == 3
    assert repr(source).endswith(f"1 samples, {n} refused>")
    assert mib < 5
    with pytest.raises(DataError, match=f"refused {n} of {n + 1} rows"):
        open_source(table.root)


def test_rows_of_base64_are_counted_right_and_told_shortly(table):
    picture = "iVBORw0KGgo" + "A" * 200_000
    table.text("x.tsv", "image\tquestion\tanswer\n" + f"{picture}\tWhat?\tthat\n" * 50)
    with pytest.raises(DataError, match="refused 50 of 50 rows") as refused:
        open_source(table.root / "x.tsv")
    assert len(str(refused.value)) < 3000
    path = table.jsonl(
        table.row(image=picture), table.row(image=f"data:image/png;base64,{picture}")
    )
    with pytest.raises(DataError, match="refused 2 of 2 rows") as refused:
        open_source(path)
    assert "save pictures that are written as text" in str(refused.value)
    assert len(str(refused.value)) < 2000


def test_reasons_and_ids_are_bounded(table):
    rows = [{"k" * 5000: 1}, table.row(id="x" * 5000), table.row(image="y" * 3000)]
    source = open_source(table.jsonl(table.row(), *rows), max_refused=1)
    assert source.n_refused == 3
    assert all(len(refusal.reason) <= REASON_LIMIT for refusal in source.refused)
    assert max(len(str(refusal)) for refusal in source.refused) < 500


def test_utf_16_tables_are_named(table):
    for name in ("metadata.csv", "x.tsv"):
        (table.root / name).write_bytes((HEADER + "a,b,c\n").encode("utf-16"))
        with pytest.raises(DataError, match="is not UTF-8 but UTF-16"):
            open_source(table.root / name)


LISTS = [
    ("['cat', 'dog']", ["cat", "dog"]),
    ('["cat", "dog"]', ["cat", "dog"]),
    ("['cat' 'dog']", ["cat", "dog"]),  # as NumPy prints an array
    ("['it\\'s', \"a 'dog'\"]", ["it's", "a 'dog'"]),
    ("[1, 2.5, -3]", [1, 2.5, -3]),
    ("['cat'\n 'dog']", ["cat", "dog"]),
    ("[cat, dog]", None),
    ("['cat', __import__('os')]", None),
    ("['cat', None]", None),
    ("['cat'", None),
    ("[1 + 2]", None),
    ("[" * 50_000 + "]" * 50_000, None),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), LISTS, ids=lambda value: str(value)[:20])
def test_lists_that_are_written_as_text(text, expected):
    assert written_list(text) == (text if expected is None else expected)


def test_options_and_answers_that_are_written_as_lists(table):
    row = table.row(options="['cat', 'dog']", answers="['dog', 'a dog']")
    sample = open_source(table.jsonl(row))[0]
    assert sample.choices == ("cat", "dog")
    assert sample.references == ("dog", "a dog")


@pytest.mark.parametrize(
    ("answer", "choices", "reference"),
    [
        (1, ["cat", "dog"], "dog"),
        ("0", ["cat", "dog"], "cat"),
        (1.0, ["cat", "dog"], "dog"),
        ("2", ["1", "2", "3"], "2"),  # the text of an option comes first
        (1, ["10", "20", "30"], "20"),
        (0, ["B", "A"], "A"),  # the letter of the option that reads B
        (1, ["cat", "cat"], "B"),
        ("B", ["cat", "dog"], "B"),
        ("a dog", ["cat", "dog"], "a dog"),
        (1, [], "1"),
    ],
)
def test_the_place_of_an_option(table, answer, choices, reference):
    row = table.row(answers=..., answer=answer, choices=choices)
    assert open_source(table.jsonl(row))[0].references == (reference,)


@pytest.mark.parametrize("answer", [2, -1, "7"])
def test_a_place_without_an_option_is_refused(table, answer):
    row = table.row(answers=..., answer=answer, choices=["cat", "dog"])
    with pytest.raises(DataError, match="neither an option nor the place of one, from 0 to 1"):
        open_source(table.jsonl(row))


@pytest.mark.parametrize(
    ("written", "question"),
    [
        ("<image>\nWho?", "Who?"),
        ("<image><image> Who?", "Who?"),
        ("Who?\n<image>", "Who?"),
        ("Is the cat in <image> red?", "Is the cat in [image] red?"),
        ("<image> Is <image> it? <image>", "Is [image] it?"),
    ],
)
def test_marks_of_pictures_in_questions(table, written, question):
    assert open_source(table.jsonl(table.row(question=written)))[0].question == question


@pytest.mark.parametrize("where", ["images/a.png", "{root}/images/a.png", "../vqa/images/a.png"])
def test_root_allows_paths_that_lead_into_it(table, where):
    row = table.row(image=where.format(root=table.root))
    path = table.jsonl(row)
    assert len(open_source(f"jsonl:{path},root={table.root}")) == 1
    outer = open_source(path, root=table.root.parent, max_refused=1) if where[0] != "i" else None
    assert outer is None or len(outer) == 1


@pytest.mark.parametrize("where", ["/etc/hostname", "../../etc", "../secret.png", "x/../../s.png"])
def test_root_lets_nothing_out(table, where, make_png):
    (table.root.parent / "secret.png").write_bytes(make_png())
    path = table.jsonl(table.row(), table.row(id="x", image=where))
    (refusal,) = open_source(path, root=table.root, max_refused=0.5).refused
    assert "leads out of root" in refusal.reason
    (refusal,) = open_source(path, max_refused=0.5).refused
    assert "give root=FOLDER" in refusal.reason


@pytest.mark.parametrize("root", ["nowhere", 3, True])
def test_root_must_be_a_folder(table, root):
    with pytest.raises(ConfigError, match="root is the folder that pictures lie in, got"):
        open_source(table.jsonl(table.row()), root=root)


def test_columns_are_named_in_a_spec(table):
    row = table.row(question=..., answers=..., q="Who?", a={"b": ["x", {"c": "me"}]})
    path = table.jsonl(row)
    source = open_source(f"jsonl:{path},columns=question:q+answer:a.b.-1.c")
    assert (source[0].question, source[0].references) == ("Who?", ("me",))
    table.text("x.csv", "file_name,q,dotted.name\nimages/a.png,Who?,me\n")
    spec = f"{table.root / 'x.csv'},columns=question:q+references:dotted.name"
    assert open_source(spec)[0].references == ("me",)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("x", r"columns is field:column, several joined by '\+'"),
        ("question:", "the column of field 'question' is empty"),
        ("question:q+problem:p", "names the field 'question' twice"),
        ("qestion:q", "Did you mean 'question'"),
        (3, "columns is field:column"),
        ({"question": 3}, "columns is field:column"),
    ],
)
def test_columns_that_are_refused(table, columns, says):
    with pytest.raises(ConfigError, match=says):
        open_source(table.jsonl(table.row()), columns=columns)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("generated:n=99999999999", f"n must be an integer from 1 to {MOST}, got 99999999999"),
        ("generated:n=abc", "takes a whole number as n, got 'abc'"),
        ("generated:n=0", "n must be an integer"),
        ("generated:seed=-1", "seed must be an integer from 0"),
        ("generated:side=abc", "takes a whole number as side, got 'abc'"),
        ("generated:side=1000000", "side must be an even number"),
        ("generated:side=33", "side must be an even number"),
        ("generated:snap=2.5", "takes a whole number as snap, got 2.5"),
        ("generated:snap=9", "snap must be a whole number from 1 to 8"),
        ("generated:noise=loud", "takes a number as noise, got 'loud'"),
        ("generated:noise=129", "noise must be a number from 0 to 128"),
        ("generated:hard=maybe", "takes true or false as hard, got 'maybe'"),
        ("generated:kinds=3", "Unknown kind of question '3'"),
        ("generated:kinds=color", "Did you mean 'colour'"),
        ("generated:rules=foo", "rules is a vt_env.pictures.PictureRules, from Python only"),
        ("generated:check=3", "Unknown picture check 3"),
        ("generated:limit=many", "limit is a number of samples"),
        ("generated:max_refused=all", "max_refused is a share from 0 to 1"),
        ("jsonl", "source 'jsonl' needs path: write jsonl:PATH"),
        ("hf", "source 'hf' needs path: write hf:PATH"),
    ],
)
def test_options_of_wrong_types(spec, says):
    with pytest.raises(ConfigError) as refused:
        open_source(spec)
    assert says in str(refused.value)
    assert "__init__" not in str(refused.value)


def test_nested_too_deeply_whatever_reads_it(table):
    deep = json.loads("[" * 150 + "]" * 150)
    (refusal,) = open_source(
        table.jsonl(table.row(), table.row(id="x", m=deep)), max_refused=0.5
    ).refused
    assert str(refusal) == "x: nested too deeply"
