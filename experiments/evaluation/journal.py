"""What an evaluation has done so far, on disk, so that nothing is done twice.

A folder of results holds, while it is being made, ``evaluation.json`` (what is evaluated) and
``journal.jsonl`` (an entry a line, as :class:`experiments.evaluation.player.Player` makes them,
appended block by block). When all is done the journal becomes ``episodes.jsonl`` and
``result.json``, and goes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.evaluation.player import Entry
from experiments.files import json_line, json_row, write_json
from vt_env import ConfigError, DataError

CONFIG, JOURNAL, EPISODES, RESULT = (
    "evaluation.json",
    "journal.jsonl",
    "episodes.jsonl",
    "result.json",
)
Config = Mapping[str, Any]


class Journal:
    """The entries of one folder.

    Attributes:
        folder: Where it is.
        config: What is evaluated.
        torn: Whether a last line that broke off was dropped on opening.
        done: The places of all samples that were played or refused.
        refused: How many were refused.

    Args:
        folder: There already.
        config: What is evaluated.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.path = folder / JOURNAL
        self.done: set[int] = set()
        self.refused = 0
        self._stream = self.path.open("ab", buffering=0)
        try:
            _lock(self._stream, self.path)
            self.torn = self._cut()
            if not (folder / CONFIG).exists():
                write_json(folder / CONFIG, config)
            for entry in read_entries(self.path):
                self._note(entry)
        except BaseException:
            self._stream.close()
            raise

    def append(self, entries: Sequence[Entry]) -> None:
        """Write a block down for good.

        Raises:
            OSError: If the disk is full. What was written before stays.
        """
        left = memoryview("".join(map(json_line, entries)).encode())
        while left:
            left = left[self._stream.write(left) :]
        os.fsync(self._stream.fileno())
        for entry in entries:
            self._note(entry)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _note(self, entry: Entry) -> None:
        if "at" in entry:
            self.done.add(entry["at"])
            self.refused += "refused" in entry

    def _cut(self) -> bool:
        """Drop a last line that has no end: the process was killed, or the disk full."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return False
        os.truncate(self.path, whole)
        return True


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a journal; a last line that broke off is left out.

    Raises:
        DataError: If it cannot be read, or a line is broken.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if line.endswith("\n"):
                    yield json_row(line, f"{path}, line {number}")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """What is evaluated in a folder.

    Raises:
        DataError: If there is nothing of the kind.
    """
    try:
        return json_row((folder / CONFIG).read_text("utf-8"), str(folder / CONFIG))
    except OSError as error:
        raise DataError(f"{folder} holds no evaluation: {CONFIG}: {error.strerror}") from error


def open_journal(folder: Path, config: Config, *, resume: bool, overwrite: bool) -> Journal | None:
    """Begin an evaluation in a folder, or go on with it.

    Returns:
        The journal; ``None`` where the evaluation is finished already.

    Raises:
        ConfigError: If the folder holds something else, or this and ``resume`` was not asked for.
        DataError: If the journal is broken.
    """
    config = json.loads(json.dumps(config))
    folder.mkdir(parents=True, exist_ok=True)
    if overwrite:
        clear(folder)
    finished, begun = (folder / RESULT).exists(), (folder / CONFIG).exists()
    if finished and not resume:
        raise ConfigError(
            f"{folder} holds results already; choose another --out or add --overwrite"
        )
    if begun and not resume:
        raise ConfigError(
            f"{folder} holds an evaluation that is not finished: add --resume to go on with it, or "
            "--overwrite to begin anew"
        )
    if finished and not begun:
        raise ConfigError(f"{folder} holds results that do not say how they were made: no {CONFIG}")
    if begun:
        check_same(folder, read_config(folder), config)
    return None if finished else Journal(folder, config)


def clear(folder: Path) -> None:
    """Take away what an evaluation left in a folder."""
    for name in (RESULT, EPISODES, JOURNAL, CONFIG):
        (folder / name).unlink(missing_ok=True)


def clear_below(folder: Path) -> None:
    """Take away every evaluation in a folder and below."""
    for config in list(folder.rglob(CONFIG)):
        for place in (config.parent, config.parent.parent):  # with modes there is one over them
            clear(place)


def check_same(folder: Path, there: Config, here: Config, *, but: Sequence[str] = ()) -> None:
    """Make sure that two evaluations are of the same.

    Raises:
        ConfigError: If they are not, with everything that differs.
    """
    if there.get("agent") == here.get("agent") and (
        there.get("checkpoint") != here.get("checkpoint")
    ):
        files = ", ".join(here.get("checkpoint") or there["checkpoint"])
        why = (
            f"was played with other weights: the files at {files} are not those of before"
            if "checkpoint" in there
            else f"does not say with which weights of {files} it was played"
        )
        raise ConfigError(
            f"{folder} {why}. Set them back, choose another --out, or add --overwrite to begin anew"
        )
    differs = [
        f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key) and key not in but
    ]
    if differs:
        raise ConfigError(
            f"{folder} holds another evaluation: {'; '.join(differs)}. Choose another --out, or "
            "add --overwrite to begin anew"
        )


def _lock(stream: Any, path: Path) -> None:
    """Two processes must not write the same journal; where there are no locks nothing is checked.

    Raises:
        ConfigError: If another process has it.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another process is writing {path}") from None
    except OSError:
        return  # a file system without locks
