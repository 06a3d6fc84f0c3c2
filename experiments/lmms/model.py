"""``python -m lmms_eval --model visionthink``: lmms-eval's tasks played by our agents.

It is a *simple* model: a task's ``doc_to_text`` is the question, and the one picture of its
``doc_to_visual`` the original of the episode.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from experiments.lmms.playing import Answering, Settings
from experiments.lmms.requests import requests_of
from vt_env import ConfigError, MissingExtra
from vt_env.errors import unknown_name

try:
    from lmms_eval.api.instance import GenerationResult, TokenCounts
    from lmms_eval.api.model import lmms
    from loguru import logger
    from tqdm import tqdm
except ImportError as error:
    absent = (error.name or "lmms_eval").partition(".")[0].replace("_", "-")
    raise MissingExtra(absent, "lmms", "the model visionthink of lmms-eval") from error

_RULES = ("tokens", "prompt", "factor", "max_turns", "first_look", "tools")


class VisionThink(lmms):
    """An agent of ours, in one of our modes.

    Args:
        agent: Its spec, in square brackets where it has commas: ``agent=[random:p=0.3,…]``.
        facts: A new JSONL file for what the agent was shown and did; see
            :mod:`experiments.lmms.facts`.
        mode: A mode of ``vt eval``.
        seed: Of the rollouts.
        unplayable: ``error`` or ``empty``; see :class:`~experiments.lmms.playing.Settings`.
        tokens: Whose visual tokens are counted.
        prompt: A prompt template.
        factor: Side of the first view over the original's.
        max_turns: Turns that the agent has.
        first_look: How the first view is made.
        tools: Names of tools in square brackets.
        batch_size: lmms-eval's ``--batch_size``: requests at once.
        max_batch_size: lmms-eval's; not used.
        device: lmms-eval's ``--device``; the agent's spec says it instead.
        **unknown: Anything else is an error.

    Raises:
        ConfigError: On a value that there is not, or more than one process.
    """

    def __init__(
        self,
        agent: str = "",
        facts: str = "",
        mode: str = "visionthink",
        seed: int = 0,
        unplayable: Any = "error",
        tokens: str | None = None,
        prompt: str | None = None,
        factor: float | None = None,
        max_turns: int | None = None,
        first_look: str | None = None,
        tools: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            known = [n for n in inspect.signature(VisionThink).parameters if n != "unknown"]
            raise unknown_name("argument of the model visionthink", next(iter(unknown)), known)
        if not agent or not facts:
            raise ConfigError(
                "the model visionthink needs --model_args agent=SPEC,facts=FILE: who plays, and a "
                "new file for what it was shown"
            )
        if device is not None:
            raise ConfigError(
                f"--device {device} is not passed on: the agent's spec says it, as in "
                f"agent=[transformers:PATH,device={device}]"
            )
        for name, value, kinds in (
            ("seed", seed, (int,)),
            ("max_turns", max_turns, (int, type(None))),
            ("factor", factor, (int, float, type(None))),
        ):
            if type(value) not in kinds:
                raise ConfigError(f"{name} must be a number, got {value!r}")
        if not str(batch_size).isdecimal():
            raise ConfigError(f"--batch_size must be a whole number, got {batch_size!r}")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                "the model visionthink runs in one process; spread the agent itself out, as in "
                "agent=[vllm:MODEL,tensor_parallel_size=2], and raise --batch_size"
            )
        given = (tokens, prompt, factor, max_turns, first_look, tools and _inner(tools).split(","))
        rules = {key: value for key, value in zip(_RULES, given, strict=True) if value is not None}
        settings = Settings(
            agent=_inner(str(agent)),
            facts=Path(str(facts)),
            mode=str(mode),
            seed=seed,
            batch=int(batch_size),
            unplayable=unplayable,
            rules=rules,
        )
        self.batch_size = settings.batch
        self.answering = Answering(settings)

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """An answer a request, with the tokens that were read and generated where they are known.

        A task's settings of generation (length, temperature, stop words) are not applied: the
        agent's spec has its own, the same for all tasks.
        """
        given = sorted({str(sorted(r.args[1].items())) for r in requests if r.args[1]})
        if given:
            logger.warning(
                "the agent generates as its spec says; these settings of tasks are not applied: "
                + "; ".join(given)
            )
        asked = requests_of(requests, self.task_dict)
        with tqdm(total=len(asked), desc="visionthink") as bar:

            def told(done: int) -> None:
                bar.update(done - bar.n)

            answers = self.answering.answer(asked, told)
        return [GenerationResult(one.text, TokenCounts(one.read, one.generated)) for one in answers]

    def loglikelihood(self, requests: list[Any]) -> Any:
        """Not possible.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "an agent answers in words, so tasks of loglikelihood and multiple_choice cannot be "
            "played: choose the generate_until form of the task"
        )

    def generate_until_multi_round(self, requests: list[Any]) -> Any:
        """Not possible.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("tasks of several rounds cannot be played: an episode asks one question")

    def clean(self) -> None:
        """Let go of the agent; lmms-eval is done with it."""
        self.answering.close()
        super().clean()


def _inner(text: str) -> str:
    """A value without the brackets or quotes that keep its commas together."""
    text = text.strip()
    for first, last in ("[]", '""', "''"):
        if text.startswith(first) and text.endswith(last) and len(text) > 1:
            return text[1:-1]
    return text
