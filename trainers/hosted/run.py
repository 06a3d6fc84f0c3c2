"""What the processes of one run share: a folder, and in it all settings as one file.

    OUT/NAME/             NAME is the trainer's
        run.json          this record
        train.jsonl       the rows, in the order in which they are played
        validation.jsonl  the rows of an evaluation, where there is a validation split
        start.sh          the command, for a cluster
        log.txt           what all processes print
        judging/          what each process's judges took so far

On several machines the folder is on a disk that all of them see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

from trainers.config import TrainConfig
from trainers.errors import TrainingError
from vt_env.judges.models import Usage

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One run, as all its processes see it.

    Attributes:
        out: The folder that the user named; absolute.
        cwd: Where relative paths of the recipe begin.
        config: The recipe.
        max_length: Tokens that a whole rollout may have.
        max_prompt: Tokens that there may be before the policy's first turn.
        max_rest: Tokens that there may be from there on.
        refused: Pictures that were refused; the next samples took their place.
        fingerprints: As :class:`trainers.base.TrainResult` has them.
    """

    NAME: ClassVar[str]

    out: Path
    cwd: Path
    config: TrainConfig
    max_length: int = 0
    max_prompt: int = 0
    max_rest: int = 0
    refused: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def folder(self) -> Path:
        """Where the files of the module's description are."""
        return self.out / self.NAME

    @property
    def wanted_length(self) -> int:
        """The ``max_length`` of the trainer's settings; 0: what the longest of the data needs."""
        return getattr(self.config, self.NAME).max_length

    def rows(self, split: str) -> Path:
        """The rows of a split, ``train`` or ``validation``."""
        return self.folder / f"{split}.jsonl"

    @property
    def model(self) -> str:
        """The model that it begins with, as any process can load it."""
        path = self.cwd / self.config.model.path
        return str(path.resolve()) if path.is_dir() else self.config.model.path

    def tell_judging(self, engine: str, usage: Usage) -> None:
        """Leave what a process's judges took so far, where :meth:`judging` finds it."""
        path = self.folder / "judging" / f"{engine}.json"
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(usage)), "utf-8")
        part.replace(path)

    def judging(self) -> list[Usage]:
        """What the judges of each process took so far, those before a resume included."""
        files = sorted((self.folder / "judging").glob("*.json"))
        return [Usage(**json.loads(file.read_text("utf-8"))) for file in files]

    def saved_steps(self) -> int:
        """Steps done when the library saved its state last; 0 if it never did."""
        raise NotImplementedError

    def write(self) -> None:
        """Write ``run.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        told = json.dumps(asdict(self), indent=2, default=str)
        (self.folder / "run.json").write_text(told + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote.

        Raises:
            TrainingError: If it cannot be read.
        """
        try:
            return _record(cls, json.loads((folder / "run.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrainingError(
                f"{folder}/run.json cannot be read, or is another version's: {error!r}"
            ) from error


def _record(kind: type[T], table: Mapping[str, Any]) -> T:
    """A record of records from what :func:`dataclasses.asdict` made of it."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for f in fields(kind):  # pyright: ignore[reportArgumentType]
        hint, value = hints[f.name], table[f.name]
        if isinstance(hint, type) and is_dataclass(hint):
            value = _record(hint, value)
        elif hint is Path:
            value = Path(value)
        elif isinstance(value, list):
            value = tuple(value)
        values[f.name] = value
    return kind(**values)
