"""Who may come in, how much, and how long; and that the server goes on after all of it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from remote_sessions import TOKEN, Slow, http, made_samples, made_task, raw, run, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from agents import answer_turn
from trainers.openenv.client import RemoteError
from trainers.openenv.messages import MESSAGE_LIMIT, TEXT_LIMIT
from trainers.openenv.server import Serving, served
from vt_env import ConfigError, make_task
from vt_env.sources import ListSource

WAIT, WRONG = answer_turn("wait", "x"), answer_turn("wrong", "x")


@pytest.fixture(scope="module")
def url():
    """With a token, and little patience."""
    serving = Serving(port=0, token=TOKEN, sessions=3, idle_s=60, step_s=0.5)
    with served(made_task(judge=Slow(1.5)), serving) as url:
        yield url


KEY = {"Authorization": f"Bearer {TOKEN}"}
WRONG_KEYS = [
    {},
    {"Authorization": ""},
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": "Bearer \u00e9\u00e9\u00e9\u00e9"},
]


@pytest.mark.parametrize("headers", WRONG_KEYS, ids=str)
def test_nothing_is_had_without_the_token(url, headers):
    for path in ("/health", "/schema", "/metadata", "/docs", "/nowhere"):
        status, body = http(url, path, **headers)
        assert (status, "wants its token" in body) == (401, True)
    with pytest.raises(InvalidStatus) as refused, raw(url, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 401


def test_two_keys_are_none(url):
    both = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {TOKEN}")]
    with pytest.raises(InvalidStatus), raw(url, additional_headers=both):
        pass


def test_the_client_says_why_it_was_refused(url):
    with pytest.raises(RemoteError, match="this server wants its token") as refused:
        run(url, lambda client: client.reset())
    assert refused.value.code == "REFUSED"
    assert run(url, lambda client: client.reset(index=1), token=TOKEN).observation.sample_id == "s1"


def test_pages_of_others_are_no_clients(url):
    assert http(url, "/health", **KEY, Origin="http://evil.example")[0] == 403
    settings = {"additional_headers": KEY, "origin": "http://evil.example"}
    with pytest.raises(InvalidStatus) as refused, raw(url, **settings):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/reset", "/step", "/mcp", "/docs", "/VisionThink-v0/tasks", "/"])
def test_what_openenv_serves_without_a_session_is_closed(url, path):
    assert http(url, path, **KEY)[0] == 404
    assert http(url, path, b"{}", **KEY)[0] == 404


def test_pages_that_are_open(url):
    assert json.loads(http(url, "/health", **KEY)[1]) == {"status": "healthy"}
    schema = json.loads(http(url, "/schema", **KEY)[1])
    assert schema["action"]["properties"]["text"]["maxLength"] == TEXT_LIMIT
    assert "pictures" in schema["observation"]["properties"]
    assert http(url, "/health", b"x" * 10, **KEY)[0] == 405


def test_a_body_is_not_read(url):
    """A request that says it brings a terabyte is answered at once."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(
            f"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Length: 1000000000000\r\n\r\n".encode()
        )
        assert plain.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/mcp", "/ws?session_id=another", "/ws/", "/harness"])
def test_other_sockets_are_closed(url, path):
    address = url.replace("http", "ws", 1) + path
    with pytest.raises(InvalidStatus), connect(address, additional_headers=KEY, proxy=None):
        pass


def test_one_session_more_than_there_are(url):
    with raw(url, additional_headers=KEY) as a, raw(url, additional_headers=KEY) as b:
        with raw(url, additional_headers=KEY) as c:
            for one in (a, b, c):
                assert one.say("reset")["type"] == "observation"
            with pytest.raises(RemoteError, match="3/3 sessions") as refused:
                run(url, lambda client: client.reset(), token=TOKEN)
            assert refused.value.code == "CAPACITY_REACHED"
        until(lambda: _can_play(url))
        assert a.say("step", text=WRONG)["data"]["done"] is True


def _can_play(url: str) -> bool:
    try:
        return run(url, lambda client: client.reset(), token=TOKEN).done is False
    except RemoteError as error:
        if error.code != "CAPACITY_REACHED":
            raise
        return False


HOLD = """
import json, sys
from websockets.sync.client import connect
headers = {"Authorization": "Bearer " + sys.argv[2]}
with connect(sys.argv[1], additional_headers=headers, proxy=None) as socket:
    socket.send(json.dumps({"type": "reset", "data": {"index": 0}}))
    print(json.loads(socket.recv())["type"], flush=True)
    sys.stdin.read()
"""


def test_a_client_that_is_killed_frees_its_session(url):
    """In the middle of an episode, by SIGKILL, so that it says nothing."""
    address = url.replace("http", "ws", 1) + "/ws"
    until(lambda: _can_play(url))
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, address, TOKEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    try:
        assert [client.stdout.readline() for client in clients] == [b"observation\n"] * 3
        assert not _can_play(url)
        clients[0].kill()
        until(lambda: _can_play(url), 5)
        clients[1].kill()
        clients[2].kill()
        until(lambda: _all_free(url), 5)
    finally:
        for client in clients:
            client.kill()
            client.communicate()


def _all_free(url: str) -> bool:
    with ExitStack() as stack:
        sockets = [stack.enter_context(raw(url, additional_headers=KEY)) for _ in range(3)]
        try:
            return all(socket.say("reset")["type"] == "observation" for socket in sockets)
        except ConnectionClosed:
            return False


def test_an_answer_whose_verdict_takes_too_long_is_unscored(url):
    with raw(url, additional_headers=KEY) as socket:
        socket.say("reset", index=0)
        begun = time.monotonic()
        late = socket.say("step", text=WAIT)
        assert time.monotonic() - begun < 1.4
        assert late["data"]["done"] is True
        assert late["data"]["reward"] is None
        assert late["data"]["observation"]["outcome"]["correct"] is None
        assert socket.say("reset", index=1)["data"]["observation"]["sample_id"] == "s1"
        assert socket.say("step", text=WRONG)["data"]["reward"] == 0.5


class SlowPictures(ListSource):
    """Samples of which the first takes long to read."""

    def _sample(self, index):
        if index == 0:
            time.sleep(1.5)
        return super()._sample(index)


def test_a_reset_that_takes_too_long_is_told():
    task = make_task(SlowPictures(made_samples(3)), judge=Slow())
    with served(task, Serving(port=0, step_s=0.5)) as url, raw(url) as socket:
        begun = time.monotonic()
        late = socket.say("reset", index=0)
        assert time.monotonic() - begun < 1.4
        assert late["data"]["code"] == "EXECUTION_ERROR"
        assert "not done after 0.5 s" in late["data"]["message"]
        assert "still runs" in socket.say("reset", index=1)["data"]["message"]
        until(lambda: socket.say("step", text=WRONG)["data"]["message"].startswith("there is no"))
        assert socket.say("reset", index=1)["data"]["observation"]["sample_id"] == "s1"
        assert socket.say("step", text=WRONG)["data"]["done"] is True


def test_a_judge_that_breaks_is_told_without_the_reason(url):
    with raw(url, additional_headers=KEY) as socket:
        socket.say("reset", index=0)
        told = socket.say("step", text=answer_turn("fail", "x"))["data"]["message"]
        assert told.startswith("the server failed, and its log says why")
        assert "zero" not in told
        assert "call reset() first" in socket.say("step", text=WRONG)["data"]["message"]
        assert socket.say("reset")["type"] == "observation"


def test_bad_input_is_told_and_the_session_goes_on(url):
    with raw(url, additional_headers=KEY) as socket:
        assert "call reset() first" in socket.say("step", text=WRONG)["data"]["message"]
        socket.say("reset", index=2)
        for frame in (
            "", "{", "[]", "null", "[" * 100_000, b"\xff", '{"type": "mcp", "data": {}}',
            '{"type": "step", "data": {"text": "\\ud800"}}',
            '{"type": "step", "data": {"txt": ""}}',
            json.dumps({"type": "step", "data": {"text": "x" * (TEXT_LIMIT + 1)}}),
        ):  # fmt: skip
            reply = socket.send(frame)
            assert reply["type"] == "error"
            assert reply["data"]["message"]
        assert "\ud83d" not in socket.send('{"type": "\\ud83d\\ude00"}')["data"]["message"]
        assert socket.say("step", text=answer_turn("two", "x"))["data"]["reward"] == 1.5
        assert "is over" in socket.say("step", text=WRONG)["data"]["message"]
        assert socket.say("reset")["type"] == "observation"


def test_the_longest_turn_that_is_allowed(url):
    """Every character is escaped to twelve bytes; it is played, and the message after it too."""
    text = "\U0001f600" * TEXT_LIMIT
    with raw(url, additional_headers=KEY) as socket:
        socket.say("reset")
        reply = socket.say("step", text=text)
        assert reply["data"]["observation"]["messages"][-1]["content"][0]["text"] == text


def test_the_client_does_not_send_what_is_too_long(url):
    async def play(client):
        await client.reset()
        with pytest.raises(RemoteError, match="at most 262144 characters, got 20000000"):
            await client.step("x" * 20_000_000)
        return (await client.step(WRONG)).done

    assert run(url, play, token=TOKEN)


def test_a_message_beyond_all_bounds_ends_the_session_alone(url):
    with raw(url, additional_headers=KEY) as socket, raw(url, additional_headers=KEY) as other:
        other.say("reset")
        socket.say("reset")
        with pytest.raises(ConnectionClosed) as closed:
            socket.send("x" * (MESSAGE_LIMIT + 1))
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        assert other.say("step", text=WRONG)["data"]["done"] is True


def test_idle_sessions_are_freed():
    serving = Serving(port=0, sessions=1, idle_s=0.5)
    with served(made_task(), serving) as url:

        async def play(client):
            await client.reset()
            await asyncio.sleep(1.2)
            with pytest.raises(RemoteError, match=r"no message for 0\.5 s") as lost:
                await client.step(WRONG)
            assert lost.value.code == "LOST"
            return (await client.reset(index=1)).observation.sample_id

        assert run(url, play) == "s1"
        with raw(url) as quiet:
            quiet.say("reset")
            assert "no message for 0.5 s" in quiet.reply()["data"]["message"]
            with pytest.raises(ConnectionClosed):
                quiet.reply()
            assert run(url, play) == "s1"


def test_who_does_not_read_is_not_waited_for():
    """A reply that nobody takes does not hold a session beyond the idle time."""
    large = made_samples(1, (2500, 3000))
    with (
        served(make_task(large), Serving(port=0, sessions=1, idle_s=1.0)) as url,
        raw(url, max_queue=1, close_timeout=1) as lazy,
    ):
        for _ in range(20):
            lazy.socket.send('{"type": "reset"}')
        until(lambda: _gets_in(url), 20)


def _gets_in(url: str) -> bool:
    try:
        return run(url, lambda client: client.state()).samples == 1
    except RemoteError:
        return False


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "at '0.0.0.0' anybody on the network could play: give a token"),
        ({"host": "::"}, "give a token"),
        ({"host": "example.org"}, "give a token"),
        ({"token": ""}, "at least 16 characters"),
        ({"token": "short"}, "at least 16 characters"),
        ({"token": "with a space in the middle"}, "without spaces"),
        ({"token": "ünicode-ünicode-ünicode"}, "printable ASCII"),
        ({"port": 70000}, "port must be between"),
        ({"sessions": 0}, "sessions must be"),
        ({"idle_s": float("nan")}, "idle_s must be"),
        ({"step_s": -1}, "step_s must be"),
    ],
    ids=str,
)
def test_settings_that_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        Serving(**settings)


def test_addresses():
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"):
        Serving(host=host)
    assert TOKEN not in repr(Serving(host="0.0.0.0", token=TOKEN))
    with served(made_task()) as url:
        port = int(url.rpartition(":")[2])
        says = f"cannot listen at 127.0.0.1 port {port}: Address"
        with pytest.raises(ConfigError, match=says), served(made_task(), Serving(port=port)):
            pass
