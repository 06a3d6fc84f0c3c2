"""The warm-up teaches the format and reading, and nothing about when to ask."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.models import VisionLanguageModel, load_vlm
from agents.tiny import WarmupConfig, warm_up
from agents.tiny.lessons import QUESTIONS, Teacher
from agents.tiny.measure import Pictures, measure
from agents.tiny.teaching import collate
from agents.tiny.warmup import WarmupError, _pictures
from vt_env.actions import Answer, ToolCall
from vt_env.errors import ConfigError
from vt_env.grammars import parse
from vt_env.sources.generated import GeneratedSource

FEW = WarmupConfig(reading=0, vision_steps=6, vision_batch=8, steps=12, batch=8)


def test_a_few_steps_lower_the_loss_and_give_the_same_checkpoint(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    first = warm_up(FEW, tmp_path / "one", seed=3, progress=lambda row: seen.append(dict(row)))
    assert [row["step"] for row in seen] == list(range(1, 19))
    assert seen[5]["head_loss"] < seen[0]["head_loss"]
    assert seen[-1]["loss"] < 0.9 * seen[6]["loss"]
    assert set(first) == {"loss", "head_loss", "rounds", "cpu_seconds"}
    again = warm_up(FEW, tmp_path / "two", seed=3)
    assert again["loss"] == first["loss"]
    one, two = (load_vlm(tmp_path / name).model.state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = warm_up(FEW, tmp_path / "three", seed=4)
    assert other["loss"] != first["loss"]


def test_it_goes_on_until_it_reads_and_says_so_where_it_does_not(tmp_path: Path) -> None:
    seen: list[float] = []
    never = replace(FEW, reading=1.0, rounds=2, steps=4)
    with pytest.raises(WarmupError, match=r"after 2 rounds of 4 steps 0\.\d+ of the validation"):
        warm_up(never, tmp_path / "never", progress=lambda row: seen.append(row["step"]))
    assert seen == list(range(1, 6 + 2 * 4 + 1))
    assert not (tmp_path / "never").exists()


def test_no_picture_is_seen_twice() -> None:
    parts = [list(_pictures(FEW, 0, number)) for number in (None, 0, 1)]
    ids = [sample.id for batches in parts for batch in batches for sample in batch]
    assert len(ids) == len(set(ids)) == 6 * 8 + 2 * 12 * 8


def test_lessons_are_conversations_of_the_environment(vlm: VisionLanguageModel) -> None:
    samples = list(GeneratedSource(3, split="train"))
    orders = [0, 1, 2, 3, 4], [3], [4, 0]
    made = map(Teacher(vlm).lesson, samples, ("direct", "request", "full"), orders)
    lessons = collate(vlm, *zip(*made, strict=True))
    pictures = [[4], [4, 16], [16]]
    for row, sizes in enumerate(pictures):
        assert int((lessons.ids[row] == vlm.image_id).sum()) == sum(sizes)
    assert lessons.shown == [0, 2, 3, 5], "the half size and the original of each, in turn"
    turns = [_turns(vlm, lessons.ids[row], lessons.weights[row]) for row in range(3)]
    assert [len(generated) for generated in turns] == [5, 2, 2]
    assert all(
        isinstance(a, Answer | ToolCall) and not a.flaws for generated in turns for a in generated
    )
    assert isinstance(turns[1][0], ToolCall)
    assert turns[1][1].text == samples[1].metadata["number"]
    assert turns[2][0].text == samples[2].metadata["texture"]


def _turns(vlm: VisionLanguageModel, ids: torch.Tensor, generated: torch.Tensor) -> list:
    turns: list[list[int]] = [[]]
    for token, by_policy in zip(ids.tolist(), generated.tolist(), strict=True):
        if by_policy:
            turns[-1].append(token)
        elif turns[-1]:
            turns.append([])
    return [parse(vlm.decode(turn)) for turn in turns if turn]


def test_each_question_is_asked_in_its_own_words() -> None:
    assert len(QUESTIONS) == len({kind.question for kind in QUESTIONS}) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"vision_batch": 0},
        {"questions": 6},
        {"request_share": 1.5},
        {"full_share": -0.1},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
    ],
)
def test_wrong_settings_are_refused(wrong) -> None:
    with pytest.raises(ConfigError):
        WarmupConfig(**wrong)


@pytest.mark.slow
def test_it_learns_the_format_before_anything_else(tmp_path: Path) -> None:
    warm_up(WarmupConfig(reading=0, vision_steps=100, vision_batch=32, steps=200), tmp_path, seed=0)
    measured = measure(load_vlm(tmp_path), Pictures(n=400))
    assert measured["well_formed"] > 0.9
    assert measured["accuracy_full"] > 0.4
    by_kind = [value for name, value in measured.items() if name.startswith("requests_")]
    assert np.ptp(by_kind) < 0.4
    assert 0.3 < measured["requests"] < 0.7
