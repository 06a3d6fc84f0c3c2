"""Some rows of another source."""

import json
from pathlib import Path

import pytest

from vt_env import DataError
from vt_env.sources import open_source


@pytest.fixture
def chosen(tmp_path: Path):
    def write(text: object) -> str:
        path = tmp_path / "chosen.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
        return f"chosen:{path}"

    return write


def test_the_rows_that_are_named_in_their_order(chosen) -> None:
    whole = open_source("generated:n=6")
    ids = [whole.ids()[4], whole.ids()[1]]
    some = open_source(chosen({"source": "generated:n=6", "ids": ids}))
    assert list(some.ids()) == ids
    assert [sample.references for sample in some] == [whole.by_id(name).references for name in ids]
    assert some.tokens == whole.tokens
    other = open_source(chosen({"source": "generated:n=6", "ids": ids[::-1]}))
    assert some.fingerprint() != other.fingerprint() != whole.fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected"),
        ({"source": "generated:n=6"}, "KeyError"),
        ({"source": "generated:n=6", "ids": []}, "no ids"),
        ({"source": 3, "ids": ["a"]}, "no source"),
        ({"source": "generated:n=6", "ids": ["no-such"]}, "has no sample 'no-such'"),
        ({"source": "generatd:n=6", "ids": ["a"]}, "Did you mean 'generated'"),
    ],
)
def test_wrong_files_are_refused(chosen, text: object, message: str) -> None:
    with pytest.raises((DataError, ValueError), match=message):
        open_source(chosen(text))


def test_an_id_stands_once(chosen) -> None:
    name = open_source("generated:n=6").ids()[0]
    with pytest.raises(DataError, match="named twice"):
        open_source(chosen({"source": "generated:n=6", "ids": [name, name]}))
