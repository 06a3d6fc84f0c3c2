"""The report: everything on one page, nothing of it executable."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from agents import Conversation, Episode, Reply, make_agent
from experiments.evaluation import Refused, episode_row, evaluate
from experiments.plots import accuracy_against_tokens, training_curves
from experiments.report import card_of, write_report
from experiments.report.cards import flags_of
from experiments.summary import summarise
from vt_env import Sample, make_task

EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"x\ud800\x00"


class Evil:
    name = "evil"

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        return [Reply(f"<think>{EVIL}</think><answer>{EVIL}</answer>") for _ in conversations]


class Markup(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def played(agent: object, data: object, n: int) -> list[Episode]:
    made = [e for e in evaluate(make_task(data), agent, limit=n) if not isinstance(e, Refused)]  # type: ignore[arg-type]
    assert len(made) == n
    return made


def page(tmp_path: Path, episodes: list[Episode], **more: str) -> str:
    result = summarise([episode_row(e) for e in episodes])
    accuracy_against_tokens({"agent": result}, "Accuracy", tmp_path / "a")
    training_curves({"reward": {"total": [(0, 1.0), (5, 1.4)]}}, "Training", tmp_path / "b")
    out = tmp_path / "report.html"
    words = {"title": "A run", "lead": "What it shows.", **more}
    write_report(
        out,
        title=words["title"],
        lead=words["lead"],
        policies={words.get("name", "agent"): result},
        plots={"Accuracy": tmp_path / "a.svg", "Training": tmp_path / "b.svg"},
        cards=[card_of(e) for e in episodes],
        provenance={"seed": 0},
    )
    return out.read_text("utf-8")


def test_the_page_holds_everything(tmp_path: Path) -> None:
    text = page(tmp_path, played(make_agent("random:p=0.5"), "generated:n=40", 40))
    markup = Markup()
    markup.feed(text)
    assert markup.tags.count("article") == 40
    assert markup.tags.count("svg") == 2
    assert not re.search(r"(src|href)=['\"]?(https?:|//)", text)
    assert "data:image/png;base64," in text
    for word in ("A run", "What it shows.", "asked needlessly", "small_number", "reward 1.50"):
        assert word in text


def test_hostile_text_cannot_run(tmp_path: Path) -> None:
    data = [Sample(EVIL, EVIL, (EVIL,), np.zeros((8, 8, 3), np.uint8), kind=EVIL, source=EVIL)]
    text = page(tmp_path, played(Evil(), data, 1), title=EVIL, lead=EVIL, name=EVIL)
    markup = Markup()
    markup.feed(text)
    assert markup.tags.count("script") == 1  # the page's own
    assert not [name for name in markup.attributes if name.startswith("on")]
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    ("agent", "low", "high", "flags"),
    [
        ("direct", False, True, ("wrong", "missed")),
        ("direct", False, False, ("wrong",)),
        ("request", True, True, ("needless",)),
        ("request", False, True, ()),
    ],
)
def test_flags(agent: str, low: bool, high: bool, flags: tuple[str, ...]) -> None:
    (episode,) = played(make_agent(agent), "generated:n=1,kinds=texture", 1)
    assert flags_of(episode, low, high) == flags
