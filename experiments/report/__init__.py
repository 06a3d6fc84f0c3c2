"""One self-contained HTML page about results: numbers, plots, and episodes to look at."""

from experiments.report.page import EPISODES, PICTURES, Report, ReportConfig, make_report

__all__ = ["EPISODES", "PICTURES", "Report", "ReportConfig", "make_report"]
