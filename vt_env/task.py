"""What an environment needs beside Gymnasium: data, rules, a judge. One value, built once.

The single and the vector environment, evaluation and trainers all play the same :class:`Task`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vt_env.decoding import at_once
from vt_env.dialogue import Dialogue
from vt_env.errors import ConfigError
from vt_env.judges import Judge, JudgeLike, Query, Verdict, make_judge
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", make_judge(self.judge))

    def close(self) -> None:
        """Let go of what the judge holds."""
        self.judge.close()

    def pictures(self, sample: Sample) -> tuple[Picture, ...]:
        """A sample's pictures, of which nothing is read yet."""
        rules, first_look = self.protocol.rules, self.protocol.first_look
        return tuple(
            Picture(image, rules, first_look=first_look, place=place)
            for place, image in enumerate(sample.images)
        )

    def begin(self, sample: Sample, copies: int = 1) -> list[Dialogue]:
        """Dialogues about one sample; its pictures are decoded and shrunk once for all of them.

        Raises:
            PictureError: If a picture is refused; the error names the sample.
            ConfigError: If pictures are shrunk, and the sample says in pixels where its answer is.
        """
        if self.protocol.rules.shrink_above and sample.answer_box is not None:
            raise ConfigError(
                f"sample {sample.id!r} says in pixels where its answer is (answer_box), and larger "
                "pictures are shrunk before that is looked up: leave out shrink_above (max_pixels)"
            )
        pictures = self.pictures(sample)
        return [Dialogue(self.protocol, sample, pictures, place) for place in range(copies)]

    def begin_all(self, samples: Sequence[Sample], copies: int = 1) -> list[list[Dialogue]]:
        """Dialogues about several samples, whose picture files are decoded on all cores.

        Raises:
            PictureError: As :meth:`begin`, for the first sample that has a refused picture.
        """
        begin = partial(self.begin, copies=copies)
        if any(map(has_files, samples)):
            return at_once(begin, samples)
        return [begin(sample) for sample in samples]

    def start_judging(self, dialogues: Sequence[Dialogue]) -> None:
        """Let a judge that can begin with dialogues that are over, while others still go on.

        ``judge_all`` picks up what was begun: verdicts are the same, and there sooner.

        Raises:
            JudgeError: If too many judgements fail for a run to go on.
        """
        queries = [self._query(dialogue) for dialogue in dialogues if dialogue.done]
        if begun := [query for query in queries if query is not None]:
            self.judge.begin(begun)

    def judge_all(self, dialogues: Sequence[Dialogue]) -> list[Verdict]:
        """Verdicts of finished dialogues, in their order, from one call of the judge.

        Equal queries are judged once. A dialogue without an answer needs no judge: it is wrong, or
        unscored where it was given up.
        """
        queries = [self._query(dialogue) for dialogue in dialogues]
        distinct = list(dict.fromkeys(query for query in queries if query is not None))
        verdicts: dict[Query, Verdict] = {}
        if distinct:
            verdicts = dict(zip(distinct, self.judge.score(distinct), strict=True))
        return [
            dialogue.no_answer() if query is None else verdicts[query]
            for dialogue, query in zip(dialogues, queries, strict=True)
        ]

    def _query(self, dialogue: Dialogue) -> Query | None:
        """What the judge is asked; the rollout is named where the judge wants to know it."""
        query = dialogue.query()
        if query is None or not self.judge.per_rollout:
            return query
        return replace(query, rollout=dialogue.rollout)


def has_files(sample: Sample) -> bool:
    """Whether any of its pictures has to be decoded."""
    return not all(isinstance(image, np.ndarray) for image in sample.images)


def make_task(
    data: str | Source | Sequence[Sample] = "generated",
    *,
    protocol: str | Protocol = "visionthink",
    judge: str | JudgeLike = "auto",
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
        rules: Those of :data:`vt_env.protocol.SETTINGS`, which replace the protocol's own, and
            ``stage``; see :func:`vt_env.protocol.make_protocol`.

    Raises:
        ConfigError: On an unknown name or a value out of range.
        DataError: If the data cannot be used.
    """
    if "group_size" in rules:
        raise ConfigError("Unknown setting 'group_size'; groups are gym.make_vec's")
    if rules and isinstance(protocol, Protocol):
        raise ConfigError(
            f"{', '.join(sorted(rules))}: a finished Protocol holds its own rules; give its name, "
            "or dataclasses.replace(protocol, …)"
        )
    source = open_source(data)
    family = tokens or source.tokens or "qwen2.5-vl"
    made = make_protocol(protocol, tokens=family, **rules)
    return Task(source, made, make_judge(judge))
