"""Judging what is on disk: answers in a file, recorded episodes, and verdicts beside labels.

FILE (question, references, prediction) ──verdicts──▶ FILE with verdicts ──sample──▶ labels
RESULTS, lmms:PATH ──recorded──▶ episodes.jsonl and result.json by another judge      │
agreement ◀─────────────────────────┘
"""
