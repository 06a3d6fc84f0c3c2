"""Who lacks a package is told of an extra that has it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest
from installing import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def packages(extra: str) -> set[str]:
    """What an extra installs by name, other extras of ours included."""
    found: set[str] = set()
    for requirement in EXTRAS[extra]:
        name, extras = re.match(r"([\w.-]+)(?:\[([^]]*)\])?", requirement).groups()
        own = name == PROJECT["name"]
        found |= set().union(*(packages(e) for e in extras.split(","))) if own else {name}
        if not own and extras:
            found |= set(extras.split(","))  # openrlhf[vllm] brings vllm
    return found


def told() -> Iterator[tuple[str, str, str]]:
    """File, package and extra of every ``MissingExtra`` whose words stand in the source."""
    for folder in ("vt_env", "agents", "trainers", "experiments"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtra":
                    package, extra, *_ = node.args
                    if isinstance(package, ast.Constant) and isinstance(extra, ast.Constant):
                        yield path.stem, package.value, extra.value


TOLD = sorted(set(told()))


def test_most_of_them_are_seen() -> None:
    assert len(TOLD) >= 8


@pytest.mark.parametrize(("where", "package", "extra"), TOLD)
def test_the_extra_has_the_package(where: str, package: str, extra: str) -> None:
    assert package in packages(extra), where


def test_an_extra_is_named_after_what_it_is_for() -> None:
    """Who wants vLLM as a judge or an agent does not install a trainer."""
    assert {extra for _, package, extra in TOLD if package == "vllm"} == {"vllm"}
