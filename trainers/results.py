"""Folders of results: what is in them is never lost, and what is not ours is never touched.

    OUT/
        …                   results, by the names that the stamp claims
        .vt/stamp.json      sealed; which command, since when, and which names are ours
        .vt/stamp-copy.json the same, read where a disk has damaged the first
        .vt/lock            held by whoever is at work
        .vt/previous/…      earlier results, until those that replace them are whole

A command *looks* first, and changes nothing: a folder that is absent or empty is free; one with the
stamp of the same command is gone on with or overwritten, if that was asked for; any other is
refused. Then it *begins*: it takes the lock, and with ``overwrite`` moves what is ours into
``previous``. When the new results are whole the earlier ones go. Each move is noted in the stamp
first, so that whoever comes next can finish it or take it back::

    (done) ─▶ moving ─▶ begun ─▶ discarding ─▶ (done)          overwrite
                 │        └────▶ dropping ─▶ moving ─▶ (done)  restore: the earlier ones are back
                 └───────▶ (done)                              killed while moving: taken back
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from threading import get_ident
from typing import Any, Literal

from trainers.errors import Damaged
from trainers.files import MANIFEST, PART, read_sealed, remove_empty, strays, write_sealed
from trainers.locks import locked
from vt_env import __version__
from vt_env.errors import ConfigError, DataError

logger = logging.getLogger(__name__)
PRIVATE = ".vt"
STAMP, LOCK, PREVIOUS = f"{PRIVATE}/stamp.json", f"{PRIVATE}/lock", f"{PRIVATE}/previous"
STAMPS = (STAMP, f"{PRIVATE}/stamp-copy.json")
_FORMAT = 1
_NAMED = 3
"""Files that a refusal names."""

Mode = Literal["new", "resume", "overwrite"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a folder of results says of itself.

    Attributes:
        kind: The command whose results they are.
        owns: Patterns of names that are ours, relative to the folder, as :mod:`fnmatch` has them;
            ``*`` stands for ``/`` too. In a sealed folder only what its manifest lists is ours.
        settings: What the command was told, for a resume.
        begun: When, in UTC.
        finished: When all was done; ``None``: not yet.
        version: Of this package.
        state: What was being done with earlier results, see the module; ``""``: nothing.
        before: The stamp of the earlier results in ``previous``.
        format: Of stamps.
    """

    kind: str
    owns: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    begun: str = ""
    finished: str | None = None
    version: str = ""
    state: str = ""
    before: Mapping[str, Any] | None = None
    format: int = _FORMAT

    @classmethod
    def read(cls, out: Path) -> Stamp | None:
        """A folder's stamp; ``None`` if it has none.

        Raises:
            Damaged: If neither it nor its copy is what was written.
            DataError: If another version wrote it.
        """
        damage: Damaged | None = None
        for name in STAMPS:
            try:
                return cls.of(read_sealed(out / name), out)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except Damaged as error:
                damage = damage or error
        if damage is None:
            return None
        raise Damaged(
            f"{damage}, so nobody can tell what in {out} is vt's; choose another --out"
        ) from damage

    @classmethod
    def of(cls, record: Mapping[str, Any], out: Path) -> Stamp:
        """A stamp as JSON."""
        if record.get("format") != _FORMAT or record.keys() != {f.name for f in fields(cls)}:
            raise DataError(f"{out} was written by another version; this one cannot go on with it")
        return cls(**{**record, "owns": tuple(record["owns"])})

    def write(self, out: Path) -> None:
        """Write it, whole or not at all; the copy first, which is never the older one."""
        for name in reversed(STAMPS):
            write_sealed(out / name, asdict(self))

    def has(self, name: str) -> bool:
        """Whether a name, relative to the folder, is claimed; half-written files are too."""
        whole = name.removesuffix(PART)
        return any(fnmatchcase(whole, p) or fnmatchcase(name, p) for p in self.owns)


class Results:
    """A folder that this process is at work in; made by :func:`begin`.

    Attributes:
        out: The folder.
        stamp: What it says of itself.
    """

    def __init__(self, out: Path, stamp: Stamp) -> None:
        self.out = out
        self.stamp = stamp

    def remember(self, **changed: Any) -> None:
        """Change the stamp."""
        self.stamp = replace(self.stamp, **changed)
        self.stamp.write(self.out)

    def whole(self) -> None:
        """Say that there is a whole result: earlier ones are not needed any more."""
        if self.stamp.before is not None:
            self.remember(state="discarding")
            _discard(self.out)
            self.remember(state="", before=None)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder beside the results, for what is not whole yet; it goes afterwards."""
        folder = self.out / PRIVATE / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
        shutil.rmtree(folder)

    def finish(self) -> None:
        """Say that all is done."""
        self.whole()
        self.remember(finished=_now())


_active: dict[tuple[Path, int], Results] = {}
"""Folders that are begun, by the thread that did."""


def look(out: Path, kind: str, mode: Mode = "new", *, resumes: bool = True) -> Stamp | None:
    """Find out whether a command may work in a folder. Nothing is changed.

    Args:
        out: The folder.
        kind: The command.
        mode: What it was told to do.
        resumes: Whether the command has a ``--resume``.

    Returns:
        The stamp of what is there; ``None`` of a folder that is absent or empty.

    Raises:
        ConfigError: If it may not: the folder cannot be written, holds something else, holds
            results and neither was asked for, or nothing that can be gone on with.
        Damaged: If the stamp is not what was written.
    """
    _check_place(out)
    stamp = Stamp.read(out)
    if stamp is None:
        if there := sorted(_files(out)):
            raise ConfigError(
                f"{out} holds {_some(there)}, and no results of vt {kind}; choose another --out"
            )
        if mode == "resume":
            raise ConfigError(f"there is nothing to resume in {out}; begin without --resume")
        return None
    if stamp.kind != kind:
        raise ConfigError(f"{out} holds results of vt {stamp.kind}; choose another --out")
    if mode == "new":
        what = "results" if stamp.finished else "unfinished results"
        on = "--resume to go on with them, or " if resumes else ""
        raise ConfigError(
            f"{out} holds {what} of vt {kind} already: add {on}--overwrite to begin anew, or "
            "choose another --out"
        )
    return stamp


@contextmanager
def begin(
    out: Path,
    kind: str,
    owns: Iterable[str],
    mode: Mode = "new",
    *,
    settings: Mapping[str, Any] | None = None,
    formal: Sequence[str] = (),
    resumes: bool = True,
) -> Iterator[Results]:
    """Work in a folder, which no other process can do meanwhile.

    If the work fails before anything is written, all is as before.

    Args:
        out: The folder, made if need be.
        kind: The command.
        owns: Names that it may write, see :class:`Stamp`.
        mode: ``new``, ``resume`` or ``overwrite``.
        settings: What the command was told; of a resume those of before stay.
        formal: Patterns of what is written without any work, and so is not kept alone.
        resumes: Whether the command has a ``--resume``.

    Yields:
        The folder; the same again where this thread has begun it already, as a command has for the
        trainer that it calls.

    Raises:
        ConfigError: As :func:`look`, or a name that would be written is somebody else's.
        Busy: If another process is at work there.
    """
    key = (out.resolve(), get_ident())
    if key in _active and _active[key].stamp.kind == kind:
        yield _active[key]
        return
    look(out, kind, mode, resumes=resumes)
    absent = [p for p in (out, *out.parents) if not p.exists()]
    _make(out / PRIVATE)
    with locked(out / LOCK):
        results = None
        try:
            results = Results(out, _begun(out, kind, tuple(owns), mode, settings, resumes))
            _active[key] = results
            yield results
        except BaseException:
            _undo(out, results if mode != "resume" else None, formal, absent)
            raise
        finally:
            _active.pop(key, None)


def restore(out: Path) -> bool:
    """Put back what an unfinished ``overwrite`` has replaced; the unfinished results go.

    Returns:
        Whether there was something to put back.

    Raises:
        ConfigError: If the folder holds no results.
        Busy: If another process is at work there.
    """
    if Stamp.read(out) is None:
        raise ConfigError(f"{out} holds no results of vt")
    with locked(out / LOCK):
        stamp = _recovered(out)
        if stamp.before is None:
            return False
        _restore(out, stamp)
        return True


def kept(out: Path) -> Path | None:
    """Where the earlier results are that unfinished ones are to replace; ``None`` if nowhere."""
    try:
        stamp = Stamp.read(out)
    except DataError:
        return None
    return out / PREVIOUS if stamp is not None and stamp.before is not None else None


def _begun(
    out: Path,
    kind: str,
    owns: tuple[str, ...],
    mode: Mode,
    settings: Mapping[str, Any] | None,
    resumes: bool,
) -> Stamp:
    """The folder made ready, under the lock; its stamp."""
    stamp = look(out, kind, mode, resumes=resumes)
    if stamp is not None:
        stamp = _recovered(out)
    _refuse_foreign(out, owns, stamp)
    made = Stamp(kind, owns, settings or {}, _now(), version=__version__)
    if stamp is None:
        made.write(out)
        return made
    if mode == "resume":
        more = tuple(pattern for pattern in owns if pattern not in stamp.owns)
        if more:
            stamp = replace(stamp, owns=(*stamp.owns, *more))
            stamp.write(out)
        return stamp
    with ExitStack() as held:
        for name in _owned(out, stamp):
            if name.endswith(f"/{LOCK}"):  # results within these, of a command of their own
                held.enter_context(locked(out / name))
        if stamp.before is not None:  # what is to be overwritten never was whole
            stamp = _restore(out, stamp)
        _move(out, stamp, to_previous=True)
    made = replace(made, before=asdict(stamp), state="begun")
    made.write(out)
    return made


def _move(out: Path, stamp: Stamp, *, to_previous: bool) -> None:
    """Move what is ours into ``previous``, or all of it back; can be done again after a kill."""
    previous = out / PREVIOUS
    replace(stamp, state="moving").write(out)
    source, target = (out, previous) if to_previous else (previous, out)
    names = _owned(out, stamp) if to_previous else list(_files(previous))
    if taken := [name for name in names if os.path.lexists(target / name)]:
        raise ConfigError(f"{target / taken[0]} is in the way of earlier results; move it away")
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).rename(target / name)
    _remove_empty(source, names)


def _restore(out: Path, stamp: Stamp) -> Stamp:
    """Delete what is ours and never was whole, and put the earlier results back."""
    assert stamp.before is not None
    replace(stamp, state="dropping").write(out)
    names = _owned(out, stamp)
    for name in names:
        (out / name).unlink()
    _remove_empty(out, names)
    before = Stamp.of(stamp.before, out)
    _move(out, before, to_previous=False)
    before.write(out)
    return before


def _recovered(out: Path) -> Stamp:
    """The stamp, after what a killed process left half done was finished or taken back."""
    stamp = Stamp.read(out)
    assert stamp is not None
    try:
        read_sealed(out / STAMP)
    except (FileNotFoundError, Damaged):
        logger.warning("%s is gone, or not what was written; its copy is used", out / STAMP)
        stamp.write(out)
    if stamp.state == "dropping":
        return _restore(out, stamp)
    if stamp.state == "moving":
        _move(out, stamp, to_previous=False)
        stamp = replace(stamp, state="")
    elif stamp.state == "discarding":
        _discard(out)
        stamp = replace(stamp, state="", before=None)
    else:
        return stamp
    stamp.write(out)
    return stamp


def _undo(
    out: Path, results: Results | None, formal: Sequence[str], absent: Sequence[Path]
) -> None:
    """Leave no trace of work that has written nothing, or was never begun."""
    if results is not None:
        stamp = results.stamp
        names = list(_files(out)) if stamp.before is None else _owned(out, stamp)
        if not all(any(fnmatchcase(name, pattern) for pattern in formal) for name in names):
            return
        if stamp.before is not None:
            _restore(out, stamp)
            return
        for name in names:
            (out / name).unlink()
        _remove_empty(out, names)
        for name in STAMPS:
            (out / name).unlink(missing_ok=True)
    if (out / STAMP).exists():
        return
    (out / LOCK).unlink(missing_ok=True)
    for folder in (out / PRIVATE, *absent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _refuse_foreign(out: Path, owns: tuple[str, ...], stamp: Stamp | None) -> None:
    """Refuse where a name that would be written is not ours.

    Raises:
        ConfigError: Naming some.
    """
    wanted = Stamp("", owns)
    sealed = _sealed(out, stamp)
    nested = tuple(p.removesuffix(f"{PRIVATE}/*") for p in owns if p.endswith(f"/{PRIVATE}/*"))
    wrong = [
        name
        for name in _files(out)
        if (stamp is not None and stamp.has(name) and _is_foreign(out, name, sealed))
        or ((wanted.has(name) or name.startswith(nested)) and not (stamp and stamp.has(name)))
    ]
    if wrong:
        raise ConfigError(
            f"{out} holds {_some(sorted(wrong))}, where vt would write and which it did not; move "
            "it away, or choose another --out"
        )


def _owned(out: Path, stamp: Stamp) -> list[str]:
    """Names of the files in a folder that are ours."""
    sealed = _sealed(out, stamp)
    return [n for n in _files(out) if stamp.has(n) and not _is_foreign(out, n, sealed)]


def _sealed(out: Path, stamp: Stamp | None) -> set[str]:
    """What lies in sealed folders of ours and was not sealed there."""
    if stamp is None:
        return set()
    found = [out / n for n in _files(out) if n.endswith(f"/{MANIFEST}") and stamp.has(n)]
    return {
        stray.relative_to(out).as_posix()
        for manifest in found
        if not manifest.is_symlink()
        for stray in strays(manifest.parent)
    }


def _is_foreign(out: Path, name: str, stray: set[str]) -> bool:
    """Whether a claimed name is not ours after all: a stray, or a link, which vt never makes."""
    return name in stray or (out / name).is_symlink()


def _files(folder: Path) -> Iterator[str]:
    """Names of all files and links in a folder, our private ones left out; links are not followed.

    Folders that have nothing in them count as nothing.
    """
    for place, inner, names in os.walk(folder):
        at = Path(place)
        if at == folder and PRIVATE in inner and _is_private(folder / PRIVATE):
            inner.remove(PRIVATE)
        names += [name for name in inner if (at / name).is_symlink()]
        yield from ((at / name).relative_to(folder).as_posix() for name in names)


def _is_private(folder: Path) -> bool:
    """Whether a ``.vt`` is ours: it has our stamp, or nothing but a lock."""
    inside = {path.name for path in folder.iterdir()} if not folder.is_symlink() else {"link"}
    stamps = {Path(name).name for name in STAMPS}
    return bool(stamps & inside) or inside <= {Path(LOCK).name, *(name + PART for name in stamps)}


def _discard(out: Path) -> None:
    if (out / PREVIOUS).is_dir():
        shutil.rmtree(out / PREVIOUS)


def _remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove folders in which there were files of ours, as far as nothing is left in them."""
    for top in {name.partition("/")[0] for name in names if "/" in name}:
        remove_empty(folder / top)
    if folder.name == Path(PREVIOUS).name:
        remove_empty(folder)


def _check_place(out: Path) -> None:
    """Refuse a place that cannot be a folder that is written to.

    Raises:
        ConfigError: Saying why.
    """
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ConfigError(f"--out must be a folder, but {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out} cannot be written: no permission in {place}")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
