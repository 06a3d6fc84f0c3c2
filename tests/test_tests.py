"""Every test can fail: it checks something, and does so whatever its inputs are.

Found in the source, so that tests count that are skipped here. And no file is too long to
be read in one sitting.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_check(node: ast.AST, helpers: set[str]) -> bool:
    """Whether a node by itself lets a test fail."""
    if isinstance(node, ast.Raise):
        return node.exc is not None and ast.unparse(node.exc).startswith("AssertionError")
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Assert)
    if isinstance(node.func, ast.Name) and node.func.id in helpers:
        return True
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    run = name == "run" and any(keyword.arg == "check" for keyword in node.keywords)
    return run or name in {"raises", "warns", "fail"} or name.startswith(("assert_", "check_"))


def may_be_skipped(node: ast.AST) -> bool:
    """Whether what stands in a node may not run, or may fail unseen."""
    if isinstance(node, ast.With):
        return any("suppress" in ast.dump(item.context_expr) for item in node.items)
    return isinstance(node, ast.If | ast.ExceptHandler)


def checks(node: ast.AST, helpers: set[str], sure: bool = True) -> Iterator[bool]:
    """For each check in a node, whether it is sure to run."""
    for child in ast.iter_child_nodes(node):
        if is_check(child, helpers):
            yield sure
        yield from checks(child, helpers, sure and not may_be_skipped(child))


def returns(node: ast.AST) -> bool:
    """Whether a function returns by itself; functions within it may."""
    inner = (child for child in ast.iter_child_nodes(node) if not isinstance(child, FUNCTIONS))
    return any(isinstance(child, ast.Return) or returns(child) for child in inner)


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All of a file, those within others too."""
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def helpers_of(trees: list[ast.AST]) -> set[str]:
    """Functions of the tests that check something, by themselves or through another."""
    known = [f for tree in trees for f in functions(tree) if not f.name.startswith("test_")]
    found: set[str] = set()
    while more := {f.name for f in known if f.name not in found and any(checks(f, found))}:
        found |= more
    return found


def faults(tree: ast.AST, helpers: set[str]) -> Iterator[str]:
    """The tests of a file that cannot fail, and why."""
    for test in functions(tree):
        if not test.name.startswith("test_"):
            continue
        found = list(checks(test, helpers))
        if not found:
            yield f"{test.name}: checks nothing"
        elif not any(found):
            yield f"{test.name}: checks only under a condition"
        if returns(test):
            yield f"{test.name}: returns; give such cases a test of their own"


def test_every_test_can_fail() -> None:
    trees: dict[Path, ast.AST] = {p: ast.parse(p.read_text("utf-8")) for p in TESTS.rglob("*.py")}
    helpers = helpers_of(list(trees.values()))
    found = [
        f"{path.relative_to(TESTS)}: {fault}"
        for path, tree in sorted(trees.items())
        for fault in faults(tree, helpers)
    ]
    assert not found, "\n".join(found)


def test_no_two_files_are_one_module() -> None:
    """pytest imports a file of a folder that is no package by its bare name."""
    bare = [p for p in TESTS.rglob("*.py") if not (p.parent / "__init__.py").exists()]
    names = Counter(p.stem for p in bare if p.stem != "conftest" and "cpu" not in p.parts)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_file_is_read_in_one_sitting() -> None:
    root = TESTS.parent
    folders = ("vt_env", "agents", "trainers", "experiments", "tests", "benchmarks", "scripts")
    lines = {
        path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines())
        for folder in folders
        for path in (root / folder).rglob("*.py")
    }
    assert len(lines) > 500
    assert {path: count for path, count in lines.items() if count > 500} == {}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("assert f()", None),
        ("with pytest.raises(ValueError):\n  f()", None),
        ("for x in f():\n  assert x", None),
        ("helper(f())", None),
        ("subprocess.run(f(), check=True)", None),
        ("f()", "checks nothing"),
        ("with suppress(ValueError):\n  assert f()", "checks only under a condition"),
        ("if f():\n  assert g()", "checks only under a condition"),
        ("try:\n  f()\nexcept ValueError as error:\n  assert error", "checks only"),
        ("if f():\n  return\nassert g()", "returns"),
    ],
)
def test_what_cannot_fail_is_found(body: str, fault: str | None) -> None:
    tree = ast.parse("def test_it():\n" + "".join(f" {line}\n" for line in body.split("\n")))
    found = list(faults(tree, {"helper"}))
    assert bool(found) == bool(fault)
    assert fault is None or fault in found[0]


def test_a_helper_counts_through_another() -> None:
    tree = ast.parse("def a(): b()\ndef b(): assert x\ndef c(): pass")
    assert helpers_of([tree]) == {"a", "b"}
