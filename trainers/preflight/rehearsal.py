"""Stage 4: one step of the longest samples through everything, and its model played."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import rollout
from agents.models import load_vlm
from trainers.base import Trainer, check_settings
from trainers.config import CheckpointConfig, EvaluationConfig, TrackingConfig, TrainConfig
from trainers.models import agent_of
from trainers.preflight.findings import Finding, tried
from trainers.preflight.known import Known
from trainers.preflight.sizes import Machines, machines_of
from trainers.probes import arms_for
from trainers.tracking import LOG, JsonLines
from vt_env.errors import ConfigError
from vt_env.protocol import Protocol
from vt_env.vector import VisionThinkVectorEnv

_MEASURED = 2
"""Samples that the evaluation plays."""
_DRIFT = 0.05
"""Nats a token that engine and learner may differ by, on average, before a person should look."""


def rehearse(known: Known) -> Iterator[Finding]:
    """Play, judge, learn, save, evaluate and export, small; then load what was saved."""
    if not known.longest or known.trainer is None:
        why = "no sample is known" if known.trainer else f"{known.config.trainer} is not installed"
        yield Finding(4, "one step", "no", why)
        return
    trainer = known.trainer
    parent = known.out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".vt-rehearsal-"))
    try:
        yield (done := tried(4, "one step", lambda: _step(known, trainer, folder)))
        if done.verdict != "no":
            yield from _measured(known, folder)
            yield tried(4, "the saved model", lambda: _play(known, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def small(config: TrainConfig, machines: Machines) -> TrainConfig:
    """The recipe as one step, as small as its machines can share it.

    OpenRLHF asks its engines for log-probabilities only where they correct something; here they
    are to be compared.
    """
    rollout, optimiser, hosted = config.rollout, config.optimiser, config.openrlhf
    if hosted.correction == "off":
        hosted = replace(hosted, correction="token")
    share = machines.learners * optimiser.microbatch
    prompts = math.lcm(rollout.group_size, share) // rollout.group_size
    return replace(
        config,
        steps=1,
        rollout=replace(rollout, prompts=min(prompts, rollout.prompts)),
        optimiser=replace(optimiser, minibatches=1),
        evaluation=EvaluationConfig(every=1, limit=_MEASURED, batch=_MEASURED),
        checkpoint=CheckpointConfig(every=1, keep=1),
        tracking=TrackingConfig(wandb="off", episodes=0),
        openrlhf=hosted,
    )


def asking(config: TrainConfig, protocol: Protocol, trainer: Trainer) -> TrainConfig:
    """The recipe with all rollouts forced to ask for more, where trainer and recipe allow it.

    A policy may answer at once. Then the longest rollouts would not be played.
    """
    if config.rollout.arm or not protocol.tools:
        return config
    arm = next(name for name in arms_for(config, protocol) if name != "direct")
    forced = replace(config, rollout=replace(config.rollout, arm=arm, probes=0))
    try:
        check_settings(trainer, forced)
    except ConfigError:
        return config
    return forced


def _step(known: Known, trainer: Trainer, folder: Path) -> str:
    def chosen(split: str, spec: str, ids: Sequence[str]) -> str:
        path = folder / f"{split}.json"
        path.write_text(json.dumps({"source": spec, "ids": list(ids)}), "utf-8")
        return f"chosen:{path}"

    data, task = known.config.data, known.tasks["train"]
    spec = data.validation or data.train
    ids = known.tasks["validation" if data.validation else "train"].source.ids()
    config = asking(small(known.config, machines_of(known.config)), task.protocol, trainer)
    longest = known.longest[: config.rollout.prompts]
    config = replace(
        config,
        data=replace(
            data,
            train=chosen("train", data.train, longest),
            validation=chosen("validation", spec, ids[:_MEASURED]),
        ),
    )
    with _watched() as peak:
        result = trainer.train(config, folder / "run")
    known.facts |= {f"peak_{name}": size for name, size in peak.items()}
    rollouts = config.rollout.prompts * config.rollout.group_size
    memory = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in peak.items())
    return (
        f"{rollouts} rollouts of the {len(longest)} longest samples: played, judged, learnt, saved "
        f"and evaluated ({result.evaluation.get('eval/n', 0):g} samples); peak of this machine "
        f"alone: {memory or 'not known'}"
    )


def _measured(known: Known, folder: Path) -> Iterator[Finding]:
    """What the step's line of the log says."""
    row: dict[str, Any] = next(JsonLines(folder / "run" / LOG).rows())
    seconds = {n.removeprefix("time/"): v for n, v in row.items() if n.startswith("time/") and v}
    known.facts |= {f"seconds_{name}": value for name, value in seconds.items()}
    yield Finding(4, "seconds", "ok", ", ".join(f"{n} {v:.1f}" for n, v in seconds.items()))
    yield _update(row)
    if known.tasks["train"].protocol.tools:
        rate = row.get("rollout/request_rate")
        yield Finding(4, "the second view", "ok" if rate else "look",
                      f"{rate or 0:.0%} of the rollouts asked for more",
                      "" if rate else "so memory and seconds are those of shorter rollouts: warm "
                      "the model up, or leave room",
                      )  # fmt: skip
    drift = row.get("train/engine_kl")
    if drift is None and machines_of(known.config).engines:
        yield Finding(4, "engine and learner", "look",
                      f"not compared: {known.config.trainer} tells no train/engine_kl",
                      "with a ratio of single tokens OpenRLHF does")  # fmt: skip
    elif drift is not None:
        wide = not abs(drift) <= _DRIFT
        yield Finding(4, "engine and learner", "look" if wide else "ok",
                      f"{drift:.4f} nats a token apart",
                      "compare dtypes and attention; see openrlhf.correction" if wide else "",
                      )  # fmt: skip


def _update(row: Mapping[str, float | None]) -> Finding:
    """Whether the step's update was one; the log has null for what was not finite."""
    norm = row.get("train/grad_norm")
    lost = [name for name, value in row.items() if name.startswith("train/") and value is None]
    if norm is None or lost:
        says = f"no finite number: {', '.join(lost) or 'train/grad_norm'}"
        return Finding(4, "the update", "no", says,
                       "lower optimiser.learning_rate; compare dtypes and attention")  # fmt: skip
    if norm == 0 or row.get("reward/groups_without_signal") == 1:
        return Finding(4, "the update", "look",
                       f"gradient norm {norm:.3g}; nothing was learnt, as where all rewards of a "
                       "group are equal",
                       "look at the judge, the answers and the format; or warm the model up",
                       )  # fmt: skip
    return Finding(4, "the update", "ok", f"gradient norm {norm:.3g}")


def _play(known: Known, folder: Path) -> str:
    """Load the checkpoint as anybody would, and play one sample."""
    config = known.config
    (model,) = (folder / "run" / "checkpoint").glob("step-*/model")
    vlm = load_vlm(model)
    agent = agent_of(config.model, vlm, temperature=0.0, max_new_tokens=16)
    task = known.tasks["train"]
    env = VisionThinkVectorEnv(1, group_size=1, data=task)
    (episode,) = rollout(env, agent, sample_ids=[known.longest[-1]])
    return (
        f"loads from {model.relative_to(folder / 'run')} and plays: {len(episode.actions)} turn(s)"
    )


@contextmanager
def again_and_again(look: Callable[[], None], every: float) -> Iterator[None]:
    """Look every so many seconds, in a thread, while the block runs."""
    over = threading.Event()

    def looking() -> None:
        while not over.wait(every):
            look()

    thread = threading.Thread(target=looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Peak bytes while the block runs: of this machine's fullest GPU, and how its memory grew.

    All processes count, also those of a Ray cluster that was begun before; other machines do not.
    """
    peak: dict[str, float] = {}
    gauges = {"GPU": (_gpu_used, 0.0), "host memory": (_host_used, _host_used() or 0.0)}

    def look() -> None:
        for name, (gauge, before) in gauges.items():
            if (used := gauge()) is not None:
                peak[name] = max(peak.get(name, 0.0), used - before)

    with again_and_again(look, 1.0):
        yield peak
    look()


def _host_used() -> float | None:
    """Bytes of memory that are taken on this machine; ``None`` where Linux does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    kib = {name: float(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    return 1024 * (kib["MemTotal"] - kib["MemAvailable"])


def _gpu_used() -> float | None:
    """Bytes that are taken on the fullest GPU; ``None`` without one."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return max(float(line) for line in done.stdout.split()) * 2**20
