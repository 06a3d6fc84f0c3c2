"""``vt warmup pages``: train the pages policy on a few cores, and go on after an interruption.

Every process draws its own part of each batch and the gradients are averaged, so the first process
runs in the caller and the others are its children. A state is one sealed file; the one before it is
kept beside it, and is used where the newest is damaged. A page depends on the step alone, so a run
that goes on sees what it would have seen. :func:`keep` writes a state of four megabytes, without
the optimizers' memory, that a run elsewhere can start from.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from agents.tiny.checkpoint import save
from agents.tiny.pages.learner import READINGS, Learner, PagesConfig
from vt_env.errors import ConfigError, Damaged
from vt_env.sealed import (
    opened_line,
    read_sealed_bytes,
    sealed_line,
    whole_file,
    write_sealed_bytes,
)

logger = logging.getLogger(__name__)

STATE, LOG, WEIGHTS = "state.pt", "log.jsonl", "weights.safetensors"
BEFORE, DAMAGED = f"before-{STATE}", f"damaged-{STATE}"
"""The state before the newest, and a newest one that is not what was written."""
SHARPER = 2.0
"""By which the saved model's logits are larger than those that were trained: sampled at temperature
1 it reads as it would at 1/2. What sampling costs in reading, reinforcement learning would win
back, and it would look like a gain of asking."""
Progress = Callable[[Mapping[str, Any]], None]


def warm_up_pages(
    config: PagesConfig | None = None,
    folder: str | Path = "runs/pages",
    seed: int = 0,
    init: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a model, from nothing or from where a run stopped, and write its checkpoint.

    Args:
        config: Settings.
        folder: Where the run keeps its state and its log. A state that is there is gone on from.
        seed: Of the first weights, the pages and the lessons.
        init: Weights to begin with, as :func:`keep` writes them, at the step that they have
            reached; only where there is no state.
        progress: Called now and then with a line of the log: ``step``, ``seconds``, losses, and
            from time to time readings.

    Returns:
        The folder of the model, ``folder/model``, which transformers loads.

    Raises:
        ConfigError: If the state there is of other settings, or ``init`` is nothing to begin with.
        Damaged: If no state there is what was written.
    """
    config, folder = config or PagesConfig(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _mend(folder)
    _begun(config, folder, seed, init)  # before any process is started
    meeting = folder / f".meeting-{os.getpid()}"
    for left in folder.glob(".meeting-*"):  # by a run that was killed
        left.unlink()
    start = (config, folder, seed, init, meeting)
    children = torch.multiprocessing.get_context("spawn")
    others = [
        children.Process(target=_help, args=(rank, *start), daemon=True)
        for rank in range(1, config.processes)
    ]
    for process in others:
        process.start()
    try:
        learner = _work(0, *start, progress)
    except BaseException:
        for process in others:  # they would wait for this one
            process.terminate()
        raise
    finally:
        for process in others:
            process.join(60)
        meeting.unlink(missing_ok=True)
    learner.vlm.model.eval()
    with torch.no_grad():
        learner.vlm.model.lm_head.weight *= SHARPER
    return save(learner.vlm, folder / "model", torch.bfloat16)


def keep(folder: str | Path, out: str | Path) -> Path:
    """Write a run's weights alone, in bfloat16, for another run's ``init``.

    Args:
        folder: Of the run.
        out: The file.
    """
    state = read_state(Path(folder) / STATE)
    weights = {name: value.bfloat16().contiguous() for name, value in state["weights"].items()}
    noted = {"step": str(state["step"]), "seed": str(state["seed"])}
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, out, metadata=noted)
    return out


def _help(*start: Any) -> None:
    """A child's part. Ctrl-C is for the first process, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work(*start)


def _work(
    rank: int,
    config: PagesConfig,
    folder: Path,
    seed: int,
    init: str | Path | None,
    meeting: Path,
    progress: Progress | None = None,
) -> Learner:
    """One process's part of the training."""
    torch.set_num_threads(1)
    world = config.processes
    if world > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting.resolve()}", rank=rank, world_size=world
        )
    try:
        learner = Learner(config, seed)
        seconds = _begin(learner, _begun(config, folder, seed, init))
        writer = _Writer(learner, folder, seconds, progress) if rank == 0 else None
        share = config.batch // world
        while learner.step < config.steps:
            first = learner.step * config.batch + rank * share
            losses = learner.losses(range(first, first + share))
            for parameter in learner.parameters:
                parameter.grad = None
            torch.stack(list(losses.values())).sum().backward()
            _average(learner.parameters, world)
            learner.descend()
            readings = None
            if learner.step % config.every == 0 or learner.step == config.steps:
                readings = _readings(learner, rank, world)
            if writer is not None:
                writer.note({name: loss.item() for name, loss in losses.items()}, readings)
        return learner
    finally:
        if world > 1:
            dist.destroy_process_group()


def read_state(path: Path) -> dict[str, Any]:
    """A state that a run wrote.

    Raises:
        Damaged: If it is not what was written.
    """
    return torch.load(io.BytesIO(read_sealed_bytes(path)), weights_only=True)


def _mend(folder: Path) -> None:
    """Put the state before in the place of the newest, where that is damaged or was never whole."""
    path, before = folder / STATE, folder / BEFORE
    if not before.exists():
        return
    try:
        read_sealed_bytes(path)
        return
    except FileNotFoundError:
        pass  # killed, or out of room, while it was written
    except Damaged as error:
        logger.warning("%s, and is now %s; the state before it is used", error, DAMAGED)
        path.replace(folder / DAMAGED)
    before.replace(path)


def _begun(
    config: PagesConfig, folder: Path, seed: int, init: str | Path | None
) -> dict[str, Any] | None:
    """What a run goes on from: its own state, else ``init``, else nothing."""
    path = folder / STATE
    if path.exists():
        try:
            state = read_state(path)
        except Damaged as error:
            raise Damaged(f"{error}; begin anew with --overwrite, or in another folder") from None
        if state["seed"] != seed or state["settings"] != _settings(config):
            raise ConfigError(
                f"{path} is of a run with seed {state['seed']} and {state['settings']}; go on with "
                "those settings, or choose another folder"
            )
        return state
    if init is None:
        return None
    if not Path(init).is_file():
        raise ConfigError(f"init must be a file that `keep` wrote, there is none at {init}")
    try:
        with safe_open(init, "pt") as file:
            step = int(file.metadata()["step"])
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"init must be a file that `keep` wrote, and {init} is none") from error
    if step >= config.steps:
        raise ConfigError(f"{init} has taken {step} steps, so steps must be more: {config.steps}")
    return {"weights": weights, "step": step, "since": step, "seconds": 0.0}


def _begin(learner: Learner, state: Mapping[str, Any] | None) -> float:
    """Go on where a run stopped; the seconds that it has taken."""
    if state is None:
        return 0.0
    learner.load_weights(state["weights"])
    if "optimizers" in state:
        for optimizer, kept in zip(learner.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
    learner.step, learner.since = state["step"], state["since"]
    return state["seconds"]


def _settings(config: PagesConfig) -> dict[str, Any]:
    """What a run that goes on must have in common with the one that stopped."""
    free = ("processes", "exam", "every", "minutes")
    return {name: value for name, value in asdict(config).items() if name not in free}


def _average(parameters: list[Any], world: int) -> None:
    """Average the gradients of all processes."""
    if world == 1:
        return
    have = [parameter for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([parameter.grad.flatten() for parameter in have])
    dist.all_reduce(flat)
    flat /= world
    pieces = flat.split([parameter.numel() for parameter in have])
    for parameter, piece in zip(have, pieces, strict=True):
        parameter.grad.copy_(piece.view_as(parameter))


def _readings(learner: Learner, rank: int, world: int) -> dict[str, float] | None:
    """What is read right of the validation pages, all processes together."""
    if not learner.speaks:
        return None
    counts = learner.exam(range(rank, learner.config.exam, world))
    if world > 1:
        dist.all_reduce(counts)
    right, asked = counts.unbind(1)
    return {
        name: round(float(share), 4)
        for name, share in zip(READINGS, right / asked.clamp(min=1), strict=True)
    }


class _Writer:
    """The first process's log and checkpoints.

    In the log ``seconds`` are those of the whole run, and ``cpu_seconds`` this process's own since
    it began or went on.
    """

    def __init__(
        self, learner: Learner, folder: Path, seconds: float, progress: Progress | None
    ) -> None:
        self.learner, self.folder, self.progress = learner, folder, progress
        self.begun = time.monotonic() - seconds
        self.saved = time.monotonic()
        self.seen: dict[str, list[float]] = {}
        self._forget_beyond(learner.step)

    def _forget_beyond(self, step: int) -> None:
        """Drop lines of steps that will be taken again, and those that are not what was written."""
        path = self.folder / LOG
        if not path.exists():
            return
        kept: list[str] = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                row = opened_line(line, f"{path}, line {number}")
            except Damaged as error:
                logger.warning("%s; it is left out", error)
                continue
            if row["step"] <= step:
                kept.append(sealed_line(row))
        with whole_file(path) as stream:
            stream.writelines(kept)

    def note(self, losses: Mapping[str, float], readings: Mapping[str, float] | None) -> None:
        """Take a step's losses; write a line every 50 steps, and a checkpoint when it is time."""
        learner = self.learner
        for name, loss in losses.items():
            self.seen.setdefault(name, []).append(loss)
        last = learner.step == learner.config.steps
        if learner.step % 50 == 0 or last:
            means = {name: round(sum(seen) / len(seen), 4) for name, seen in self.seen.items()}
            self.seen = {}
            line = {
                "step": learner.step,
                "seconds": round(time.monotonic() - self.begun),
                "cpu_seconds": round(time.process_time()),
                "rate": round(learner.config.rate(learner.step, learner.since), 3),
                **means,
                **(readings or {}),
            }
            with (self.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(sealed_line(line))
            if self.progress is not None:
                self.progress(line)
        if last or time.monotonic() - self.saved > 60 * learner.config.minutes:
            self._save()

    def _save(self) -> None:
        learner = self.learner
        state = {
            "step": learner.step,
            "since": learner.since,
            "seed": learner.seed,
            "seconds": time.monotonic() - self.begun,
            "settings": _settings(learner.config),
            "weights": learner.weights(),
            "optimizers": [optimizer.state_dict() for optimizer in learner.optimizers],
        }
        made, path = io.BytesIO(), self.folder / STATE
        torch.save(state, made)
        if path.exists():
            path.replace(self.folder / BEFORE)
        write_sealed_bytes(path, made.getvalue())
        self.saved = time.monotonic()
