"""What the recipes say of memory, disk and hours is the preflight's arithmetic."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from real_models import MODELS, shape_of

from experiments.recipe import FOLDER, load_recipe, recipe_names
from trainers.algorithms import make_algorithm
from trainers.base import TRAINERS
from trainers.config import TrainConfig
from trainers.preflight import sizes
from trainers.preflight.rehearsal import small
from trainers.preflight.sizes import ASSUMED, Load
from vt_env.protocol import make_protocol
from vt_env.tokens import token_counter

ON_GPUS = [name for name in recipe_names() if load_recipe(name).trainer == "openrlhf"]
TYPICAL = 1280, 960
"""Pixels of a typical picture; the longest rollout shows one at the recipe's bound."""
SAID = 700
"""Tokens of prompt, question and what the environment says."""


def load_of(config: TrainConfig) -> Load:
    """A step, if the data's pictures were of these sizes."""
    rules, rollout = config.environment, config.rollout
    protocol = make_protocol(rules.protocol)
    counter = token_counter(rules.tokens or "qwen2.5-vl")
    asks = ASSUMED["asks"] if protocol.tools else 0.0
    side = int(rules.max_pixels**0.5)

    def views(width: int, height: int) -> tuple[int, int]:
        first = counter.count(int(width * protocol.factor), int(height * protocol.factor))
        return first, counter.count(width, height) if protocol.tools else 0

    (first, second), (seen, more) = views(side, side), views(*TYPICAL)
    written = (1 + asks) * ASSUMED["said"]
    return Load(
        rollouts=rollout.prompts * rollout.group_size,
        longest=first + second + SAID + protocol.max_turns * rollout.max_new_tokens,
        typical=SAID + seen + asks * more + written,
        said=written,
        visual=seen + asks * more,
        groups=rollout.prompts,
        shown=seen + more,
    )


def figures(config: TrainConfig) -> str:
    """What a recipe says of itself."""
    shape, load, machines = (
        shape_of(config.model.path),
        load_of(config),
        sizes.machines_of(config),
    )
    reference = make_algorithm(config.algorithm.name, **config.algorithm.options).kl_coef > 0
    gpu = sizes.gpu_called("H100")
    learner = sizes.learner_memory(shape, load, machines, config, reference=reference)
    phases = sizes.step_seconds(
        shape, load, machines, gpu, config.optimiser.epochs, reference=reference
    )
    hours = sum(phases.values()) * ASSUMED["overhead"] * config.steps / 3600
    assert sum(learner.values()) < gpu.memory * 1e9 * ASSUMED["room"]
    host = sum(sizes.host_memory(shape, load, machines).values())
    disk = sizes.disk(shape, config.checkpoint.keep)
    return (
        f"{sum(learner.values()) / 1e9:.0f} GB a GPU, {host / 1e9:.0f} GB of host memory, "
        f"{disk / 1e9:.0f} GB of disk, {hours:.0f} hours"
    )


@pytest.mark.parametrize("name", ON_GPUS)
def test_a_recipe_says_what_it_takes(name: str) -> None:
    config = load_recipe(name)
    machines = sizes.machines_of(config)
    nodes, each = config.openrlhf.nodes, config.openrlhf.gpus_per_node
    text = (FOLDER / f"{name}.toml").read_text("utf-8")
    (gpus, said) = re.findall(r"^# Expected on (.*) H100: (.*)$", text, re.MULTILINE)[0]
    assert gpus == (f"{nodes} x {each}" if nodes > 1 else f"{each}")
    assert machines.gpus == nodes * each
    assert said == figures(config)


@pytest.mark.parametrize("name", ON_GPUS)
def test_a_recipe_bounds_its_pictures_and_fits_its_model(name: str) -> None:
    config = load_recipe(name)
    model = MODELS[config.model.path]
    counter = token_counter(config.environment.tokens or "qwen2.5-vl")
    assert counter.factor == 2 * model["pictures"]["patch_size"]
    bounds = model["pictures"]
    assert bounds["shortest_edge"] == counter.min_pixels
    assert 0 < config.environment.max_pixels < counter.max_pixels == bounds["longest_edge"]
    longest = load_of(config).longest
    assert longest < model["text_config"]["max_position_embeddings"]


@pytest.mark.parametrize("name", ON_GPUS)
def test_openrlhf_takes_the_recipe(name: str) -> None:
    from trainers.openrlhf.flags import checked

    assert "openrlhf" in TRAINERS.names()
    checked(load_recipe(name))


@pytest.mark.parametrize("name", ON_GPUS)
def test_openrlhf_takes_the_rehearsal_and_tells_how_far_its_engines_are(name: str) -> None:
    from trainers.openrlhf.flags import checked

    config = load_recipe(name)
    assert config.openrlhf.correction == "off"
    made = small(config, sizes.machines_of(config))
    checked(made)
    assert made.openrlhf.correction == "token"
    assert made.rollout.prompts <= 4


def test_the_page_has_the_recipes_figures() -> None:
    page = (Path(__file__).parents[2] / "docs" / "first-gpu-run.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.-]+)`[^|]*" + r"\| (\d+) " * 5 + r"\|$", page, re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted(ON_GPUS)
    for name, gpus, *said in rows:
        config = load_recipe(name)
        assert int(gpus) == sizes.machines_of(config).gpus
        assert said == re.findall(r"(\d+) (?:GB|hours)", figures(config))
