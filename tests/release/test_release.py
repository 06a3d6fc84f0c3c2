"""What stands against a release is found before anything is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from installing import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))
import release

FILES = {
    "pyproject.toml": '[project]\nversion = "1.2.0"\n[project.urls]\nRepository = "https://x.org"\n',
    "CITATION.cff": 'version: "1.2.0"\n',
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-01-31\n\n### Added\n\n- It.\n",
}


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that is ready."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "All")
    monkeypatch.setattr(release, "REPOSITORY", tmp_path)
    return tmp_path


def test_a_version_that_is_ready(repository: Path) -> None:
    assert release.ready(rehearsing=False) == []


def test_a_changed_tree_is_refused_even_in_a_rehearsal(repository: Path) -> None:
    (repository / "CITATION.cff").write_text("other", "utf-8")
    (fault,) = release.ready(rehearsing=True)
    assert "CITATION.cff" in fault


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("CHANGELOG.md", "## 1.2.0 - 2026-01-31", "## 1.2.0", "## 1.2.0 - YYYY-MM-DD"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n### Fixed\n\n- It.\n", "Unreleased"),
        ("pyproject.toml", "Repository", "Homepage", "[project.urls]"),
        ("CITATION.cff", "1.2.0", "1.1.0", 'version: "1.2.0"'),
    ],
)
def test_what_is_not_ready_is_named(
    repository: Path, file: str, old: str, new: str, said: str
) -> None:
    text = (repository / file).read_text("utf-8")
    (repository / file).write_text(text.replace(old, new), "utf-8")
    git(repository, "commit", "-qam", "Less")
    (fault,) = release.ready(rehearsing=False)
    assert said in fault
    assert release.ready(rehearsing=True) == []


def test_a_version_that_was_released_is_refused(repository: Path) -> None:
    git(repository, "tag", "v1.2.0")
    (fault,) = release.ready(rehearsing=False)
    assert "tag v1.2.0" in fault
