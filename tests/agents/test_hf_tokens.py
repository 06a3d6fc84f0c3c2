"""Counts that a checkpoint's processor tells are those of what it makes."""

import pickle
import re
from pathlib import Path

import pytest
from families import tokenizer
from PIL import Image

from vt_env import ConfigError, make_protocol, token_counter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processor of a family that this project has no geometry of."""
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    place = tmp_path_factory.mktemp("idefics3")
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(), tokenizer=tokenizer("qwen2_5_vl")
    )
    processor.save_pretrained(place)
    return place


MARKS = re.compile(r"<image>|<fake_token_around_image>|<row_\d+_col_\d+>|<global-img>|\n+")


@pytest.mark.parametrize("size", [(640, 480), (64, 64), (300, 1200), (1500, 1500)])
def test_as_many_as_the_real_processor_writes(folder: Path, size: tuple[int, int]) -> None:
    """With the marks around tiles, which that family writes as tokens of their own."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    made = processor(images=[[Image.new("RGB", size)]], text=["<image>"])
    written = MARKS.findall(processor.tokenizer.decode(made["input_ids"][0]))
    told = token_counter(f"hf:{folder}").count(*size)
    assert abs(told - len(written)) <= 1  # transformers counts a line break more
    assert written.count("<image>") == pytest.approx(told, rel=0.02)


def test_it_counts_for_a_protocol_and_travels(folder: Path) -> None:
    counter = pickle.loads(pickle.dumps(token_counter(f"hf:{folder}")))
    assert counter == token_counter(f"hf:{folder}")
    protocol = make_protocol("adaptvision", tokens=counter)
    assert protocol.tokens.count(640, 480) == counter.count(640, 480)
    with pytest.raises(ConfigError, match="give space='view'"):
        make_protocol("deepeyes", tokens=counter, tools=[{"space": "model"}])


def test_folders_without_a_processor(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        token_counter("hf:nowhere")
    with pytest.raises(ConfigError, match="no processor to load"):
        token_counter(f"hf:{tmp_path}")
