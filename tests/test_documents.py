"""What documents name is there: files, commands, targets of make, pictures of pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]  # a history: names may be gone
FOLDERS = "agents|benchmarks|docker|docs|examples|experiments|scripts|studies|tests|trainers|vt_env"
_PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`")
_CODE = re.compile(r"```(?:bash)?\n(.*?)```|`([^`\n]+)`", re.S)
_MAKE = re.compile(r"^([a-z][\w./-]*):", re.M)


def code(text: str) -> list[str]:
    """The lines of code blocks and the pieces between single marks."""
    return [line for block, piece in _CODE.findall(text) for line in (block or piece).splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_document_names_exist(page):
    named = [p for p in _PATH.findall(page.read_text("utf-8")) if "NAME" not in p]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_document_names_exist(page):
    words = [line.split() for line in code(page.read_text("utf-8"))]
    named = {w[1] for w in words if len(w) > 1 and w[0] == "vt" and w[1].isalpha()}
    assert {name for name in named if name.islower()} <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_targets_of_make_that_a_document_names_exist(page):
    targets = set(_MAKE.findall((ROOT / "Makefile").read_text("utf-8")))
    words = [line.split() for line in code(page.read_text("utf-8"))]
    named = {w[1] for w in words if len(w) > 1 and w[0] == "make" and w[1].isascii()}
    assert {name for name in named if re.fullmatch(r"[a-z][\w-]*", name)} <= targets


def test_every_picture_in_the_pages_folder_is_shown():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    pictures = [p.name for p in (ROOT / "docs").iterdir() if p.suffix in (".png", ".svg", ".jpg")]
    assert [name for name in pictures if name not in text] == []
