"""Stage 2: from the sizes of the data's own pictures to memory, disk, hours and money."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from trainers.algorithms import make_algorithm
from trainers.hosted.run import taken_by
from trainers.lengths import Length, check, largest
from trainers.preflight import sizes
from trainers.preflight.findings import Finding, tried
from trainers.preflight.known import Known
from trainers.preflight.sizes import ASSUMED, Gpu, Load, Machines, Shape
from vt_env.errors import DataError

_LOOKED_AT = 2000
"""Samples of which pictures are decoded, spread over the data; a run decodes all that it plays."""
_LONGEST = 64
"""Samples that can be the longest, by the headers of all; all of them are decoded too."""
_GB = 1e9


def look_at_sizes(known: Known) -> Iterator[Finding]:
    """What the run will take."""
    if known.shape is None or known.processor is None or "train" not in known.tasks:
        yield Finding(2, "sizes", "skipped", "needs the model and the training data")
        return
    yield tried(2, "rollouts", lambda: _rollouts(known))
    if known.load is None:
        return
    machines, here = sizes.machines_of(known.config), _gpu_here()
    # a hosted trainer needs a GPU; where none is named or found, it is an H100
    assumed = sizes.gpu_called("H100") if machines.engines else None
    gpu = known.gpu or here or assumed
    elsewhere = gpu is not None and (here is None or here.name != gpu.name)
    run = _Run(known, known.shape, known.load, machines, elsewhere)
    if gpu is not None:
        yield tried(2, "GPU memory", lambda: _gpu_memory(run, gpu))
    yield tried(2, "host memory", lambda: _host(run))
    yield tried(2, "disk", lambda: _disk(run))
    if gpu is None:
        yield Finding(2, "hours", "skipped", "on a processor: see the seconds of one step")
    elif not gpu.arithmetic:
        known_ones = ", ".join(sizes.gpus())
        yield Finding(2, "hours", "skipped", f"it is not known how fast a {gpu.name} is",
                      f"for an estimate name one that is like it by --gpu: {known_ones}",
                      )  # fmt: skip
    else:
        yield tried(2, "hours", lambda: _hours(run, gpu))


class _Run(NamedTuple):
    known: Known
    shape: Shape
    load: Load
    machines: Machines
    elsewhere: bool
    """Whether it will be on another machine than this one."""

    @property
    def reference(self) -> bool:
        """Whether a second model says what the first policy would have said."""
        chosen = self.known.config.algorithm
        return make_algorithm(chosen.name, **chosen.options).kl_coef > 0


def _listed(parts: Mapping[str, float]) -> str:
    """Sizes in GB."""
    return ", ".join(f"{name} {size / _GB:.1f}" for name, size in parts.items())


def _rollouts(known: Known) -> str:
    """Look at samples spread over the data and at all that can be the longest, and keep these."""
    task, config = known.tasks["train"], known.config
    assert known.processor is not None
    ids = task.source.ids()
    looked = list(ids[:: -(-len(ids) // _LOOKED_AT)])
    longest = largest(task, _LONGEST)
    checked = check(task, dict.fromkeys([*looked, *longest]), known.processor, config)
    if not checked.longest:
        raise DataError("no picture of the training data can be shown")
    by_length = sorted(checked.longest, key=lambda name: -checked.longest[name].whole)
    known.longest = by_length[:_LONGEST]
    lengths = [checked.longest[name] for name in looked if name in checked.longest]
    turns = 1 + ASSUMED["asks"]
    said = turns * min(ASSUMED["said"], config.rollout.max_new_tokens)
    known.load = load = Load(
        rollouts=config.rollout.prompts * config.rollout.group_size,
        longest=checked.longest[by_length[0]].whole,
        typical=said
        + statistics.fmean(length.prompt + _shown(known, length) for length in lengths),
        said=said,
        visual=statistics.fmean(
            length.seen + ASSUMED["asks"] * (length.visual - length.seen) for length in lengths
        ),
        groups=config.rollout.prompts,
        shown=statistics.fmean(length.visual for length in lengths),
    )
    known.facts |= {"longest": load.longest, "typical": load.typical, "visual": load.visual}
    epochs = config.steps * config.rollout.prompts / len(ids)
    refused = f"; {len(checked.refused)} pictures are refused" if checked.refused else ""
    return (
        f"longest {load.longest:,} tokens, typical {load.typical:,.0f}, of which "
        f"{load.visual:,.0f} visual ({len(looked):,} of {len(ids):,} samples looked at, and all "
        f"headers{refused}); the run goes {epochs:.2g} times through the data"
    )


def _shown(known: Known, length: Length) -> float:
    """Tokens that the environment adds after the prompt, on average."""
    protocol = known.tasks["train"].protocol
    return ASSUMED["asks"] * (
        length.rest - protocol.max_turns * known.config.rollout.max_new_tokens
    )


def _gpu_here() -> Gpu | None:
    """This machine's GPU; ``None`` without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return sizes.gpu_found(found.name, found.total_memory)


def _gpu_memory(run: _Run, gpu: Gpu) -> Finding:
    known, shape, load, machines, _ = run
    parts = sizes.learner_memory(shape, load, machines, known.config, reference=run.reference)
    needed, room = sum(parts.values()), gpu.memory * _GB * ASSUMED["room"]
    known.facts["gpu_memory"] = needed
    weights = sizes.engine_weights(shape, machines)
    says = (
        f"{needed / _GB:.1f} GB of {gpu.memory:g} ({gpu.name}) while the longest rollout is "
        f"learnt: {_listed(parts)}"
    )
    if machines.engines:
        share = machines.engine_memory * gpu.memory
        says += f"; an engine's weights take {weights / _GB:.1f} of its {share:.0f} GB"
        if weights > 0.9 * share * _GB:
            return Finding(2, "GPU memory", "no", says,
                           "raise engine_memory, or let an engine span more GPUs (engine_gpus)",
                           )  # fmt: skip
    if needed > room:
        return Finding(2, "GPU memory", "no", says, _smaller(known, machines, parts))
    if needed > 0.85 * room:
        return Finding(2, "GPU memory", "look", f"{says}; little is left",
                       _smaller(known, machines, parts))  # fmt: skip
    return Finding(2, "GPU memory", "ok", says)


def _smaller(known: Known, machines: Machines, parts: dict[str, float]) -> str:
    """What makes a learner's memory smaller, the largest part first."""
    config, advice = known.config, []
    if config.optimiser.microbatch > 1:
        advice.append("lower optimiser.microbatch")
    if parts["logits"] + parts["activations"] > parts["weights"] + parts["optimiser"]:
        advice.append("bound pictures (environment.max_pixels)")
    if not machines.offload and machines.engines:
        advice.append(f"set {config.trainer}.offload=true")
    if machines.engines:
        advice.append("take more GPUs")
    if config.trainer == "local" and not config.model.lora_rank:
        advice.append("set model.lora_rank=16")
    return ", or ".join(advice) or "take a smaller model"


def _host(run: _Run) -> str | Finding:
    known, shape, load, machines, elsewhere = run
    parts = sizes.host_memory(shape, load, machines)
    needed = sum(parts.values())
    known.facts["host_memory"] = needed
    says = f"{needed / _GB:.1f} GB a machine ({_listed(parts)})"
    if elsewhere:
        return _to_compare("host memory", says)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shared = shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else 0
    says += f"; here are {there / _GB:.0f} GB, and {shared / _GB:.0f} in /dev/shm"
    if needed > 0.9 * there:
        return Finding(2, "host memory", "no", says, "take a machine with more memory, or lower "
                       "rollout.prompts or the bound of pictures")  # fmt: skip
    store = min(0.3 * there, shared)
    if machines.engines and parts["pixels of a step"] > store:
        says += f"; Ray keeps {store / _GB:.0f} of them for objects and writes the rest to disk"
        return Finding(2, "host memory", "look", says, "start Ray with --object-store-memory, and "
                       "a container with a larger --shm-size")  # fmt: skip
    return says


def _disk(run: _Run) -> str | Finding:
    known = run.known
    keep, taken = known.config.checkpoint.keep, taken_by(known.out)
    needed = max(0.0, sizes.disk(run.shape, keep) - taken)
    known.facts["disk"] = needed
    says = f"{needed / _GB:.1f} GB of states and checkpoints"
    if taken:
        says += f" beyond the {taken / _GB:.1f} GB that are there"
    if run.elsewhere:
        return _to_compare("disk", says)
    place = next(p for p in (known.out.absolute(), *known.out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    says += f"; {free / _GB:.0f} are free at {place}"
    if needed > free:
        return Finding(2, "disk", "no", says, "lower checkpoint.keep, or choose another --out")
    return says


def _to_compare(what: str, says: str) -> Finding:
    return Finding(2, what, "look", f"{says}; the run will not be on this machine",
                   "compare it with what that machine has")  # fmt: skip


def _hours(run: _Run, gpu: Gpu) -> Finding:
    known, shape, load, machines, _ = run
    config = known.config
    phases = sizes.step_seconds(
        shape, load, machines, gpu, config.optimiser.epochs, reference=run.reference
    )
    step = sum(phases.values()) * ASSUMED["overhead"]
    hours = step * config.steps / 3600
    known.facts |= {"step_seconds": step, "hours": hours, "gpu_hours": hours * machines.gpus}
    parts = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in phases.items())
    says = (
        f"{step / 60:.3g} minutes a step ({parts}), {hours:,.3g} hours on {machines.gpus} × "
        f"{gpu.name}: {hours * machines.gpus:,.3g} GPU-hours"
    )
    if known.price is not None:
        known.facts["money"] = hours * machines.gpus * known.price
        says += f", {known.facts['money']:,.0f} at {known.price:g} each"
    assumed = ", ".join(f"{name} {value:g}" for name, value in ASSUMED.items())
    return Finding(2, "hours", "ok", says, f"an estimate; it assumes {assumed}")
