"""Recipes: typed, strict, and each number with its source."""

from __future__ import annotations

import json
import re
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.recipe import (
    FOLDER,
    load_recipe,
    overridden,
    read_snapshot,
    recipe_names,
    typed,
    write_snapshot,
)
from trainers import TrainConfig
from trainers.config import AlgorithmConfig, EnvironmentConfig
from trainers.data import task_of
from trainers.errors import Damaged
from vt_env import ConfigError
from vt_env.protocol import PRESETS, make_protocol

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
    lines = (FOLDER / f"{name}.toml").read_text().splitlines()
    numbers = [line for line in lines if re.match(r"\w[\w.]*\s*=\s*[-\d\[\"]*\d", line)]
    assert numbers or any(line.startswith("base = ") for line in lines)
    assert not [line for line in numbers if not re.search(r"#\s*\w", line)]


def test_a_recipe_may_have_a_base(tmp_path, least):
    (tmp_path / "longer.toml").write_text('base = "mine.toml"\nsteps = 9\n[rollout]\nprompts = 4\n')
    (tmp_path / "wider.toml").write_text('base = "longer.toml"\n[rollout]\ngroup_size = 4\n')
    made = load_recipe(tmp_path / "wider.toml", ["seed=5"])
    assert (made.name, made.steps, made.seed) == ("wider", 9, 5)
    assert (made.rollout.prompts, made.rollout.group_size) == (4, 4)
    assert made.model == load_recipe(least).model
    write_snapshot(tmp_path, made)  # says everything itself
    (tmp_path / "longer.toml").unlink()
    assert read_snapshot(tmp_path) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "b.toml"', "its base 'a.toml' has it as a base itself"),
        ('base = "a.toml"', "its base 'a.toml' has it as a base itself"),
        ('base = "papr"', "there is no base of .*'papr'.*Did you mean 'paper'"),
        ("base = 3", "base must be a recipe's name or file, got 3"),
        ('base = "paper"\n[rollout]\npromts = 3', "Did you mean 'rollout.prompts'"),
    ],
)
def test_a_base_that_is_none(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text('base = "a.toml"')
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "a.toml")


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
    write_snapshot(tmp_path, config)
    assert load_recipe(tmp_path / "recipe.toml") == read_snapshot(tmp_path) == config


def test_no_bit_of_a_snapshot_changes_unnoticed(tmp_path):
    write_snapshot(tmp_path, load_recipe("laptop"))
    path = tmp_path / "recipe.toml"
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 11):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(Damaged, match="not what was written; name the RECIPE"):
            read_snapshot(tmp_path)


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(texts, st.booleans(), st.integers(), st.floats(allow_nan=False))


@settings(deadline=None)
@given(options=st.dictionaries(texts, values), name=texts, seed=st.integers(0, 2**70))
def test_a_snapshot_of_anything_is_read_back(tmp_path_factory, options, name, seed):
    folder = tmp_path_factory.getbasetemp()
    config = replace(
        load_recipe("laptop"), name=name, seed=seed, algorithm=AlgorithmConfig("grpo", options)
    )
    write_snapshot(folder, config)
    assert read_snapshot(folder) == config


def keys_of(kind: type, prefix: str = "") -> list[str]:
    """Every setting, dotted, those of inner records too."""
    found = []
    for name, hint in get_type_hints(kind).items():
        found.append(prefix + name)
        if is_dataclass(hint):
            found += keys_of(hint, f"{prefix}{name}.")
    return found


plausible = st.one_of(
    st.integers(-2, 2**40),
    st.floats(),
    st.booleans(),
    st.lists(st.floats(0, 1), max_size=3),
    st.sampled_from(["auto", "rate", "none", "cosine", "grpo", "", "1e-5", "{}", "inf"]),
).map(lambda value: json.dumps(value) if not isinstance(value, str) else value)


def test_whatever_an_override_says_it_loads_or_is_refused_in_one_line(least, tmp_path):
    loaded: set[str] = set()
    refused: dict[str, str] = {}

    @settings(deadline=None, max_examples=300, derandomize=True)
    @given(st.sampled_from(keys_of(TrainConfig)), st.one_of(texts, plausible))
    def check(key: str, value: str) -> None:
        try:
            config = load_recipe(least, [f"{key}={value}"])
        except ConfigError as error:
            refused[key] = str(error)
        else:
            loaded.add(key)
            write_snapshot(tmp_path, config)
            assert read_snapshot(tmp_path) == config

    check()
    assert len(loaded) > 20  # else refusing everything would pass, or taking everything
    assert len(refused) > 20
    assert not [message for message in refused.values() if "\n" in message]


@given(texts.filter(lambda text: "=" not in text))
def test_an_override_without_a_value_is_refused(text):
    with pytest.raises(ConfigError, match="expected key=value"):
        overridden([text])


def test_records_of_other_packages_can_be_read_too():
    assert typed(AlgorithmConfig, {"name": "ppo"}, "here") == AlgorithmConfig("ppo")


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_plays_a_preset_as_it_is(name):
    """Its defaults once put another first look in the place of the protocol's bound."""
    task = task_of("generated:n=2", EnvironmentConfig(protocol=name))
    expected = make_protocol(name)
    for key in ("factor", "first_look", "first_bound", "max_turns", "max_pictures", "over_budget"):
        assert getattr(task.protocol, key) == getattr(expected, key), key


@pytest.mark.parametrize("trainer", ["openrlhf", "verl", "trl"])
def test_credit_by_turn_is_refused_where_it_cannot_be_carried(trainer):
    pytest.importorskip("torch")
    from trainers.refusing import accepted

    def refusal(*settings):
        with pytest.raises(ConfigError) as raised:
            accepted(load_recipe("laptop", settings), trainer, lambda *_: {})
        return str(raised.value)

    options = "algorithm.options={}"
    assert "set trainer=local" in refusal("algorithm.name=dtpo", "reward.tool=adaptvision", options)
    assert "set reward.tool to one of" in refusal("algorithm.name=hdpo", options)
    assert "learns nothing from" in refusal("reward.tool=hdpo")
