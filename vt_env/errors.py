"""Everything this package raises on purpose.

    VisionThinkError
    ├── ConfigError     a setting that is unknown, contradictory or out of range
    ├── DataError       a data set that cannot be used (missing file, too many refused rows)
    │   ├── PictureError    one picture that is refused, with the reason
    │   └── Damaged         a file is not what was written: its checksum differs
    ├── JudgeError      a judge fails too often to go on
    ├── ActionError     an action of the wrong type (wrong *text* is no error: it is malformed)
    ├── MissingExtra    an optional dependency is absent; the message has the install line
    └── PackageClash    another package has the import name of one of ours

A message says what was expected, what came and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class VisionThinkError(Exception):
    """Base of the tree. Its errors travel between processes, whatever their constructors take."""

    def __reduce__(self) -> tuple[Callable[..., VisionThinkError], tuple[object, ...]]:
        return _arrived, (type(self), self.args, self.__dict__)


class ConfigError(VisionThinkError, ValueError):
    """A setting is unknown, contradictory or out of range."""


class DataError(VisionThinkError, ValueError):
    """A data set or one of its rows cannot be used."""


class PictureError(DataError):
    """A picture is refused; ``str(error)`` is the reason.

    Attributes:
        sample_id: Whose picture it is, where that is known.
    """

    def __init__(self, reason: str, sample_id: str | None = None) -> None:
        super().__init__(reason)
        self.sample_id = sample_id

    def about(self, sample_id: str) -> PictureError:
        """The same error, naming the sample."""
        return PictureError(f"sample {sample_id!r}: {self}", sample_id)


class Damaged(DataError):
    """A file is not what was written."""


class JudgeError(VisionThinkError, RuntimeError):
    """Too many judgements fail for a run to go on. Single failures are unscored verdicts."""


class ActionError(VisionThinkError, TypeError):
    """An action is neither text nor a tool call."""


class MissingExtra(VisionThinkError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f'pip install "visionthink-gym[{extra}]"'
        )


class PackageClash(VisionThinkError, ImportError):
    """Another package has the import name of one of ours; the message names it."""


def _arrived(
    kind: type[VisionThinkError], args: tuple[object, ...], attributes: dict[str, object]
) -> VisionThinkError:
    """An error as it was sent; its constructor, which may want more than a message, is not run."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


def unknown_name(what: str, name: object, known: Iterable[str]) -> ConfigError:
    """An error for a wrong name: the closest match, then every valid one.

    Args:
        what: What is being named, e.g. ``"judge"``.
        name: What came.
        known: The valid names.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ConfigError(f"Unknown {what} {name!r}.{hint} Known: {', '.join(names)}.")
