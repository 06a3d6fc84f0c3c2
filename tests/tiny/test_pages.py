"""The pages policy: its words, its lessons, its warm-up, and what is measured of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agents.models import load_vlm
from agents.rollout import rollout
from agents.tiny.checkpoint import save
from agents.tiny.pages.dense import (
    COLUMNS,
    HEADS,
    LETTERS,
    SLOTS,
    UNASKED,
    DenseHeads,
    Frame,
    targets,
)
from agents.tiny.pages.learner import Learner, PagesConfig, join_pictures
from agents.tiny.pages.lessons import FORMS, Teacher, jittered
from agents.tiny.pages.measure import BARS, measure
from agents.tiny.pages.model import make_vlm
from agents.tiny.pages.muon import Muon
from agents.tiny.pages.sheets import sheet
from agents.tiny.pages.words import (
    BLURRY,
    CLEAR,
    EDGES,
    LABELS,
    VALUES,
    answer_said,
    edges_said,
    make_tokenizer,
    resize_said,
    zoom_said,
)
from agents.tiny.pages.zoom import GRID, TOKEN, PagesAgent, Pointed, steps, window
from agents.tiny.teaching import collate
from vt_env.actions import Answer, ToolCall
from vt_env.env import VisionThinkEnv
from vt_env.grammars import parse
from vt_env.pictures import Picture
from vt_env.regions import Box
from vt_env.sources.pages import KINDS, PagesSource, Recipe, page_at
from vt_env.vector import VisionThinkVectorEnv

FEW = PagesConfig(steps=4, seeing=2, batch=2, rise=1, processes=1, exam=2, every=4, minutes=0.0)


@pytest.fixture(scope="module")
def vlm():
    return make_vlm(0)


def page(index: int = 0):
    return page_at(("form", "receipt"), Recipe(), 0, "train", index)


@pytest.mark.parametrize(
    "said",
    [answer_said("12.50"), resize_said(), *(zoom_said([0, 7, 33, EDGES], x) for x in LABELS)],
)
def test_what_the_policy_says_is_well_formed_and_comes_back_from_its_tokens(said: str) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer.encode(said, add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == said
    action = parse(said)
    assert isinstance(action, Answer | ToolCall)
    assert not action.flaws


def test_a_box_is_read_back_as_it_was_written() -> None:
    for edge in range(EDGES + 1):
        assert edges_said(zoom_said([edge, 0, EDGES, edge], "TAX")) == [edge, 0, EDGES, edge]
    assert edges_said("<answer>5</answer>") is None


def test_every_question_about_forms_and_receipts_is_known() -> None:
    tokenizer = make_tokenizer()
    for kind in ("form", "receipt"):
        for wording in KINDS[kind].wordings:
            for label in LABELS:
                assert tokenizer.unk_token_id not in tokenizer.encode(wording.format(label))


def test_the_system_turn_says_which_tools_there_are_and_no_more() -> None:
    tokenizer = make_tokenizer()

    def opened(system: object) -> str:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "TIME?"}]
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    blocks = [{"type": "text", "text": 'all about {"name": "image_zoom_in_tool"}'}]
    assert opened(blocks).startswith("<|im_start|>system\nimage_zoom_in_tool<|im_end|>\n<|im_st")
    assert opened("You are a helpful assistant.").startswith("<|im_start|>user\n")


def test_windows_hold_their_box_in_whole_visual_tokens() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        wide, high = rng.integers(112, 900, 2)
        left, top = rng.uniform(0, wide - 30), rng.uniform(0, high - 20)
        box = Box(left, top, rng.uniform(left + 1, wide), rng.uniform(top + 1, high))
        around = window(box, int(wide), int(high))
        for begin, end, side in ((0, 2, wide), (1, 3, high)):
            inside = around[end] < side
            assert around[begin] % GRID == 0 or not inside
            assert (around[end] - around[begin]) % TOKEN == 0 or not inside
        assert 0 <= around[0] <= box.left
        assert 0 <= around[1] <= box.top
        assert box.right <= around[2] <= wide
        assert box.bottom <= around[3] <= high


def test_the_tool_shows_the_pixels_of_the_window() -> None:
    source = PagesSource(6, kinds="form+receipt")
    env = VisionThinkEnv(data=source, prompt="tiny", tokens="qwen2.5-vl", protocol="zoom")
    for sample_id in source.ids():
        env.reset(options={"sample_id": sample_id})
        sample = source.by_id(sample_id)
        around = window(sample.answer_box, 224, 224)
        said = zoom_said(steps(around, 224, 224), sample.metadata["names"][0])
        observation, _, terminated, _, _ = env.step(said)
        left, top, right, bottom = around
        assert not terminated
        assert np.array_equal(observation["image"], sample.image[top:bottom, left:right])


def test_pictures_seen_together_are_seen_as_one_by_one() -> None:
    vlm = make_vlm(1)
    rng = np.random.default_rng(0)
    sizes = [(224, 224)] * 2 + [(112, 112)] * 3 + [(56, 84), (84, 56)]
    views = [Picture(rng.integers(0, 256, (h, w, 3), np.uint8)).original for h, w in sizes]
    with torch.no_grad():
        one_by_one = vlm.features(views).values
        join_pictures(vlm)
        together = vlm.features(views).values
    torch.testing.assert_close(together, one_by_one, atol=1e-5, rtol=1e-5)


def test_dense_lessons_say_where_each_character_stands() -> None:
    for index in range(6):
        made, _ = page(index)
        truth = targets(made, Frame(0, 0, 1, 1, 8, 8))
        for entry in made.entries:
            for x, y in entry.value.centres:
                token = int(y // TOKEN) * 8 + int(x // TOKEN)
                assert truth.owner[token] == LABELS.index(entry.names[0])
                assert truth.small[token] == (entry.print == "small")
                slot = int(y % TOKEN / 14) * COLUMNS + int(x % TOKEN / (TOKEN / COLUMNS))
                assert truth.value[token, slot] > 0
                np.testing.assert_allclose(
                    truth.place[token, :4] * 224, entry.value.box.edges, rtol=1e-5
                )
        standing = ~np.isnan(truth.place[:, 0])
        assert np.array_equal(standing, truth.owner != len(LABELS))


def test_small_print_is_not_asked_for_at_half_size() -> None:
    for index in range(6):
        made, _ = page(index)
        truth = targets(made, Frame(0, 0, 0.5, 0.5, 4, 4))
        standing: dict[str, set[int]] = {"small": set(), "large": set()}
        for entry in made.entries:
            cells = {int(y // 56) * 4 + int(x // 56) for x, y in entry.value.centres}
            standing[entry.print] |= cells
        for token in standing["small"] - standing["large"]:
            assert (truth.value[token] == UNASKED).all()
        for token in standing["large"] - standing["small"]:
            assert (truth.value[token] > 0).any()


def test_a_crop_knows_its_subject_and_whose_label_it_cannot_see() -> None:
    made, _ = page(2)
    left, top, right, bottom = window(made.entries[1].value.box, 224, 224)
    frame = Frame(left, top, 1, 1, (right - left) // 28, (bottom - top) // 28, subject=1)
    truth = targets(made, frame)
    assert (truth.subject == 1).any()
    assert np.isnan(truth.place).all()
    label = made.entries[1].label
    assert label is not None
    if not all(frame.cell(x, y) for x, y in label.centres):
        assert (truth.owner[truth.subject == 1] == UNASKED).all()


def test_sheets_are_full_of_print() -> None:
    for halved in (True, False):
        view, truth = sheet(Recipe(), np.random.default_rng(1), halved=halved)
        assert view.size == (112, 112)
        assert (truth.value > 0).sum() + (truth.label > 0).sum() > 25


def test_the_heads_learn_from_what_is_asked_alone() -> None:
    heads = DenseHeads(8)
    made, _ = page()
    truth = targets(made, Frame(0, 0, 1, 1, 8, 8))
    losses = heads(torch.randn(64, 8), [truth])
    assert losses.keys() == HEADS.keys()
    assert losses["subject"] == 0, "the whole page has no subject"
    assert all(torch.isfinite(loss) and loss >= 0 for loss in losses.values())
    assert heads.read.out_features == SLOTS * (len(VALUES) + len(LETTERS) + 2) + len(LABELS) + 20


def test_steps_are_those_of_torchs_own_optimizer() -> None:
    torch.manual_seed(0)
    firsts = [torch.randn(shape) for shape in ((8, 24), (24, 8), (8, 24), (16, 16))]
    ours, theirs = ([torch.nn.Parameter(first.clone()) for first in firsts] for _ in range(2))
    theirs_own = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for optimizer, parameters in ((Muon(ours, lr=0.01), ours), (theirs_own, theirs)):
        torch.manual_seed(1)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
            parameters[2].grad = None
            optimizer.step()
    for mine, other, first in zip(ours, theirs, firsts, strict=True):
        moved = (mine - first).norm()
        assert (mine - other).norm() <= 0.02 * moved, "theirs is in bfloat16"
    assert torch.equal(ours[2], firsts[2])


def test_lessons_are_conversations_of_the_environment(vlm) -> None:
    """Their tokens are those that the environment's own turns give, up to the first answer."""
    source = PagesSource(12, split="train", kinds="form+receipt")
    teacher = Teacher(vlm)
    for form, task in {
        "zoom": {"protocol": "zoom"},
        "resize": {},
        "plain": {"protocol": "general"},
    }.items():
        env = VisionThinkVectorEnv(1, data=source, prompt="tiny", tokens="qwen2.5-vl", **task)
        for index in range(12):
            made, rng = page_at(source.kinds, source.recipe, 0, "train", index)
            prepared = teacher.prepare(made, rng)
            if form not in prepared.forms:
                continue
            lesson = prepared.lessons[prepared.forms.index(form)]
            begin = next(i for i, weight in enumerate(lesson.weights) if weight)
            env.reset(options={"sample_ids": [source.ids()[index]]})
            dialogue = env.dialogue(0)
            views = dialogue.views
            opening = vlm.chat.opening(dialogue.messages, [vlm.count(view) for view in views])
            asked = [made.entries[i].names[0] for i in range(len(made.entries))]
            text = vlm.tokenizer.decode(lesson.ids[:begin])
            label = next(name for name in asked if name in text.rpartition("<|vision_end|>")[2])
            question = KINDS[made.kind].wordings
            assert any(wording.format(label) in text for wording in question)
            ours = vlm.tokenizer.decode(opening)
            assert text.partition("<|vision_end|>")[0] == ours.partition("<|vision_end|>")[0]
            turns = said_turns(vlm, lesson.ids, lesson.weights)
            actions = [parse(turn) for turn in turns]
            assert all(isinstance(a, Answer | ToolCall) and not a.flaws for a in actions)
            answers = [a.text for a in actions if isinstance(a, Answer)]
            assert sorted(answers) == sorted(entry.value.words for entry in made.entries)


def said_turns(vlm, ids: list[int], weights: list[float]) -> list[str]:
    turns: list[list[int]] = [[]]
    for token, weight in zip(ids, weights, strict=True):
        if weight:
            turns[-1].append(token)
        elif turns[-1]:
            turns.append([])
    return [vlm.decode(turn) for turn in turns if turn]


def test_before_a_thought_the_language_model_learns_how_small_the_print_is(vlm) -> None:
    """Else reinforcement learning would have to teach it to see that: 40 steps were too few."""
    learner = Learner(FEW, 0)
    learner.step = FEW.seeing
    deciding, asked, thought = learner.heads.deciding, [], learner.vlm.tokenizer.encode
    hidden_of = learner.vlm.hidden

    def noting(states, small):
        asked.append((states, small.tolist()))
        return deciding(states, small)

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def hidden(ids, positions, **more):
        seen.append((ids, hidden_of(ids, positions, **more)))
        return seen[-1][1]

    learner.heads.deciding = noting
    learner.vlm.hidden = hidden
    losses = learner.losses(range(4))
    thoughts = set(thought(CLEAR) + thought(BLURRY))
    assert len(asked) == len(seen) == 2, "for both tools"
    for (states, small), (ids, every) in zip(asked, seen, strict=True):
        assert len(states) == len(small) > 2
        for state in states:
            (row, at) = (every == state).all(-1).nonzero()[0].tolist()
            assert ids[row, at + 1].item() in thoughts
    assert {size for _, small in asked for size in small} == {0, 1}
    (losses["decided/zoom"] + losses["decided/page"]).backward()
    assert learner.heads.decide.weight.grad.abs().sum() > 0


def test_the_language_model_learns_where_to_look_from_the_token_that_names_what_for(vlm) -> None:
    """Before there was this lesson, it wrote the most common row."""
    learner = Learner(FEW, 0)
    learner.step = FEW.seeing
    finding, named, boxes = learner.heads.finding, [], []

    def noting(states, asked):
        boxes.extend(asked.tolist())
        named.append(states)
        return finding(states, asked)

    learner.heads.finding = noting
    losses = learner.losses(range(4))
    prepared = learner.prepared("train", range(4), None)
    wanted = []
    for index, made in enumerate(prepared):
        entries = page_at(("form", "receipt"), Recipe(), 0, "train", index)[0].entries
        for said in said_turns(vlm, made.lessons[0].ids, made.lessons[0].weights):
            if (edges := edges_said(said)) is not None:
                wanted.append([edge / EDGES for edge in edges])
                assert sum(f'"{entry.names[0]}", "bbox_2d": [' in said for entry in entries) == 1
    assert boxes == pytest.approx(np.array(wanted))
    losses["found"].backward()
    assert learner.heads.find.weight.grad.abs().sum() > 0
    (states,) = named
    assert len(states) == len(boxes) > 2


def test_whether_a_lesson_asks_has_nothing_to_do_with_print(vlm) -> None:
    teacher, calls = Teacher(vlm), {"small": [], "large": []}
    for index in range(60):
        made, rng = page(index)
        prepared = teacher.prepare(made, rng)
        for turn in prepared.lessons[0].turns:
            if turn.what in ("box", "half"):
                calls[turn.print].append(turn.what == "box")
    for said in calls.values():
        assert abs(np.mean(said) - 0.5) < 4 * 0.5 / len(said) ** 0.5


def test_a_batch_shows_each_lesson_its_own_pictures(vlm) -> None:
    teacher = Teacher(vlm)
    prepared = [teacher.prepare(*page(index)) for index in range(3)]
    for form in range(len(FORMS)):
        batch = collate(vlm, [p.lessons[form] for p in prepared], [p.views for p in prepared])
        views = [view for made in prepared for view in made.views]
        tokens = sum(vlm.count(views[view]) for view in batch.shown)
        assert int((batch.ids == vlm.image_id).sum()) == tokens
        assert batch.weights[:, 0].eq(0).all()


def test_a_checkpoint_loads_as_a_stock_model(vlm, tmp_path: Path) -> None:
    loaded = load_vlm(save(vlm, tmp_path, torch.bfloat16))
    assert loaded.model.dtype == torch.float32, "small in the file, and computed exactly"
    assert type(loaded.model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert loaded.tokenizer.get_vocab() == vlm.tokenizer.get_vocab()
    assert loaded.tokenizer.chat_template == vlm.tokenizer.chat_template
    assert (loaded.image_processor.patch_size, loaded.image_processor.merge_size) == (14, 2)
    ours, theirs = vlm.model.state_dict(), loaded.model.state_dict()
    assert all(torch.equal(ours[name].bfloat16().float(), theirs[name]) for name in ours)
    assert sum(p.numel() for p in loaded.model.parameters()) < 2_100_000


def test_the_policy_plays_the_environment_and_is_measured(vlm) -> None:
    figures = measure(vlm, n=6, batch=6)
    assert {bar.figure for bar in BARS} < figures.keys()
    assert BARS[0].reached(0.98)
    assert not BARS[0].reached(0.979)


def test_a_lesson_s_crop_holds_its_whole_value() -> None:
    moved = 0
    for index in range(60):
        page, rng = page_at(("form", "receipt"), Recipe(), 0, "train", index)
        for entry in page.entries:
            box = entry.value.box
            around = window(box, 224, 224)
            for _ in range(10):
                left, top, right, bottom = made = jittered(around, box, 224, 224, rng)
                moved += made != around
                assert max(left, box.left) <= max(around[0], box.left)
                assert max(top, box.top) <= max(around[1], box.top)
                assert min(right, box.right) >= min(around[2], box.right)
                assert min(bottom, box.bottom) >= min(around[3], box.bottom)
    assert moved > 200


def test_a_pointed_policy_is_shown_the_truth(vlm) -> None:
    source = PagesSource(4, kinds="form")
    env = VisionThinkVectorEnv(
        4, data=source, prompt="tiny", tokens="qwen2.5-vl", judge="exact", protocol="zoom"
    )
    for episode in rollout(env, Pointed(PagesAgent(vlm)), sample_ids=source.ids()):
        left, top, right, bottom = window(episode.sample.answer_box, 224, 224)
        shown = np.asarray(episode.sample.image)[top:bottom, left:right]
        assert isinstance(episode.views[1].image, Image.Image)
        assert np.array_equal(episode.views[1].array, shown)
