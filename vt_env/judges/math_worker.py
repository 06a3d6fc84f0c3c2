"""The process that runs math-verify: a ready line, then one JSON line out for each one in.

It is started by path (``python -P math_worker.py``) and imports nothing of this package, so a
hang, a crash or an exhausted memory stays here and can be killed from outside.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import Any

_MEMORY_BYTES = 4 << 30


def _limit_memory() -> None:
    with contextlib.suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _same_line(given: Any, wanted: Any) -> bool:
    """Whether two equations are multiples of each other, which math-verify does not see."""
    sympy: Any = importlib.import_module("sympy")
    if not (isinstance(given, sympy.Eq) and isinstance(wanted, sympy.Eq)):
        return False
    left, right = given.lhs - given.rhs, wanted.lhs - wanted.rhs
    ratio: Any = sympy.simplify(left / right)
    return bool(ratio.is_number and ratio.is_finite and not ratio.is_zero)


def compare(answer: str, reference: str) -> bool:
    """Whether two expressions are equal for math-verify (strict), or are the same equation."""
    library: Any = importlib.import_module("math_verify")
    options: dict[str, Any] = {"parsing_timeout": None, "raise_on_error": True}
    wanted = library.parse(f"${reference}$", **options)
    given = library.parse(f"${answer}$", **options)
    if not wanted or not given:
        return False
    if library.verify(wanted, given, strict=True, timeout_seconds=None, raise_on_error=True):
        return True
    return _same_line(given[0], wanted[0])


def main() -> None:
    """Says that it is ready, then answers requests until the input ends."""
    _limit_memory()
    output = sys.stdout
    sys.stdout = sys.stderr
    importlib.import_module("math_verify")

    output.write('{"ready": true}\n')
    output.flush()
    for line in sys.stdin:
        try:
            answer, reference = json.loads(line)
            reply: dict[str, Any] = {"equal": compare(answer, reference)}
        except Exception as error:  # the reply carries it; the process lives on
            reply = {"error": f"{type(error).__name__}: {error}"[:200]}
        output.write(json.dumps(reply) + "\n")
        output.flush()


if __name__ == "__main__":
    main()
