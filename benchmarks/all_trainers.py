"""What each trainer costs on the same task: rollouts a second, memory, lines of adapter code.

    make bench-trainers         # or python benchmarks/all_trainers.py [--steps N] [--arm NAME …]

One short run each of the study ``trainers``, one after the other, from the same warmed-up model.
Seconds are the median of a step after the second one, by each trainer's own log; memory is the
proportional set size of all its processes, Ray's too, at its highest; lines are those of code in
the trainer's package, without comments, docstrings and blank lines. Needs Linux.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments import study as studies
from experiments.files import write_json
from experiments.provenance import provenance
from experiments.recipe import load_recipe

ROOT = Path(__file__).parent.parent
MARK = "VT_BENCHMARK"
EVERY = 0.5  # seconds between two looks at the memory


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--arm", action="append", help="only this one, or these")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-trainers"))
    arguments = parser.parse_args()
    study = studies.load_study("trainers")
    out = arguments.out.resolve()
    seed = study.seeds[0]
    if not (studies.warmup(out, seed) / "config.json").exists():
        vt = [ROOT / ".venv/bin/vt", "warmup", "--overwrite", "--seed", str(seed)]
        subprocess.run([*vt, "--out", studies.warmup(out, seed)], check=True, cwd=ROOT)
    rows = {}
    for run in studies.runs(study, out):
        if arguments.arm is None or run.arm in arguments.arm:
            rows[run.arm] = measure(study, run, arguments.steps)
            print(json.dumps({run.arm: rows[run.arm]}), flush=True)
    print("\n".join(table(rows)))
    write_json(out / "result.json", {"trainers": rows, "provenance": provenance(seed, "")})


def measure(study: studies.Study, run: studies.Run, steps: int) -> dict[str, float]:
    """Train a few steps, and look."""
    log_file = studies.log_of(run.folder)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    short = [f"steps={steps}", "evaluation.limit=8"]
    python = studies.python_of(study, run.arm)
    words = ["train", study.recipe, *run.settings, *short, "--overwrite", "--out", str(run.folder)]
    with log_file.open("w") as log, memory() as highest:
        subprocess.run(
            [*python, "-m", "experiments.cli", *words],
            stdout=log, stderr=subprocess.STDOUT, check=True, cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", MARK: highest.mark},
        )  # fmt: skip
    lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    seconds = [row["time/step"] for row in map(json.loads, lines) if row["step"] > 2]
    recipe = load_recipe(study.recipe, run.settings)
    rollouts = recipe.rollout.prompts * recipe.rollout.group_size
    return {
        "rollouts_per_second": rollouts / statistics.median(seconds),
        "gibibytes": highest.bytes / 2**30,
        "lines": lines_of_code(ROOT / "trainers" / run.arm),
    }


class Highest:
    """The most memory of the processes that bear a mark in their environment."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.bytes = 0

    def look(self) -> None:
        """Add up once."""
        self.bytes = max(self.bytes, sum(map(self._size, Path("/proc").glob("[0-9]*"))))

    def _size(self, process: Path) -> int:
        try:
            if f"{MARK}={self.mark}".encode() not in (process / "environ").read_bytes():
                return 0
            told = (process / "smaps_rollup").read_text()
        except OSError:  # it is gone, or not ours
            return 0
        return (
            sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:"))
            * 1024
        )


@contextmanager
def memory() -> Iterator[Highest]:
    """Looks at the memory while the block runs."""
    highest, over = Highest(), threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            highest.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def lines_of_code(package: Path) -> int:
    """Lines that hold code: no comments, no docstrings, no blank lines."""
    return sum(map(_lines, sorted(package.glob("*.py"))))


def _lines(file: Path) -> int:
    text = file.read_text("utf-8")
    documents: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documents |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#")
        for number, line in enumerate(text.splitlines(), 1)
        if number not in documents
    )


def table(rows: dict[str, dict[str, float]]) -> list[str]:
    """Markdown, with speed as a ratio where the local trainer ran too."""
    base = rows.get("local", {}).get("rollouts_per_second")
    lines = [
        "| trainer | rollouts a second | of local's | memory, GiB | lines |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        speed = row["rollouts_per_second"]
        ratio = f"{speed / base:.2f}" if base else "–"
        lines.append(
            f"| {name} | {speed:.0f} | {ratio} | {row['gibibytes']:.1f} | {row['lines']} |"
        )
    return lines


if __name__ == "__main__":
    main()
