"""``vt play``: walk through one episode, by hand or watching an agent."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents import Agent, Conversation, answer_turn, closing, make_agent, request_turn
from experiments.commands.options import add_task_options, natural, task_of
from experiments.parsing import Parser, option
from experiments.terminal import visible
from vt_env import ConfigError, DataError, Query, ToolError, Verdict
from vt_env.actions import NoTurn
from vt_env.dialogue import Dialogue
from vt_env.env import VisionThinkEnv
from vt_env.pictures import Picture
from vt_env.prompts import block_text
from vt_env.regions import Box, Region
from vt_env.render import boxed, told_of
from vt_env.samples import Sample

DESCRIPTION = """\
Walk through one episode in the terminal. Pictures are drawn in half blocks where the terminal shows
colours, a part beside its box on the source; --save writes what an onlooker sees as PNG files.

You are the policy: type an answer, or /look to ask for the original, or a whole turn with its
tags; /help lists the commands, /quit ends. Or name an --agent and watch.

--web plays on a page, with boxes drawn on the picture and pictures of your own. Only this machine
can open it, with the address that is printed.
"""
_LOOK = "/look LEFT TOP RIGHT BOTTOM [PICTURE], in the picture's own pixels"
_HELP = f"""\
/look   ask for the original, where that is still possible
{_LOOK}: ask for a part, where a tool shows one
/help   this
/quit   end without an answer
All else is an answer; one that begins with a slash is written <answer>/usr/bin</answer>.
A whole turn has its tags: <think>…</think><answer>…</answer>."""
_COMMAND = re.compile(r"/[a-z]*(?: +[0-9]{1,6}){0,5}")
_COLUMNS = 64


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.epilog = 'Example: vt play --image photo.jpg --question "How many birds?" --answer 2'
    option(parser, "--data SOURCE", "what is played", default="generated")
    option(parser, "--id ID", "which sample; a random one by default")
    option(parser, "--image FILE", "a picture of your own", Path)
    option(parser, "--question TEXT", "what to ask about --image")
    option(parser, "--answer TEXT",
           "an accepted answer; several are possible; without any, nothing is judged",
           action="append")  # fmt: skip
    option(parser, "--agent NAME[:ARGS]", "watch an agent instead of playing")
    option(parser, "--seed S", "of the sample, and of an agent's draws", natural, 0)
    option(parser, "--save DIR", "write a PNG of every step", Path)
    option(parser, "--web", "play on a page in a browser")
    option(parser, "--port PORT", "of --web; 0 takes a free one", natural, 0)
    add_task_options(parser)


class NoReference:
    """A judge for questions without a reference: everything is unscored."""

    name = "none"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """Unscored, all of them."""
        return [Verdict(None, self.name, "no --answer was given") for _ in queries]


def run(arguments: argparse.Namespace) -> None:
    """Play one episode."""
    if arguments.save and (there := sorted(arguments.save.glob("turn*.png"))):
        raise ConfigError(f"{there[0]} is there already; choose another --save")
    if arguments.web:
        if arguments.save:
            raise ConfigError("--save belongs to the terminal, not to --web")
        return _serve(arguments)
    env = _environment(arguments)
    if arguments.save is not None:
        _check_folder(arguments.save)
    if not arguments.agent:
        return _play(arguments, env, None)
    with closing(make_agent(arguments.agent)) as agent:
        return _play(arguments, env, agent)


def _serve(arguments: argparse.Namespace) -> None:
    """Play on a page until interrupted."""
    from experiments.playing.game import MOST, Game
    from experiments.site import Site

    def start(own: Sample | None) -> VisionThinkEnv:
        return _environment(arguments) if own is None else _own(arguments, own)

    with ExitStack() as held:
        agent = (
            held.enter_context(closing(make_agent(arguments.agent))) if arguments.agent else None
        )
        game = Game(start, agent, arguments.seed, arguments.id or "")
        site = held.enter_context(Site.at(arguments.port, game.get, game.post, MOST))
        _say(f"open {site.url}\nstop with Ctrl-C")
        site.serve()


class _Quit(Exception):
    """The user has had enough."""


def _play(arguments: argparse.Namespace, env: VisionThinkEnv, agent: Agent | None) -> None:
    options = {"sample_id": arguments.id} if arguments.id else {}
    env.reset(seed=arguments.seed, options=options)
    rng = np.random.default_rng(arguments.seed)
    info: dict[str, Any] = {}
    shown = _show_news(env, 0)
    _save(env, arguments.save)
    while not env.dialogue.done:
        try:
            turn = _agent_turn(agent, env, rng) if agent else _typed_turn(env)
        except _Quit:
            return _say("no answer was given, so nothing was judged")
        *_, info = env.step(turn)
        shown = _show_news(env, shown)
        _save(env, arguments.save)
    verdict, terms = info["verdict"], info["reward_terms"]
    word = {True: "correct", False: "wrong", None: "unscored"}[verdict.correct]
    if verdict.correct is False and env.dialogue.answer is not None:
        word += ", not one of the accepted answers"
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
    if not arguments.image.is_file():
        raise DataError(f"expected a picture's file, and {arguments.image} is a folder")
    if not arguments.question.strip() or not all(a.strip() for a in arguments.answer or ("a",)):
        raise ConfigError("--question and --answer want words, got an empty text")
    references = tuple(arguments.answer or ("(none)",))
    return _own(
        arguments, Sample(arguments.image.name, arguments.question, references, arguments.image)
    )


def _own(arguments: argparse.Namespace, sample: Sample) -> VisionThinkEnv:
    """The environment of one's own question; without an accepted answer nothing is judged."""
    Picture(sample.image).check(decode=True)
    judged = sample.references != ("(none)",)
    replaced: dict[str, Any] = {} if judged else {"judge": NoReference()}
    return VisionThinkEnv(task_of(arguments, [sample], **replaced))


def _show_news(env: VisionThinkEnv, shown: int) -> int:
    """What the environment said and showed since the last turn."""
    dialogue = env.dialogue
    if dialogue.done:
        return shown
    for view in dialogue.views[shown:]:
        if sys.stdout.isatty():
            sys.stdout.write(picture(view.image, boxed(dialogue, view)) + "\n")
        _say(told_of(dialogue, view))
    _say(f"environment> {block_text(dialogue.messages[-1]['content'])}")
    return len(dialogue.views)


def picture(image: Image.Image, source: Image.Image | None = None) -> str:
    """A picture as text; a part beside its source, on which its box is drawn."""
    if source is None:
        return "\n".join(half_blocks(image, _COLUMNS))
    left, right = half_blocks(source, _COLUMNS // 2), half_blocks(image, _COLUMNS // 2)
    blank = " " * min(_COLUMNS // 2, source.width)
    pairs = zip_longest(left, right)
    return "\n".join(f"{one or blank}  {other or ''}".rstrip() for one, other in pairs)


def half_blocks(image: Image.Image, columns: int) -> list[str]:
    """A picture as lines of text: two pixels a character, in 24-bit colours."""
    width, height = image.size
    columns = min(columns, width)
    rows = max(2, round(height * columns / width / 2) * 2)
    pixels = np.asarray(image.resize((columns, rows), Image.Resampling.BOX))
    lines: list[str] = []
    for top, bottom in zip(pixels[::2], pixels[1::2], strict=True):
        cells = [
            "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*map(int, (*a, *b)))
            for a, b in zip(top, bottom, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return lines


def _typed_turn(env: VisionThinkEnv) -> str:
    can_look = env.dialogue.can_request
    _say(f"(type an answer{', /look to see more' if can_look else ''}, or /help)")
    while True:
        line = _typed_line()
        if not _COMMAND.fullmatch(line):
            return line if "<" in line else answer_turn(line, "I answer.")
        if line == "/quit":
            raise _Quit
        if line.split()[0] != "/look":
            _say(_HELP if line == "/help" else f"there is no command {line}\n{_HELP}")
        elif not can_look:
            _say("nothing can be asked for any more: type an answer")
        else:
            try:
                return _look(env.dialogue, [int(number) for number in line.split()[1:]])
            except ToolError as error:
                _say(f"{error}: {_LOOK}")


def _look(dialogue: Dialogue, numbers: Sequence[int]) -> str:
    """The turn that asks for the original, or for a box of one of the pictures.

    Raises:
        ToolError: If the protocol has no tool for it, or there is no such place.
    """
    if not numbers and dialogue.protocol.tool("resize_image"):
        return request_turn("I ask for the original.")
    edges, (number, *_) = numbers[:4], [*numbers[4:], 1]
    if len(edges) < 4 or not 1 <= number <= len(dialogue.pictures):
        raise ToolError("a place is four numbers, and a picture's own from 1 up")
    size = dialogue.pictures[number - 1].size
    box = Box(*edges)
    if box.width <= 0 or box.height <= 0 or not box.within(Box.of(size)).area:
        raise ToolError(f"no pixel of a picture of {size[0]} x {size[1]} is in {box}")
    return dialogue.ask(Region(number - 1, box, size), "I look closer.")


def _typed_line() -> str:
    line = ""
    while not line:
        try:
            line = input("you> ").strip()
        except EOFError as error:
            raise ConfigError(
                "the input ended before the episode did; type an answer, or name an --agent"
            ) from error
    return line


def _agent_turn(agent: Agent, env: VisionThinkEnv, rng: np.random.Generator) -> str | NoTurn:
    (reply,) = agent.act([Conversation.of(env.dialogue, rng)])
    _say(f"{agent.name}> {reply.text or reply.failure}")
    return reply.action


def _save(env: VisionThinkEnv, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        env.render_mode = "rgb_array"
        Image.fromarray(np.asarray(env.render())).save(folder / f"turn{env.dialogue.turn}.png")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before anything is played."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no folder" if not there.is_dir() else "not writable"
        raise ConfigError(f"cannot write to {folder}: {there} is {reason}")


def _say(text: str) -> None:
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()
