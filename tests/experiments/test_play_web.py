"""``vt play --web``: a person plays an episode on a page, or watches an agent there."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from chromium import browser, chromium
from evaluations import vt
from PIL import Image
from results import EVIL
from test_view import asked

from agents import make_agent
from experiments.cli import parse
from experiments.commands.play import _environment, _own
from experiments.playing.game import Game
from experiments.site import Site
from vt_env import ConfigError, DataError
from vt_env.errors import VisionThinkError

READY = "performance.getEntriesByName('ready').length > 0"
ZOOM = ("--protocol", "qwen3-vl", "--factor", "0.5", "--data", "pages:n=4,kinds=form")


def game(*words: str, agent: str = "") -> Game:
    arguments = parse(["play", "--web", *words])
    return Game(
        lambda own: _environment(arguments) if own is None else _own(arguments, own),
        make_agent(agent) if agent else None,
    )


def told(game: Game, **sent) -> dict:
    return json.loads(game.post(sent).body)


def state(game: Game) -> dict:
    return json.loads(game.get("state").body)


def png(size=(64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def served(game: Game, most: int = 1_000_000) -> Iterator[Site]:
    with Site(game.get, 0, game.post, most) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


def test_a_person_looks_and_answers() -> None:
    one = game("--data", "generated:n=4,kinds=laptop", "--id", "test-0-000001")
    before = state(one)
    assert (len(before["views"]), before["look"], before["box"], before["done"]) == (
        1, True, False, False
    )  # fmt: skip
    assert "verdict" not in before
    assert "accepted" not in before
    looked = told(one, do="look")
    assert len(looked["views"]) == 2
    assert looked["tokens"] > before["tokens"]
    image = Image.open(io.BytesIO(one.get("picture/1?0").body))
    assert list(image.size) == looked["views"][1]["size"]
    after = told(one, do="answer", text="no idea")
    assert after["done"]
    assert after["verdict"][0] == "wrong"
    assert after["accepted"]
    assert "total" in after["reward"] or after["reward"]
    with pytest.raises(ConfigError, match="the episode is over"):
        one.post({"do": "answer", "text": "x"})
    assert told(one, do="new")["done"] is False


def test_a_box_is_cut_where_it_was_drawn() -> None:
    one = game(*ZOOM)
    assert state(one)["box"]
    seen = told(one, do="box", box=[0.75, 0.5, 0.25, 0.25])
    picture, *ends, _ = seen["views"][1]["of"]
    assert picture == 0
    left, top, width, height = ends
    assert left <= 0.27
    assert left + width >= 0.73
    assert top <= 0.27
    assert top + height >= 0.48
    shown = np.asarray(Image.open(io.BytesIO(one.get("picture/1").body)))
    assert list(shown.shape[1::-1]) == seen["views"][1]["size"]


def test_an_agent_is_watched_on_a_picture_of_ones_own() -> None:
    one = game(*ZOOM, agent="zoom-random:answerer=ocr")
    own = base64.b64encode(png()).decode()
    begun = told(one, do="new", picture=own, question="What colour?", answers="red | crimson")
    assert begun["question"] == "What colour?"
    looked = told(one, do="agent")
    assert [turn[1] for turn in looked["turns"]] == ["calls"]
    done = told(one, do="answer", text="red")
    assert done["verdict"][0] == "correct"
    assert done["accepted"] == "red | crimson"
    unjudged = told(one, do="new", picture=own, question="And now?")
    assert unjudged["question"] == "And now?"
    assert told(one, do="answer", text="red")["verdict"][0] == "unscored"


@pytest.mark.parametrize(
    "sent",
    [{}, {"do": "fly"}, {"do": "answer"}, {"do": "answer", "text": " "}, {"do": "agent"},
     {"do": "box", "box": [0, 0, 1]}, {"do": "box", "box": [0, 0, 1, 2]},
     {"do": "new", "picture": "?", "question": "a"},
     {"do": "new", "picture": "aGk=", "question": ""},
     {"do": "new", "picture": "aGk=", "question": "What is it?"}],
)  # fmt: skip
def test_what_is_wrong_is_said_and_changes_nothing(sent: dict) -> None:
    one = game(*ZOOM)
    before = state(one)
    with pytest.raises(VisionThinkError):
        one.post(sent)
    assert state(one) == before
    assert one.get("picture/9") is None
    assert one.get("picture/../x") is None


def test_only_the_page_itself_can_send(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(game(*ZOOM), most=100) as site:
        own, json_type = site.secret, {"Content-Type": "application/json"}

        def sent(path: str, body: bytes, **headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
            connection.close()
            return status

        look = b'{"do": "look"}'
        assert sent(own, look, **json_type, Origin="http://example.com") == 404
        assert sent("/", look, **json_type) == 404
        assert sent(own, look) == 400
        assert sent(own, b"[" * 90, **json_type) == 400
        assert sent(own, b"[1]", **json_type) == 400
        assert sent(own, b"x" * 101, **json_type) == 413
        assert len(json.loads(asked(site, f"{own}state")[1])["views"]) == 1
        assert sent(own, look, **json_type) == 200
        assert len(json.loads(asked(site, f"{own}state")[1])["views"]) == 2


def test_who_sends_too_much_is_told(tmp_path: Path) -> None:
    with served(game(), 1_000_000) as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=20)
        connection.request("POST", site.secret, bytes(6_000_000))
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read()) == {"error": "at most 1,000,000 bytes can be sent"}
        connection.close()


def test_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vt("play", "--web", "--save", tmp_path) == 2
    assert "belongs to the terminal" in capsys.readouterr().err
    assert vt("play", "--web", "--port", 99999) == 2
    assert "cannot listen" in capsys.readouterr().err
    with pytest.raises(DataError):
        game("--data", "generated:n=4", "--image", "nowhere.png", "--question", "What?")


@pytest.mark.skipif(
    chromium() is None,
    reason="no Chromium: install it (apt-get install chromium), or name it in $CHROMIUM",
)
def test_a_page_is_played_with_pointer_and_keys() -> None:
    program = chromium()
    assert program is not None
    one = game(*ZOOM)
    with served(one) as site, browser(program) as tab:
        for width in (1280, 390):
            tab.look(width)
            tab.open(site.url, "", READY)
            tab.wait("[...document.images].every(i => i.naturalWidth > 0)")
            assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        area = tab.value(
            "(({x, y, width, height}) => [x, y, width, height])"
            "(document.querySelector('.drawable').getBoundingClientRect())"
        )
        for kind, share in (("mousePressed", 0.25), ("mouseMoved", 0.5), ("mouseReleased", 0.75)):
            x, y = area[0] + share * area[2], area[1] + share * area[3]
            tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                     clickCount=1)  # fmt: skip
        left = float(tab.value("document.getElementById('box').elements.left.value"))
        assert left == pytest.approx(25, abs=1.5)
        tab.value("document.querySelector('#box button').focus()")
        tab.key("Enter", 13)
        tab.wait("document.querySelectorAll('#views figure').length === 2")
        assert tab.value("document.querySelectorAll('#views .edges').length") == 1
        assert tab.value("document.activeElement === document.querySelector('#box button')")
        tab.value(f"document.querySelector('#answer input').value = {json.dumps(EVIL[:90])}")
        tab.value("document.querySelector('#answer input').focus()")
        tab.key("Enter", 13)
        tab.wait("document.querySelector('#verdict').innerText.includes('wrong')")
        assert tab.value("typeof window.pwned") == "undefined"
        assert tab.value("document.getElementById('controls').hidden")
        tab.value("document.getElementById('new').focus()")
        tab.key("Enter", 13)
        tab.wait("document.querySelectorAll('#views figure').length === 1")
        assert tab.value("document.activeElement.id") == "new"
        assert tab.errors == []
