import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from PIL import Image

from vt_env.errors import ConfigError, DataError
from vt_env.samples import Sample
from vt_env.sources import GeneratedSource, ListSource, open_source, register_source, source_names
from vt_env.sources.opening import SOURCES, parse_spec


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(SOURCES, "_factories", dict(SOURCES._factories))


def sample(sample_id="a", **changes):
    image = np.zeros((40, 40, 3), np.uint8)
    return Sample(sample_id, "What?", ("that",), **{"image": image, **changes})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("generated", ("generated", "", {})),
        ("generated,n=5", ("generated", "", {"n": 5})),
        (
            "generated:n=5,split=train,noise=2.5,hard=False,kinds=colour+shape",
            (
                "generated",
                "",
                {"n": 5, "split": "train", "noise": 2.5, "hard": False, "kinds": "colour+shape"},
            ),
        ),
        ("jsonl:a,b.jsonl,limit=3", ("jsonl", "a,b.jsonl", {"limit": 3})),
        (
            "hf:org/name,split=train[:5],revision=007",
            ("hf", "org/name", {"split": "train[:5]", "revision": "007"}),
        ),
        ("data/x.jsonl,check=none", ("", "data/x.jsonl", {"check": "none"})),
        ("n=3/x.jsonl", ("", "n=3/x.jsonl", {})),
        ("C:\\data\\x.jsonl", ("", "C:\\data\\x.jsonl", {})),
    ],
)
def test_specs(spec, expected):
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("generatd", {}, "Unknown source 'generatd'. Did you mean 'generated'?"),
        ("josnl:x.jsonl", {}, "Unknown source 'josnl'. Did you mean 'jsonl'?"),
        ("generated:n=1,n=2", {}, "gives n twice"),
        ("generated:n=1", {"n": 1}, "n stands in the spec"),
        (
            "generated:sed=1",
            {},
            "option of the source 'generated' 'sed'. Did you mean 'seed'?",
        ),
        ("jsonl:x.jsonl,limt=1", {}, "Did you mean 'limit'?"),
        ("jsonl", {}, "path"),
        ("", {}, "expected a source's name or a path"),
        ("generated", {"check": "headers"}, "Did you mean 'header'?"),
        ("generated", {"max_refused": 2}, "share from 0 to 1"),
        ("generated", {"limit": 1.5}, "limit is a number of samples"),
    ],
)
def test_wrong_specs(spec, options, message):
    with pytest.raises(ConfigError) as caught:
        open_source(spec, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("path", ["none/x.jsonl", "./none", "x.jsonl"])
def test_a_missing_path_says_what_was_expected(path):
    with pytest.raises(
        DataError, match=r"expected a \.jsonl file, a folder, or one of benchmark, chosen, folder"
    ):
        open_source(path)


def test_paths_are_recognised(table, tmp_path):
    path = table.jsonl(table.row())
    for spec in (path, str(path), f"{path},limit=1", table.root, f"jsonl:{path}"):
        assert type(open_source(spec)).__name__ == "JsonlSource"
    with pytest.raises(DataError, match="is no source"):
        open_source(tmp_path)
    with pytest.raises(DataError, match=r"expected a \.jsonl, \.csv or \.tsv file"):
        open_source(table.root / "images" / "a.png")


def test_a_home_folder_is_expanded(table, monkeypatch):
    table.jsonl(table.row())
    monkeypatch.setenv("HOME", str(table.root))
    for spec in ("~/table.jsonl", "jsonl:~/table.jsonl"):
        assert len(open_source(spec)) == 1


def test_an_open_source_is_itself():
    source = GeneratedSource(2)
    assert open_source(source) is source
    with pytest.raises(ConfigError, match="takes no options, got limit"):
        open_source(source, limit=1)


def test_a_list_of_samples():
    source = open_source([sample("a"), sample("b")], name="mine")
    assert isinstance(source, ListSource)
    assert source.name == "mine"
    assert [s.id for s in source] == ["a", "b"]
    assert source.fingerprint() != open_source([sample("a"), sample("c")]).fingerprint()
    with pytest.raises(DataError, match="row 1 repeats the id of row 0"):
        open_source([sample("a"), sample("a")])
    with pytest.raises(ConfigError, match="list of Sample, got a str"):
        open_source(["a"])
    with pytest.raises(ConfigError, match="Did you mean 'limit'"):
        open_source([sample()], limits=1)


def test_pictures_in_memory_are_checked():
    with pytest.raises(DataError, match="refused 1 of 1 rows"):
        open_source([sample(image=b"no picture")])
    assert len(open_source([sample(image=b"no picture")], check="none")) == 1


def test_registering(registry):
    register_source("mine", lambda n, note="": ListSource([sample(note or str(n))]))
    assert "mine" in source_names()
    assert open_source("mine:7")[0].id == "7"
    assert open_source("mine:7,note=x")[0].id == "x"
    with pytest.raises(ConfigError, match="Known: n, note"):
        open_source("mine:7,nope=x")
    with pytest.raises(ConfigError, match="there is a source named 'jsonl' already"):
        register_source("jsonl", GeneratedSource)
    register_source("lazy", "vt_env.sources.generated:GeneratedSource")
    assert len(open_source("lazy:n=3")) == 3


def test_entry_points_are_consulted(registry, monkeypatch):
    point = EntryPoint("plugin", "vt_env.sources.generated:GeneratedSource", "vt.sources")
    monkeypatch.setattr(
        "vt_env.registry.entry_points", lambda group: [point] if group == "vt.sources" else []
    )
    assert len(open_source("plugin:n=4")) == 4


def test_optional_packages_are_not_imported_with_the_package():
    code = "import sys, vt_env.sources; sys.exit('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("check", ["header", "decode"])
def test_what_is_shown_in_part_is_in_the_report(table, caplog, check):
    """A TIFF of three pages and a GIF of two frames are served, and nobody has to find out."""
    pages = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in (10, 20, 30)]
    pages[0].save(table.root / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(table.root / "moving.gif", save_all=True, append_images=pages[1:2])
    rows = [
        table.row(id="whole"),
        table.row(id="pages", image="pages.tif"),
        table.row(id="again", image="pages.tif"),
        table.row(id="moving", image="moving.gif"),
    ]
    source = open_source(table.jsonl(*rows), check=check)
    assert len(source) == 4
    assert source.n_partly_shown == 3
    assert [str(remark) for remark in source.partly_shown] == [
        "pages: a TIFF of several pages, of which only page 1 is shown",
        "again: a TIFF of several pages, of which only page 1 is shown",
        "moving: an animation, of which only the first frame is shown",
    ]
    assert "3 shown in part" in repr(source)
    assert [record.getMessage() for record in caplog.records] == [
        f"source {source.name!r} shows 3 pictures in part, e.g. that of {source.partly_shown[0]}"
    ]
    assert open_source(table.jsonl(*rows), check="none").n_partly_shown == 0
