"""Recipes: training runs as data files.

A recipe is TOML. Its tables and keys are the fields of :class:`trainers.TrainConfig`; nothing else
is allowed in it, and every number says in a comment where it comes from. One key is for recipes
alone: ``base`` names another recipe, a shipped one or a file beside this one, whose settings hold
where this one says nothing.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import inspect
import json
import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from experiments.provenance import paths_in
from trainers.config import TrainConfig
from trainers.errors import Damaged
from trainers.files import whole_file
from trainers.runs import SNAPSHOT
from vt_env import ConfigError, VisionThinkError

FOLDER = Path(__file__).parent / "recipes"

_SEAL = "# sha256: "
"""Before the hash in a snapshot."""

T = TypeVar("T")


def recipe_names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def keys() -> Iterator[tuple[str, str, str, str]]:
    """Every key of a recipe: dotted name, type, default and what it is."""
    yield from _keys(TrainConfig, "")


def _keys(kind: Any, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    hints, told = get_type_hints(kind), _attributes(kind)
    for f in fields(kind):
        hint, name = hints[f.name], f"{prefix}{f.name}"
        if is_dataclass(hint):
            yield from _keys(hint, f"{name}.")
            continue
        value = f.default_factory() if f.default_factory is not MISSING else f.default
        default = "(needed)" if value is MISSING else "" if value is None else _toml_value(value)
        yield name, str(f.type), default, told.get(f.name, "")


def _attributes(kind: Any) -> dict[str, str]:
    """What a record's docstring says of its fields."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for name, what in re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", text, re.MULTILINE):
        found[name] = " ".join(what.split())
    return found


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe.

    Args:
        name_or_path: A shipped recipe's name, or a file.
        overrides: ``key=value`` each, the key dotted (``optimiser.learning_rate=1e-5``), the value
            as TOML; what is no TOML is text.

    Raises:
        ConfigError: If there is no such recipe, it is no TOML, it is its own base, a key is unknown
            (with the closest match) or missing, or a value is of the wrong type or out of range.
    """
    path, table = _with_base(*read_toml(name_or_path, FOLDER, "recipe"))
    table.setdefault("name", path.stem)
    return typed(TrainConfig, overridden(overrides, table), f"recipe {path.name}")


def _with_base(
    path: Path, table: dict[str, Any], above: Sequence[Path] = ()
) -> tuple[Path, dict[str, Any]]:
    """A recipe's table with what its bases say."""
    base = table.pop("base", None)
    if base is None:
        return path, table
    if not isinstance(base, str):
        raise _wrong(f"recipe {path.name}", "base", "a recipe's name or file", base)
    seen = (*above, path.resolve())
    beside = path.parent / base
    found, whole = read_toml(beside if beside.is_file() else base, FOLDER, f"base of {path.name},")
    if found.resolve() in seen:
        raise ConfigError(f"recipe {path.name}: its base {base!r} has it as a base itself")
    _, whole = _with_base(found, whole, seen)
    whole.pop("name", None)
    return path, _merged(whole, table)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables; where both have a value that of ``above`` holds, and tables are merged."""
    made = dict(below)
    for key, value in above.items():
        old = made.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _merged(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", value))
        made[key] = value
    return made


def read_toml(name_or_path: str | Path, folder: Path, what: str) -> tuple[Path, dict[str, Any]]:
    """The table of a shipped file by its name, or of any other file, and where that is.

    Args:
        name_or_path: The shipped file's name, or a path.
        folder: Of the shipped files.
        what: They are.
    """
    shipped = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        close = difflib.get_close_matches(str(name_or_path), shipped, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = ", ".join(shipped) or "none, but in a checkout of the repository"
        raise ConfigError(
            f"there is no {what} {str(name_or_path)!r}, neither a file nor a shipped one.{hint} "
            f"Shipped: {known}."
        )
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} is no valid TOML: {error}") from error


def overridden(overrides: Sequence[str], table: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A table of settings with some of them replaced.

    Args:
        overrides: ``key=value`` each, see :func:`load_recipe`.
        table: What they replace; nothing if ``None``.
    """
    made = copy.deepcopy(dict(table or {}))
    for override in overrides:
        _override(made, override)
    return made


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"expected key=value, such as optimiser.learning_rate=1e-5: {override!r}")
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {name!r} is a value, not a table of settings")
        table = inner
    table[names[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if len(read) == 1 else text


def typed(kind: type[T], table: Mapping[str, Any], where: str, prefix: str = "") -> T:
    """A record from a table, every key and type checked.

    Args:
        kind: A dataclass; its fields may be records themselves.
        table: As read from TOML.
        where: What is being read, for messages.
        prefix: The table's own dotted name with a dot at its end, for messages.
    """
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := [name for name in table if name not in known]:
        raise _unknown_key(unknown[0], known, where, prefix)
    needed = [
        name
        for name, f in known.items()
        if f.default is MISSING and f.default_factory is MISSING and name not in table
    ]
    if needed:
        raise ConfigError(f"{where}: {prefix}{needed[0]} is missing")
    hints = get_type_hints(kind)
    values = {n: _checked(hints[n], v, where, f"{prefix}{n}") for n, v in table.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        place = f" [{prefix.rstrip('.')}]" if prefix else ""
        raise ConfigError(f"{where}{place}: {error}") from error


def _unknown_key(name: str, known: Mapping[str, Any], where: str, prefix: str) -> ConfigError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {prefix + close[0]!r}?" if close else ""
    return ConfigError(
        f"{where}: there is no setting {prefix + name!r}.{hint} Known: {', '.join(known)}."
    )


def _checked(hint: Any, value: Any, where: str, key: str) -> Any:
    """A value of a type, or an error that says what was expected and what came."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        return _checked(inner[0], value, where, key)
    if is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return typed(hint, value, where, f"{key}.")
        raise _wrong(where, key, "a table of settings", value)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
        raise _wrong(where, key, " or ".join(repr(a) for a in arguments), value)
    if origin is tuple:
        return _checked_list(arguments, value, where, key)
    if origin is not None and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return dict(value)
        raise _wrong(where, key, "a table of settings", value)
    return _checked_scalar(hint, value, where, key)


def _checked_list(arguments: tuple[Any, ...], value: Any, where: str, key: str) -> tuple[Any, ...]:
    endless = len(arguments) == 2 and arguments[1] is Ellipsis
    if not isinstance(value, (list, tuple)) or not (endless or len(value) == len(arguments)):
        raise _wrong(where, key, "a list" if endless else f"a list of {len(arguments)}", value)
    hints = [arguments[0]] * len(value) if endless else arguments
    return tuple(
        _checked(hint, item, where, f"{key}[{i}]")
        for i, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _checked_scalar(hint: Any, value: Any, where: str, key: str) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise _wrong(where, key, _WORDS[hint], value)
    return value


def _wrong(where: str, key: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{where}: {key} must be {expected}, got {value!r}")


def toml_of(config: TrainConfig) -> str:
    """Every setting as a recipe that can be loaded again."""
    return "\n".join(["# Every setting of this run, defaults included.", *_toml(config)]) + "\n"


def write_snapshot(out: Path, config: TrainConfig) -> None:
    """Write every setting of a run, defaults included, as a recipe that can be loaded again.

    Its last line is a comment with the hash of those before.

    Args:
        out: The run's folder.
        config: The settings.
    """
    text = toml_of(config)
    with whole_file(out / SNAPSHOT) as stream:
        stream.write(f"{text}{_SEAL}{_digest(text)}\n")


def read_snapshot(out: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The settings of the run in a folder; see :func:`load_recipe`."""
    path = out / SNAPSHOT
    try:
        text, _, digest = path.read_text("utf-8").rpartition(_SEAL)
    except FileNotFoundError:
        raise ConfigError(f"there is no run to resume in {out}: it has no {SNAPSHOT}") from None
    except UnicodeDecodeError:
        text = digest = ""
    if digest != f"{_digest(text)}\n":
        raise Damaged(
            f"{path} is not what was written; name the RECIPE that the run began with, and its "
            "settings are compared with the checkpoint's"
        )
    return load_recipe(path, overrides)


def other_bound(agent: str, max_pixels: int | None) -> str | None:
    """What to know of a run's model that saw pictures up to another size than it is shown.

    Args:
        agent: The agent's spec; it names a folder in that of a run.
        max_pixels: The bound that it is played with.
    """
    for path in paths_in(agent).values():
        run = next((p for p in path.absolute().parents if (p / SNAPSHOT).is_file()), None)
        if run is None:
            continue
        try:
            trained = read_snapshot(run).environment.max_pixels
        except VisionThinkError as error:
            return f"how large the pictures were that {agent} learned from is not known: {error}"
        if trained != (max_pixels or 0):
            was, now = (
                f"shrunk above {n:,} pixels" if n else "whole" for n in (trained, max_pixels)
            )
            how = f"add --max-pixels {trained}" if trained else "leave out --max-pixels"
            return (
                f"{agent} learned from pictures {was}, and is shown them {now}; to change it, {how}"
            )
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _toml(record: Any, prefix: str = "") -> list[str]:
    lines: list[str] = []
    tables: list[str] = []
    for name, value in _items(record):
        name = name if _BARE.fullmatch(name) else _toml_value(name)
        if is_dataclass(value) or isinstance(value, Mapping):
            tables += ["", f"[{prefix}{name}]", *_toml(value, f"{prefix}{name}.")]
        elif value is not None:  # TOML has no null, and None is every such field's default
            lines.append(f"{name} = {_toml_value(value)}")
    return lines + tables


def _items(record: Any) -> list[tuple[str, Any]]:
    if isinstance(record, Mapping):
        return list(record.items())
    return [(f.name, getattr(record, f.name)) for f in fields(record)]


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k} = {_toml_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
