"""TRL's model reads the tokens that the project's own agents read, for each family."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance_adapters import Words
from families import make, picture, save
from scripted import generated, sequences
from trl.chat_template_utils import is_chat_template_prefix_preserving, supports_tool_calling

from agents import rollout
from agents.base import Conversation
from agents.models import collate, score
from agents.models.loading import load_processor, load_vlm
from agents.transformers import TransformersAgent
from trainers.conformance import cases
from trainers.trl import grpo_trainer
from trainers.trl.environment import VisionThink, opener
from trainers.trl.processor import Processor
from vt_env import Answer, ConfigError, Sample, ToolCall, make_task
from vt_env.protocol import PRESETS
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


FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "glm4v", "glm46v"]


def played(trainer, turns):
    """TRL's rollouts, whose turns these are."""
    tokenizer = trainer.processing_class.tokenizer
    left = {}

    def say(environment):
        if id(environment) not in left:
            left[id(environment)] = iter(turns[len(left)])
        text = next(left[id(environment)])
        return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

    return generated(trainer, say)


def ids_of(batch):
    """The tokens of TRL's rollouts."""
    return [ids for ids, _ in sequences(batch)]


def log_probs_of(trainer, batch):
    """Those of the generated tokens, as TRL learns from them."""
    names = ("pixel_values", "image_grid_thw", "mm_token_type_ids", "num_images")
    with torch.no_grad():
        made, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
            batch["completion_ids"].shape[1],
            **{name: batch[name] for name in names},
        )
    return made[(batch["completion_mask"] * batch["tool_mask"]).bool()]


class Said(Words):
    """An agent that says the same."""

    def __init__(self, turns, vlm):
        super().__init__(cases()[0], vlm)
        self.left = [iter(mine) for mine in turns]
        self.script = self

    def turn(self, sample_id, row):
        return next(self.left[row])


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_rollouts_are_the_same_tokens_and_log_probabilities(family, settings, tmp_path):
    """Positions, kinds of tokens and padding are therefore those of the project's own pass."""
    path = save(make(family), tmp_path / family)
    marks = "Is this <|im_end|>, <|image_pad|> or <|image|>?"
    samples = [
        Sample("s", marks, ("one",), picture(96, 64)),
        Sample("t", "?", ("one",), picture(64, 64)),
    ]
    task = make_task(samples)
    vlm = load_vlm(path, dtype="float32", device="cpu")
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
    batch = played(trainer, TURNS * 2)
    assert ids_of(batch) == ours
    assert [len(e.replies) for e in episodes] == [1, 2, 2, 2] * 2
    vlm._penalty.zero_()  # TRL's loss knows no forbidden tokens
    lesson = collate(vlm, episodes)
    with torch.no_grad():
        expected = score(vlm, lesson).log_probs[lesson.mask]
    torch.testing.assert_close(log_probs_of(trainer, batch), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("family", ["qwen3_5", "glm4v"])
def test_its_greedy_turns_are_those_of_the_projects_agent(family, settings, tmp_path):
    """Prompts of different lengths are padded on the left, which a state would remember."""
    path = save(make(family), tmp_path / family)
    samples = [
        Sample("s", "Which of these is it, the first or the second?", ("one",), picture(96, 64)),
        Sample("t", "?", ("one",), picture(64, 64)),
    ]
    task = make_task(samples)
    agent = TransformersAgent(load_vlm(path, dtype="float32", device="cpu"), max_new_tokens=12)
    (first, second) = (task.begin(sample)[0] for sample in samples)
    ours = [
        [*reply.prompt_ids, *reply.token_ids]
        for dialogue in (first, second)
        for reply in agent.act([Conversation.of(dialogue, np.random.default_rng(0))]) * 2
    ]
    greedy = {"max_new_tokens": 12, "do_sample": False, "top_k": 1}
    trainer = grpo_trainer(path, task, settings(4, 2, generation_kwargs=greedy))
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert ids_of(batch) == ours
    assert len({tuple(ids) for ids in ours}) == 2


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
    assert ids_of(played(trainer, turns)) == ours
    assert [len(e.views) for e in episodes] == [4, 4, 4, 2]
    assert [e.outcome.truncated for e in episodes] == [False, False, True, False]


def test_a_turn_has_a_call_where_its_rollout_goes_on(tmp_path):
    path = save(make("qwen2_vl"), tmp_path / "qwen")
    sample = Sample("s", "?", ("one",), picture(96, 64))
    for name in PRESETS:
        task = make_task([sample], protocol=name, tokens="qwen2-vl")
        processor, grammar = Processor(load_processor(path)), task.protocol.grammar
        environment = VisionThink(opener(task), processor.speaking)

        def calls(text, processor=processor, environment=environment):
            environment.reset("s")
            ids = processor.base.tokenizer.encode(text, add_special_tokens=False)
            return "tool_calls" in processor.parse_turn(ids)

        goes_on = task.protocol.max_turns > 1
        assert not calls(grammar.write(Answer("one", "Clear.")))
        assert calls(grammar.write(ToolCall("a", {}, "Small."))) == goes_on
        assert calls("<think>Small.</think><tool_call>{}</tool_call>") == (
            goes_on and grammar.mark == "tool_call"
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
    with pytest.raises(ConfigError, match=r"'internvl'.*glm46v, glm4v, .*qwen3_5, qwen3_vl"):
        Processor(base)
