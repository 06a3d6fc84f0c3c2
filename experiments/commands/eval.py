"""``vt eval``: play agents on a data set and measure accuracy against visual tokens."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agents import AGENTS
from experiments.benchmarks import BENCHMARKS, VARIANTS
from experiments.benchmarks.suite import SUITES, metrics_of, suite_parts
from experiments.commands.options import (
    add_amount_options,
    add_task_options,
    console,
    parse_shard,
    positive,
    rules_of,
)
from experiments.commands.presenting import (
    COMPARISON,
    SUITE,
    present,
    present_merged,
    present_suite,
)
from experiments.commands.rescore import rescore, show_agreement
from experiments.evaluation.journal import clear_below
from experiments.evaluation.merging import merge
from experiments.evaluation.modes import Mode, parse_modes
from experiments.evaluation.player import Opened, Part, Player, Setup
from experiments.evaluation.run import Evaluation, Options, check_modes
from experiments.evaluation.workers import Here, Processes, Workers
from experiments.files import results_folder
from vt_env import ConfigError, DataError

DESCRIPTION = f"""\
Play one agent, or several one after the other, on a data set, one episode a sample. With --mode
each agent plays it in several ways: low, full, visionthink, always-request, random@RATE (or
random@trained: as often as in visionthink), size-threshold (or size-threshold@PIXELS).

agents: {", ".join(AGENTS.names())}; with arguments as in random:p=0.3,answerer=ocr
data:   generated[:n=2000,seed=0,split=test], jsonl:FILE, folder:FOLDER, hf:PATH, or just a path

  vt eval --merge SHARD... --out DIR            puts together what --shard I/N played
  vt eval --from EPISODES [--judge NAME] --out DIR   sums recorded episodes up, judged anew or not
  vt eval --from lmms:PATH[,metric=NAME] [--judge NAME | --variant fixed] --out DIR
          the same of lmms-eval's sample logs, and where our verdicts differ from its own
"""
EPILOG = """\
In DIR: episodes.jsonl (a line an episode), result.json (accuracy, request_rate, visual_tokens,
token_ratio, … over all, by kind and by source, with 95 % intervals), plot.png and plot.svg. With
modes each has a folder of its own in DIR, and DIR/result.json holds all, with tests between them.
With several agents each has a folder of its own in DIR, and DIR/comparison.json and the plot hold
all. What is done is on disk at once: --resume goes on with an evaluation that was stopped.
"""
_PLAYING = (
    *("agent", "data", "modes", "limit", "batch", "max_refused", "resume", "shards", "ray", "gpus"),
    *("shard", "protocol", "tokens", "prompt", "factor", "max_turns", "tools", "first_look"),
    *("suite", "benchmark", "suite_data"),
)
"""Options of playing, which is not all that there is to do."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="play agents on a data set: accuracy against visual tokens",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--agent",
        action="append",
        metavar="NAME[:ARGS]",
        help="who plays; give it several times to compare",
    )
    parser.add_argument("--data", metavar="SOURCE", help="what is played")
    _add_suite(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    parser.add_argument(
        "--mode",
        action="append",
        default=[],
        dest="modes",
        metavar="MODE",
        help="a way to play, see above; give it several times (default: as --protocol says)",
    )
    add_amount_options(parser, "episodes")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are in DIR")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the evaluation that is in DIR"
    )
    parser.add_argument(
        "--from",
        dest="recorded",
        metavar="EPISODES",
        help="no agent: recorded episodes, or lmms:PATH, sample logs of lmms-eval",
    )
    parser.add_argument(
        "--merge", type=Path, nargs="+", metavar="SHARD", help="no agent: folders of shards"
    )
    _add_sharding(parser)
    add_task_options(parser)
    playing = {name: parser.get_default(name) for name in _PLAYING}
    parser.set_defaults(run=run, judge=None, playing=playing)


def _add_suite(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("public benchmarks, in place of --data")
    group.add_argument("--suite", choices=sorted(SUITES), help="several; see docs/suite.md")
    group.add_argument(
        "--benchmark",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only this one, or these: {', '.join(BENCHMARKS.names())}",
    )
    group.add_argument(
        "--suite-data", type=Path, metavar="DIR", help="local copies (default: from the Hub)"
    )
    group.add_argument(
        "--variant", choices=VARIANTS, help="of the metrics (default: fixed; see --from lmms:)"
    )
    group.add_argument(
        "--judge-model", metavar="JUDGE", help="who judges where the metric is a language model's"
    )


def _add_sharding(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("playing at the same time; rows do not depend on it")
    group.add_argument(
        "--shards", type=positive, default=1, metavar="N", help="processes, an agent each"
    )
    group.add_argument("--ray", action="store_true", help="on a Ray cluster's machines instead")
    group.add_argument(
        "--gpus", type=int, default=0, metavar="G", help="GPUs of each shard (default: not divided)"
    )
    group.add_argument(
        "--shard",
        type=parse_shard,
        metavar="I/N",
        help="play only this part, from 0; --merge puts all of them together",
    )


def run(arguments: argparse.Namespace) -> None:
    """Play, or sum up what was played; write, show."""
    _check(arguments)
    if arguments.merge is not None:
        out = results_folder(arguments.out, arguments.overwrite)
        present_merged(merge(
            arguments.merge, out, overwrite=arguments.overwrite,
            metrics=lambda config: metrics_of(config["data"], config["judge"]),
        ), out)  # fmt: skip
    elif arguments.recorded is not None:
        results = rescore(arguments)
        present(results, arguments.out)
        show_agreement(results)
    else:
        _evaluate(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Options that belong together.

    Raises:
        ConfigError: If one is missing, or does not fit the others.
    """
    alone = [name for name in ("merge", "recorded") if getattr(arguments, name) is not None]
    given = [n for n, default in arguments.playing.items() if getattr(arguments, n) != default]
    if len(alone) > 1 or (alone and given):
        names = ", ".join(f"--{n.rstrip('s').replace('_', '-')}" for n in given) or "the other"
        raise ConfigError(f"--merge and --from play nothing: leave out {names}")
    if arguments.suite is not None and (arguments.data is not None or arguments.judge is not None):
        raise ConfigError("--suite brings data and judges: leave --data and --judge out")
    if (
        arguments.suite is None
        and arguments.recorded is None
        and (arguments.variant or arguments.judge_model)
    ):
        raise ConfigError("--variant and --judge-model go with --suite, or with --from lmms:PATH")
    if arguments.suite is None and (arguments.benchmark or arguments.suite_data):
        raise ConfigError("--benchmark and --suite-data go with --suite")
    missing = [f"--{n}" for n in ("agent", "data") if getattr(arguments, n) is None]
    if arguments.suite is not None:
        missing = [name for name in missing if name != "--data"]
    if missing and not alone:
        raise ConfigError(f"the following arguments are required: {', '.join(missing)}")
    if arguments.merge is not None and arguments.judge is not None:
        raise ConfigError("--merge judges nothing; merge first, then --from with --judge")
    if arguments.shard is not None and (arguments.shards > 1 or arguments.ray):
        raise ConfigError("--shard plays one part here, --shards all of them: choose one")
    if arguments.gpus < 0 or (arguments.gpus and arguments.shards == 1 and not arguments.ray):
        raise ConfigError("--gpus divides GPUs among --shards; it is a number from 0 up")


def _evaluate(arguments: argparse.Namespace) -> None:
    modes, out, specs = parse_modes(arguments.modes), arguments.out, arguments.agent
    options = Options(
        arguments.limit,
        arguments.batch,
        arguments.max_refused,
        arguments.resume,
        arguments.overwrite,
        arguments.shard,
    )
    results_folder(out, overwrite=arguments.overwrite or arguments.resume)
    if arguments.overwrite:
        _clear_agents(out)
    folders = _folders(out, specs) if len(specs) > 1 else [out]
    parts = _parts(arguments)
    rules = rules_of(arguments)
    setups = [Setup(spec, parts, arguments.protocol, rules, arguments.seed) for spec in specs]
    with ExitStack() as held:
        opened = Opened(parts)
        held.callback(opened.close)
        players = [Player(setup, opened) for setup in setups]
        apart = arguments.shards > 1 or arguments.ray
        for player in players:
            held.callback(player.close)
            for part in parts:
                player.task(part.name, Mode())
                check_modes(player, part.name, modes, options)
            if not apart:
                _ = player.agent
        results: dict[str, dict[str, Any]] = {}
        for spec, player, folder in zip(specs, players, folders, strict=True):
            with _bar(spec) as (told, notice):
                workers = _workers(player, arguments)
                try:
                    work = Evaluation(player, workers, options, told, notice)
                    if arguments.suite is None:
                        result = work.part(parts[0].name, modes, folder)
                    else:
                        result = work.parts(modes, folder)
                finally:
                    workers.close()
            player.close()
            if result is not None:
                results[spec] = result
    if arguments.shard is None:
        (present if arguments.suite is None else present_suite)(results, out)
    else:
        i, n = arguments.shard
        console().print(f"shard {i} of {n} is done; when all are: vt eval --merge … --out DIR")


def _clear_agents(out: Path) -> None:
    """Take away what an earlier command left of the agents that it compared."""
    for path in (out / SUITE, out / COMPARISON):
        if not path.exists():
            continue
        try:
            told = json.loads(path.read_text("utf-8"))
            specs = list(told["agents"])
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(f"{path} holds no comparison: {error!r}; remove it") from error
        for folder in _folders(out, specs) if len(specs) > 1 else [out]:
            clear_below(folder)
        path.unlink()


def _parts(arguments: argparse.Namespace) -> list[Part]:
    """What is played: a source, or the benchmarks of a suite."""
    if arguments.suite is None:
        data, judge = arguments.data, arguments.judge or "auto"
        return [Part(data, data, judge, metrics=metrics_of(data, judge))]
    return suite_parts(
        arguments.suite,
        arguments.benchmark,
        arguments.suite_data,
        arguments.variant or "fixed",
        arguments.judge_model,
    )


def _workers(player: Player, arguments: argparse.Namespace) -> Workers:
    if arguments.ray:
        from experiments.evaluation.over_ray import Actors

        return Actors(player.with_fingerprints(), arguments.shards, arguments.gpus)
    if arguments.shards > 1:
        return Processes(player.setup, arguments.shards, arguments.gpus)
    return Here(player)


@contextmanager
def _bar(spec: str) -> Iterator[Any]:
    """A progress bar for what is being played, and where notices go."""
    screen = console(stderr=True)
    from rich.progress import Progress

    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(spec)

        def told(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield told, screen.print


def _folders(out: Path, specs: Sequence[str]) -> list[Path]:
    """A folder an agent, named after its spec, and numbered where names fall together."""
    names: list[str] = []
    for spec in specs:
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", spec).strip("_.")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return [out / name for name in names]
