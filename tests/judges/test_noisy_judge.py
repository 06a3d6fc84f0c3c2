"""The judge that is wrong now and then: how often, about what, and always in the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.judging.noisy import NoisyJudge
from vt_env import Query, Sample, Verdict
from vt_env.errors import ConfigError
from vt_env.judges import Judge, make_judge
from vt_env.task import make_task
from vt_env.vector import VisionThinkVectorEnv

MANY = [Query("What is it?", ("yes",), "yes", rollout=f"sample#{i}") for i in range(4000)]


def right(judge, queries):
    return [verdict.correct for verdict in judge.score(queries)]


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("answer", ["yes", "no"])
def test_the_rate_is_that_of_both_errors(rate, answer):
    judge = make_judge(f"noisy:exact,rate={rate}")
    queries = [Query(q.question, q.references, answer, rollout=q.rollout) for q in MANY]
    wanted = rate if answer == "no" else 1 - rate
    assert sum(right(judge, queries)) / len(queries) == pytest.approx(wanted, abs=0.03)


@given(st.lists(st.sampled_from(MANY[:40]), max_size=30), st.integers(0, 30))
def test_neither_batches_nor_the_past_change_a_verdict(queries, cut):
    whole = right(make_judge("noisy:exact,rate=0.5"), queries)
    judge = make_judge("noisy:exact,rate=0.5")
    assert right(judge, queries[cut:]) == whole[cut:]
    assert right(judge, queries[:cut]) == whole[:cut]


def test_another_seed_flips_others():
    one, two = (right(make_judge(f"noisy:exact,rate=0.5,seed={s}"), MANY) for s in (0, 1))
    assert sum(a == b for a, b in zip(one, two, strict=True)) == pytest.approx(2000, abs=130)


def test_a_flipped_verdict_says_so_and_names_the_judge():
    query = Query("How long?", ("5 km",), "5,000 metres")
    (verdict,) = make_judge("noisy:auto,rate=1").score([query])
    assert verdict == Verdict(
        False, "noisy:auto,rate=1,seed=0", "noise, against: states the reference", 0.0
    )
    (kept,) = make_judge("noisy:anls,rate=0").score([Query("Who?", ("abcdef",), "abcdeg")])
    assert 0.5 < kept.score < 1


def test_unscored_stays_unscored():
    (verdict,) = make_judge("noisy:numeric:0.01,rate=1").score([Query("", ("tall",), "5")])
    assert verdict.correct is None


def test_rollouts_of_one_question_with_one_answer_are_judged_apart(samples: list[Sample]):
    env = VisionThinkVectorEnv(
        64, group_size=64, data=samples, judge="noisy:exact,rate=0.3", reward={"penalty": "none"}
    )

    def correct(sample_id: str, seed: int = 0) -> list[bool]:
        env.reset(seed=seed, options={"sample_ids": [sample_id]})
        *_, info = env.step(["<think>I see</think><answer>one</answer>"] * 64)
        return [verdict.correct for verdict in info["verdict"]]

    first = correct("s1")
    assert 6 <= first.count(False) <= 34
    assert correct("s2") != [not right for right in first]
    assert correct("s1", seed=9) == first  # nothing is drawn


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_rollouts_noise_does_not_depend_on_who_shares_its_batch(samples: list[Sample], groups):
    """A group is flipped alike alone, beside others, and turn by turn."""
    answer = "<think>I see</think><answer>one</answer>"
    task = make_task(samples, judge="noisy:exact,rate=0.5")

    def group(at_once: int) -> list[bool]:
        env = VisionThinkVectorEnv(16 * at_once, group_size=16, data=task)
        ids = ["s2", "s3", "s4", "s1"][-at_once:]
        env.reset(seed=0, options={"sample_ids": ids})
        *_, info = env.step([answer] * 16 * at_once)
        return [verdict.correct for verdict in info["verdict"][-16:]]

    alone = group(1)
    assert group(groups) == alone
    assert 2 <= sum(alone) <= 14
    dialogues = task.begin(samples[0], 16)
    for dialogue in dialogues:
        dialogue.apply(answer)
    one_by_one = [task.judge_all([dialogue])[0].correct for dialogue in reversed(dialogues)]
    assert one_by_one[::-1] == alone
    assert [v.correct for v in task.judge_all(dialogues[5:9])] == alone[5:9]


def test_a_ready_judge_is_begun_with_through_the_noise():
    asked: list[int] = []

    class Early(Judge):
        name = "early"

        def score(self, queries):
            return [Verdict(True, self.name, "") for _ in queries]

        def begin(self, queries):
            asked.extend(len(query.rollout) for query in queries)

    with NoisyJudge(Early()) as judge:
        judge.begin(MANY[:3])
        assert asked == [0, 0, 0]


def test_a_rollout_without_an_answer_is_wrong_whatever_the_noise(samples: list[Sample]):
    env = VisionThinkVectorEnv(2, group_size=1, data=samples, judge="noisy:exact,rate=1")
    env.reset(seed=0)
    *_, info = env.step(["nothing said"] * 2)
    assert [verdict.correct for verdict in info["verdict"]] == [False, False]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("noisy:auto,rate=1.5", "rate in"),
        ("noisy:auto,rate=often", "a number as rate"),
        ("noisy:auto,seed=x", "a whole number as seed"),
        ("noisy:auto,rat=0.1", "Did you mean 'rate'"),
        ("noisy:aut", "Did you mean 'auto'"),
    ],
)
def test_wrong_settings(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_judge(spec)


def test_a_ready_judge_can_be_wrapped():
    judge = NoisyJudge(make_judge("exact"), rate=0.25, seed=7)
    assert judge.name == "noisy:exact,rate=0.25,seed=7"
