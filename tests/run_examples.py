"""Run the examples of Markdown files, so that no document promises what does not work.

    python tests/run_examples.py README.md docs/*.md

Every fenced block marked ``python`` runs in a fresh interpreter, every line of a block marked
``bash`` that begins with ``vt`` runs as it stands, both from the repository's root. A block that
follows the comment ``<!-- not run: reason -->`` is shown as skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]*?) -->\n+)?```(?P<kind>python|bash)\n(?P<body>.*?)```", re.S
)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """What a file promises: a title for the log, and the command."""
    for match in _BLOCK.finditer(text):
        body = match["body"]
        title = body.strip().partition("\n")[0]
        if match["why"]:
            print(f"   skipped ({match['why']}): {title}")
        elif match["kind"] == "python":
            yield title, [sys.executable, "-W", "error", "-c", body]
        else:
            joined = body.replace("\\\n", " ")
            for line in joined.splitlines():
                if line.startswith("vt "):
                    yield line, ["bash", "-c", line]


def main(files: list[str]) -> int:
    """Run all; the exit code is the number of failures."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    failed = ran = 0
    for file in files:
        print(file)
        for title, command in commands((ROOT / file).read_text("utf-8")):
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
            ran += 1
            failed += done.returncode != 0
            print(f"   {'ok' if done.returncode == 0 else 'FAILED'}: {title}")
            if done.returncode:
                print(done.stdout + done.stderr)
    print(f"{ran - failed} passed, {failed} failed")
    return min(failed, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
