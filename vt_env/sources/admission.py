"""Which rows become samples: the checks that every source over real data shares."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, cast, get_args

from vt_env.errors import ConfigError, DataError, PictureError, unknown_name
from vt_env.pictures import Picture, PictureRules
from vt_env.samples import PictureLike, Sample
from vt_env.sources.base import Refusal, Remark, Source, is_count, is_number

logger = logging.getLogger(__name__)

Check = Literal["none", "header", "decode"]
"""How closely pictures are looked at on opening: that the file exists, its header, every pixel."""

KEPT = 1000
"""Rows refused, and rows shown in part, that are kept as examples; the others are counted."""

_SHOWN = 5


class AdmissionOptions(TypedDict, total=False):
    """The options of :class:`Admission`, as the keyword arguments of a source."""

    max_refused: float
    check: Check
    limit: int | None
    rules: PictureRules


@dataclass(frozen=True, slots=True)
class Admission:
    """What a source asks of its rows.

    Attributes:
        max_refused: Share of the rows read, in [0, 1], that may be refused. Above it the source
            does not open.
        check: How closely pictures are looked at on opening. ``decode`` alone finds truncated
            files; ``none`` only asks that a file exists.
        limit: Stop reading after so many samples; ``None`` reads all.
        rules: What is asked of a picture.

    Raises:
        ConfigError: On a value out of range.
    """

    max_refused: float = 0.1
    check: Check = "header"
    limit: int | None = None
    rules: PictureRules = field(default_factory=PictureRules)

    def __post_init__(self) -> None:
        if not is_number(self.max_refused, 0, 1):
            raise ConfigError(f"max_refused is a share from 0 to 1, got {self.max_refused!r}")
        if self.check not in get_args(Check):
            raise unknown_name("picture check", self.check, get_args(Check))
        if self.limit is not None and not is_count(self.limit, 1):
            raise ConfigError(f"limit is a number of samples from 1 up, got {self.limit!r}")
        if not isinstance(cast("object", self.rules), PictureRules):
            raise ConfigError(
                f"rules is a vt_env.pictures.PictureRules, from Python only, got {self.rules!r}"
            )


class Intake:
    """Lets the good rows of one source through and writes down the others.

    Args:
        name: The source's name, for messages.
        admission: What is asked.

    Attributes:
        refused: The first rows refused, at most :data:`KEPT`.
        n_refused: How many were refused so far.
        partly_shown: The first rows whose picture is shown in part, at most :data:`KEPT`.
        n_partly_shown: How many there were so far.
    """

    def __init__(self, name: str, admission: Admission) -> None:
        self.name = name
        self.admission = admission
        self.refused: list[Refusal] = []
        self.n_refused = 0
        self.partly_shown: list[Remark] = []
        self.n_partly_shown = 0
        self._first: dict[str, int] = {}
        self._checked: dict[Path, tuple[str, str]] = {}

    def admit(self, rows: Iterable[tuple[int, Sample | Refusal]]) -> Iterator[tuple[int, Sample]]:
        """Yield the rows that may be served, then judge the whole.

        Args:
            rows: Row number and what was read there.

        Raises:
            DataError: At the end, if too many rows were refused or none is left.
        """
        admitted = 0
        for number, row in rows:
            refusal, notice = (row, "") if isinstance(row, Refusal) else self._seen(number, row)
            if refusal is not None:
                self.n_refused += 1
                if len(self.refused) < KEPT:
                    self.refused.append(refusal)
            elif isinstance(row, Sample):
                self._first[row.id] = number
                admitted += 1
                if notice:
                    self.n_partly_shown += 1
                    if len(self.partly_shown) < KEPT:
                        self.partly_shown.append(Remark(row.id, notice))
                yield number, row
                if admitted == self.admission.limit:
                    break
        self._judge(admitted)

    def report(self, source: Source) -> None:
        """Tell a source what was refused and what is shown in part; of the latter log one line."""
        source.refused, source.n_refused = tuple(self.refused), self.n_refused
        source.partly_shown, source.n_partly_shown = tuple(self.partly_shown), self.n_partly_shown
        if self.partly_shown:
            logger.warning(
                "source %r shows %d pictures in part, e.g. that of %s",
                self.name,
                self.n_partly_shown,
                self.partly_shown[0],
            )

    def _seen(self, number: int, sample: Sample) -> tuple[Refusal | None, str]:
        """Why a sample is refused, and what of its picture is not shown."""
        if (first := self._first.get(sample.id)) is not None:
            return Refusal(sample.id, f"row {number} repeats the id of row {first}"), ""
        if self.admission.check == "none":
            return None, ""
        notices: list[str] = []
        for image in sample.images:
            fault, notice = self._look(image)
            if fault:
                return Refusal(sample.id, fault), ""
            notices += [notice] if notice else []
        return None, "; ".join(notices)

    def _look(self, image: PictureLike) -> tuple[str, str]:
        """Why a picture is refused and what of it is not shown; ``""`` for neither.

        A file that many rows show is read once.
        """
        if isinstance(image, Path) and image in self._checked:
            return self._checked[image]
        picture = Picture(image, self.admission.rules)
        try:
            picture.check(decode=self.admission.check == "decode")
            found = "", picture.notice
        except PictureError as error:
            found = str(error), ""
        if isinstance(image, Path):
            self._checked[image] = found
        return found

    def _judge(self, admitted: int) -> None:
        refused = self.n_refused
        total = admitted + refused
        if total == 0:
            raise DataError(f"source {self.name!r} has no rows")
        if admitted and refused <= self.admission.max_refused * total:
            return
        reasons = "".join(f"\n  {refusal}" for refusal in self.refused[:_SHOWN])
        more = f"\n  and {refused - _SHOWN} more" if refused > _SHOWN else ""
        raise DataError(
            f"source {self.name!r} refused {refused} of {total} rows, "
            f"{refused / total:.1%}; max_refused allows {self.admission.max_refused:.1%}"
            f"{reasons}{more}\n"
            "Correct the rows, or raise max_refused to go on without them."
        )
