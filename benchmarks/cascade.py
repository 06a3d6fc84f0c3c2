"""What a cascade can lose and win, with the worst and the best model that there could be.

    python benchmarks/cascade.py

For each labelled set: what the rules alone accept; what a cascade accepts when its model says right
to everything; and when its model knows the labels. No model is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from agents.judging.cascade import Cascade
from vt_env import Query, Verdict
from vt_env.judges.auto import AutoJudge

LABELLED = Path(__file__).parents[1] / "tests" / "judges" / "labelled"
HEADERS = ("set", "rows", "rules", "always right", "knows the labels", "asked about")


class Says:
    """A judge that is a function of the query."""

    name = "says"

    def __init__(self, answer: Callable[[Query], bool]) -> None:
        self.answer = answer
        self.asked = 0

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query."""
        self.asked += len(queries)
        return [Verdict(self.answer(query), self.name, "so it says") for query in queries]


def main() -> None:
    """Print a table in Markdown: how many of the rows labelled right and wrong are accepted."""
    rules = AutoJudge()
    print(f"| {' | '.join(HEADERS)} |\n|{'---|' * len(HEADERS)}")
    for file in sorted(LABELLED.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        queries = [Query(r["question"], tuple(r["references"]), r["prediction"]) for r in rows]
        labels = {query: bool(row["label"]) for query, row in zip(queries, rows, strict=True)}
        honest = Says(labels.__getitem__)
        verdicts = [
            rules.score(queries),
            Cascade(Says(lambda _: True), rules).score(queries),
            Cascade(honest, rules).score(queries),
        ]
        for label, name in ((True, "right"), (False, "wrong")):
            places = [i for i, row in enumerate(rows) if row["label"] is label]
            if places:
                cells = [str(sum(bool(some[i].correct) for i in places)) for some in verdicts]
                asked = f"{honest.asked} of {len(rows)}"
                print(f"| `{file.stem}`, {name} | {len(places)} | {' | '.join(cells)} | {asked} |")
    rules.close()


if __name__ == "__main__":
    main()
