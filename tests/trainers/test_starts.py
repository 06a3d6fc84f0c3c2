"""Each start of a run says where it comes from."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trainers import provenance
from trainers.provenance import STARTS, record_start
from trainers.tracking import JsonLines


def test_every_start_adds_a_line(tmp_path: Path, train, tiny: Path) -> None:
    out = tmp_path / "run"
    train(out, "steps=2")
    result = train(out, "steps=4", resume=True)
    first, second = JsonLines(out / STARTS).rows()
    assert (first["step"], second["step"]) == (0, 2)
    assert first["fingerprints"] == second["fingerprints"] == result.fingerprints
    assert first["versions"]["python"] == platform.python_version()
    assert {"torch", "transformers", "visionthink-gym"} <= first["versions"].keys()
    assert first["machine"]["cpus"] == os.cpu_count()
    assert first["machine"]["memory"] > 1e9
    assert first["command"] == shlex.join(sys.orig_argv)


def test_the_command_is_what_a_user_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provenance.COMMAND, "vt train paper --out runs/paper")
    record_start(tmp_path, 5, {"model": "Qwen/X@abc"}, {"train": "c0ffee"}, [{"host": "a"}])
    (row,) = JsonLines(tmp_path / STARTS).rows()
    assert (row["step"], row["command"]) == (5, "vt train paper --out runs/paper")
    assert row["nodes"] == [{"host": "a"}]
    assert row["commits"] == {"train": "c0ffee"}


def test_gpus_are_what_the_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no driver here, so a program of its name prints what the real one does."""
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB, 580.65.06, GPU-1'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (found,) = provenance.gpus()
    assert found["name"] == "NVIDIA H100 80GB HBM3"
    assert (found["memory.total"], found["driver_version"]) == ("81559 MiB", "580.65.06")
    script.write_text("#!/bin/sh\nexit 9\n")
    assert provenance.gpus() == []


def test_cuda_is_told_by_a_process_that_has_not_imported_torch() -> None:
    """OpenRLHF's and verl's leaders record their start before anything has."""
    pytest.importorskip("torch")
    code = (
        "import sys; from trainers.provenance import machine; assert 'torch' not in sys.modules;"
        "made = machine()['cuda']; assert made == sys.modules['torch'].version.cuda, made"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
