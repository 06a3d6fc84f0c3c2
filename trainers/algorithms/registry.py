"""Algorithms by name: built in, registered here, or brought by another package."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from trainers.algorithms.base import Algorithm
from vt_env.errors import ConfigError, unknown_name
from vt_env.registry import Registry
from vt_env.specs import parse_spec

ALGORITHMS: Registry[Algorithm] = Registry(
    "algorithm",
    "vt.algorithms",
    {
        "ppo": "trainers.algorithms.catalogue:PPO",
        "grpo": "trainers.algorithms.catalogue:GRPO",
        "dr_grpo": "trainers.algorithms.catalogue:DrGRPO",
        "rloo": "trainers.algorithms.catalogue:RLOO",
        "reinforce++": "trainers.algorithms.catalogue:ReinforcePlusPlus",
        "reinforce++-baseline": "trainers.algorithms.catalogue:ReinforcePlusPlusBaseline",
        "dapo": "trainers.algorithms.catalogue:DAPO",
        "gspo": "trainers.algorithms.catalogue:GSPO",
        "dtpo": "trainers.algorithms.credit:DTPO",
        "hdpo": "trainers.algorithms.credit:HDPO",
    },
)

ELSEWHERE = {
    "gae": "ppo",
    "group_norm": "grpo",
    "reinforce": "reinforce++",
    "reinforce_baseline": "reinforce++-baseline",
}
"""OpenRLHF names estimators; the algorithm with each."""


def make_algorithm(spec: str | Algorithm, **parameters: Any) -> Algorithm:
    """An algorithm from ``NAME[:parameter=value,…]``, e.g. ``"grpo:kl_coef=0.001,clip_high=0.28"``.

    Args:
        spec: The name, with hyper-parameters; a ready algorithm is returned as it is.
        **parameters: Further hyper-parameters.

    Raises:
        ConfigError: On an unknown name or hyper-parameter (with the closest match), one given
            twice, or a value that is out of range.
    """
    if not isinstance(spec, str):
        if parameters:
            given = ", ".join(sorted(parameters))
            raise ConfigError(f"A ready algorithm takes no parameters, got {given}.")
        return spec
    name, positional, keywords = parse_spec(spec)
    if positional:
        raise ConfigError(f"in {spec!r}: expected parameter=value, got {positional[0]!r}")
    if twice := sorted(keywords.keys() & parameters.keys()):
        raise ConfigError(f"{twice[0]!r} is given both in {spec!r} and beside it")
    if name in ELSEWHERE:
        raise ConfigError(
            f"{name!r} is OpenRLHF's name of an estimator; the algorithm is {ELSEWHERE[name]!r}"
        )
    keywords |= parameters
    factory = ALGORITHMS.get(name)
    if is_dataclass(factory):
        known = [f.name for f in fields(factory)]
        for key in keywords:
            if key not in known:
                raise unknown_name(f"parameter of {name}", key, known)
    return ALGORITHMS.make(name, **keywords)
