"""Recipes: typed, strict, and each number with its source."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.recipe import FOLDER, load_recipe, recipe_names, typed, write_snapshot
from trainers import TrainConfig
from trainers.config import AlgorithmConfig
from vt_env import ConfigError

LEAST = """
steps = 3
[model]
path = "somewhere"
[data]
train = "generated:n=8"
[optimiser]
learning_rate = 1e-3
"""


@pytest.fixture
def least(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(LEAST)
    return path


def test_a_file_with_the_least_that_is_needed(least):
    config = load_recipe(least)
    assert config.name == "mine"
    assert config.optimiser.learning_rate == 1e-3
    assert config.reward.penalty == "paper"


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load(name):
    assert load_recipe(name).name == name


@pytest.mark.parametrize("name", recipe_names())
def test_every_number_of_a_shipped_recipe_says_where_it_comes_from(name):
    for line in (FOLDER / f"{name}.toml").read_text().splitlines():
        if re.match(r"\w[\w.]*\s*=\s*[-\d\[\"]*\d", line) and not re.search(r"#\s*\w", line):
            pytest.fail(f"{name}: no source: {line}")


OVERRIDES = [
    ("steps=7", lambda c: c.steps, 7),
    ("optimiser.learning_rate=1e-5", lambda c: c.optimiser.learning_rate, 1e-5),
    ("optimiser.learning_rate=1", lambda c: c.optimiser.learning_rate, 1.0),
    ("optimiser.betas=[0.9, 0.95]", lambda c: c.optimiser.betas, (0.9, 0.95)),
    ("model.freeze_vision=true", lambda c: c.model.freeze_vision, True),
    ("model.path=a/b=c", lambda c: c.model.path, "a/b=c"),
    ('model.path="12"', lambda c: c.model.path, "12"),
    ("reward.penalty=rate", lambda c: c.reward.penalty, "rate"),
    ("algorithm.options.kl_coef=0.3", lambda c: c.algorithm.options, {"kl_coef": 0.3}),
    ("environment.factor=0.25", lambda c: c.environment.factor, 0.25),
    (" seed = 4 ", lambda c: c.seed, 4),
]


@pytest.mark.parametrize(("override", "read", "value"), OVERRIDES)
def test_overrides(least, override, read, value):
    found = read(load_recipe(least, [override]))
    assert found == value
    assert type(found) is type(value)


MISTAKES = [
    ("stpes=3", r"no setting 'stpes'. Did you mean 'steps'\?"),
    ("optimiser.learnin_rate=3", r"Did you mean 'optimiser.learning_rate'\?"),
    ("optimizer.learning_rate=3", r"no setting 'optimizer'. Did you mean 'optimiser'\?"),
    ("reward.penalti='x'", r"Did you mean 'reward.penalty'\?"),
    ("steps=many", "steps must be a whole number, got 'many'"),
    ("steps=1.5", "steps must be a whole number, got 1.5"),
    ("steps=true", "steps must be a whole number, got True"),
    ("model.freeze_vision=1", "model.freeze_vision must be true or false, got 1"),
    ("optimiser.learning_rate=fast", "optimiser.learning_rate must be a number, got 'fast'"),
    ("optimiser.learning_rate=true", "must be a number, got True"),
    ("optimiser.betas=[0.9]", "betas must be a list of 2"),
    ("optimiser.betas=[0.9, 'x']", r"betas\[1\] must be a number"),
    ("model.path=12", "model.path must be text, got 12"),
    ("model.dtype=float16", "model.dtype must be 'float32' or 'bfloat16', got 'float16'"),
    ("model=3", "model must be a table of settings, got 3"),
    ("algorithm.options=3", "algorithm.options must be a table of settings"),
    ("steps.x=3", "'steps' is a value, not a table"),
    ("steps=0", "steps must be at least 1, got 0"),
    ("rollout.probes=9", r"\[rollout\]: 9 probes of each arm do not fit"),
    ("reward.threshold=2", r"\[reward\]: threshold must be between 0 and 1"),
    ("reward.penalty=papr", r"Did you mean 'paper'\?"),
    ("seed=nan", "seed must be a whole number"),
    ("optimiser.learning_rate=nan", "learning_rate must be at least 0, got nan"),
    ("steps", "expected key=value"),
    ("=3", "expected key=value"),
    ("a..b=3", "expected key=value"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_mistakes_are_answered_with_what_was_expected(least, override, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(least, [override])


@pytest.mark.parametrize("line", [line for line in LEAST.split("\n") if " = " in line])
def test_a_missing_setting_is_named(tmp_path, line):
    path = tmp_path / "x.toml"
    path.write_text(LEAST.replace(line, ""))
    with pytest.raises(ConfigError, match=rf"{line.split()[0]} is missing"):
        load_recipe(path)


def test_an_unknown_recipe_is_answered_with_the_close_one():
    with pytest.raises(ConfigError, match=r"Did you mean 'laptop'\?"):
        load_recipe("labtop")


@pytest.mark.parametrize("content", [b"steps = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_no_toml(tmp_path, content):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no valid TOML"):
        load_recipe(path)


@pytest.mark.parametrize("name", recipe_names())
def test_a_snapshot_is_the_recipe(tmp_path, name):
    config = load_recipe(name, ["seed=11", "model.path='ü \"x\" \\\\ y'"])
    write_snapshot(tmp_path / "recipe.toml", config)
    assert load_recipe(tmp_path / "recipe.toml") == config


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(texts, st.booleans(), st.integers(), st.floats(allow_nan=False))


@settings(deadline=None)
@given(options=st.dictionaries(texts, values), name=texts, seed=st.integers(0, 2**70))
def test_a_snapshot_of_anything_is_read_back(tmp_path_factory, options, name, seed):
    path = tmp_path_factory.getbasetemp() / "snapshot.toml"
    config = replace(
        load_recipe("laptop"), name=name, seed=seed, algorithm=AlgorithmConfig("grpo", options)
    )
    write_snapshot(path, config)
    assert load_recipe(path) == config


def test_whatever_an_override_says_it_loads_or_is_refused(least):
    @settings(deadline=None)
    @given(texts)
    def check(text: str) -> None:
        with suppress(ConfigError):
            assert isinstance(load_recipe(least, [text]), TrainConfig)

    check()


def test_records_of_other_packages_can_be_read_too():
    assert typed(AlgorithmConfig, {"name": "ppo"}, "here") == AlgorithmConfig("ppo")
