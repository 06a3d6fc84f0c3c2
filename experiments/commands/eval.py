"""``vt eval``: play agents on a data set and measure accuracy against visual tokens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from experiments.benchmarks import BENCHMARKS, VARIANTS
from experiments.benchmarks.suite import SUITES, metrics_of, suite_parts
from experiments.commands.options import (
    add_amount_options,
    add_folder_options,
    add_task_options,
    console,
    looked,
    mode_of,
    natural,
    need_rich,
    parse_shard,
    positive,
    refuse_own,
    rules_of,
    told,
)
from experiments.commands.presenting import DRAWN, present, present_merged, present_suite
from experiments.evaluation.modes import Mode, mode_names, parse_modes
from experiments.evaluation.player import Opened, Part, Player, Setup
from experiments.evaluation.run import Evaluation, Options, merge, merged_names, playable
from experiments.evaluation.workers import Actors, Here, Processes, Workers
from experiments.parsing import Parser, option
from experiments.recipe import other_bound
from trainers.results import Results, begin
from vt_env import ConfigError

DESCRIPTION = f"""\
Play one agent, or several one after the other, on a data set, one episode a sample. With --mode
each agent plays it in several ways, and --reference those in which the agent does not decide.

modes:  {", ".join(mode_names())}

agents: vt list agents; with arguments as in random:p=0.3,answerer=ocr

data:   generated[:n=2000,seed=0,split=test], jsonl:FILE, folder:FOLDER, hf:PATH, or just a path

  vt eval --merge SHARD... --out DIR      puts together what --shard I/N played
"""
EPILOG = """\
In DIR: episodes.jsonl (a line an episode), result.json (accuracy, request_rate, visual_tokens,
token_ratio, … over all, by kind and by source, with 95 % intervals), plot.png and plot.svg. With
modes each has a folder of its own in DIR, and DIR/result.json holds all, with tests between them.
With several agents each has a folder of its own in DIR, and DIR/comparison.json and the plot hold
all. What is done is on disk at once: vt eval --resume --out DIR goes on with an
evaluation that was stopped; all that it was told is remembered.
"""
KIND = "eval"
_MERGING = {"merge", "out", "resume", "overwrite", "seed", "debug"}
"""Options that have a place beside --merge."""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "--agent NAME[:ARGS]", "who plays; several times to compare", action="append")
    option(parser, "--data SOURCE", "what is played")
    option(parser, "--out DIR", "where results go", Path, required=True)
    option(parser, "--mode MODE",
           "a way to play, see above; several times for more (default: as --protocol says)",
           default=[], action="append", dest="modes")  # fmt: skip
    option(parser, "--reference NAME[:ARGS]",
           "who plays the modes in which the agent does not decide (default: the agent itself)",
           )  # fmt: skip
    add_amount_options(parser, "episodes")
    option(parser, "--repeat K", "play every sample K times: Avg@K and pass@k", positive, 1)
    option(parser, "--seed S", "of the rollouts", natural, 0)
    add_folder_options(parser, "evaluation")
    option(parser, "--merge SHARD", "no agent: folders of shards", Path, nargs="+")
    _add_suite(parser)
    _add_sharding(parser)
    add_task_options(parser, stage="evaluation")
    parser.set_defaults(judge=None)


def _add_suite(parser: Parser) -> None:
    group = parser.add_argument_group("public benchmarks, in place of --data")
    suites = f"several: {', '.join(SUITES)}; see docs/benchmarks.md"
    option(group, "--suite NAME", suites, sorted(SUITES))
    option(group, "--benchmark NAME",
           f"only this one, or these: {', '.join(BENCHMARKS.names())}", default=[],
           action="append")  # fmt: skip
    option(group, "--suite-data DIR", "local copies (default: from the Hub)", Path)
    option(group, "--variant NAME",
           f"of the metrics: {', '.join(VARIANTS)} (default: fixed)", list(VARIANTS))  # fmt: skip
    option(group, "--option-seed S",
           "draws the order of options where they are shuffled (default: 0)", natural)  # fmt: skip
    option(group, "--judge-model JUDGE", "who judges where the metric is a language model's")


def _add_sharding(parser: Parser) -> None:
    group = parser.add_argument_group("playing at the same time; rows do not depend on it")
    option(group, "--shards N", "processes, an agent each", positive, 1)
    option(group, "--ray", "on a Ray cluster's machines instead")
    option(group, "--gpus G", "GPUs of each shard; 0: all", natural, 0)
    option(group, "--shard I/N",
           "play only this part, from 0; --merge puts them together", parse_shard)  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Play, or put together what was played; write, show."""
    need_rich()
    looked(arguments, KIND)
    _check(arguments)
    (_evaluate if arguments.merge is None else _merge)(arguments)


@contextmanager
def _working(arguments: argparse.Namespace, names: Iterable[str]) -> Iterator[Results]:
    """The folder of results, for names in it and what is drawn of them."""
    owns = [*names, *DRAWN]
    with begin(arguments.out, KIND, owns, mode_of(arguments), settings=told(arguments)) as results:
        if arguments.resume:
            results.remember(settings=told(arguments, results.stamp))
        yield results
        results.finish()


def _merge(arguments: argparse.Namespace) -> None:
    shards, out = arguments.merge, arguments.out
    refuse_own(arguments, *shards)
    with _working(arguments, merged_names(shards)):
        merged = merge(shards, out, metrics=lambda c: metrics_of(c["data"], c["judge"]))
        present_merged(merged, out)


def _check(arguments: argparse.Namespace) -> None:
    """Options that belong together."""
    if arguments.merge is not None:
        if given := sorted(arguments.given - _MERGING):
            names = ", ".join(f"--{n.rstrip('s').replace('_', '-')}" for n in given)
            raise ConfigError(f"--merge plays nothing: leave out {names}")
        return
    needed = ["agent"] if arguments.suite else ["agent", "data"]
    if arguments.suite is None:
        for group in (("variant", "judge_model", "option_seed"), ("benchmark", "suite_data")):
            if any(getattr(arguments, name) not in (None, []) for name in group):
                names = " and ".join(f"--{name.replace('_', '-')}" for name in group)
                raise ConfigError(f"{names} go with --suite")
    elif arguments.data is not None or arguments.judge is not None:
        raise ConfigError("--suite brings data and judges: leave --data and --judge out")
    if missing := [f"--{name}" for name in needed if getattr(arguments, name) is None]:
        raise ConfigError(f"the following arguments are required: {', '.join(missing)}")
    if arguments.shard is not None and (arguments.shards > 1 or arguments.ray):
        raise ConfigError("--shard plays one part here, --shards all of them: choose one")
    if arguments.gpus and arguments.shards == 1 and not arguments.ray:
        raise ConfigError("--gpus is how many GPUs each shard has: say how many --shards, too")


def _evaluate(arguments: argparse.Namespace) -> None:
    modes, out, specs = parse_modes(arguments.modes), arguments.out, arguments.agent
    options = Options(arguments.limit, arguments.batch, arguments.max_refused, arguments.shard)
    folders = _folders(specs) if len(specs) > 1 else [""]
    parts, several = _parts(arguments), arguments.suite is not None
    rules, reference = rules_of(arguments), arguments.reference
    if reference is not None and all(mode.decides for mode in modes):
        raise ConfigError("--reference plays modes in which the agent does not decide: add --mode")
    refuse_own(arguments, *specs, reference, arguments.data, arguments.suite_data, arguments.prompt)
    for note in filter(None, (other_bound(spec, arguments.max_pixels) for spec in specs)):
        console(stderr=True).say(note)
    names: list[str] = []
    players: list[Player] = []
    with ExitStack() as held:
        opened = Opened(parts)
        held.callback(opened.close)
        for spec, folder in zip(specs, folders, strict=True):
            setup = Setup(spec, parts, arguments.protocol, rules, arguments.seed, reference)
            player = Player(setup, opened)
            held.callback(player.close)
            playable(player, [part.name for part in parts], modes, options)
            if arguments.shards == 1 and not arguments.ray:
                for mode in modes or [Mode()]:
                    player.agent(mode)
            work = Evaluation(player, Here(player), options)
            if arguments.resume:
                work.check(modes, out / folder, several=several)
            names += [Path(folder, n).as_posix() for n in work.names(modes, several=several)]
            players.append(player)
        held.enter_context(_working(arguments, names))
        results = {
            spec: result
            for spec, player, folder in zip(specs, players, folders, strict=True)
            if (result := _played(player, modes, out / folder, options, arguments)) is not None
        }
        if arguments.shard is None:
            if several:
                present_suite(results, out, dict(zip(specs, folders, strict=True)))
            else:
                present(results, out)
        else:
            i, n = arguments.shard
            console().say(f"shard {i} of {n} is done; when all are: vt eval --merge … --out DIR")


def _played(
    player: Player,
    modes: Sequence[Mode],
    folder: Path,
    options: Options,
    arguments: argparse.Namespace,
) -> Mapping[str, Any] | None:
    """One agent's result; ``None`` of a shard."""
    from experiments.screen import progress_bar

    with progress_bar(str(player.setup.agent)) as bar, ExitStack() as held:
        workers = _workers(player, arguments)
        held.callback(player.close)
        held.callback(workers.close)
        work = Evaluation(
            player, workers, options, lambda name, done, of: bar(done, of, name), bar.screen.say
        )
        if arguments.suite is None:
            return work.part(player.setup.parts[0].name, modes, folder)
        return work.parts(modes, folder)


def _parts(arguments: argparse.Namespace) -> list[Part]:
    """What is played: a source, or the benchmarks of a suite."""
    if arguments.suite is None:
        data, judge = arguments.data, arguments.judge or "auto"
        metrics = metrics_of(data, judge)
        return [Part(data, data, judge, metrics=metrics, repeat=arguments.repeat)]
    return suite_parts(
        arguments.suite,
        arguments.benchmark,
        arguments.suite_data,
        arguments.variant or "fixed",
        arguments.judge_model,
        arguments.repeat,
        arguments.option_seed,
    )


def _workers(player: Player, arguments: argparse.Namespace) -> Workers:
    if arguments.ray:
        return Actors(player.with_fingerprints(), arguments.shards, arguments.gpus)
    if arguments.shards > 1:
        return Processes(player.setup, arguments.shards, arguments.gpus)
    return Here(player)


def _folders(specs: Sequence[str]) -> list[str]:
    """A folder an agent, named after its spec, and numbered where names fall together."""
    names: list[str] = []
    for spec in specs:
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", spec).strip("_.")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names
