"""TRL's model reads the tokens that the project's own agents read, for each family."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from conformance_adapters import Words
from families import make, picture, save
from scripted import generated, sequences
from trl.chat_template_utils import is_chat_template_prefix_preserving, supports_tool_calling

from agents import rollout
from agents.models.loading import load_processor
from trainers.conformance import cases
from trainers.trl import grpo_trainer
from trainers.trl.processor import Processor
from vt_env import Answer, ConfigError, Sample, ToolCall, make_task
from vt_env.protocol import PRESETS, make_protocol
from vt_env.vector import VisionThinkVectorEnv

CALL = (
    '<think>Small.</think>\n<tool_call>{"name": "resize_image", "arguments": {"action": "resize"}}'
)
TURNS = [
    ["<think>Clear.</think>\n<answer>one</answer>"],
    [CALL + "</tool_call>", "<think>Now.</think><answer>one</answer>"],
    [CALL.replace("resize_image", "zoom") + "</tool_call>", "<answer>two</answer>"],
    [CALL, "no tags"],
]


def played(trainer, turns):
    """The tokens of TRL's rollouts, whose turns these are."""
    tokenizer = trainer.processing_class.tokenizer
    left = {}

    def say(environment):
        if id(environment) not in left:
            left[id(environment)] = iter(turns[len(left)])
        text = next(left[id(environment)])
        return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

    return [ids for ids, _ in sequences(generated(trainer, say))]


class Said(Words):
    """An agent that says the same."""

    def __init__(self, turns, vlm):
        super().__init__(cases()[0], vlm)
        self.left = [iter(mine) for mine in turns]
        self.script = self

    def turn(self, sample_id, row):
        return next(self.left[row])


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_whole_rollouts_are_the_same_tokens(family, settings, tmp_path):
    path = save(make(family), tmp_path / family)
    marks = "Is this <|im_end|> or <|image_pad|>?"
    samples = [
        Sample("s", marks, ("one",), picture(96, 64)),
        Sample("t", "?", ("one",), picture(64, 64)),
    ]
    task = make_task(samples)
    vlm = load_processor(path)
    processor = Processor(load_processor(path))
    assert supports_tool_calling(processor)
    assert is_chat_template_prefix_preserving(processor)
    trainer = grpo_trainer(path, task, settings(8, 4, max_completion_length=4000))
    env = VisionThinkVectorEnv(8, group_size=4, data=task)
    agent = Said(TURNS * 2, vlm)
    agent.ids = ["s"] * 4 + ["t"] * 4
    episodes = rollout(env, agent, sample_ids=["s", "t"])
    ours = [
        [token for reply in e.replies for token in (*reply.prompt_ids, *reply.token_ids)]
        for e in episodes
    ]
    assert played(trainer, TURNS * 2) == ours
    assert [len(e.replies) for e in episodes] == [1, 2, 2, 2] * 2


def test_several_calls_pictures_and_an_end_over_budget_are_the_same_tokens(settings, tmp_path):
    """Two pictures, two parts in one turn, and a call in the last turn, which is truncated."""
    path = save(make("qwen2_vl"), tmp_path / "qwen")
    two = Sample("s", "?", ("one",), picture(96, 64), more_images=(picture(64, 64),))
    rules = {"protocol": "chain-of-focus", "max_turns": 3, "tokens": "qwen2-vl"}
    task, vlm = make_task([two], **rules), load_processor(path)
    write = task.protocol.grammar.write
    part = ToolCall("image_zoom_in_tool", {"bbox_2d": [0, 0, 40, 40]}, "Small.")
    turns = [
        [write(replace(part, also=(part,))), write(Answer("one", "Now."))],
        [write(part), write(part), write(Answer("one", "Now."))],
        [write(part)] * 3,
        [write(Answer("two", "Clear."))],
    ]
    trainer = grpo_trainer(path, task, settings(4, 4, max_completion_length=8000))
    agent = Said(turns, vlm)
    agent.ids = ["s"] * 4
    env = VisionThinkVectorEnv(4, group_size=4, data=task)
    episodes = rollout(env, agent, sample_ids=["s"])
    ours = [
        [token for reply in e.replies for token in (*reply.prompt_ids, *reply.token_ids)]
        for e in episodes
    ]
    assert played(trainer, turns) == ours
    assert [len(e.views) for e in episodes] == [4, 4, 4, 2]
    assert [e.outcome.truncated for e in episodes] == [False, False, True, False]


def test_a_turn_has_a_call_where_the_protocol_reads_one(tmp_path):
    path = save(make("qwen2_vl"), tmp_path / "qwen")
    for name in PRESETS:
        grammar = make_protocol(name).grammar
        processor = Processor(load_processor(path), grammar)

        def calls(text, processor=processor):
            ids = processor.base.tokenizer.encode(text, add_special_tokens=False)
            return "tool_calls" in processor.parse_turn(ids)

        assert not calls(grammar.write(Answer("one", "Clear.")))
        assert calls(grammar.write(ToolCall("a", {}, "Small.")))
        assert calls("<think>Small.</think><tool_call>{}</tool_call>") == (
            grammar.mark == "tool_call"
        )


def test_a_checkpoint_that_trl_saves_has_the_words_that_it_came_with(untrained, tmp_path):
    base = load_processor(untrained)
    Processor(base).save_pretrained(tmp_path)
    shutil.copy(untrained / "config.json", tmp_path)
    again = load_processor(tmp_path)
    assert again.tokenizer.chat_template == load_processor(untrained).tokenizer.chat_template
    assert again.tokenizer.response_template is None
    assert again.counter == base.counter


def test_other_lines_are_refused(tmp_path):
    base = load_processor(save(make("internvl"), tmp_path / "internvl"))
    with pytest.raises(ConfigError, match=r"Unknown model type for the trainer 'trl' 'internvl'"):
        Processor(base)
