"""What a report of many episodes costs: making it, and opening it in headless Chromium.

    python benchmarks/report.py [--episodes N] [--repeat N] [--thought CHARACTERS]

Episodes are recorded by ``vt eval`` of a random agent on generated pictures; --thought makes every
thought that long, as those of real models are. The report is made by ``vt report`` in a process of
its own, whose seconds and largest memory are measured. Then the page is opened from a file, in a
fresh profile each time, and three moments are read from the page's own clock, which starts when the
navigation does:

* painted: the browser's ``first-contentful-paint``;
* ready: the page's mark after the first cards are drawn and its filters are set;
* usable: after both, when the page's main thread gets round to a timer, as it would to a click.

Turning a page, a filter and a search of all texts are timed up to the frame that shows them.
Figures are medians of the repeats.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bounds import Bound, conclude

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from chromium import browser, chromium

READY = "performance.getEntriesByName('ready').length > 0"
MOMENTS = """new Promise(done => {
  const at = name => performance.getEntriesByName(name)[0].startTime;
  setTimeout(() => done({painted: at('first-contentful-paint'), ready: at('ready'),
                         usable: performance.now()}));
})"""
ACTION = """new Promise(done => {{
  const start = performance.now();
  {action};
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
}})"""
SEARCH = "const s = document.getElementById('search'); s.value = 'small 42'; s.oninput({target: s})"
ACTIONS = {
    "page": "document.querySelector('#below .next').click()",
    "filter": "document.querySelector('button[data-mark=wrong]').click()",
}


def record(folder: Path, episodes: int, thought: int) -> None:
    """Episodes of ``vt eval``, with longer thoughts if they are wanted."""
    data = f"generated:n={episodes}"
    vt("eval", "--agent", "random:p=0.5", "--data", data, "--batch", "256", "--out", str(folder))
    if not thought:
        return
    file = folder / "episodes.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    words = "The chart shows one bar a year, and I read the tallest of them. "
    for number, row in enumerate(rows):
        longer = f"<think>{number} {(words * (thought // len(words) + 1))[:thought]} "
        for turn in row["turns"]:
            turn["text"] = turn["text"].replace("<think>", longer, 1)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def vt(*arguments: str) -> tuple[float, float]:
    """Run a command; its seconds, and the largest memory of any command so far in MiB."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "experiments.cli", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10


def look(program: str, page: Path) -> dict[str, float]:
    """Open the page in a fresh browser; moments and actions as said above, in ms."""
    with browser(program) as tab:
        tab.look(1280)
        tab.open(page, ready=READY)
        found: dict[str, float] = tab.value(MOMENTS)
        for name, action in ACTIONS.items():
            found[name] = tab.value(ACTION.format(action=action))
        before = tab.value("document.getElementById('count').innerText")
        start = time.perf_counter()
        tab.value(f"{{ {SEARCH} }}")
        tab.wait(f"document.getElementById('count').innerText !== {json.dumps(before)}")
        found["search"] = 1e3 * (time.perf_counter() - start)
        if tab.errors:
            sys.exit(f"the page complains: {tab.errors}")
    return found


def main() -> None:
    """Measure, print, and leave with status 1 if a bound was missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--episodes", type=int, default=10_000)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--thought", type=int, default=0, metavar="CHARACTERS")
    options.add_argument("--out", type=Path, default=Path("runs/bench/report.json"))
    arguments = options.parse_args()
    program = chromium()
    if program is None:
        sys.exit("no Chromium: install it (apt-get install chromium), or name it in $CHROMIUM")
    with tempfile.TemporaryDirectory() as name:
        folder, page = Path(name) / "eval", Path(name) / "report.html"
        record(folder, arguments.episodes, arguments.thought)
        seconds, memory = vt("report", str(folder), "--out", str(page), "--overwrite")
        size = page.stat().st_size / 2**20
        opened = [look(program, page) for _ in range(arguments.repeat)]
    middle = {n: statistics.median(times[n] for times in opened) for n in opened[0]}
    what = f"{arguments.episodes:,} episodes"
    bounds = [
        Bound(f"{what}: seconds to make", seconds, 60),
        Bound("memory to make it, in GB", memory * 2**20 / 1e9, 1),
        Bound("seconds to the first paint", middle["painted"] / 1e3, 3),
        Bound("seconds until ready", middle["ready"] / 1e3, 3),
        Bound("seconds until usable", middle["usable"] / 1e3, 3),
        Bound("seconds to turn a page", middle["page"] / 1e3, 0.3),
        Bound("seconds to filter", middle["filter"] / 1e3, 0.3),
        Bound(
            "seconds to search all texts, the wait for typing included", middle["search"] / 1e3, 1
        ),
    ]
    print(f"the page has {size:.1f} MiB")
    conclude(bounds, arguments.out, {"page_mib": size, "opened": opened})


if __name__ == "__main__":
    main()
