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
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, get_type_hints

from agents.judging.usage import Usage
from trainers.checkpoint import check_room
from trainers.config import TrainConfig
from trainers.errors import Damaged, TrainingError
from trainers.files import linked, read_sealed, size_of, write_sealed
from trainers.results import PRIVATE
from trainers.tracking import JsonLines

if TYPE_CHECKING:
    from trainers.algorithms import Algorithm

logger = logging.getLogger(__name__)

T = TypeVar("T")
STATE_BYTES = 14
"""Of a parameter in a saved state: float32 weight and two moments, and the weight in bfloat16."""
MODEL_BYTES = 2
"""Of a parameter in a saved model."""


@dataclass(frozen=True)
class HostedRun(ABC):
    """One run, as all its processes see it; a library says what it wants and leaves.

    Attributes:
        NAME: The trainer's, and of the folder.
        LIBRARY: As people write it.
        WRITES_CHECKPOINTS: Whether the process that leads the run writes them itself.
        SEPARATORS: Characters at which the library cuts a path in two.
        out: The folder that the user named; absolute.
        cwd: Where relative paths of the recipe begin.
        config: The recipe.
        max_length: Tokens that a whole rollout may have.
        max_prompt: Tokens that there may be before the policy's first turn.
        max_rest: Tokens that there may be from there on.
        refused: Pictures that were refused; the next samples took their place.
        parameters: Of the model.
        fingerprints: As :class:`trainers.base.TrainResult` has them.
        commits: Of model and data on the Hub, see :func:`trainers.data.commits`.
    """

    NAME: ClassVar[str]
    LIBRARY: ClassVar[str]
    WRITES_CHECKPOINTS: ClassVar[bool] = False
    SEPARATORS: ClassVar[str] = ""

    out: Path
    cwd: Path
    config: TrainConfig
    max_length: int = 0
    max_prompt: int = 0
    max_rest: int = 0
    refused: int = 0
    parameters: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])
    commits: Mapping[str, str] = field(default_factory=dict[str, str])

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
    @abstractmethod
    def players(self) -> int:
        """Processes that play, each with a judge of its own."""

    @property
    def model(self) -> str:
        """The model that it begins with, as any process can load it."""
        path = self.cwd / self.config.model.path
        return str(path.resolve()) if path.is_dir() else self.config.model.path

    def write_judge_usage(self, engine: str, usage: Usage) -> None:
        """Leave what a process's judges took so far, where :meth:`judge_usage` finds it."""
        path = self.folder / "judging" / f"{engine}.json"
        path.parent.mkdir(exist_ok=True)
        write_sealed(path, asdict(usage))

    def judge_usage(self) -> list[Usage]:
        """What the judges of each process took so far, those before a resume included.

        A file that is damaged is told and not counted: no run ends for it.
        """
        found: list[Usage] = []
        for file in sorted((self.folder / "judging").glob("*.json")):
            try:
                found.append(Usage(**read_sealed(file)))
            except Damaged as error:
                logger.warning("%s; what judges took is told without it", error)
        return found

    @staticmethod
    @abstractmethod
    def algorithm(config: TrainConfig) -> Algorithm:
        """The recipe's algorithm.

        Raises:
            ConfigError: On what the library cannot do; see :func:`trainers.refusing.accepted`.
        """

    @abstractmethod
    def start(self) -> str:
        """The last lines of the script that starts the run."""

    @abstractmethod
    def saved_steps(self) -> int:
        """Steps done when the library saved its state last; 0 if it never did.

        Raises:
            CheckpointError: If that state is gone.
        """

    @abstractmethod
    def model_of(self, step: int) -> Path:
        """Where the library leaves the model of a step that it saved."""

    def has_model(self, step: int) -> bool:
        """Whether the model of a step that it saved is there, and whole."""
        return self.model_of(step).is_dir()

    def why_stopped(self) -> str:
        """Why the run was stopped, where that is not the last error that was printed."""
        return ""

    def collect(self, log: JsonLines) -> None:  # noqa: B027 - most have nothing to add
        """Add to the log what the library wrote elsewhere; called again and again."""

    def copy_model(self, step: int, folder: Path) -> None:
        """Fill a checkpoint's folder; what the library saved stays where it is."""
        from trainers.models import complete  # torch may be missing where this is imported

        linked(self.model_of(step), folder / "model")
        complete(folder / "model", self.model)

    @abstractmethod
    def saved_states(self) -> list[tuple[int, Path]]:
        """Folders of states that are there, whole or not, each with its step."""

    def prune(self) -> None:
        """Delete all but the newest whole states.

        The libraries delete before the next is whole, and only what they saved since they were
        started. So they are told to keep all.
        """
        step, found = self.saved_steps(), self.saved_states()
        whole = sorted({at for at, _ in found if at <= step})
        for at, folder in found:
            if at not in whole[-self.config.checkpoint.keep :]:
                shutil.rmtree(folder)

    def state_bytes(self) -> int:
        """Bytes that the next state of the library and its model will take."""
        return self.parameters * (STATE_BYTES + MODEL_BYTES)

    def room(self) -> int:
        """Bytes that all states and checkpoints of the run may take, beyond what is there."""
        return run_bytes(self.parameters, self.config.checkpoint.keep) - taken_by(self.out)

    def check_room(self) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            CheckpointError: Saying how much there is.
        """
        check_room(self.out, self.room(), "checkpoints of the run")

    def write(self) -> None:
        """Write ``run.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = json.loads(json.dumps(asdict(self), default=str))
        write_sealed(self.folder / "run.json", record)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote.

        Raises:
            TrainingError: If it cannot be read.
        """
        try:
            return _record(cls, read_sealed(folder / "run.json"))
        except (OSError, Damaged, TypeError, KeyError) as error:
            raise TrainingError(
                f"{folder}/run.json cannot be read, or is another version's: {error!r}"
            ) from error


def run_bytes(parameters: int, keep: int) -> int:
    """Bytes that all states and checkpoints of a run take at the most.

    Args:
        parameters: Of the model.
        keep: States and checkpoints that are kept; one more is written before one is deleted, and
            the best checkpoint is kept besides.
    """
    return parameters * ((keep + 1) * STATE_BYTES + (keep + 2) * MODEL_BYTES)


def taken_by(out: Path) -> int:
    """Bytes that a run's folder takes already, without what was there before an ``--overwrite``."""
    return size_of(out) - size_of(out / PRIVATE)


def _record(kind: type[T], table: Mapping[str, Any]) -> T:
    """A record of records from what :func:`dataclasses.asdict` made of it.

    What an earlier version did not have yet reads as its default.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for f in fields(kind):  # pyright: ignore[reportArgumentType]
        if f.name not in table:
            continue
        hint, value = hints[f.name], table[f.name]
        if isinstance(hint, type) and is_dataclass(hint):
            value = _record(hint, value)
        elif hint is Path:
            value = Path(value)
        elif isinstance(value, list):
            value = tuple(value)
        values[f.name] = value
    return kind(**values)
