"""Starting a run that another library leads, following it, and saying why it failed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from trainers.checkpoint import CheckpointStore
from trainers.config import TrainConfig
from trainers.errors import TrainingError
from trainers.hosted.run import Run
from trainers.runs import CHECKPOINTS, same_recipe
from vt_env.errors import ConfigError

_LOOK_EVERY = 0.5
_ERROR = re.compile(r"^(?:\S*\.)?\w*(?:Error|Exception|Interrupt)\b.*")


def same_run(kind: type[Run], config: TrainConfig, out: Path, resume: bool) -> None:
    """Refuse to train on top of another run.

    Args:
        kind: The trainer's record of a run.
        config: The recipe.
        out: Where results go.
        resume: Whether to go on with what is there.

    Raises:
        ConfigError: If there is a run that is not to be resumed, or was another recipe's.
    """
    folder = out / kind.NAME
    there = (folder / "run.json").is_file() and kind.read(folder).saved_steps() > 0
    begun = there or CheckpointStore(out / CHECKPOINTS).newest() is not None
    if begun and not resume:
        raise ConfigError(f"{out} holds a run already; resume it, or choose another folder")
    if begun:
        same_recipe(json.loads(json.dumps(asdict(kind.read(folder).config))), config)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that never came so far


def write_script(run: Run, text: str) -> Path:
    """The script that starts a run."""
    script = run.folder / "start.sh"
    script.write_text(text, "utf-8")
    script.chmod(0o755)
    return script


def follow(run: Run, script: Path, library: str, look: Callable[[], None]) -> None:
    """Start a run, and wait.

    Args:
        run: The run.
        script: What starts it.
        library: Who leads it, as people write it.
        look: Called again and again while it goes on, and once when it is over.

    Raises:
        TrainingError: If it fails, with its last error and where the rest is.
    """
    log = run.folder / "log.txt"
    with log.open("ab") as stream:
        process = subprocess.Popen([script], stdout=stream, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(_LOOK_EVERY)
                look()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    look()
    if process.returncode:
        saved = run.saved_steps()
        left = f"resume goes on from step {saved}" if saved else "nothing was saved yet"
        raise TrainingError(
            f"{library} stopped with exit code {process.returncode}: {last_error(log)}; {left}. "
            f"All that it printed is in {log}"
        )


def last_error(log: Path) -> str:
    """The last line that looks like an error, without Ray's prefix."""
    lines = log.read_text("utf-8", "replace").splitlines()
    plain = (re.sub(r"^(\x1b\[\d+m)?\(.*?\)(\x1b\[\d+m)?\s*", "", line).strip() for line in lines)
    found = [line for line in plain if _ERROR.match(line)]
    return found[-1][:500] if found else "no error was printed"
