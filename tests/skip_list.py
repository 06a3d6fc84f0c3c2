"""A skip that nobody expects fails the run: `--skips NAME`, a list in `skips.toml`."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

LISTS = tomllib.loads(Path(__file__).with_name("skips.toml").read_text("utf-8"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--skips",
        choices=sorted(LISTS),
        help="tell what was skipped, and fail on a reason that is not in this list of skips.toml",
    )


def unexpected(reasons: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The reasons that match no pattern."""
    return [r for r in reasons if not any(fnmatchcase(r, pattern) for pattern in patterns)]


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped, in one line."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ").partition("\n")[0]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail, where all reports come together."""
    name = session.config.getoption("--skips")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if name is None or reporter is None or hasattr(session.config, "workerinput"):
        return
    reasons = Counter(reason_of(report) for report in reporter.stats.get("skipped", ()))
    reporter.write_line("")
    for reason, times in sorted(reasons.items()):
        reporter.write_line(f"skipped {times}: {reason}")
    if found := unexpected(reasons, LISTS[name]):
        reporter.write_line(f"not in the list {name!r} of tests/skips.toml: {found}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
