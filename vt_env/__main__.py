"""The command ``vt``, also as ``python -m vt_env``."""

from __future__ import annotations

import sys

from vt_env.errors import PackageClash
from vt_env.packages import load


def main() -> int:
    """Run the command line of ``experiments``, wherever the name leads.

    Returns:
        The exit code; see :func:`experiments.cli.main`.
    """
    try:
        command_line = load("experiments.cli")
    except PackageClash as error:
        print(f"vt: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
