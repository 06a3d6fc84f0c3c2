"""What is not rolled out: samples that occur twice, or in an evaluation set.

A sample is a *duplicate* of an earlier one if both ask the same and show equal pixels, or ask the
same, accept the same answer and show pictures that look alike. Pictures that look alike under the
same question with different answers are kept: forms and charts differ in their small print.

It is *contaminated* if its picture is equal or looks alike to one of an evaluation set, whatever is
asked there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.preparation.log import CONTAMINATED, DUPLICATE, PLAYED, REFUSED, Row
from experiments.preparation.prints import Index, Match, Print, print_of, text_key
from vt_env import Picture, PictureError, Protocol, Sample, Source


class Screen:
    """Decides of each sample, in the order of the data, whether it is rolled out.

    Args:
        protocol: At the low resolution: its picture must be showable so.
        near: See :class:`~experiments.preparation.prints.Index`.
    """

    def __init__(self, protocol: Protocol, near: int | None) -> None:
        self.protocol = protocol
        self._seen = Index(near)
        self._held_out = Index(near)
        self._asked = Index(near)

    def close(self) -> None:
        """Forget all."""
        for index in (self._seen, self._held_out, self._asked):
            index.close()

    def hold_out(self, source: Source) -> Iterator[Mapping[str, str]]:
        """Remember an evaluation set, sample by sample.

        Yields:
            ``id`` and ``reason`` of each whose picture is refused, so that nothing can be found in
            it; an empty mapping for the others.
        """
        for sample in source:
            try:
                picture = print_of(Picture(sample.image, self.protocol.rules).original)
            except PictureError as error:
                yield {"set": source.name, "id": sample.id, "reason": str(error)}
                continue
            question = text_key(sample.question)
            self._held_out.add(f"{source.name}/{sample.id}", picture)
            self._asked.add(f"{source.name}/{sample.id}", picture, question, question)
            yield {}

    def row(self, number: int, sample: Sample) -> Row:
        """The row of a sample, without rollouts, and its fingerprints remembered."""
        row: Row = {
            "id": sample.id,
            "n": number,
            "status": PLAYED,
            "kind": sample.kind,
            "source": sample.source,
        }
        try:
            picture = self._look(sample)
        except PictureError as error:
            return row | {"status": REFUSED, "reason": str(error)}
        question = text_key(sample.question)
        alike = question + text_key(sample.references[0])
        row |= {
            "pixels": picture.pixels.hex(),
            "look": None if picture.look is None else f"{picture.look:016x}",
            "equal": question.hex(),
            "alike": alike.hex(),
        }
        if found := self._held_out.find(picture):
            return row | {"status": CONTAMINATED, "reason": self._occurs(picture, question, found)}
        if found := self._seen.find(picture, question, alike):
            return row | {"status": DUPLICATE, "reason": f"the same as {found}"}
        self._seen.add(sample.id, picture, question, alike)
        return row

    def remember(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows of an earlier part of this preparation as seen."""
        for row in rows:
            if row["status"] == PLAYED:
                look = None if row["look"] is None else int(row["look"], 16)
                picture = Print(bytes.fromhex(row["pixels"]), look)
                equal, alike = bytes.fromhex(row["equal"]), bytes.fromhex(row["alike"])
                self._seen.add(row["id"], picture, equal, alike)

    def _look(self, sample: Sample) -> Print:
        picture = Picture(sample.image, self.protocol.rules, first_look=self.protocol.first_look)
        picture.shrunk(self.protocol.factor)
        return print_of(picture.original)

    def _occurs(self, picture: Print, question: bytes, found: Match) -> str:
        if both := self._asked.find(picture, question, question):
            return f"question and picture occur in {both}"
        return f"the picture occurs in {found}"
