"""The report's page as a reader meets it, in headless Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from chromium import Browser, browser, chromium
from results import EVIL, play, row, write

from experiments.report import ReportConfig, make_report

program = chromium()
pytestmark = pytest.mark.skipif(
    program is None,
    reason="no Chromium: install it (apt-get install chromium), or name it in $CHROMIUM",
)
READY = "performance.getEntriesByName('ready').length > 0"
WIDTHS = (1280, 820, 390)


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    assert program is not None
    with browser(program) as made:
        made.look(1280)
        yield made


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = play(tmp_path_factory.mktemp("report"), n=60)
    return make_report([folder], folder / "report.html").page


def opened(tab: Browser, page: Path, fragment: str = "") -> Browser:
    tab.errors.clear()
    tab.requests.clear()
    tab.open(page, fragment, READY)
    return tab


def cards(tab: Browser) -> list[str]:
    return tab.value("[...document.querySelectorAll('article')].map(a => a.dataset.id)")


def text(tab: Browser, selector: str) -> str:
    return tab.value(f"document.querySelector({json.dumps(selector)}).innerText")


def press(tab: Browser, selector: str) -> None:
    tab.value(f"document.querySelector({json.dumps(selector)}).click()")


def test_it_opens_without_a_complaint_and_asks_for_nothing(tab: Browser, report: Path) -> None:
    opened(tab, report)
    assert tab.errors == []
    assert {url for url in tab.requests if not url.startswith("data:")} <= {
        report.as_uri(), "about:blank"
    }  # fmt: skip
    assert len(cards(tab)) == 24
    tab.wait("[...document.images].every(image => image.complete)")
    assert tab.value("[...document.images].every(image => image.naturalWidth > 0)")
    assert text(tab, "#count") == "60 of 60 episodes"
    assert "low, which never asks" in text(tab, "#arms")


def test_views_are_at_their_true_relative_size(tab: Browser, report: Path) -> None:
    opened(tab, report)
    sizes = tab.value(
        "[...document.querySelector('article .views').querySelectorAll('img')]"
        ".map(i => [i.clientWidth, i.naturalWidth])"
    )
    (small, half), (large, whole) = sizes
    assert (half, whole) == (16, 32)
    assert large / small == pytest.approx(2, abs=0.05)


def test_filters_search_and_pages(tab: Browser, report: Path) -> None:
    opened(tab, report)
    press(tab, "#below .next")
    assert cards(tab)[0] == "test-0-000024"
    press(tab, "button[data-mark=missed]")
    assert text(tab, "#count") == "10 of 60 episodes"
    assert "should have asked" in text(tab, "article .tags")
    press(tab, "button[data-mark=missed]")
    select = "const s = document.getElementById('{0}'); s.value = '{1}'; s.onchange({{target: s}})"
    kind = tab.value("document.getElementById('kind').options[1].value")
    tab.value(f"{{ {select.format('kind', kind)} }}")
    assert text(tab, "article .tags").endswith("generated")
    tab.value(f"{{ {select.format('kind', '')} }}")
    tab.value(
        "{ const s = document.getElementById('search'); s.value = 'TEST-0-000007'; "
        "s.oninput({target: s}) }"
    )
    tab.wait("document.querySelectorAll('article').length === 1")
    assert cards(tab) == ["test-0-000007"]
    tab.value(f"{{ {select.format('policy', '1')} }}")
    assert len(cards(tab)) == 24
    assert tab.value("document.getElementById('search').value") == ""


@pytest.mark.parametrize(
    ("fragment", "policy"), [("#test-0-000055", "0"), ("#always-request/test-0-000055", "2")]
)
def test_a_link_leads_to_its_episode(
    tab: Browser, report: Path, fragment: str, policy: str
) -> None:
    opened(tab, report, fragment)
    assert tab.value("document.querySelector('article.aim').dataset.id") == "test-0-000055"
    assert tab.value("document.getElementById('policy').value") == policy
    inside = "document.querySelector('article.aim').getBoundingClientRect()"
    assert tab.value(f"{inside}.top < innerHeight && {inside}.bottom > 0")
    tab.value("location.hash = '#test-0-000003'")
    tab.wait("document.querySelector('article.aim')?.dataset.id === 'test-0-000003'")
    tab.value("location.hash = '#nothing'")
    tab.wait("document.getElementById('count').innerText.includes('not in this report')")


def test_episodes_of_two_policies_stand_beside_each_other(tab: Browser, report: Path) -> None:
    opened(tab, report)
    tab.value(
        "{ const s = document.getElementById('beside'); s.value = '2'; s.onchange({target: s}) }"
    )
    titles = "[...document.querySelectorAll('article:first-child h4')].map(h => h.innerText)"
    assert tab.value(titles) == ["mixed", "always-request"]
    press(tab, "#differs")
    # always-request asks about all, mixed about every second
    assert text(tab, "#count") == "30 of 60 episodes"
    for width in WIDTHS:
        tab.look(width)
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    tab.look(1280)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_every_width_fits_in_both_colours(
    tab: Browser, report: Path, width: int, dark: bool
) -> None:
    tab.look(width, dark=dark)
    opened(tab, report)
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    paper = tab.value("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", paper))) > 3 * 128
    assert light != dark
    tab.look(1280)


def hostile(folder: Path) -> Path:
    """A report with hostile text in every field that a model, data or a command can fill."""
    fields = ("id", "question", "kind", "source", "judge", "reason", "answer")
    evil: dict[str, Any] = dict.fromkeys(fields, EVIL)
    talk = [{"text": f"<think>{EVIL}</think><answer>{EVIL}</answer>"}, {"text": EVIL}]
    talk.append(
        {"text": f'<tool_call>{{"name": {json.dumps(EVIL)}, "arguments": {{}}}}</tool_call>'}
    )
    rows = [
        row(**evil, references=[EVIL], flaws=[EVIL], turns=talk, metadata={EVIL: EVIL}),
        row(**{**evil, "id": "__proto__"}, references=[EVIL], correct=False),
        row(id="constructor", kind="__proto__", source="constructor", metadata={"__proto__": EVIL}),
    ]
    for name in ("one", "__proto__"):
        write(folder / name, rows, agent=f"{name}{EVIL}", mode=EVIL, data=EVIL,
              provenance={"command": EVIL, EVIL: EVIL})  # fmt: skip
    config = ReportConfig(title=EVIL, lead=EVIL)
    return make_report([folder], folder / "report.html", config).page


def test_hostile_text_does_not_run(tab: Browser, tmp_path: Path) -> None:
    page = hostile(tmp_path)
    opened(tab, page)
    state = "[typeof window.pwned, document.title.startsWith('</script><script>window.pwned=1;')]"
    assert tab.value(state) == ["undefined", True]
    assert text(tab, "article h3").startswith("</script><script>window.pwned=1;")
    assert tab.value("document.querySelectorAll('article').length") == 3
    for link in tab.value("[...document.querySelectorAll('article a')].map(a => a.hash)"):
        opened(tab, page, link)
        assert tab.value("document.querySelectorAll('article.aim').length") == 1
        assert tab.value(state) == ["undefined", True]
    opened(tab, page, "#" + quote("<img src=x onerror=pwned=1>"))
    assert tab.value(state) == ["undefined", True]
    assert tab.errors == []
    assert {u for u in tab.requests if not u.startswith("data:")} <= {
        page.as_uri(), "about:blank"
    }  # fmt: skip


def test_the_policy_stops_what_would_run(tab: Browser, report: Path, tmp_path: Path) -> None:
    """Were a text ever markup, it would still not run: the second lock, tried by itself."""
    broken = tmp_path / "broken.html"
    attack = (
        "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
        "<img src='https://example.com/x.png'>"
    )
    broken.write_text(report.read_text("utf-8").replace("<main>", f"<main>{attack}", 1), "utf-8")
    opened(tab, broken)
    assert tab.value("typeof window.pwned") == "undefined"
    assert sum("Content Security Policy" in error for error in tab.errors) >= 3
    set_markup = "try { document.body.innerHTML = 'x'; 'made' } catch (error) { error.name }"
    assert tab.value(set_markup) == "TypeError"
    tab.errors.clear()


def test_without_scripts_the_numbers_are_there(tab: Browser, report: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.navigate", url=report.as_uri())
        tab.wait("document.readyState === 'complete' && !!document.querySelector('noscript')")
        shown = text(tab, "body")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "always-request" in shown
    assert "switched off" in shown
