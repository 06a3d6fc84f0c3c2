"""Which rows become samples: the checks that every source over real data shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, TypedDict, get_args

from vt_env.errors import ConfigError, DataError, PictureError, unknown_name
from vt_env.pictures import Picture, PictureRules
from vt_env.samples import PictureLike, Sample
from vt_env.sources.base import Refusal

Check = Literal["none", "header", "decode"]
"""How closely pictures are looked at on opening: that the file exists, its header, every pixel."""

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
        if not _is_share(self.max_refused):
            raise ConfigError(f"max_refused is a share from 0 to 1, got {self.max_refused!r}")
        if self.check not in get_args(Check):
            raise unknown_name("picture check", self.check, get_args(Check))
        if self.limit is not None and not is_count(self.limit, 1):
            raise ConfigError(f"limit is a number of samples from 1 up, got {self.limit!r}")

    @staticmethod
    def option_names() -> list[str]:
        """The names of the settings."""
        return [f.name for f in fields(Admission)]


def is_count(value: object, least: int) -> bool:
    """Whether a setting is an integer of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


class Intake:
    """Lets the good rows of one source through and writes down the others.

    Args:
        name: The source's name, for messages.
        admission: What is asked.

    Attributes:
        refused: The rows refused so far.
    """

    def __init__(self, name: str, admission: Admission) -> None:
        self.name = name
        self.admission = admission
        self.refused: list[Refusal] = []
        self._first: dict[str, int] = {}
        self._checked: dict[Path, str] = {}

    def admit(self, rows: Iterable[tuple[int, Sample | Refusal]]) -> Iterator[tuple[int, Sample]]:
        """Yield the rows that may be served, then judge the whole.

        Args:
            rows: Row number and what was read there.

        Raises:
            DataError: At the end, if too many rows were refused or none is left.
        """
        admitted = 0
        for number, row in rows:
            refusal = row if isinstance(row, Refusal) else self._fault(number, row)
            if refusal is not None:
                self.refused.append(refusal)
            elif isinstance(row, Sample):
                self._first[row.id] = number
                admitted += 1
                yield number, row
                if admitted == self.admission.limit:
                    break
        self._judge(admitted)

    def _fault(self, number: int, sample: Sample) -> Refusal | None:
        if (first := self._first.get(sample.id)) is not None:
            return Refusal(sample.id, f"row {number} repeats the id of row {first}")
        if self.admission.check != "none":
            reason = self._picture_fault(sample.image)
            if reason:
                return Refusal(sample.id, reason)
        return None

    def _picture_fault(self, image: PictureLike) -> str:
        """Why a picture is refused, or ``""``. A file that many rows show is read once."""
        if isinstance(image, Path) and image in self._checked:
            return self._checked[image]
        reason = ""
        try:
            Picture(image, self.admission.rules).check(decode=self.admission.check == "decode")
        except PictureError as error:
            reason = str(error)
        if isinstance(image, Path):
            self._checked[image] = reason
        return reason

    def _judge(self, admitted: int) -> None:
        refused = len(self.refused)
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
