"""Counts that a checkpoint's processor tells are those of what it makes."""

import pickle
import re
from pathlib import Path

import pytest
from families import tokenizer
from PIL import Image

from vt_env import ConfigError, make_protocol, token_counter

SIZES = [(640, 480), (64, 64), (300, 1200), (1500, 1500)]


def saved(name: str, place: Path) -> Path:
    """A processor of a family that this project has no geometry of, with its usual settings.

    Those that need no torchvision: tiles with marks between them, a grid of crops, one size.
    """
    import transformers

    kind, images, settings, marks = {
        "idefics3": ("Idefics3Processor", "Idefics3ImageProcessorPil", {}, {}),
        "llava-next": (
            "LlavaNextProcessor",
            "LlavaNextImageProcessorPil",
            {"patch_size": 14, "vision_feature_select_strategy": "default",
             "num_additional_image_tokens": 1},
            {"image_token": "<image>"},
        ),
        "aya-vision": (
            "AyaVisionProcessor",
            "GotOcr2ImageProcessorPil",
            {"patch_size": 14, "downsample_factor": 2},
            {"patch": "<|IMG_PATCH|>", "start": "<|START_OF_IMG|>", "end": "<|END_OF_IMG|>",
             "whole": "TILE_GLOBAL", **{f"tile{i}": f"TILE_{i}" for i in range(1, 13)}},
        ),
        "gemma3": (
            "Gemma3Processor",
            "Gemma3ImageProcessorPil",
            {},
            {"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>"},
        ),
    }[name]  # fmt: skip
    words = tokenizer("qwen2_5_vl")
    words = type(words)(
        tokenizer_object=words.backend_tokenizer,
        pad_token=words.pad_token,
        extra_special_tokens=marks,
        model_max_length=100_000,
    )
    sides = {"size": {"height": 364, "width": 364}} if name == "aya-vision" else {}
    made = getattr(transformers, kind)(
        image_processor=getattr(transformers, images)(**sides), tokenizer=words, **settings
    )
    made.save_pretrained(place / name)
    return place / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processors")


@pytest.fixture(scope="module")
def folder(place: Path) -> Path:
    return saved("idefics3", place)


TEXT = {"gemma3": "<boi>"}
"""What stands for a picture in a text; ``<image>`` where nothing is said."""
COUNTED = {
    "idefics3": r"<image>|<fake_token_around_image>|<row_\d+_col_\d+>|<global-img>|\n+",
    "llava-next": "<image>",
    "aya-vision": r"<\|\w+\|>|TILE_\w+?(?=<)",
    "gemma3": "<image>",
}
"""What of a text are visual tokens: of a picture cut into tiles, the marks between them too."""


@pytest.mark.parametrize("name", COUNTED)
def test_as_many_as_the_real_processor_writes(place: Path, name: str) -> None:
    """What it makes of a picture's pixels and a text with it, token by token."""
    from transformers import AutoProcessor

    processor, found = AutoProcessor.from_pretrained(folder := saved(name, place)), []
    counter = token_counter(f"hf:{folder}")
    for size in SIZES:
        made = processor(images=[[Image.new("RGB", size)]], text=[TEXT.get(name, "<image>")])
        written = re.findall(COUNTED[name], processor.tokenizer.decode(made["input_ids"][0]))
        found.append((counter.count(*size), len(written)))
    more = name == "idefics3"  # transformers counts a line break more
    assert all(0 <= told - real <= more for told, real in found), found
    assert (len(set(found)) == 1) == (name == "gemma3"), found


def test_it_counts_for_a_protocol_and_travels(folder: Path) -> None:
    counter = pickle.loads(pickle.dumps(token_counter(f"hf:{folder}")))
    assert counter == token_counter(f"hf:{folder}")
    protocol = make_protocol("adaptvision", tokens=counter)
    assert protocol.tokens.count(640, 480) == counter.count(640, 480)
    with pytest.raises(ConfigError, match="give space='view'"):
        make_protocol("deepeyes", tokens=counter, tools=[{"space": "model"}])


def test_folders_without_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="found none"):
        token_counter("hf:nowhere")
    with pytest.raises(ConfigError, match="no processor to load"):
        token_counter(f"hf:{tmp_path}")

    def lacking(*_: object, **__: object) -> None:
        raise ImportError("\nSomeVideoProcessor requires the Torchvision library")

    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", lacking)
    with pytest.raises(ConfigError, match=r"no processor to load: SomeVideo.* requires the Torchv"):
        token_counter(f"hf:{tmp_path}")
