"""``vt warmup pages``: trains, measures against its bars, goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.cli import main

FEW = (
    *("steps=2", "seeing=1", "batch=2", "rise=1", "processes=1", "exam=2", "every=2"),
    "questions=16",
)


@pytest.mark.parametrize(("side", "tokens", "few"), [(224, 64, 16), (448, 256, 64)])
def test_it_ends_with_a_model_its_figures_and_its_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: int, tokens: int, few: int
) -> None:
    out = tmp_path / "run"
    words = (*FEW, f"side={side}")
    assert main(["warmup", "pages", "--out", str(out), *words]) == 0
    said = capsys.readouterr().out
    assert "half_large" in said
    assert "missed" in said
    result = json.loads((out / "result.json").read_text("utf-8"))
    assert result["figures"].keys() >= result["bars"].keys()
    assert "full_small" in result["missed"], "two steps teach nobody to read"
    assert result["provenance"]["seed"] == 0
    card = (out / "model/README.md").read_text("utf-8")
    assert "| `full_small` | 0.0000 | at least 0.98, **missed** |" in card
    assert f"{tokens} visual tokens a page of {side} x {side} pixels, {few} at half size" in card
    assert main(["warmup", "--resume", "--out", str(out)]) == 0, "all is done: measured again"
    assert main(["warmup", "pages", "--out", str(out), *words]) == 2, "neither asked for"


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_with_a_sentence(tmp_path: Path) -> None:
    """As a terminal sends it: to all of them."""
    out = tmp_path / "run"
    words = [word for word in FEW if not word.startswith(("processes", "steps"))]
    process = subprocess.Popen(
        [sys.executable, "-m", "vt_env", "warmup", "pages", "--out", str(out), "processes=2",
         "steps=9999", "minutes=0", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    until = time.monotonic() + 240
    while not (out / "before-state.pt").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)  # until nobody holds its end
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1].endswith(f"vt warmup --resume --out {out}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pages", "stepz=1"), "stepz"),
        (("pages", "batch=3"), "multiple of processes"),
        (("pages", "questions=4"), "from 16 up, so that both prints"),
        (("pages", "init=missing.safetensors", *FEW), "there is none at"),
    ],
)
def test_bad_settings_are_said_in_a_line_and_leave_nothing(
    words: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["warmup", *words, "--out", str(out)]) == 2
    assert told in capsys.readouterr().err
    assert not (out / "state.pt").exists()
