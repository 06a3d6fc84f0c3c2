"""Prompt templates are data."""

from pathlib import Path

import pytest

from vt_env import ConfigError, Sample
from vt_env.env import VisionThinkEnv
from vt_env.prompts import Prompt, block_text, load_prompt

OWN = """
system = "Tools: $tools"
question = "Q: $question [$image] for $$5"
tool_result = "$image"
error = "No: $reason"
"""


def test_a_template_from_a_file(tmp_path: Path, samples: list[Sample]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    env = VisionThinkEnv(samples, prompt=path, order="sequential")
    observation, info = env.reset()
    assert observation["text"] == "Q: What is written in picture 1? [] for $5"
    assert [b["type"] for b in info["messages"][1]["content"]] == ["text", "image", "text"]
    assert info["messages"][0]["content"][0]["text"].startswith('Tools: {"type": "function"')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("$image", "picture"), r"must use \['image', 'question'\]"),
        (("$reason", "$why"), r"got \['why'\]"),
        (("$$5", "$5"), "literal dollar"),
        (("[$image]", "$image $image"), "more than once"),
        (("[$image]", "$image ${image}"), "more than once"),
        (("[$image]", "[$$image]"), r"must use \['image', 'question'\]"),
        (("$image", "$IMAGE"), "may use"),
        (("error =", "eror ="), "must have the texts"),
        (("system =", "system"), "not TOML"),
    ],
)
def test_templates_that_are_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN.replace(*change, 1))
    with pytest.raises(ConfigError, match=message):
        load_prompt(path)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("$question ${image}!", ["Why? ", None, "!"]),
        ("${image}s $question", [None, "s Why?"]),
        ("a $$image $image ${question}", ["a $image ", None, " Why?"]),
        ("$$$image$question", ["$", None, "Why?"]),
        ("$question$image", ["Why?", None]),
    ],
)
def test_where_the_picture_stands(template: str, said: list[str | None]) -> None:
    blocks = Prompt("$tools", template, "$image", "$reason").question_blocks("Why?")
    assert [block.get("text") for block in blocks] == said


def test_a_question_is_put_in_once_and_never_read_again() -> None:
    blocks = load_prompt("visionthink").question_blocks("$image ${reason} $$5 <image>?")
    assert block_text(blocks).startswith("$image ${reason} $$5 <image>?")
    assert sum(block["type"] == "image" for block in blocks) == 1


@pytest.mark.parametrize("name", ["visionthink", "general"])
def test_the_shipped_ones(name: str) -> None:
    prompt = load_prompt(name)
    assert isinstance(prompt, Prompt)
    assert block_text(prompt.question_blocks("Why?")).startswith("Why?")


def test_the_shipped_prompt_names_every_tag() -> None:
    prompt = load_prompt("visionthink")
    text = prompt.system_text(["{}"]) + block_text(prompt.question_blocks("Why?"))
    for tag in ("<tools>", "<tool_call>", "<think>", "<answer>"):
        assert tag in text
        assert tag.replace("<", "</") in text
