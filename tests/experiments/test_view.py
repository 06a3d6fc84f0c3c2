"""``vt view``: the report while a run goes on, for this machine alone."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import Browser, browser, chromium
from evaluations import vt
from results import DATA, EVIL, play, row, write

from experiments.evaluation.result import CONFIG, JOURNAL
from experiments.report import ReportConfig
from experiments.report.live import MOST_CARDS, Live
from experiments.site import Answer, Site
from trainers.files import sealed_line
from vt_env import DataError

READY = "performance.getEntriesByName('ready').length > 0"
PICTURES = "[...document.querySelectorAll('article img')]"


@contextmanager
def served(get) -> Iterator[Site]:
    with Site(get) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


def asked(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def echo(path: str) -> Answer | None:
    if path == "fault":
        raise DataError("no data here")
    return Answer.of(path) if path in ("", "page") else None


def test_only_who_knows_the_address_is_answered() -> None:
    with served(echo) as site:
        own = site.secret
        assert site.server_address[0] == "127.0.0.1"
        assert asked(site, f"{own}page") == (200, b'"page"')
        assert asked(site, own, "HEAD") == (200, b"")
        wrong = ["/", "/page", own[:-1], f"/{'x' * 32}/page", f"{own}../page", f"{own}%2e%2e/page"]
        wrong += [f"{own}/etc/passwd", f"/..{own}page"]
        assert [asked(site, path) for path in wrong] == [(404, b"not here")] * len(wrong)
        assert asked(site, f"{own}page", Host="example.com")[0] == 404
        assert asked(site, f"{own}page", "POST")[0] == 404
        assert asked(site, "/" + "x" * 70_000)[0] == 414
        assert asked(site, f"{own}fault") == (503, b'{"error":"no data here"}')


def test_more_requests_than_there_is_room_for_are_hung_up_on(monkeypatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(path: str) -> Answer:
        begun.set()
        go.wait(20)
        return Answer.of(path)

    monkeypatch.setattr("experiments.site.AT_ONCE", 1)
    with served(slow) as site:
        first = threading.Thread(target=asked, args=(site, site.secret))
        first.start()
        assert begun.wait(20)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            asked(site, site.secret)
        go.set()
        first.join()
        assert asked(site, site.secret)[0] == 200


def cards(live: Live, *places: int, policy: int = 0) -> Answer | None:
    version = json.loads(live.get("version").body)["version"]
    return live.get(f"cards?{version}:{policy}:{','.join(map(str, places))}")


def test_cards_have_their_pictures_and_nothing_else_is_answered(tmp_path: Path) -> None:
    live = Live([play(tmp_path)], ReportConfig())
    data = json.loads(live.get("data").body)
    assert not [s for s in data["samples"] if "picture" in s]
    told = json.loads(cards(live, 3, 5).body)
    assert list(told["episodes"]) == ["3", "5"]
    for sample in told["samples"].values():
        assert told["pictures"][str(sample["picture"])].startswith("data:image/")
    for odd in ("cards", "cards?1", "../x", "page.css", f"cards?{'0' * 16}:0:1", "data/"):
        assert live.get(odd) is None
    assert cards(live, 12) is None
    assert cards(live, 0, policy=3) is None
    assert cards(live, *range(MOST_CARDS + 1)) is None


def test_pictures_are_kept_up_to_a_bound_and_drawn_again(tmp_path: Path, monkeypatch) -> None:
    live = Live([play(tmp_path)], ReportConfig(pictures=2))
    assert b"only 2 pictures" in cards(live, 0, 1, 2).body
    monkeypatch.setattr("experiments.report.live.KEPT", 0)
    seen: dict[str, str] = {}
    for places in ((2, 3), (4, 5), (2, 3)):
        told = json.loads(cards(live, *places).body)
        shown = {str(sample["picture"]) for sample in told["samples"].values()}
        assert len(shown) == 2
        assert shown <= told["pictures"].keys()
        assert all(told["pictures"].values())
        assert not seen.keys() & told["pictures"].keys(), "a page may still show those"
        seen |= told["pictures"]
    assert len(set(seen.values())) < len(seen)


def test_a_fault_of_ours_is_not_hidden(capsys) -> None:
    def broken(path: str) -> Answer:
        raise KeyError("ours")

    with served(broken) as site, pytest.raises(http.client.RemoteDisconnected):
        asked(site, site.secret)
    assert "KeyError: 'ours'" in capsys.readouterr().err


def begun(folder: Path, rows: int) -> None:
    """An evaluation that has come so far."""
    folder.mkdir(exist_ok=True)
    config = {"agent": "someone", "mode": "visionthink", "data": "", "protocol": "visionthink"}
    (folder / CONFIG).write_text(json.dumps(config))
    with (folder / JOURNAL).open("w") as stream:
        for at in range(rows):
            stream.write(sealed_line({"at": at, "row": row(id=f"s{at}", correct=at % 2 == 0)}))
            stream.write(sealed_line({"spent": {"seconds": 1.0}}))


def test_an_evaluation_is_seen_while_it_is_played(tmp_path: Path) -> None:
    begun(tmp_path, 3)
    live = Live([tmp_path], ReportConfig())
    before = live.get("version").body
    assert len(json.loads(live.get("data").body)["episodes-0"]) == 3
    page = live.get("").body.decode()
    assert "still being played" in page
    begun(tmp_path, 5)
    assert live.get("version").body != before
    assert b"0.600" in live.get("").body
    assert len(json.loads(live.get("data").body)["episodes-0"]) == 5


def test_nothing_to_view_and_a_port_that_is_none(tmp_path: Path, capsys) -> None:
    assert vt("view", tmp_path) == 2
    assert "nothing to report" in capsys.readouterr().err
    write(tmp_path, [row()], agent="someone")
    assert vt("view", tmp_path, "--port", 99999) == 2
    assert "cannot listen on port 99999" in capsys.readouterr().err


needs_chromium = pytest.mark.skipif(
    chromium() is None,
    reason="no Chromium: install it (apt-get install chromium), or name it in $CHROMIUM",
)


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    program = chromium()
    assert program is not None
    with browser(program) as made:
        made.look(1280)
        yield made


@needs_chromium
def test_a_reader_sees_what_is_new_and_keeps_what_was_chosen(tab: Browser, tmp_path: Path) -> None:
    begun(tmp_path, 30)
    with served(Live([tmp_path], ReportConfig()).get) as site:
        tab.errors.clear()
        tab.open(site.url, "", READY)
        count = "document.getElementById('count').innerText"
        assert tab.value(count) == "30 of 30 episodes"
        tab.value("document.querySelector('button[data-mark=wrong]').focus()")
        tab.key("Enter", 13)
        tab.wait(f"{count} === '15 of 30 episodes'")
        begun(tmp_path, 40)
        tab.wait("!document.getElementById('newer').hidden")
        tab.value("document.getElementById('newer').focus()")
        tab.key("Enter", 13)
        tab.wait(
            f"document.readyState === 'complete' && {READY} && {count} === '20 of 40 episodes'"
        )
        for width in (1280, 390):
            tab.look(width)
            assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        tab.look(1280)
        assert tab.errors == []
        assert all(url.startswith((site.url, "about:", "data:")) for url in tab.requests)


@needs_chromium
def test_a_reader_is_told_that_the_results_are_gone(tab: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun(folder, 3)
    with served(Live([folder], ReportConfig()).get) as site:
        tab.open(site.url, "", READY)
        shutil.move(folder, tmp_path / "moved")
        tab.wait("document.getElementById('live').textContent.includes('expected a folder of')")
        shutil.move(tmp_path / "moved", folder)
        tab.wait("document.getElementById('live').textContent === 'up to date'")
        assert tab.value("document.querySelectorAll('article').length") == 3


@needs_chromium
def test_ten_thousand_hostile_episodes_stay_usable(tab: Browser, tmp_path: Path) -> None:
    write(tmp_path, [row(id=f"s{i}", question=f"{i} {EVIL}") for i in range(10_000)],
          agent="someone", data=DATA.format(n=1))  # fmt: skip
    with served(Live([tmp_path], ReportConfig(episodes=10_000)).get) as site:
        tab.open(site.url, "", READY)
        assert tab.value("document.querySelectorAll('article').length") == 24
        tab.value("document.querySelector('#below .next').click()")
        assert tab.value("document.querySelector('article').dataset.id") == "s24"
        tab.value(
            "{ const s = document.getElementById('search'); s.value = '9999'; "
            "s.oninput({target: s}) }"
        )
        tab.wait("document.querySelectorAll('article').length === 1")
        assert tab.value("typeof window.pwned") == "undefined"


@needs_chromium
def test_pictures_come_with_the_cards(tab: Browser, tmp_path: Path) -> None:
    with served(Live([play(tmp_path, n=30)], ReportConfig()).get) as site:
        tab.open(site.url, "", READY)
        assert not tab.value("document.body.innerText.includes('not stored')")  # it is loading
        tab.wait(f"{PICTURES}.length === 48 && {PICTURES}.every(i => i.naturalWidth > 0)")
