"""What the plug-in knows of each request, beside lmms-eval's own files.

A JSONL file. Its first line says what played: ``{"visionthink": 1, "agent": …, "mode": …,
"protocol": …, "tokens": …, "seed": …}``. Each other line is a request: ``task``, ``doc_id``,
``repeat`` (from 0), ``question``, and what ``episodes.jsonl`` has of an episode that does not
depend on the references: ``turns``, ``answer``, ``well_formed``, ``flaws``, ``requested``,
``futile_request``, ``visual_tokens``, ``full_tokens``, ``generated_tokens``, ``views``. Further
``returned``, what lmms-eval was given as the answer, and ``agent_seconds``, this request's share of
the time that the agent took for its batch, and ``batch``, how many shared it. A request that could
not be played has ``refused``, the reason, in the place of all that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.evaluation.rows import Row
from experiments.files import json_rows
from vt_env import DataError

FORMAT = 1
HEAD = "visionthink"
SEEN = (
    "turns", "well_formed", "flaws", "requested", "futile_request", "visual_tokens", "full_tokens",
    "generated_tokens", "views",
)  # fmt: skip
"""Of an episode: what is joined to a line of a sample log."""
ABOUT = ("agent", "mode", "protocol", "tokens", "seed")


@dataclass(slots=True)
class Facts:
    """The requests of one task.

    Attributes:
        path: The file.
        about: What played.
        by_doc: The first request about each document.
        unused: Documents that no line of a log was joined with so far.
        altered: Answers that the task's filters changed before they were scored.
    """

    path: Path
    about: Mapping[str, Any]
    by_doc: Mapping[str, Mapping[str, Any]]
    unused: set[str]
    altered: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path, task: str) -> Facts:
        """Those of one task.

        Raises:
            DataError: If the file is none of the plug-in's, or has nothing of the task.
        """
        rows = json_rows(path)
        _, about = next(rows, (0, {}))
        if about.get(HEAD) != FORMAT:
            raise DataError(
                f"{path}, line 1: expected {{{HEAD!r}: {FORMAT}, …}}, the first line of what the "
                "model visionthink writes to facts=FILE"
            )
        found: dict[str, Mapping[str, Any]] = {}
        for number, row in rows:
            if missing := [k for k in ("task", "doc_id", "repeat") if k not in row]:
                raise DataError(f"{path}, line {number}: the line lacks {', '.join(missing)}")
            if row["task"] == task and row["repeat"] == 0:
                _check(row, f"{path}, line {number}", found)
                found[str(row["doc_id"])] = row
        if not found:
            raise DataError(f"{path} has no request of the task {task!r}")
        return cls(path, about, found, set(found))

    def joined(self, rows: Iterator[Row], refused: list[dict[str, str]]) -> Iterator[Row]:
        """Rows of a log, with what was seen and said.

        Args:
            rows: From the log.
            refused: Takes those that could not be played: lmms-eval scored an empty answer.

        Raises:
            DataError: If a row has no facts, or they are of another question.
        """
        for row in rows:
            doc_id = row["id"].rpartition("/")[2]
            fact = self.by_doc.get(doc_id)
            if fact is None:
                raise DataError(
                    f"{self.path} has no facts of {row['id']}: was it answered from lmms-eval's "
                    "cache (--use_cache), or is the file another run's? facts=none does without"
                )
            self.unused.discard(doc_id)
            if "refused" in fact:
                told = {"id": row["id"], "reason": fact["refused"]}
                refused.append({**told, "kind": row["kind"], "source": row["source"]})
                continue
            if fact["question"] != row["question"]:
                raise DataError(
                    f"{self.path}: {row['id']} was asked {fact['question']!r:.80} there, and "
                    f"{row['question']!r:.80} in the log: the file is another run's"
                )
            self.altered += (row["answer"] or "").strip() != fact["returned"].strip()
            self.seconds += fact["agent_seconds"]
            yield {**row, **{key: fact[key] for key in SEEN}}


def _check(row: Mapping[str, Any], where: str, found: Mapping[str, Any]) -> None:
    if str(row["doc_id"]) in found:
        raise DataError(f"{where}: {row['task']} has the doc_id {row['doc_id']!r} twice")
    needed = (*SEEN, "question", "returned", "agent_seconds")
    missing = [] if "refused" in row else [key for key in needed if key not in row]
    if missing:
        raise DataError(f"{where}: the line lacks {', '.join(missing)}")
