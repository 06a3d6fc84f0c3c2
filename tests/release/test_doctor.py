"""The doctor finds what stands in the way of an installation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from installing import Installed, other_distribution

from vt_env import doctor


def levels(said: str) -> dict[str, str]:
    """The level of each line, by the first word of its text."""
    return {words[1]: words[0] for words in map(str.split, said.splitlines()[1:])}


def test_a_good_installation_has_no_problem(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("python", "-m", "vt_env.doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    found = levels(done.stdout)
    assert {found[f"{name}:"] for name in ("agents", "trainers", "experiments")} == {"ok"}
    assert found["[train]:"] == "ok"


@pytest.mark.slow
def test_a_users_package_is_a_note_and_a_hidden_file_too(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "__init__.py").touch()
    done = installed.run("python", "-m", "vt_env.doctor", cwd=tmp_path)
    assert done.returncode == 0
    assert levels(done.stdout)["trainers:"] == "note"
    assert str(tmp_path / "trainers") in done.stdout
    (tmp_path / "trainers" / "__init__.py").unlink()
    (tmp_path / "trainers" / "base.py").touch()
    done = installed.run("python", "-m", "vt_env.doctor", cwd=tmp_path)
    assert str(tmp_path / "trainers") in done.stdout


def test_a_package_written_over_ours_is_a_problem(from_wheel: Installed, tmp_path: Path) -> None:
    other_distribution(from_wheel.site, "agents")
    done = from_wheel.run("python", "-m", "vt_env.doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert levels(done.stdout)["agents:"] == "problem"
    assert "other-agents" in done.stdout


def test_what_an_extra_lacks_is_said(from_wheel: Installed, tmp_path: Path) -> None:
    (metadata,) = from_wheel.site.glob("visionthink_gym-*.dist-info/METADATA")
    text = metadata.read_text("utf-8")
    asked = (
        'Requires-Dist: numpy<1; extra == "old"\n'
        'Requires-Dist: no-such-package; extra == "gone"\n'
        'Requires-Dist: visionthink-gym[old,gone]; extra == "both"\n'
    )
    provided = "".join(f"Provides-Extra: {name}\n" for name in ("old", "gone", "both"))
    metadata.write_text(text.replace("Requires-Dist:", provided + asked + "Requires-Dist:", 1))
    said = from_wheel.run("python", "-m", "vt_env.doctor", cwd=tmp_path).stdout
    lines = {line.split()[1]: line for line in said.splitlines()[1:]}
    assert "is not <1" in lines["[old]:"]
    assert "no-such-package is missing" in lines["[gone]:"]
    assert "is not <1" in lines["[both]:"]
    assert "no-such-package is missing" in lines["[both]:"]


def test_a_python_for_which_an_extra_is_not_published_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    found = [finding.text for finding in doctor.examine()]
    assert any(text.startswith("[openrlhf]: for Python 3.11 to 3.12") for text in found)


def test_another_program_named_vt_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vt"
    program.write_text("#!/bin/sh\necho scanned\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = [finding.text for finding in doctor.examine()]
    assert f"vt: {program} is another program; use python -m vt_env" in found
