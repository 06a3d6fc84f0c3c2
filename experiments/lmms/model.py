"""``python -m lmms_eval --model visionthink``: lmms-eval's tasks played by our agents.

It is a *simple* model: a task's ``doc_to_text`` is the question, and the one picture of its
``doc_to_visual`` the original of the episode. What the agent was shown is written down, see
:mod:`experiments.lmms.scoring`.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agents import make_agent
from agents.scripted import Oracle
from experiments.benchmarks.judging import unboxed
from experiments.evaluation.modes import parse_mode
from experiments.evaluation.player import Part, Player, Setup
from experiments.files import json_line
from experiments.lmms.requests import Nobody, Request, Requests, requests_of
from experiments.lmms.scoring import FORMAT, HEAD, SEEN
from vt_env import ConfigError, DataError, MissingExtra
from vt_env.errors import unknown_name
from vt_env.protocol import make_protocol

try:
    from lmms_eval.api.instance import GenerationResult, TokenCounts
    from lmms_eval.api.model import lmms
    from loguru import logger
    from tqdm import tqdm
except ImportError as error:
    absent = (error.name or "lmms_eval").partition(".")[0].replace("_", "-")
    raise MissingExtra(absent, "lmms", "the model visionthink of lmms-eval") from error

PART = "lmms-eval"
_SHOWN = 5


class VisionThink(lmms):
    """An agent of ours, in one of our modes.

    Args:
        agent: Its spec, in square brackets where it has commas: ``agent=[random:p=0.3,…]``.
        facts: A new JSONL file for what the agent was shown and did; see
            :mod:`experiments.lmms.scoring`.
        mode: A mode of ``vt eval``, except those that need other modes.
        seed: Of the rollouts.
        unplayable: What becomes of requests that an episode cannot show: ``error`` looks for them
            before anything is played, and stops; ``empty`` answers them with an empty text.
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
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ConfigError(f"--batch_size must be a whole number from 1 up, got {batch_size!r}")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                "the model visionthink runs in one process; spread the agent itself out, as in "
                "agent=[vllm:MODEL,tensor_parallel_size=2], and raise --batch_size"
            )
        if unplayable not in ("error", "empty"):
            raise ConfigError(f"unplayable must be error or empty, got {unplayable!r}")
        self.mode = parse_mode(str(mode))
        if self.mode.needs:
            raise ConfigError(
                f"{mode} takes what {', '.join(self.mode.needs)} did, which is not known here; "
                "give it as random@RATE"
            )
        self.facts = Path(str(facts))
        if self.facts.exists():
            raise ConfigError(f"{facts} is there already: choose another facts=FILE")
        given = {
            "tokens": tokens,
            "prompt": prompt,
            "factor": factor,
            "max_turns": max_turns,
            "first_look": first_look,
            "tools": tools and _inner(tools).split(","),
        }
        self.rules = {key: value for key, value in given.items() if value is not None}
        self.batch_size, self.seed, self.strict = int(batch_size), seed, unplayable == "error"
        protocol, spec = self.mode.protocol or "visionthink", _inner(str(agent))
        rules = make_protocol(protocol, **self.mode.rules(self.rules))
        self.mode.check(rules)
        self.agent, self._held = make_agent(spec), ExitStack()
        if isinstance(self.agent, Oracle):
            raise ConfigError("the oracle reads the references, which lmms-eval does not tell")
        self.facts.parent.mkdir(parents=True, exist_ok=True)
        played = {"agent": spec, "mode": str(mode), "protocol": protocol}
        more = {"tokens": rules.tokens.name, "seed": seed, "rules": self.rules}
        self._write([{HEAD: FORMAT, **played, **more}])

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """An answer a request, with the tokens that were read and generated where they are known.

        The facts are on disk after each batch. A task's settings of generation (length,
        temperature, stop words) are not applied: the agent's spec has its own, the same for all
        tasks.

        Raises:
            DataError: If a request cannot be played, and ``unplayable`` is ``error``.
        """
        given = sorted({str(sorted(r.args[1].items())) for r in requests if r.args[1]})
        if given:
            logger.warning(
                "the agent generates as its spec says; these settings of tasks are not applied: "
                + "; ".join(given)
            )
        asked = requests_of(requests, self.task_dict)
        source, places = Requests(asked), range(len(asked))
        if self.strict:
            _stop_at([why for at in places for why in source.read(range(at, at + 1)).values()])
        setup = Setup(self.agent, [Part(PART, source, Nobody())], rules=self.rules, seed=self.seed)
        player = Player(setup)
        self._held.callback(player.close)
        answers: list[Any] = []
        with tqdm(total=len(asked), desc="visionthink") as bar:
            for start in places[:: self.batch_size]:
                block = places[start : start + self.batch_size]
                played = self._play(player, source, block)
                pairs = list(zip([asked[at] for at in block], played, strict=True))
                self._write([{**_asked(request), **fact} for request, fact in pairs])
                answers += [_answered(fact) for fact in played]
                bar.update(len(played))
                if self.strict:
                    _stop_at([fact["refused"] for fact in played if "refused" in fact])
        return answers

    def _play(self, player: Player, source: Requests, block: range) -> list[dict[str, Any]]:
        """What there is to say of each request of a batch."""
        ids, refused = source.ids(), source.read(block)
        left = [(at, ids[at]) for at in block if ids[at] not in refused]
        entries = player.play(PART, self.mode, left) if left else []
        facts: dict[int, dict[str, Any]] = {
            at: {"refused": refused[ids[at]]} for at in block if ids[at] in refused
        }
        rows = {entry["at"]: entry["row"] for entry in entries if "row" in entry}
        for entry in entries:
            if "refused" in entry:
                facts[entry["at"]] = {"refused": entry["refused"]["reason"]}
        seconds = sum(entry["spent"]["agent_seconds"] for entry in entries if "spent" in entry)
        for at, row in rows.items():
            facts[at] = {
                "answer": row["answer"],
                "returned": unboxed(row["answer"] or ""),
                **{key: row[key] for key in SEEN},
                "agent_seconds": seconds / len(rows),
                "batch": len(rows),
            }
        return [facts[at] for at in block]

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self.facts.open("a", encoding="utf-8") as stream:
            stream.writelines(map(json_line, lines))
            stream.flush()
            os.fsync(stream.fileno())

    def loglikelihood(self, requests: list[Any]) -> Any:
        """Not possible."""
        raise ConfigError(
            "an agent answers in words, so tasks of loglikelihood and multiple_choice cannot be "
            "played: choose the generate_until form of the task"
        )

    def generate_until_multi_round(self, requests: list[Any]) -> Any:
        """Not possible."""
        raise ConfigError("tasks of several rounds cannot be played: an episode asks one question")

    def clean(self) -> None:
        """Let go of the agent; lmms-eval is done with it."""
        self._held.close()
        super().clean()


def _inner(text: str) -> str:
    """A value without the brackets or quotes that keep its commas together."""
    text = text.strip()
    for first, last in ("[]", '""', "''"):
        if text.startswith(first) and text.endswith(last) and len(text) > 1:
            return text[1:-1]
    return text


def _stop_at(reasons: Sequence[str]) -> None:
    """Raise for requests that cannot be played, if there are any."""
    if reasons:
        more = "; …" if len(reasons) > _SHOWN else ""
        raise DataError(
            f"{len(reasons)} requests cannot be played: {'; '.join(reasons[:_SHOWN])}{more}. Leave "
            "the task out, or add unplayable=empty to --model_args: they are then answered with an "
            "empty text, which a task mostly calls wrong; vt judge lmms:PATH leaves them out and "
            "counts them"
        )


def _asked(request: Request) -> dict[str, Any]:
    return {key: getattr(request, key) for key in ("task", "split", "doc_id", "repeat", "question")}


def _answered(fact: Mapping[str, Any]) -> Any:
    """What lmms-eval is given; tokens of what was read only where every turn says them."""
    if "refused" in fact:
        return GenerationResult("", TokenCounts(None, None))
    read = [turn["prompt_tokens"] for turn in fact["turns"]]
    total = None if None in read else sum(read)
    return GenerationResult(fact["returned"], TokenCounts(total, fact["generated_tokens"]))
