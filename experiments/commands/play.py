"""``vt play``: walk through one episode, by hand or watching an agent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents import Agent, Conversation, answer_turn, closing, make_agent, request_turn
from experiments.commands.options import add_task_options, task_of
from vt_env import ConfigError, DataError, Query, Verdict, View
from vt_env.env import VisionThinkEnv
from vt_env.prompts import block_text
from vt_env.render import printable
from vt_env.samples import Sample

DESCRIPTION = """\
Walk through one episode in the terminal. The picture is drawn in half blocks where the terminal
shows colours; --save writes what an onlooker sees as PNG files.

You are the policy: type an answer, or /look to ask for the original, or a whole turn with its
tags. Or name an --agent and watch.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "play",
        help="walk through one episode, on a data set or on your own picture",
        description=DESCRIPTION,
        epilog='Example: vt play --image photo.jpg --question "How many birds?" --answer 2',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", default="generated", metavar="SOURCE", help="(default: generated)"
    )
    parser.add_argument("--id", metavar="ID", help="which sample; a random one by default")
    parser.add_argument("--image", type=Path, metavar="FILE", help="a picture of your own")
    parser.add_argument("--question", metavar="TEXT", help="what to ask about --image")
    parser.add_argument(
        "--answer",
        action="append",
        metavar="TEXT",
        help="an accepted answer; several are possible; without any, nothing is judged",
    )
    parser.add_argument("--agent", metavar="NAME[:ARGS]", help="watch an agent instead of playing")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write a PNG of every step")
    add_task_options(parser)
    parser.set_defaults(run=run)


class NoReference:
    """A judge for questions without a reference: everything is unscored."""

    name = "none"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """Unscored, all of them."""
        return [Verdict(None, self.name, "no --answer was given") for _ in queries]


def run(arguments: argparse.Namespace) -> None:
    """Play one episode."""
    env = _environment(arguments)
    if not arguments.agent:
        return _play(arguments, env, None)
    with closing(make_agent(arguments.agent)) as agent:
        return _play(arguments, env, agent)


def _play(arguments: argparse.Namespace, env: VisionThinkEnv, agent: Agent | None) -> None:
    options = {"sample_id": arguments.id} if arguments.id else {}
    env.reset(seed=arguments.seed, options=options)
    rng = np.random.default_rng(arguments.seed)
    info: dict[str, Any] = {}
    shown = _show_news(env, 0)
    _save(env, arguments.save)
    while not env.dialogue.done:
        turn = _agent_turn(agent, env, rng) if agent else _typed_turn(env)
        *_, info = env.step(turn)
        shown = _show_news(env, shown)
        _save(env, arguments.save)
    verdict, terms = info["verdict"], info["reward_terms"]
    word = {True: "correct", False: "wrong", None: "unscored"}[verdict.correct]
    _say(f"\n{word}: {verdict.reason} (judge: {verdict.judge})")
    if verdict.correct is not None:
        _say(f"accepted: {' | '.join(env.dialogue.sample.references)}")
        _say(str(terms))
    for flaw in env.dialogue.flaws:
        _say(f"format: {flaw}")
    _say(f"visual tokens: {info['visual_tokens']}; the original once: {info['full_visual_tokens']}")
    if info["futile_request"]:
        _say("the request brought no more visual tokens: the picture is too small to gain")


def _environment(arguments: argparse.Namespace) -> VisionThinkEnv:
    if arguments.image is None:
        if arguments.question or arguments.answer:
            raise ConfigError("--question and --answer belong to --image")
        return VisionThinkEnv(task_of(arguments, arguments.data))
    if not arguments.question:
        raise ConfigError("--image needs a --question")
    if arguments.id:
        raise ConfigError("--id belongs to --data, not to --image")
    if not arguments.image.exists():
        raise DataError(f"there is no picture at {arguments.image}")
    references = tuple(arguments.answer or ("(none)",))
    sample = Sample(arguments.image.name, arguments.question, references, arguments.image)
    replaced: dict[str, Any] = {} if arguments.answer else {"judge": NoReference()}
    return VisionThinkEnv(task_of(arguments, [sample], **replaced))


def _show_news(env: VisionThinkEnv, shown: int) -> int:
    """What the environment said and showed since the last turn."""
    dialogue = env.dialogue
    if dialogue.done:
        return shown
    for view in dialogue.views[shown:]:
        width, height = view.size
        tokens = dialogue.protocol.tokens.count(width, height)
        if sys.stdout.isatty():
            _say(half_blocks(view))
        _say(f"[image {width} x {height}, {tokens} visual tokens]")
    _say(f"environment> {printable(block_text(dialogue.messages[-1]['content']))}")
    return len(dialogue.views)


def half_blocks(view: View, columns: int = 64) -> str:
    """A picture as text: two pixels a character, in 24-bit colours."""
    width, height = view.size
    columns = min(columns, width)
    rows = max(2, round(height * columns / width / 2) * 2)
    pixels = np.asarray(view.image.resize((columns, rows), Image.Resampling.BOX))
    lines: list[str] = []
    for top, bottom in zip(pixels[::2], pixels[1::2], strict=True):
        cells = [
            "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*map(int, (*a, *b)))
            for a, b in zip(top, bottom, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def _typed_turn(env: VisionThinkEnv) -> str:
    ask = ", /look to ask for the original" if env.dialogue.can_request else ""
    _say(f"(type an answer{ask}, or a whole turn)")
    line = ""
    while not line.strip():
        try:
            line = input("you> ")
        except EOFError as error:
            raise ConfigError(
                "the input ended before the episode did; type an answer, or name an --agent"
            ) from error
    if line.strip() == "/look":
        return request_turn("I ask for the original.")
    return line if "<" in line else answer_turn(line.strip(), "I answer.")


def _agent_turn(agent: Agent, env: VisionThinkEnv, rng: np.random.Generator) -> str:
    (reply,) = agent.act([Conversation.of(env.dialogue, rng)])
    _say(f"{agent.name}> {printable(reply.text)}")
    return reply.text


def _save(env: VisionThinkEnv, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        env.render_mode = "rgb_array"
        Image.fromarray(np.asarray(env.render())).save(folder / f"turn{env.dialogue.turn}.png")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error


def _say(text: str) -> None:
    sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")
    sys.stdout.flush()
