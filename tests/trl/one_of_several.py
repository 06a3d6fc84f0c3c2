"""One process of a run that has several: ``one_of_several.py MODEL SETTINGS GROUPS OUT``.

Started by torch's launcher; writes what TRL made of this process's rollouts.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState
from conftest import settings_for
from scripted import TRL

from trainers.conformance import cases


def main(model: str, setting: str, groups: str, out: str) -> None:
    torch.set_num_threads(1)
    folder = Path(out)
    (case,) = cases([setting], groups.split(","))
    rollouts = TRL(model, settings_for(folder)).rollouts(case)
    told = json.dumps([asdict(rollout) for rollout in rollouts])
    (folder / f"{PartialState().process_index}.json").write_text(told)


main(*sys.argv[1:])
