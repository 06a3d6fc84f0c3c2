"""Judges by name: built in, registered here, or brought by another package."""

from __future__ import annotations

from typing import Any

from vt_env.errors import ConfigError
from vt_env.judges.base import Judge, JudgeLike, PlainJudge
from vt_env.registry import Registry

JUDGES: Registry[JudgeLike] = Registry(
    "judge",
    "vt.judges",
    {
        "exact": "vt_env.judges.rules:exact",
        "numeric": "vt_env.judges.rules:numeric",
        "mcq": "vt_env.judges.rules:mcq",
        "relaxed": "experiments.benchmarks.metrics:relaxed",
        "anls": "experiments.benchmarks.metrics:anls",
        "substring": "experiments.benchmarks.metrics:substring",
        "yesno": "experiments.benchmarks.metrics:yesno",
        "vqa": "experiments.benchmarks.metrics:vqa",
        "realworldqa": "experiments.benchmarks.letters:realworldqa",
        "mmbench": "experiments.benchmarks.letters:mmbench",
        "mathvista": "experiments.benchmarks.letters:mathvista",
        "mmmu": "experiments.benchmarks.letters:mmmu",
        "vstar": "experiments.benchmarks.zoom_letters:vstar",
        "hrbench": "experiments.benchmarks.zoom_letters:hrbench",
        "mme_realworld": "experiments.benchmarks.zoom_letters:mme_realworld",
        "treebench": "experiments.benchmarks.zoom_letters:treebench",
        "math": "vt_env.judges.math_judge:MathJudge",
        "auto": "vt_env.judges.auto:AutoJudge",
        "noisy": "agents.judging.noisy:noisy",
        "cascade": "agents.judging.cascade:cascade_judge",
        "panel": "agents.judging.panel:panel_judge",
        "openai": "agents.judging.openai_judge:openai_judge",
        "transformers": "agents.judging.transformers_judge:transformers_judge",
        "vllm": "agents.judging.vllm_judge:vllm_judge",
    },
)
register_judge = JUDGES.register


def make_judge(spec: str | JudgeLike, **kwargs: Any) -> Judge:
    """A judge from ``NAME`` or ``NAME:ARGUMENT``; a judge is returned as it is.

    An object that only has ``name`` and ``score`` gets everything else.

    Args:
        spec: E.g. ``"auto"``, ``"relaxed:official"``, ``"numeric:0.01"``. What follows the colon
            is the factory's first argument, as text. Square brackets around a spec within a spec
            keep its commas and plus signs to itself: ``"noisy:[numeric:0.01],rate=0.2"``.
        **kwargs: Passed to the judge's factory.

    Raises:
        ConfigError: The name is unknown, or the judge does not take the arguments.
        MissingExtra: The judge needs a package that is not installed.
    """
    if not isinstance(spec, str):
        if kwargs:
            given = ", ".join(sorted(kwargs))
            raise ConfigError(f"A ready judge takes no arguments, got {given}.")
        return _whole(spec)
    text = spec.strip()
    while text[:1] == "[" and text[-1:] == "]":
        text = text[1:-1].strip()
    name, colon, argument = text.partition(":")
    judge = _whole(JUDGES.make(name, *((argument,) if colon else ()), **kwargs))
    judge.spec = spec, kwargs
    return judge


def _whole(judge: JudgeLike) -> Judge:
    """A judge with everything that a judge can do."""
    if isinstance(judge, Judge):
        return judge
    if not isinstance(judge, JudgeLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"expected a judge's name, or an object with `name` and `score(queries)`, got "
            f"{type(judge).__name__}"
        )
    return PlainJudge(judge)
