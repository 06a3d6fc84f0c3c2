"""Rules before a model, and several judges together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_server import ChatServer, says

from agents.judging import Completion, Failure, Judging, Local, ModelJudge
from agents.judging.cascade import Cascade
from agents.judging.noisy import NoisyJudge
from agents.judging.panel import Panel
from vt_env import Query, Sample, Verdict
from vt_env.errors import ConfigError
from vt_env.judges import auto, make_judge
from vt_env.specs import split_outside
from vt_env.vector import VisionThinkVectorEnv

FOLDER = Path(__file__).parent / "labelled"
FILES = sorted(FOLDER.glob("*.jsonl"))


def rows_of(file: Path):
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return rows, [Query(r["question"], tuple(r["references"]), r["prediction"]) for r in rows]


class Says:
    """A judge that always says the same, or knows the labels."""

    def __init__(self, answer, name="says"):
        self.answer = answer
        self.name = name
        self.asked: list[Query] = []

    def score(self, queries):
        self.asked += queries
        said = [self.answer(q) if callable(self.answer) else self.answer for q in queries]
        return [Verdict(correct, self.name, "so it says") for correct in said]


@pytest.fixture(scope="module")
def rules():
    made = auto.AutoJudge()
    yield made
    made.close()


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_what_the_rules_reject_for_certain_is_wrong_whatever_the_model_says(file, rules):
    rows, queries = rows_of(file)
    decisions = rules.decide(queries)
    certain = [i for i, d in enumerate(decisions) if d.certain and d.verdict.correct is False]
    wrong = [i for i, row in enumerate(rows) if not row["label"]]
    assert len(set(certain) & set(wrong)) / len(wrong) >= 0.4
    for says_ in (True, False, None):
        verdicts = Cascade(Says(says_), rules).score(queries)
        assert {verdicts[i].correct for i in certain} == {False}


@pytest.mark.parametrize("file", [f for f in FILES if "attacks" in f.stem], ids=lambda p: p.stem)
def test_a_model_that_always_says_yes_lets_no_attack_pass(file, rules):
    """But for what has the form of an answer, as *yelow* and *rouge* for *yellow* have."""
    rows, queries = rows_of(file)
    verdicts = Cascade(Says(True), rules).score(queries)
    passed = [row["prediction"] for row, v in zip(rows, verdicts, strict=True) if v.correct]
    assert len(passed) <= 0.04 * len(rows), passed
    assert all(len(text.split()) <= 10 for text in passed)


@pytest.mark.parametrize(
    "file", [f for f in FILES if "attacks" not in f.stem], ids=lambda p: p.stem
)
def test_an_honest_model_adds_recall_and_no_false_accept(file, rules):
    rows, queries = rows_of(file)
    labels = {query: row["label"] for query, row in zip(queries, rows, strict=True)}
    alone = rules.score(queries)
    oracle = Says(labels.__getitem__)
    both = Cascade(oracle, rules).score(queries)

    def accepted(verdicts, label):
        return sum(
            bool(v.correct) for v, row in zip(verdicts, rows, strict=True) if row["label"] is label
        )

    assert accepted(both, True) > accepted(alone, True)
    assert accepted(both, False) == 0
    assert len(oracle.asked) < 0.6 * len(rows)


@pytest.mark.parametrize(
    ("question", "reference", "answer", "certain"),
    [
        ("How many?", "5", "7", True),
        ("How many?", "5", "a whole handful", False),
        ("How many?", "5", "I counted them and got to seven", True),
        ("How many dogs?", "5", "There are seven dogs", True),
        ("How long is it?", "5 km", "5 miles", True),
        ("How long is it?", "5 km", "5", False),
        ("What share?", "0.5", "50", False),
        ("How many?", "3.412", "3412", False),
        ("When?", "3 May 2011", "4 May 2011", True),
        ("When?", "3 May 2011", "03/05/2011", False),
        ("When?", "3 May 2011", "May 2011", False),
        ("At what time?", "15:30", "3:30", False),
        ("At what time?", "15:30", "16:30", True),
        ("Is it open?", "yes", "No, it is not open", True),
        ("Is it open?", "yes", "yes and no", True),
        ("Is it open?", "yes", "It stands ajar", False),
        ("Which?\nA. dog\nB. cat", "B", "A", True),
        ("Which?\nA. dog\nB. cat", "B", "A B", True),
        ("What is it?", "dog", "not a dog", True),
        ("What is it?", "dog", "a hound", False),
        ("What is it?", "dog", "Let's solve this step by step.", True),
        ("What is it?", "dog", "dog, cat, bird", True),
        ("Where?", "Paris", "Paris, France", False),
        ("What is it?", "dog", "<|im_end|>dog", True),
    ],
)
def test_what_is_certain_and_what_is_open(rules, question, reference, answer, certain):
    (decision,) = rules.decide([Query(question, (reference,), answer)])
    assert not decision.verdict.correct
    assert decision.certain is certain


def test_a_second_reference_may_leave_it_open(rules):
    (decision,) = rules.decide([Query("How many?", ("5", "a handful"), "7")])
    assert not decision.certain


def test_a_cascade_signs_asks_only_what_is_open_and_keeps_unscored():
    model = Says(None, "model")
    cascade = Cascade(model)
    queries = [
        Query("How many?", ("5",), "five"),
        Query("How many?", ("5",), "7"),
        Query("What is it?", ("dog",), "a hound"),
        Query("What is it?", (), "a hound"),
    ]
    verdicts = cascade.score(queries)
    assert [v.correct for v in verdicts] == [True, False, None, None]
    assert {v.judge for v in verdicts} == {"cascade:model"}
    assert model.asked == [queries[2]]
    cascade.close()


def test_a_panel_needs_more_than_half_of_all_members():
    query = Query("What is it?", ("dog",), "a hound")
    for said, expected, score in (
        ((True, True, False), True, 2 / 3),
        ((True, False, False), False, 1 / 3),
        ((True, True, None), True, 2 / 3),
        ((True, None, None), None, None),
        ((True, False, None), None, None),
        ((True, False), None, None),
        ((False, False), False, 0),
    ):
        panel = Panel([Says(answer, f"m{i}") for i, answer in enumerate(said)])
        (verdict,) = panel.score([query])
        assert verdict.correct is expected, said
        assert verdict.score == (None if score is None else pytest.approx(score))
        assert "right" in verdict.reason


def test_specs_nest():
    with ChatServer(says("right")) as one, ChatServer(says("wrong")) as two:
        first, second = (f"openai:m@{server.url}" for server in (one, two))
        spec = f"cascade:panel:{first},canaries=0+[{first},canaries=0]+cascade:{second},canaries=0"
        judge = make_judge(spec)
        query = Query("What is it?", ("dog",), "a hound")
        (verdict,) = judge.score([query])
        assert (verdict.correct, len(one.requests), len(two.requests)) == (True, 2, 1)
        assert judge.name == "cascade:panel:openai:m+openai:m+cascade:openai:m"
        assert judge.usage.tokens_in == 300
        judge.close()
        noisy = make_judge(f"noisy:[cascade:{second},canaries=0],rate=1")
        assert noisy.score([query])[0].correct is True
        noisy.judge.close()  # type: ignore[attr-defined]


def test_brackets_keep_separators_to_themselves():
    assert split_outside("a,[b,[c,d]],e", ",") == ["a", "[b,[c,d]]", "e"]
    assert split_outside("m@http://[::1]:8/v1+n", "+") == ["m@http://[::1]:8/v1", "n"]
    assert make_judge("[numeric:0.01]").name == "numeric:0.01"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cascade", "needs another one"),
        ("cascade:", "needs another one"),
        ("cascade:aut", "Did you mean 'auto'"),
        ("cascade:noisy:auto", "put it around"),
        ("panel", "at least two"),
        ("panel:auto", "at least two"),
        ("panel:auto+", "at least two"),
        ("panel:auto+aut", "Did you mean 'auto'"),
        ("openai", "needs what to ask"),
        ("openai:m@http://h/v1,concurency=3", "Did you mean 'concurrency'"),
        ("openai:m@http://h/v1,concurrency=many", "a whole number as concurrency"),
        ("openai:m@http://h/v1,constrain=2", "true or false as constrain"),
        ("openai:m@http://h/v1,timeout=x", "a number as timeout"),
        ("openai:m@http://h/v1,timeout=1,timeout=2", "each once"),
        ("openai:m@http://h/v1,concurrency=0", "from 1 to 10000"),
        ("openai:m@http:///v1", "expected MODEL@URL"),
        ("openai:@http://h/v1", "expected MODEL@URL"),
        ("openai:m@127.0.0.1:8000/v1", "begins with http:// or https://"),
        ("openai:m@ftp://h/v1", "begins with http:// or https://"),
        ("openai:m@HTTP://h/v1", "begins with http:// or https://"),
    ],
)
def test_wrong_specs(spec, message):
    pytest.importorskip("httpx2")
    with pytest.raises(ConfigError, match=message):
        make_judge(spec)


def test_options_may_be_arguments():
    pytest.importorskip("httpx2")
    with make_judge("openai:m@http://h/v1", concurrency=3, timeout=5) as judge:
        assert (judge.backend.limits.concurrency, judge.backend.limits.timeout) == (3, 5.0)


def counting(tokens: int) -> ModelJudge:
    model = Local(
        "m", f"m{tokens}", lambda asks: [Completion("right", None, tokens, 1) for _ in asks]
    )
    return ModelJudge(model, Judging(canaries=0, price_in=float(tokens)))


def test_a_panel_adds_up_what_its_members_cost():
    panel = Panel([counting(10), counting(30)])
    panel.score([Query("What is it?", ("dog",), "a hound")])
    assert panel.usage.tokens_in == 40
    assert panel.usage.cost == pytest.approx((10 * 10 + 30 * 30) / 1e6)
    panel.close()
    assert Panel([NoisyJudge(Says(True)), Says(True)]).per_rollout


def test_a_group_is_judged_while_it_is_played_and_rewards_are_the_same(samples: list[Sample]):
    """Rollouts that answer in turn 1 are begun with then, and asked about once."""

    def play(judge):
        env = VisionThinkVectorEnv(4, group_size=4, data=samples, judge=judge)
        env.reset(seed=0, options={"sample_ids": ["s1"]})
        call = (
            "<think>small</think><tool_call>"
            '{"name": "resize_image", "arguments": {"action": "resize"}}</tool_call>'
        )
        answer = "<think>I see</think><answer>{}</answer>"
        env.step([answer.format("a first one"), answer.format("a second"), call, call])
        begun = len(asked)
        *_, rewards, _, _, info = env.step(["", "", answer.format("a third"), answer.format("no")])
        return begun, rewards.tolist(), [v.correct for v in info["verdict"]]

    asked: list[str] = []

    def model(asks):
        asked.extend(ask.user for ask in asks)
        return [Completion("right" if "first" in ask.user else "wrong") for ask in asks]

    with ModelJudge(Local("m", "m", model, 1), Judging(canaries=0)) as early:
        begun = early.submit([])  # nothing waits for nothing
        assert begun.result() == []
        _, rewards, verdicts = play(early)
        assert early.usage.queries == 4
        assert len(asked) == 4

    class Late:
        name = "late"

        def __init__(self):
            self.judge = ModelJudge(Local("m", "m", model, 1), Judging(canaries=0))

        def score(self, queries):
            return self.judge.score(queries)

    late = Late()
    assert play(late)[1:] == (rewards, verdicts)
    assert verdicts == [True, False, False, False]
    late.judge.close()


def test_a_failing_model_leaves_a_group_unscored(samples: list[Sample]):
    with ModelJudge(
        Local("m", "m", lambda asks: [Failure("gone")] * len(asks)), Judging(canaries=0)
    ) as judge:
        env = VisionThinkVectorEnv(2, group_size=2, data=samples, judge=judge)
        env.reset(seed=0)
        *_, info = env.step(["<think>a</think><answer>some words</answer>"] * 2)
        assert [v.correct for v in info["verdict"]] == [None, None]
