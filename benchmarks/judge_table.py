"""The strict judge beside other matchers, on labelled answers, as tables in Markdown.

    python benchmarks/judge_table.py [FILE.jsonl ...] [--markdown]

Without files: the labelled sets in ``tests/judges/labelled`` that tell kind and language. A row has
``question``, ``references``, ``prediction`` and ``label``, and may have ``kind`` (else
``category``), ``language`` (else ``en``) and ``choices``. Each cell is the share of right answers
that is accepted, and the share of wrong ones, in percent. Leaves with status 1 if ``auto`` accepts
more than 0.3 % of the wrong answers, or less than 85 % of the right ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import string
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bounds import Bound, conclude

from experiments.benchmarks.metrics import normalise
from vt_env import Query, make_judge

Row = dict[str, Any]
Matcher = Callable[[Sequence[Query]], list[bool]]
_SIDES = frozenset(("yes", "no"))
_NUMBER = re.compile(r"[$€£]?-?[0-9][0-9,.]*%?")
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
FOLDER = Path(__file__).parents[1] / "tests" / "judges" / "labelled"
SETS = ("dev5", "dev6", "test5", "test6", "test7", "test8", "test10", "kinds")
FEW = 150
"""Kinds with fewer rows stand in one line."""


def by_judge(spec: str) -> Matcher:
    """A judge of this project as a matcher; unscored counts as not accepted."""
    judge = make_judge(spec)
    return lambda queries: [verdict.correct is True for verdict in judge.score(queries)]


def by_query(accepts: Callable[[str, str, Query], bool]) -> Matcher:
    """A function of answer, reference and query as a matcher; any reference may match."""
    return lambda queries: [
        any(accepts(query.answer, reference, query) for reference in query.references)
        for query in queries
    ]


def math_verify_alone() -> Matcher:
    """math-verify as its page shows it: both texts parsed with the default settings."""
    from math_verify import parse, verify

    logging.disable(logging.ERROR)

    def accepts(answer: str, reference: str, query: Query) -> bool:
        try:
            return bool(verify(parse(reference), parse(answer)))
        except Exception:
            return False

    return by_query(accepts)


def lmms_eval() -> Matcher:
    """The rules that lmms-eval has for such references, as this project's judges compute them.

    The one word for yes or no (POPE), the surest letter for an option (RealWorldQA), 5 % for a
    number (ChartQA), and for other texts whether the answer contains the reference (OCRBench).
    """
    judges = {n: make_judge(n) for n in ("yesno:word", "relaxed:official", "substring:official")}
    letters = make_judge("realworldqa")

    def accepts(answer: str, reference: str, query: Query) -> bool:
        plain = reference.strip().lower().rstrip(".")
        if plain in _SIDES:
            judge = judges["yesno:word"]
        elif query.choices and re.fullmatch("[A-D]", reference.strip()):
            judge = letters
        else:
            number = _NUMBER.fullmatch(reference.strip())
            judge = judges["relaxed:official" if number else "substring:official"]
        one = Query(query.question, (reference,), answer, "", query.choices)
        return judge.score([one])[0].correct is True

    return by_query(accepts)


def vlmevalkit() -> Matcher:
    """VLMEvalKit's rules without a model, stated in our own words after its source.

    Yes or no is the word of the two that occurs, if only one does. An option is the letter that
    occurs as a word, if only one does, or else the option whose text occurs, if only one does and
    the answer is at most twice as long as all options. A number is right within 5 % (its ChartQA);
    other texts are equal in the normal form of the VQA evaluation (its default).
    """

    def accepts(answer: str, reference: str, query: Query) -> bool:
        plain = reference.strip().lower().rstrip(".")
        if plain in _SIDES:
            words = re.sub(rf"[{re.escape(string.punctuation)}]", " ", answer.lower()).split()
            return set(words) & _SIDES == {plain}
        if query.choices:
            return inferred(answer, query.choices) == reference.strip()
        given, wanted = number_of(answer), number_of(reference)
        if given is not None and wanted:
            return abs(given - wanted) <= 0.05 * abs(wanted)
        return normalise(answer) == normalise(reference)

    return by_query(accepts)


def inferred(answer: str, choices: Sequence[str]) -> str:
    """The letter of the one option that an answer names; empty for none or several."""
    letters, words = string.ascii_uppercase[: len(choices)], answer.translate(_MARKS).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1:
        return named[0]
    lowered = answer.lower()
    if len(lowered) > 2 * sum(map(len, choices)):
        return ""
    texts = [x for x, y in zip(letters, choices, strict=False) if y.lower() in lowered]
    return texts[0] if len(texts) == 1 else ""


def number_of(text: str) -> float | None:
    """What Python takes for a number, a percent sign divided out."""
    text = text.strip()
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


MATCHERS: dict[str, Callable[[], Matcher]] = {
    "`auto`": lambda: by_judge("auto"),
    "equal": lambda: by_query(lambda answer, ref, _: answer.strip() == ref.strip()),
    "ANLS ≥ 0.5": lambda: by_judge("anls:official"),
    "math-verify": math_verify_alone,
    "lmms-eval": lmms_eval,
    "VLMEvalKit": vlmevalkit,
}


def read(file: Path) -> list[Row]:
    """The labelled rows of a file."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def query_of(row: Row) -> Query:
    """What is to be judged."""
    references, choices = tuple(row["references"]), tuple(row.get("choices", ()))
    return Query(row["question"], references, row["prediction"], "", choices)


def share(accepted: Iterable[bool]) -> str:
    """A share in percent, a dash for nothing."""
    found = list(accepted)
    return f"{100 * sum(found) / len(found):.3g}" if found else "–"


def table(title: str, groups: dict[str, list[int]], rows: list[Row], found: dict[str, Any]) -> str:
    """One line a group, one column a matcher: right accepted, wrong accepted."""
    lines = [f"| {title} | right, wrong | {' | '.join(found)} |", "|---" * (2 + len(found)) + "|"]
    for name, places in groups.items():
        right = [i for i in places if rows[i]["label"]]
        wrong = [i for i in places if not rows[i]["label"]]
        cells = [
            f"{share(accepted[i] for i in right)}, {share(accepted[i] for i in wrong)}"
            for accepted in found.values()
        ]
        lines.append(f"| {name} | {len(right)}, {len(wrong)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def accepted_of(rows: list[Row], accepted: Sequence[bool], label: bool) -> float:
    """The share of the rows with a label that is accepted, in percent."""
    said = [found for row, found in zip(rows, accepted, strict=True) if bool(row["label"]) is label]
    return 100 * sum(said) / len(said) if said else 0.0


def main() -> None:
    """Read, judge, print a table by kind and one by language, and hold ``auto`` to its aims."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("files", type=Path, nargs="*", help="labelled rows, JSON Lines")
    options.add_argument("--markdown", action="store_true", help="the bounds go to standard error")
    options.add_argument("--out", type=Path, default=Path("runs/judge_table.json"))
    given = options.parse_args()
    files = given.files or [FOLDER / f"{name}.jsonl" for name in SETS]
    rows = [row for file in files for row in read(file)]
    queries = [query_of(row) for row in rows]
    found = {name: make()(queries) for name, make in MATCHERS.items()}
    kinds, languages = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for place, row in enumerate(rows):
        kinds[row.get("kind") or row.get("category") or "other"].append(place)
        languages[row.get("language", "en")].append(place)
    few = [places for places in kinds.values() if len(places) < FEW]
    named = {kind: places for kind, places in sorted(kinds.items()) if len(places) >= FEW}
    rest = {f"{len(few)} other kinds": [place for places in few for place in places]} if few else {}
    everything = {"all": list(range(len(rows)))}
    print(f"Sets: {', '.join(f'`{file.stem}`' for file in files)}.", end="\n\n")
    print(table("kind", named | rest | everything, rows, found), end="\n\n")
    print(table("language", dict(sorted(languages.items())) | everything, rows, found), flush=True)
    bounds = [
        Bound("wrong answers that auto accepts, %", accepted_of(rows, found["`auto`"], False), 0.3),
        Bound("right ones, %", accepted_of(rows, found["`auto`"], True), 85.0, least=True),
    ]
    with contextlib.redirect_stdout(sys.stderr if given.markdown else sys.stdout):
        conclude(bounds, given.out, {"files": [file.name for file in files]})


if __name__ == "__main__":
    main()
