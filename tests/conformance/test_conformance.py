"""The kit on everything that learns here, and each mistake that it is there to find."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conformance_adapters import Discrete, Local, Loop, Vector, speaking

from trainers.conformance import (
    Case,
    Recorded,
    Rollout,
    Script,
    cases,
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
    stretches,
)
from vt_env import ConfigError, make_judge, open_source

END = "<|im_end|>"
SEVERAL_VIEWS = ("crops", "pictures", "budget")
MASKED = ("paper", "general", "low", *SEVERAL_VIEWS)
ONE_TOOL_ONE_GROUP = ("none", "every-request", "price")
FEW_ACTIONS = (
    "needs-original",
    "at-threshold",
    "half-is-enough",
    "nobody-right",
    "only-requests",
    "unscored",
    "all-alike",
    "odd-sizes",
    "speck",
)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return speaking(tmp_path_factory.mktemp("untrained"))


# --------------------------------------------------------------------------- who conforms


def test_the_vector_environment_conforms():
    check_rewards(Vector())
    check_groups(Vector())
    check_visual_tokens(Vector())


def test_the_local_trainer_conforms(untrained):
    local = Local(untrained)
    check_rewards(local)
    check_visual_tokens(local)
    check_groups(local, ["paper", "rate", "price", *SEVERAL_VIEWS])
    check_masks(local, MASKED, turn_end=END)


@pytest.mark.parametrize("algorithm", ["rloo", "dr_grpo"])
def test_advantages_of_other_algorithms_are_multiples_too(untrained, algorithm):
    check_groups(Local(untrained, algorithm), ["rate"])


def test_the_example_with_a_loop_of_its_own_conforms(untrained):
    loop = Loop(untrained)
    check_rewards(loop)
    check_groups(loop)
    check_visual_tokens(loop)
    check_masks(loop, MASKED, turn_end=END)


def test_a_few_actions_conform_where_they_can_say_the_turns():
    check_rewards(Discrete(), ONE_TOOL_ONE_GROUP, FEW_ACTIONS)
    check_visual_tokens(Discrete(), ONE_TOOL_ONE_GROUP, FEW_ACTIONS)


# --------------------------------------------------------------------------- who does not


class Wrong:
    """The vector environment, or the loop, with a mistake."""

    def __init__(self, inner, mistake: Callable[[Sequence[Rollout]], Sequence[Rollout]]) -> None:
        self.inner = inner
        self.mistake = mistake

    def play(self, case: Case) -> list[Sequence[Rollout]]:
        return [self.mistake(rollouts) for rollouts in self.inner.play(case)]


def each(change: Callable[[Rollout], Rollout]) -> Callable:
    return lambda rollouts: [change(rollout) for rollout in rollouts]


def unscored_is_wrong(rollout: Rollout) -> Rollout:
    return replace(rollout, reward=0.5 if math.isnan(rollout.reward or 0) else rollout.reward)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            each(unscored_is_wrong),
            r"^settings 'none', group 'unscored', rollout 1: expected reward none, got 0.5; so "
            r"differ \d+ of 1096 rollouts$",
        ),
        (
            each(lambda r: replace(r, reward=min(r.reward, 1.0))),
            r"^settings 'none', group 'mixed', rollout 0: expected reward 1.5, got 1; so",
        ),
        (lambda rollouts: rollouts[:7], r"^none: expected rollouts by group \[8, .*got \[7, "),
    ],
)
def test_rewards_that_differ_are_named(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_rewards(Wrong(Vector(), mistake))


class OneBigGroup:
    """Applies the penalty to all rollouts of a batch together: right for groups played alone."""

    def play(self, case: Case) -> list[list[Rollout]]:
        from vt_env import group_rewards, make_task

        played, dialogues = [], []
        task = make_task([g.sample for g in case.groups], judge=Recorded(), **case.environment)
        for group in case.groups:
            for turns in group.transcripts:
                (dialogue,) = task.begin(group.sample)
                for turn in turns:
                    if not dialogue.done:
                        dialogue.apply(turn)
                dialogues.append(dialogue)
        verdicts = task.judge_all(dialogues)
        outcomes = [d.outcome(v) for d, v in zip(dialogues, verdicts, strict=True)]
        for terms in group_rewards(outcomes, case.reward):
            played.append(Rollout(reward=terms.total, penalty=terms.penalty))
        return [played[i : i + 8] for i in range(0, len(played), 8)]


def test_groups_that_mix_are_found():
    for group in cases(["paper"])[0].groups:
        check_rewards(OneBigGroup(), ["paper"], [group.name])
    with pytest.raises(
        AssertionError, match=r"group '.*', rollout \d \(all, backwards\): expected penalty"
    ):
        check_groups(OneBigGroup(), ["paper"])


def told_advantage(of: Callable[[Rollout, float], float]) -> Callable:
    def change(rollouts):
        known = [r.reward for r in rollouts if not math.isnan(r.reward)]
        mean = sum(known) / len(known)
        return [
            replace(r, advantage=0.0 if math.isnan(r.reward) else of(r, r.reward - mean))
            for r in rollouts
        ]

    return change


@pytest.mark.parametrize(
    ("of", "group", "message"),
    [
        (lambda r, d: r.reward, "mixed", "expected advantage"),
        (lambda r, d: -d, "mixed", "expected advantage"),
        (lambda r, d: 0.0, "mixed", "its group's rewards differ, but no advantages do"),
        (lambda r, d: 0.01 + d, "all-alike", r"rollout 0 \(alone\): expected advantage 0, 0 times"),
    ],
)
def test_advantages_that_are_no_multiple_of_the_deviation_are_found(of, group, message):
    with pytest.raises(AssertionError, match=message):
        check_groups(Wrong(Vector(), told_advantage(of)), ["none"], [group])
    check_groups(Wrong(Vector(), told_advantage(lambda r, d: 3 * d)), ["none"])


def test_views_that_are_not_counted_are_found():
    forgetful = Wrong(Vector(), each(lambda r: replace(r, visual_tokens=r.visual_tokens % 16)))
    with pytest.raises(AssertionError, match="expected visual_tokens 16, got 0"):
        check_visual_tokens(forgetful, ["general"])
    blind = Wrong(Vector(), each(lambda r: replace(r, requested=False)))
    with pytest.raises(AssertionError, match="rollout 2: expected requested True, got False"):
        check_visual_tokens(blind, ["paper"], ["mixed"])


def everything(pieces):
    return [("".join(text for text, _ in pieces), True)]


def first_turn_only(pieces):
    return [*pieces[:2], *((text, False) for text, _ in pieces[2:])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pieces: None, "no stretches were told"),
        (everything, "expected turn 1 trained on as '<think>clear</think>"),
        (first_turn_only, "rollout 2: turn 2 is not trained on: '<think>clear"),
        (lambda p: [(t.removesuffix(END), m) for t, m in p], "expected turn 1 trained on as .*END"),
        (lambda p: [*p, ("\n", False), ("more", True)], "the policy never said it: 'more'"),
        (lambda p: [("?", False), *p[1:]], "the question 'What colour .* before the first turn"),
        (lambda p: [(t.replace("_response", ""), m) for t, m in p], "do not stand after turn 1"),
    ],
)
def test_masks_that_differ_are_explained(untrained, change, message):
    wrong = Wrong(Loop(untrained), each(lambda r: replace(r, stretches=change(r.stretches))))
    with pytest.raises(AssertionError, match=message.replace("END", r"\|im_end\|")):
        check_masks(wrong, groups=["mixed"], turn_end=END)


def test_an_unscored_rollout_may_be_left_out_of_the_loss(untrained):
    def left_out(rollout):
        if math.isnan(rollout.reward):
            return replace(rollout, stretches=[(t, False) for t, _ in rollout.stretches])
        return rollout

    check_masks(Wrong(Loop(untrained), each(left_out)), groups=["unscored"], turn_end=END)


# ----------------------------------------------------------------------------- its parts


def test_a_script_stops_who_goes_on_too_long():
    (case,) = cases(["paper"], ["half-is-enough"])
    script = Script(case)
    assert script.turn("half-is-enough", "a").endswith("<answer>red</answer>")
    with pytest.raises(
        AssertionError,
        match="group 'half-is-enough', rollout 0: asked for turn 2, but its episode is over after",
    ):
        script.turn("half-is-enough", "a")
    assert [script.place("half-is-enough", key) for key in "abcdefgh"] == list(range(8))
    with pytest.raises(AssertionError, match="a rollout too many speaks; it has 8"):
        script.turn("half-is-enough", "i")


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r"Unknown conformance settings 'papr'\. Did you mean"):
        cases(["papr"])
    with pytest.raises(ConfigError, match="Unknown conformance group"):
        check_rewards(Vector(), None, ["mixt"])


def test_a_case_can_be_played_by_a_process_that_knows_names_only(tmp_path):
    case = cases(["paper"])[0]
    source = open_source(case.write(tmp_path))
    assert list(source.ids()) == [group.name for group in case.groups]
    assert source.by_id("odd-sizes").references == ("red",)
    query = case.task().begin(source.by_id("mixed"))[0]
    query.apply("<think>clear</think><answer>red</answer>")
    assert Recorded().score([query.query()])[0].correct


def test_the_judge_has_a_name():
    from importlib.metadata import EntryPoint

    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    target = "trainers.conformance:Recorded"
    assert f'conformance = "{target}"' in pyproject
    assert make_judge(EntryPoint("conformance", target, "vt.judges").load()()).name == "conformance"


def test_stretches_are_cut_where_the_mask_changes():
    said = stretches([1, 2, 3, 4], [False, True, True, False], lambda ids: "".join(map(str, ids)))
    assert said == [("1", False), ("23", True), ("4", False)]
