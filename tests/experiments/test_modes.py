"""The ways in which one agent plays the same samples."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer, completion
from evaluations import DATA, Unsteerable, lines, result, vt
from PIL import Image

from agents import Reply, Steered, make_agent
from agents.base import answer_turn, request_turn
from agents.steering import FORCED
from experiments import result_tables as tables
from experiments.evaluation.modes import AtRandom, parse_mode, parse_modes
from experiments.evaluation.player import Metrics, Part, Player, Setup
from experiments.evaluation.run import Evaluation, Options
from experiments.evaluation.workers import Here
from vt_env import ConfigError, Tool, Verdict, make_protocol
from vt_env.regions import Region

MODES = ("low", "full", "visionthink", "always-request", "random@trained", "size-threshold@150")


def flags(modes=MODES) -> list[str]:
    return [word for mode in modes for word in ("--mode", mode)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("modes")
    assert vt("eval", "--agent", "random:p=0.4", "--data", DATA, "--out", out, *flags()) == 0
    return out


def test_a_row_says_how_likely_a_call_was_where_the_agent_decided(played: Path) -> None:
    known = {
        mode: {turn["asking"] for row in lines(played / mode / "episodes.jsonl")
               for turn in row["turns"][:1]}
        for mode in ("visionthink", "always-request", "low")
    }  # fmt: skip
    assert known == {"visionthink": {0.4}, "always-request": {None}, "low": {None}}


def test_every_mode_shows_what_it_should(played: Path) -> None:
    found = result(played)["modes"]
    assert tuple(found) == MODES
    assert {m: found[m]["token_ratio"] for m in ("low", "full", "always-request")} == {
        "low": 0.25, "full": 1.0, "always-request": 1.25,
    }  # fmt: skip
    assert found["full"]["accuracy"] == found["always-request"]["accuracy"] == 1.0
    assert found["random@trained"]["rate"] == found["visionthink"]["request_rate"]
    assert 0 < found["random@trained"]["request_rate"] < 1
    assert found["size-threshold@150"]["request_rate"] == 1.0  # 16 x 16 pixels are 256
    assert found["low"]["protocol"] == "low"
    assert found["full"]["relative_accuracy"] == 1.0
    assert found["low"]["relative_accuracy"] == found["low"]["accuracy"]
    tests = result(played)["tests"]
    assert len(tests) == 15
    assert json.loads((played / "result.json").read_text())["modes"]["low"]["seconds"] > 0
    assert (played / "plot.svg").exists()


def test_all_modes_play_the_same_samples(played: Path) -> None:
    ids = [[row["id"] for row in lines(path)] for path in played.glob("*/episodes.jsonl")]
    assert len(ids) == len(MODES)
    assert all(some == ids[0] for some in ids)


def test_the_coin_is_not_the_agents_own(tmp_path: Path) -> None:
    data = ["--data", "generated:n=200", "--out", tmp_path]
    assert vt("eval", "--agent", "random:p=0.5", *data, *flags(["visionthink", "random@0.5"])) == 0
    own, coin = (
        [row["requested"] for row in lines(tmp_path / name / "episodes.jsonl")]
        for name in ("visionthink", "random-0.5")
    )
    agreed = sum(a == b for a, b in zip(own, coin, strict=True))
    assert 70 < agreed < 130  # of 200, as two coins do
    assert 70 < sum(coin) < 130


def test_who_cannot_be_steered_has_the_request_written_and_plays_the_rest(tmp_path: Path) -> None:
    agent = Unsteerable()
    setup = Setup(agent, [Part("x", DATA)])
    player = Player(setup)
    work = Evaluation(player, Here(player), Options(batch=5))
    work.part("x", parse_modes(["always-request", "random@0.5"]), tmp_path)
    always = lines(tmp_path / "always-request" / "episodes.jsonl")
    for row in always:
        assert row["requested"]
        assert FORCED in row["turns"][0]["text"]
        assert (row["turns"][0]["tokens"], row["turns"][1]["tokens"]) == (0, None)
        assert row["answer"].startswith("2 ")  # it saw the small picture and the original
    coin = lines(tmp_path / "random-0.5" / "episodes.jsonl")
    assert 0 < sum(row["requested"] for row in coin) < len(coin)
    direct = [row for row in coin if not row["requested"]]
    assert all(row["answer"].startswith("1 ") and row["well_formed"] for row in direct)
    shown = [c for c in agent.seen if c.turn == 0]
    assert shown
    assert not any(c.can_request for c in shown)
    assert not any("resize_image" in str(c.messages) for c in shown)  # no tool to tempt it


def test_a_steered_agent_is_forced_in_its_first_turn_only() -> None:
    from evaluating import evaluate

    from vt_env import make_task

    task = make_task(DATA, max_turns=3)
    agent = Steered(make_agent("request"), lambda _: False)
    assert not any(e.outcome.requested for e in evaluate(task, agent))
    agent = Steered(make_agent("direct"), lambda _: True)
    assert all(len(e.replies) == 2 for e in evaluate(task, agent))


def test_a_model_is_steered_by_the_beginning_of_its_turn(tmp_path: Path) -> None:
    from agents.tiny import TinyAgent, TinyConfig, make_vlm, save

    agent = TinyAgent(save(make_vlm(TinyConfig(), 0), tmp_path / "model"), temperature=1.0)
    setup = Setup(agent, [Part("x", "generated:n=6")], rules={"prompt": "tiny"})
    player = Player(setup)
    modes = parse_modes(["always-request", "random@0", "full", "low"])
    Evaluation(player, Here(player), Options()).part("x", modes, tmp_path)
    for name, mark in (("always-request", "<tool_call>"), ("random-0", "<answer>")):
        for row in lines(tmp_path / name / "episodes.jsonl"):
            first = row["turns"][0]
            assert mark in first["text"]
            assert first["forced_tokens"] > 0
            assert first["tokens"] > 0
            assert first["prompt_tokens"] > 4
            assert row["generated_tokens"] == sum(turn["tokens"] for turn in row["turns"])
            every = ("prompt_tokens", "tokens", "forced_tokens")
            read = sum(turn[name] for turn in row["turns"] for name in every)
            assert row["text_tokens"] == read - row["visual_tokens"]
    found = result(tmp_path)["modes"]["full"]
    assert found["generated_total"] == found["generated_tokens"] * 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lo", "Did you mean 'low'"),
        ("low@1", "Unknown mode"),
        ("random", "Unknown mode"),
        ("random@2", "from 0 to 1"),
        ("random@nan", "from 0 to 1"),
        ("random@often", "from 0 to 1, or 'trained'"),
        ("size-threshold@0", "from 1 up"),
        ("size-threshold@", "from 1 up"),
    ],
)
def test_unknown_modes(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_mode(text)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mode", "low", "--mode", "low"], "given twice"),
        (["--mode", "random@trained"], "add --mode visionthink"),
        (["--mode", "always-request", "--tool", "crop"], "Unknown tool"),
        (
            ["--mode", "visionthink", "--mode", "random@trained", "--shard", "0/2"],
            "needs the visionthink of all shards",
        ),
        (["--shard", "2/2"], "0 <= I < N"),
        (["--shard", "0/2", "--shards", "2"], "choose one"),
        (["--gpus", "1"], "how many --shards"),
        (["--resume", "--overwrite"], "not allowed with"),
        (["--merge", "x"], "plays nothing: leave out --agent, --data"),
        (["--mode", "oracle"], "add --mode low --mode always-request"),
        (["--reference", "direct"], "add --mode"),
    ],
)
def test_what_does_not_go_together(more, message, tmp_path: Path, capsys) -> None:
    try:
        code = vt("eval", "--agent", "direct", "--data", DATA, "--out", tmp_path / "out", *more)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert message in error
    assert not list(tmp_path.glob("**/episodes.jsonl"))


def test_several_agents_have_modes_each(tmp_path: Path) -> None:
    agents = ["--agent", "direct", "--agent", "random:p=0.5"]
    assert vt("eval", *agents, "--data", DATA, "--out", tmp_path, *flags(["low", "full"])) == 0
    found = json.loads((tmp_path / "comparison.json").read_text())["agents"]
    assert all(tuple(one["modes"]) == ("low", "full") for one in found.values())
    assert (tmp_path / "random_p=0.5" / "full" / "episodes.jsonl").exists()


def graded(rows) -> dict[str, float]:
    return {"longest": max(len(row["question"]) for row in rows)}


class Half:
    name = "half"

    def score(self, queries):
        return [Verdict(True, self.name, "half of it", 0.5) for _ in queries]


def test_one_agent_over_several_sources_with_their_judges(tmp_path: Path) -> None:
    parts = [
        Part("charts", DATA, "exact", metrics=Metrics(graded)),
        Part("photos/1", "generated:n=8,seed=3", Half(), rules={"tokens": "qwen2.5-vl"}),
    ]
    player = Player(Setup("random:p=0.5", parts))
    work = Evaluation(player, Here(player), Options())
    found = work.parts(parse_modes(["low", "visionthink"]), tmp_path)
    player.close()
    assert found["charts"]["modes"]["low"]["metrics"] == {
        "longest": max(len(r["question"]) for r in lines(tmp_path / "charts/low/episodes.jsonl"))
    }
    photos = found["photos/1"]["modes"]["visionthink"]
    assert (photos["judge"], photos["score"], photos["accuracy"]) == ("half", 0.5, 1.0)
    assert photos["tokens"].startswith("qwen2.5-vl")
    assert "metrics" not in photos
    assert (tmp_path / "photos_1" / "low" / "result.json").exists()


def test_a_coin_is_the_rollouts_own() -> None:
    class At:
        def __init__(self, seed: int) -> None:
            self.rng = np.random.default_rng([seed, 1])

    assert [AtRandom(p)(At(0)) for p in (0.0, 1.0)] == [False, True]  # type: ignore[arg-type]
    tossed = [[AtRandom(0.5)(At(seed)) for seed in range(50)] for _ in range(2)]  # type: ignore[arg-type]
    assert tossed[0] == tossed[1]
    assert len(set(tossed[0])) == 2
    at = At(0)
    AtRandom(0.5)(at)  # type: ignore[arg-type]
    assert at.rng.random() == At(0).rng.random()  # the agent's draws stay as they are


def test_a_model_behind_a_real_server(tmp_path: Path) -> None:

    def answers(body, _):
        made = json.loads(completion(answer_turn("red", "")))
        made["usage"]["completion_tokens"] = 9
        return {"body": json.dumps(made)}

    modes = flags(["full", "always-request", "random@0.5"])
    with ChatServer(answers) as server:
        agent = f"openai:m@{server.url},tries=1"
        assert vt("eval", "--agent", agent, "--data", "generated:n=8", *modes, "--out", tmp_path,
                  "--judge", f"openai:m@{server.url},canaries=0,tries=1") == 0  # fmt: skip
    found = result(tmp_path)["modes"]
    assert [m["generated_total"] for m in found.values()] == [72, 72, 72]  # written turns cost none
    assert [m["request_rate"] for m in found.values()][:2] == [0.0, 1.0]
    spoken = [b for b in server.requests if b["messages"][0]["role"] == "system"]
    pictures = [str(b["messages"]).count("image_url") // 2 for b in spoken if "image" in str(b)]
    asked = sum(row["requested"] for row in lines(tmp_path / "random-0.5" / "episodes.jsonl"))
    assert pictures.count(2) == 8 + asked
    assert pictures.count(1) == 8 + 8 - asked
    taken = [m["judging"]["queries"] for m in found.values()]
    assert max(taken) <= 8  # each mode says what its own judging took, not what all took
    assert min(taken) > 0


class ReadsWhatItIsShown:
    """Asks for the answer's place, and is right if the newest view shows those very pixels."""

    name = "reads-what-it-is-shown"

    def act(self, conversations):
        return [Reply(self._turn(one)) for one in conversations]

    def _turn(self, one):
        sample, first = one.sample, one.images[0]
        if one.can_request and not one.turn:
            return one.ask(Region(0, sample.answer_box.whole(), first.region.of), "I look closer.")
        seen = one.images[-1]
        truth = Image.fromarray(sample.images[0]).crop(seen.region.box.pixels)
        there = np.asarray(truth.resize(seen.size, Image.Resampling.LANCZOS), float)
        near = np.abs(np.asarray(seen.image, float) - there).mean() < 3
        return answer_turn(sample.references[0] if near and one.turn else "no idea", "")


def test_modes_that_tell_what_calls_are_worth(tmp_path: Path) -> None:
    """An agent whose every gain is the view's: nothing of it survives another view."""
    part = Part("", "pages:n=8,kinds=form", judge="exact")
    with closing(Player(Setup(ReadsWhatItIsShown(), [part], protocol="qwen3-vl"))) as player:
        names = ["visionthink", "no-tool", "blank", "same-view", "random-crop", "oracle-crop"]
        evaluation = Evaluation(player, Here(player), Options())
        (found,) = evaluation.parts(parse_modes(names), tmp_path).values()
    assert [m["request_rate"] for m in found["modes"].values()] == [1, 0, 1, 1, 1, 1]
    shown = {name: m["visual_tokens"] for name, m in found["modes"].items()}
    assert shown["blank"] == shown["same-view"] == shown["random-crop"] == shown["visionthink"]
    assert [m["accuracy"] for m in found["modes"].values()] == [1, 0, 0, 0, 0, 1]
    told = found["diagnosis"]["all"]
    rates = {name: told[name]["value"] for name in ("call_gain", "call_harm", "needed", "worth")}
    assert rates == {"call_gain": 1, "call_harm": 0, "needed": 1, "worth": 1}
    assert told["overlap"]["value"] is not None
    left = {name: one["value"] for name, one in told["survives"].items()}
    assert left == {"blank": 0, "same-view": 0, "random-crop": 0, "oracle-crop": 1}


def test_need_is_measured_of_an_agent_that_never_asks(tmp_path: Path) -> None:
    """Were the answer's place shown only where the agent asks, no missed call could be found."""
    part = Part("", "pages:n=8,kinds=form", judge="exact")

    class Mute(ReadsWhatItIsShown):
        def _turn(self, one):
            return super()._turn(replace(one, can_request=False))

    with closing(Player(Setup(Mute(), [part], protocol="qwen3-vl"))) as player:
        modes = parse_modes(["visionthink", "no-tool", "oracle-crop"])
        (found,) = Evaluation(player, Here(player), Options()).parts(modes, tmp_path).values()
    told = found["diagnosis"]["all"]
    assert {key: told[key]["value"] for key in ("rate", "needed", "hits")} == {
        "rate": 0, "needed": 1, "hits": 0
    }  # fmt: skip


def test_a_tool_that_shows_no_parts_is_asked_for_all(tmp_path: Path) -> None:
    part = Part("", "pages:n=2,kinds=form", judge="exact")
    with closing(Player(Setup(ReadsWhatItIsShown(), [part]))) as player:
        Evaluation(player, Here(player), Options()).parts(parse_modes(["oracle-crop"]), tmp_path)
    (row, *_) = lines(next(tmp_path.glob("**/oracle-crop")) / "episodes.jsonl")
    assert row["turns"][0]["text"] == request_turn(FORCED)
    assert row["requested"]


def test_a_tool_that_can_be_asked_for_nothing_is_refused() -> None:
    class Count(Tool):
        name, description = "count", "Counts."
        parameters = {"type": "object", "properties": {}}

        def apply(self, scene, arguments):
            return "three"

    mode = parse_mode("oracle-crop")

    def check(*tools) -> None:
        own = make_protocol(tools=[Count(), *tools])
        for rules in (mode.changes(own, own), own):
            mode.check(rules)

    for shows in ("resize_image", {"kind": "zoom"}):
        check(shows)
    with pytest.raises(ConfigError, match="count cannot be asked for one: give it arguments_for"):
        check()


def test_the_place_of_the_answer_must_be_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    row = {"id": "a", "image": "a.png", "question": "What is here?", "answer": "nothing"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), "utf-8")
    code = vt("eval", "--agent", "zoom-random", "--protocol", "qwen3-vl", "--data",
              tmp_path / "a.jsonl", "--mode", "oracle-crop", "--out", tmp_path / "out")  # fmt: skip
    assert code == 2
    assert "answer_box" in capsys.readouterr().err


def test_a_tool_that_shows_no_parts_has_no_other_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It showed the very original, and all of the calls' gain was left."""
    code = vt("eval", "--agent", "request", "--data", "generated:n=4",
              "--mode", "random-crop", "--out", tmp_path / "out")  # fmt: skip
    assert code == 2
    assert "needs a tool that shows parts: resize_image" in capsys.readouterr().err


def test_without_a_tool_nothing_can_be_shown_in_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = vt("eval", "--agent", "direct", "--protocol", "low", "--data", "generated:n=4",
              "--mode", "blank", "--out", tmp_path / "out")  # fmt: skip
    assert code == 2
    assert "needs a protocol with a tool" in capsys.readouterr().err


def test_seconds_are_of_an_episode_and_the_legend_is_of_what_is_shown(played: Path) -> None:
    result = json.loads((played / "result.json").read_text())["modes"]
    shown = tables.modes("", result)
    spent = [row[shown.names.index("seconds")] for row in shown.rows]
    assert spent == [pytest.approx(one["agent_seconds"] / one["n"]) for one in result.values()]
    assert "calls" not in tables.legend(shown)
    assert "% of full: " in tables.legend(shown)
    assert "calls: an episode" in tables.legend(tables.results("mode", "", result))
