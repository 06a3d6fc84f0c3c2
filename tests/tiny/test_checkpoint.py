"""The checkpoint is a stock Qwen2.5-VL that the Auto classes of transformers load."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.utils import is_torchvision_available

from agents.models import VisionLanguageModel, load_vlm
from agents.models.qwen import patches, positions
from agents.tiny import TinyConfig, make_vlm
from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.tokens import FAMILIES


def view(width: int, height: int, seed: int = 0) -> View:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return View(Image.fromarray(pixels), "original")


def test_it_loads_through_the_auto_classes(vlm: VisionLanguageModel, folder: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(model) is Qwen2_5_VLForConditionalGeneration
    for name, weight in vlm.model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name]), name
    assert model.generation_config.eos_token_id == vlm.tokenizer.eos_token_id
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "<think>clear</think><answer>top left</answer><|im_end|> anything ü 0"
    assert tokenizer.encode(text) == vlm.tokenizer.encode(text)
    assert tokenizer.chat_template == vlm.tokenizer.chat_template
    assert tokenizer.pad_token_id == vlm.tokenizer.pad_token_id


def test_the_image_processor_loads_through_its_auto_class(folder: Path) -> None:
    try:
        processor = AutoImageProcessor.from_pretrained(folder)
    except ImportError:
        pytest.skip("this version of transformers needs torchvision for it")
    assert processor(view(32, 32).image)["image_grid_thw"].tolist() == [[1, 8, 8]]


@pytest.mark.skipif(not is_torchvision_available(), reason="videos need torchvision")
def test_the_processor_loads_where_torchvision_is(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    made = processor(text=["<|image_pad|>"], images=[view(32, 32).image], return_tensors="pt")
    assert made["input_ids"].shape == (1, 16)


def test_sizes_are_those_that_vllm_takes(vlm: VisionLanguageModel) -> None:
    text, vision = vlm.model.config.text_config, vlm.model.config.vision_config
    assert text.hidden_size // text.num_attention_heads == 32
    assert sum(text.rope_parameters["mrope_section"]) == 16
    assert vision.window_size // vision.spatial_merge_size // vision.patch_size >= 1
    assert 250_000 < vlm.model.num_parameters() < 500_000


def test_visual_tokens_are_those_that_the_environment_counts(vlm: VisionLanguageModel) -> None:
    views = [view(16, 16), view(32, 32), view(48, 24), view(19, 33)]
    starts = vlm.features(views).starts
    counts = [after - before for before, after in pairwise(starts)]
    assert counts == [FAMILIES["tiny"].count(*v.size) for v in views]
    assert counts[:2] == [4, 16]


@pytest.mark.parametrize("sizes", [[(32, 32)] * 3, [(16, 16), (32, 32), (16, 16), (40, 8)]])
def test_the_fast_path_makes_the_processors_patches(vlm: VisionLanguageModel, sizes) -> None:
    views = [view(*size, seed) for seed, size in enumerate(sizes)]
    made, grids = patches(vlm.image_processor, views)
    expected = vlm.image_processor([v.image for v in views], return_tensors="pt")
    torch.testing.assert_close(made, expected["pixel_values"])
    assert torch.equal(grids, expected["image_grid_thw"])


def test_a_processor_that_cuts_otherwise_is_noticed(vlm: VisionLanguageModel) -> None:
    class Other:
        def __getattr__(self, name: str) -> object:
            return getattr(vlm.image_processor, name)

        def __call__(self, images: list, **settings: object) -> object:
            return vlm.image_processor([image.resize((64, 64)) for image in images], **settings)

    with pytest.raises(ConfigError, match=r"\[\[1, 16, 16\]\] patches where \[\[1, 8, 4\]\]"):
        patches(Other(), [view(19, 33)])


def test_positions_are_the_models_own(vlm: VisionLanguageModel) -> None:
    grids = [(2, 2), (4, 4), (1, 5), (3, 2)]
    ids = [9]
    for rows, columns in grids:
        ids += [vlm.image_id] * (rows * columns) + [7, 8]
    made, after = positions(ids, vlm.image_id, grids)
    sequence = torch.tensor([ids])
    expected, _ = vlm.model.model.get_rope_index(
        sequence,
        mm_token_type_ids=(sequence == vlm.image_id).int(),
        image_grid_thw=torch.tensor([[1, 2 * r, 2 * c] for r, c in grids]),
    )
    assert np.array_equal(made, expected[:, 0].numpy())
    assert after == made.max() + 1
    first, middle = positions(ids[:6], vlm.image_id, grids[:1])
    rest, end = positions(ids[6:], vlm.image_id, grids[1:], middle)
    assert np.array_equal(np.hstack([first, rest]), made)
    assert end == after


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one, same, other = (make_vlm(seed=seed).model.lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"width": 48}, "multiple of 32"),
        ({"inner": 0}, "inner must be"),
        ({"scale": float("nan")}, "deviation must be above 0 and scale"),
        ({"patch_scale": -1.0}, "patch_scale must be"),
        ({"family": "tny"}, "Did you mean 'tiny'"),
    ],
)
def test_wrong_sizes_are_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TinyConfig(**wrong)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        load_vlm(tmp_path / "absent")
    with pytest.raises(ConfigError, match="no model can be read"):
        load_vlm(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match=r"Unknown model type 'bert'.*qwen2_5_vl"):
        load_vlm(tmp_path)
