"""What an environment needs beside Gymnasium: data, rules, a judge. One value, built once.

The single and the vector environment, evaluation and trainers all play the same :class:`Task`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vt_env.dialogue import Dialogue
from vt_env.judges import Judge, Query, Verdict, close, make_judge, submit
from vt_env.pictures import Picture
from vt_env.protocol import Protocol, make_protocol
from vt_env.samples import Sample
from vt_env.sources import Source, open_source


@dataclass(frozen=True)
class Task:
    """Samples, the rules of a conversation, and who judges.

    Attributes:
        source: Where samples come from.
        protocol: The rules.
        judge: Who reads the answers.
    """

    source: Source
    protocol: Protocol
    judge: Judge

    def close(self) -> None:
        """Let go of what the judge holds."""
        close(self.judge)

    def picture(self, sample: Sample) -> Picture:
        """A sample's picture, of which nothing is read yet."""
        rules, first_look = self.protocol.rules, self.protocol.first_look
        return Picture(sample.image, rules, first_look=first_look)

    def begin(self, sample: Sample, copies: int = 1) -> list[Dialogue]:
        """Dialogues about one sample; its picture is decoded and shrunk once for all of them.

        Raises:
            PictureError: If the picture is refused; the error names the sample.
        """
        picture = self.picture(sample)
        return [Dialogue(self.protocol, sample, picture) for _ in range(copies)]

    def start_judging(self, dialogues: Sequence[Dialogue]) -> None:
        """Let a judge that can begin with dialogues that are over, while others still go on.

        ``judge_all`` picks up what was begun: verdicts are the same, and there sooner.

        Raises:
            JudgeError: If too many judgements fail for a run to go on.
        """
        judge = self.judge
        if not hasattr(judge, "submit") or getattr(judge, "per_rollout", False):
            return
        queries = [d.query() for d in dialogues if d.done]
        if begun := [query for query in queries if query is not None]:
            submit(judge, begun)

    def judge_all(self, dialogues: Sequence[Dialogue]) -> list[Verdict]:
        """Verdicts of finished dialogues, in their order, from one call of the judge.

        Equal queries are judged once; a dialogue without an answer is wrong without a judge.
        """
        queries = [dialogue.query() for dialogue in dialogues]
        if getattr(self.judge, "per_rollout", False):
            queries = _named(dialogues, queries)
        distinct = list(dict.fromkeys(query for query in queries if query is not None))
        verdicts: dict[Query, Verdict] = {}
        if distinct:
            verdicts = dict(zip(distinct, self.judge.score(distinct), strict=True))
        return [
            dialogue.no_answer() if query is None else verdicts[query]
            for dialogue, query in zip(dialogues, queries, strict=True)
        ]


def _named(dialogues: Sequence[Dialogue], queries: Sequence[Query | None]) -> list[Query | None]:
    """Each query with the sample's id and the rollout's place among those of its sample."""
    places: Counter[str] = Counter()
    named: list[Query | None] = []
    for dialogue, query in zip(dialogues, queries, strict=True):
        sample_id = dialogue.sample.id
        named.append(query and replace(query, rollout=f"{sample_id}#{places[sample_id]}"))
        places[sample_id] += 1
    return named


def make_task(
    data: str | Source | Sequence[Sample] = "generated",
    *,
    protocol: str | Protocol = "visionthink",
    judge: str | Judge = "auto",
    tokens: Any = None,
    **rules: Any,
) -> Task:
    """A task from names.

    Args:
        data: A source, its spec (e.g. ``"jsonl:PATH"``; see :func:`vt_env.sources.open_source`) or
            a list of samples.
        protocol: See :func:`vt_env.protocol.make_protocol`.
        judge: See :func:`vt_env.judges.make_judge`.
        tokens: Model family whose visual tokens are counted. By default the source's own, where
            it was drawn for one (``generated``: ``tiny``), else ``qwen2.5-vl``.
        rules: ``factor``, ``tools``, ``prompt``, ``max_turns``, ``rules``, ``first_look``, which
            replace the protocol's own.

    Raises:
        ConfigError: On an unknown name or a value out of range.
        DataError: If the data cannot be used.
    """
    source = open_source(data)
    family = tokens or source.tokens or "qwen2.5-vl"
    made = make_protocol(protocol, tokens=family, **rules)
    return Task(source, made, make_judge(judge))
