"""One self-contained HTML page about a run: numbers, plots, and episodes to look at."""

from experiments.report.cards import Card, card_of
from experiments.report.page import write_report

__all__ = ["Card", "card_of", "write_report"]
