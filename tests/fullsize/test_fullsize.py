"""Released checkpoints with random weights, at their real widths: `make test-fullsize`.

Vocabulary, widths, processors and pictures are the real ones; only layers are cut, of the language
model to :data:`LAYERS` and of the vision tower to :data:`BLOCKS`.

vLLM is left out: its CPU build asks for another torch, so for an environment of its own, and for a
checkpoint on the disk. `make test-openrlhf` plays through it, with the tiny model; real widths were
never tried in it.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = pytest.mark.fullsize
torch = pytest.importorskip("torch")
if find_spec("dashscope") is None:
    pytest.skip("needs `make test-fullsize`", allow_module_level=True)

from families import TEMPLATES  # noqa: E402
from qwen_words import SPECIAL, ranks, words_of  # noqa: E402
from real_models import MODELS, config_of  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForImageTextToText,
    GenerationConfig,
    Qwen2VLImageProcessorPil,
)

from agents.base import Conversation, request_turn  # noqa: E402
from agents.models import collate, score  # noqa: E402
from agents.models.loading import FAMILIES, load_processor  # noqa: E402
from agents.models.transcript import Transcript  # noqa: E402
from agents.rollout import rollout  # noqa: E402
from agents.transformers import TransformersAgent  # noqa: E402
from trainers.config import ModelConfig  # noqa: E402
from trainers.local.policy import Adapters  # noqa: E402
from vt_env import Picture, Sample, make_task  # noqa: E402
from vt_env.errors import ConfigError  # noqa: E402
from vt_env.tokens import token_counter  # noqa: E402
from vt_env.vector import VisionThinkVectorEnv  # noqa: E402

LAYERS = {"qwen3_5": 4}
"""Of the language model; one of four layers of Qwen3.5 has full attention. Else 2."""
BLOCKS = 3
"""Of the vision tower; as many features for lower layers as Qwen3-VL has."""
NAMES = (
    "Qwen/Qwen2.5-VL-3B-Instruct",
    "Qwen/Qwen3-VL-2B-Instruct",
    "Qwen/Qwen3-VL-4B-Instruct",
    "Qwen/Qwen3.5-0.8B",
)
SIZES = [(640, 480), (1280, 960), (333, 1000), (2048, 2048)]
"""Pixels; the last is the recipes' bound."""
CALL = request_turn("The sign is too small.") + "<|im_end|>"
ANSWER = "<think>It says so.</think><answer>red</answer><|im_end|>"


def handled(name: str) -> bool:
    return MODELS[name]["model_type"] in FAMILIES.names()


@pytest.fixture(scope="module", params=[name for name in NAMES if handled(name)])
def vlm(request: pytest.FixtureRequest):
    """A model at its real widths, random, in float32: about two gigabytes."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    kind = MODELS[request.param]["model_type"]
    config = config_of(request.param, LAYERS.get(kind, 2), BLOCKS)
    model = AutoModelForImageTextToText.from_config(
        config, attn_implementation="sdpa", dtype=torch.float32
    ).eval()
    first = config.vision_start_token_id - SPECIAL.index("<|vision_start|>")
    words = words_of(first, TEMPLATES.get(kind, TEMPLATES["qwen3_vl"]))
    model.generation_config = GenerationConfig(
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id
    )
    known = MODELS[request.param]["pictures"]
    images = Qwen2VLImageProcessorPil(
        patch_size=known["patch_size"],
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": known["shortest_edge"], "longest_edge": known["longest_edge"]},
    )
    return FAMILIES.make(kind, model, words, images)


@pytest.mark.parametrize("name", NAMES)
def test_a_family_that_is_not_handled_is_refused_by_its_name(name: str, tmp_path) -> None:
    """Others are refused too, since here is no tokenizer."""
    config_of(name).save_pretrained(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_processor(tmp_path)
    assert ("nknown model type" in str(caught.value)) is not handled(name)


def test_the_vocabulary_is_qwens(vlm) -> None:
    """What is known of it from outside: its size, numbers of words, and that nothing is lost."""
    words, config = vlm.tokenizer, vlm.model.config
    assert len(ranks()) == 151_643
    assert words.convert_tokens_to_ids("<|image_pad|>") == config.image_token_id
    assert words.convert_tokens_to_ids("<|video_pad|>") == config.video_token_id
    assert words.convert_tokens_to_ids("<|vision_end|>") == config.vision_end_token_id
    assert words.encode("Hello world", add_special_tokens=False) == [9707, 1879]
    for text in ("Größe 12,5 cm", "图像里有什么？", '```{"name": "resize_image"}```\n\n  x'):
        assert words.decode(words.encode(text, add_special_tokens=False)) == text


def sample(size: tuple[int, int]) -> Sample:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Sample(f"{size[0]}x{size[1]}", "Which word is on the sign?", ("red",), pixels)


class Forced:
    """Asks, then answers; every token is forced, and read under the model."""

    name = "forced"

    def __init__(self, vlm) -> None:
        self.agent = TransformersAgent(vlm, temperature=1.0, max_new_tokens=80)

    def act(self, conversations: list[Conversation]):
        return self.agent.act(conversations, [ANSWER if c.turn else CALL for c in conversations])


def played(vlm, size: tuple[int, int], copies: int = 2):
    env = VisionThinkVectorEnv(copies, group_size=copies, data=[sample(size)])
    with torch.no_grad():
        return rollout(env, Forced(vlm), sample_ids=[sample(size).id])


@pytest.mark.parametrize("size", SIZES)
def test_both_views_have_their_tokens_and_positions(vlm, size) -> None:
    """Prompt, request and second view: tokens, features and positions are transformers' own."""
    task = make_task([sample(size)])
    (dialogue,) = task.begin(task.source[0])
    transcript = Transcript()
    transcript.prompt(vlm, dialogue.messages, dialogue.views)
    said = vlm.tokenizer.encode(CALL, add_special_tokens=False)
    dialogue.apply(CALL.removesuffix("<|im_end|>"))
    transcript.add_turn(CALL.removesuffix("<|im_end|>"), said)
    transcript.prompt(vlm, dialogue.messages, dialogue.views)
    assert [view.size for view in dialogue.views] == [(size[0] // 2, size[1] // 2), size]
    made = vlm.image_processor(images=[v.image for v in dialogue.views], return_tensors="pt")
    grids, ids = made["image_grid_thw"], torch.tensor([transcript.ids])
    counts = [int(grid.prod()) // 4 for grid in grids]
    assert counts == [vlm.count(view) for view in dialogue.views]
    assert int((ids == vlm.image_id).sum()) == sum(counts)
    text = vlm.tokenizer.apply_chat_template(
        dialogue.messages, tokenize=False, add_generation_prompt=True
    )
    mark = vlm.tokenizer.convert_ids_to_tokens(vlm.image_id)
    first, *rest = text.split(mark)
    whole = first + "".join(mark * n + part for n, part in zip(counts, rest, strict=True))
    assert transcript.ids == vlm.tokenizer.encode(whole, add_special_tokens=False)
    ours, _ = vlm.positions(transcript.ids, dialogue.views)
    theirs, _ = vlm.model.model.get_rope_index(
        input_ids=ids,
        image_grid_thw=grids,
        mm_token_type_ids=(ids == vlm.image_id).int(),
        attention_mask=torch.ones_like(ids),
    )
    assert np.array_equal(ours, theirs[:, 0].numpy())


def test_the_counters_are_the_processors(vlm) -> None:
    kind = "qwen2.5-vl" if vlm.image_processor.patch_size == 14 else "qwen3-vl"
    counter = token_counter(kind)
    for size in (*SIZES, (28, 28), (3000, 20), (5000, 4000)):
        grid = vlm.image_processor(images=[sample(size).image], return_tensors="pt")
        assert int(grid["image_grid_thw"].prod()) // 4 == counter.count(*size), size


def test_a_rollout_has_the_probabilities_of_one_plain_pass(vlm) -> None:
    """Turn by turn with a cache, in our batch, and by transformers from tokens and pixels."""
    episodes = played(vlm, (640, 480))
    batch = collate(vlm, episodes)
    with torch.no_grad():
        ours = score(vlm, batch).log_probs
        ids = [t for reply in episodes[0].replies for t in (*reply.prompt_ids, *reply.token_ids)]
        views = [view.image for view in episodes[0].views]
        made = vlm.image_processor(images=views, return_tensors="pt")
        sequence = torch.tensor([ids])
        vlm.model.model.rope_deltas = None
        plain = vlm.model(
            input_ids=sequence,
            attention_mask=torch.ones_like(sequence),
            mm_token_type_ids=(sequence == vlm.image_id).int(),
            **made,
        ).logits[0, :-1]
        plain[:, vlm.forbidden] = -1e9
        theirs = plain.log_softmax(-1).gather(1, sequence[0, 1:, None])[:, 0]
    at, expected = -1, []
    for reply in episodes[0].replies:
        at += len(reply.prompt_ids)
        expected += theirs[at : at + len(reply.token_ids)].tolist()
        at += len(reply.token_ids)
    assert ours[0][batch.mask[0]].tolist() == pytest.approx(expected, abs=2e-3)
    torch.testing.assert_close(ours, batch.old_log_probs, atol=2e-3, rtol=0)


def test_the_first_view_of_four_megapixels_has_features(vlm) -> None:
    """Through the whole vision tower that is left.

    The original has four times as many patches, 21,316 of 14 pixels. Where all of them attend to
    all others, a block takes 16 times as long: minutes on a CPU, and 29 GB where attention is not
    cut up. Its prompts, counts and positions are compared above, as those of all SIZES.
    """
    view = Picture(sample(SIZES[-1]).image).shrunk(0.5)
    with torch.no_grad():
        features = vlm.features([view])
    assert len(features.values) == vlm.count(view)
    assert bool(torch.isfinite(features.values).all())


def test_a_step_of_adapters_makes_what_was_rewarded_likelier(vlm) -> None:
    """Last: it changes the model."""
    batch = collate(vlm, played(vlm, (320, 240)))
    vlm.model.requires_grad_(False)
    adapters = Adapters(vlm.model, ModelConfig("random", lora_rank=4))
    learnt = [p for p in vlm.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=1e-3)
    before = score(vlm, batch).log_probs
    (-before[batch.mask].mean()).backward()
    norms = [float(p.grad.norm()) for p in learnt if p.grad is not None]
    assert len(norms) == len(learnt)
    assert all(np.isfinite(norms))
    assert max(norms) > 0
    optimiser.step()
    before = before.detach()
    with torch.no_grad():
        after = score(vlm, batch).log_probs
        with adapters.off():
            without = score(vlm, batch).log_probs
    assert float(after[batch.mask].mean()) > float(before[batch.mask].mean())
    torch.testing.assert_close(without, before, atol=1e-4, rtol=0)
