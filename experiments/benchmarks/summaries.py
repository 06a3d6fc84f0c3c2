"""From scored rows to each benchmark's numbers, on the scale of lmms-eval 0.7.

``official`` computes what lmms-eval does, oddities included; otherwise they are mended. What each
does about odd rows is in ``docs/benchmarks.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.benchmarks.judging import unboxed
from experiments.benchmarks.layouts import MILLION
from vt_env.judges import Query, make_judge

Row = Mapping[str, Any]
Numbers = dict[str, float]

MME_GROUPS = {
    "perception": "existence count position color posters celebrity scene landmark artwork OCR",
    "cognition": "commonsense_reasoning numerical_calculation text_translation code_reasoning",
}
RECOGNITION = tuple(
    f"{kind} Recognition"
    for kind in ("Regular Text", "Irregular Text", "Artistic Text", "Handwriting", "Digit String",
                 "Non-Semantic Text")
)  # fmt: skip
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
DOMAINS = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": "Basic_Medical_Science Clinical_Medicine "
    "Diagnostics_and_Laboratory_Medicine Pharmacy Public_Health",
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": "Agriculture Architecture_and_Engineering Computer_Science Electronics "
    "Energy_and_Power Materials Mechanical_Engineering",
}


def mean(values: Iterable[float]) -> float:
    """The mean of at least one value."""
    values = list(values)
    return sum(values) / len(values)


def by(rows: Sequence[Row], key: Callable[[Row], Any]) -> dict[str, list[Row]]:
    """Rows by a text, in the texts' order; rows without one are left out."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if (name := key(row)) not in (None, ""):
            groups[str(name)].append(row)
    return dict(sorted(groups.items()))


def score(rows: Sequence[Row]) -> float:
    """The mean score."""
    return mean(row["score"] for row in rows)


def percent(rows: Sequence[Row]) -> float:
    """The mean score in percent to two places."""
    return round(score(rows) * 100, 2)


def means(
    rows: Sequence[Row],
    name: str,
    key: Callable[[Row], Any] | None = None,
    of: Callable[[Sequence[Row]], float] = score,
) -> Numbers:
    """A number of each group of rows, as ``NAME/GROUP``; by default by metadata of that name."""
    groups = by(rows, key or (lambda row: row["metadata"].get(name)))
    return {f"{name}/{group}": of(some) for group, some in groups.items()}


def chartqa(rows: Sequence[Row], official: bool) -> Numbers:
    """Relaxed accuracy over all, and over human-written and augmented questions."""
    made = {"relaxed_overall": mean(r["score"] for r in rows)}
    human = [r["score"] for r in rows if r["kind"] == "human_test"]
    augmented = [r["score"] for r in rows if r["kind"] != "human_test"]
    if human:
        made["relaxed_human_split"] = mean(human)
    if augmented:
        made["relaxed_augmented_split"] = mean(augmented)
    return made


def ocrbench(rows: Sequence[Row], official: bool) -> Numbers:
    """Points by category; officially the accuracy is out of a thousand, whatever was played."""
    kinds = by(rows, lambda row: row["kind"])
    points = {kind: sum(row["correct"] for row in group) for kind, group in kinds.items()}
    total = float(sum(points.values()))
    return {
        "ocrbench_accuracy": total / (1000 if official else len(rows)),
        "points": total,
        "points/Text Recognition": float(sum(points.get(kind, 0) for kind in RECOGNITION)),
        **{f"points/{kind}": float(value) for kind, value in points.items()},
    }


def docvqa(rows: Sequence[Row], official: bool) -> Numbers:
    """Mean ANLS, and by question type."""
    return {"anls": score(rows), **means(rows, "kind", lambda row: row["kind"])}


def mme(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy plus accuracy of pairs, 200 at most in each of 14 categories, summed.

    A pair is the two questions about one picture; what has no pair is counted and left out.
    """
    made: Numbers = {"mme_perception_score": 0.0, "mme_cognition_score": 0.0}
    unpaired = 0
    for category, group in by(rows, lambda r: r["kind"]).items():
        pairs = list(by(group, lambda r: r["metadata"]["question_id"]).values())
        whole = [[float(bool(r["correct"])) for r in pair] for pair in pairs if len(pair) == 2]
        unpaired += sum(len(pair) for pair in pairs if len(pair) != 2)
        if whole:
            value = mean(mean(pair) * 100 + all(pair) * 100 for pair in whole)
            part = "perception" if category in MME_GROUPS["perception"].split() else "cognition"
            made[f"mme_{part}_score"] += value
            made[f"category/{category}"] = value
    total = made["mme_perception_score"] + made["mme_cognition_score"]
    return {"mme_score": total, **made, "unpaired": float(unpaired)}


def mmvet(rows: Sequence[Row], official: bool) -> Numbers:
    """Mean score in percent, by capability and by combination of capabilities."""
    made = {"gpt_eval_score": score(rows) * 100}
    for name in CAPABILITIES:
        having = [r for r in rows if name in r["metadata"]["capability"].split(",")]
        if having:
            made[f"capability/{name}"] = score(having) * 100
    return made | means(
        rows,
        "integration",
        lambda r: "_".join(sorted(r["metadata"]["capability"].split(","))),
        lambda some: score(some) * 100,
    )


def realworldqa(rows: Sequence[Row], official: bool) -> Numbers:
    """Share of right answers."""
    return {"exact_match": score(rows)}


def pope(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy, precision, recall, F1 and yes-ratio over all, and by sampling.

    Officially recall leaves out answers that are neither word, and the yes-ratio is that of the
    references; otherwise every answer but a clear yes misses, and the ratio is the answers'.
    """
    said = _sides(rows, official)
    made = _detection(list(zip(rows, said, strict=True)), official)
    for kind in by(rows, lambda r: r["kind"]):
        part = [(r, s) for r, s in zip(rows, said, strict=True) if r["kind"] == kind]
        made |= {f"{kind}/{key}": value for key, value in _detection(part, official).items()}
    return made


def _sides(rows: Sequence[Row], official: bool) -> list[str]:
    """What each row answered: ``yes``, ``no``, or anything else."""
    answers = [unboxed(str(row["answer"] or "")) for row in rows]
    if official:
        return [answer.lower().strip() for answer in answers]
    judge = make_judge("yesno")
    queries = [
        Query(row["question"].partition("\n")[0], ("yes",), answer)
        for row, answer in zip(rows, answers, strict=True)
    ]
    affirmed = [verdict.correct for verdict in judge.score(queries)]
    return ["yes" if yes else "no" if _is_no(row) and row["correct"] else "" for row, yes in
            zip(rows, affirmed, strict=True)]  # fmt: skip


def _is_no(row: Row) -> bool:
    return str(row["references"][0]).lower().strip().rstrip(".") == "no"


def _detection(rows: Sequence[tuple[Row, str]], official: bool) -> Numbers:
    wanted_yes = [said for row, said in rows if not _is_no(row)]
    found = sum(said == "yes" for said in wanted_yes)
    claimed = sum(said == "yes" for _, said in rows)
    missed = sum(said == "no" if official else said != "yes" for said in wanted_yes)
    precision = found / claimed if claimed else 0.0
    recall = found / (found + missed) if found + missed else 0.0
    both = precision + recall
    return {
        "pope_accuracy": mean(row["score"] for row, _ in rows),
        "pope_precision": precision,
        "pope_recall": recall,
        "pope_f1_score": 2 * precision * recall / both if both else 0.0,
        "pope_yes_ratio": (len(wanted_yes) if official else claimed) / len(rows),
    }


def mathvista(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy in percent to two places, and by the table's groupings."""
    made = {"accuracy": percent(rows)}
    for key in ("question_type", "answer_type", "language", "category", "task", "context", "grade"):
        made |= means(rows, key, of=percent)
    for skill in sorted({s for r in rows for s in r["metadata"].get("skills") or []}):
        having = [r for r in rows if skill in (r["metadata"].get("skills") or [])]
        made[f"skill/{skill}"] = percent(having)
    return made


def mathverse(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy, and by problem version, subject and subfield."""
    made = {"gpt_eval_score": score(rows)}
    for key in ("problem_version", "subject", "subfield"):
        made |= means(rows, key)
    return made


def mmmu(rows: Sequence[Row], official: bool) -> Numbers:
    """Accuracy to five places, by domain and by subject."""

    def accuracy(some: Sequence[Row]) -> float:
        return round(score(some), 5)

    made = {"mmmu_acc": accuracy(rows)}
    subjects = by(rows, lambda r: r["metadata"]["subject"])
    for domain, names in DOMAINS.items():
        group = [row for name in names.split() for row in subjects.get(name, [])]
        if group:
            made[f"domain/{domain}"] = accuracy(group)
    return made | means(rows, "subject", of=accuracy)


def mmbench(rows: Sequence[Row], official: bool) -> Numbers:
    """Circular accuracy: a question counts if all its copies are right; and row by row.

    Officially a question counts with as many copies as were played. Otherwise one whose copies are
    incomplete is left out, unless no copy was played at all, as where the data have none.
    """
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["metadata"]["index"] % MILLION].append(row)
    circular = any(row["metadata"]["index"] >= MILLION for row in rows)
    hits: list[tuple[Row, float]] = []
    incomplete = 0
    for index, group in groups.items():
        main = next((r for r in group if r["metadata"]["index"] == index), None)
        partial = circular and len(group) < group[0]["metadata"]["options"]
        incomplete += partial or main is None
        if main is not None and (official or not partial):
            hits.append((main, float(all(r["correct"] for r in group))))
    made: Numbers = {
        "incomplete": float(incomplete),
        "row_accuracy": score(rows),
    }
    if not hits:
        return made
    made["gpt_eval_score"] = mean(hit for _, hit in hits) * 100
    for key in ("category", "l2_category"):
        for name in by([row for row, _ in hits], lambda r, key=key: r["metadata"].get(key)):
            part = [hit for row, hit in hits if row["metadata"].get(key) == name]
            made[f"{key}/{name}"] = mean(part) * 100
    return made
