"""Reading a verdict out of a reply, or of a chat completion.

Thoughts are cut off, and the rest must be one word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from agents.judging.asking import Ask, Completion
from agents.llm.replies import as_table, as_tables, tokens
from agents.llm.retry import Trouble

_END_OF_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.I)
_THOUGHT = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.I)


def said(text: str) -> str:
    """A reply without the thoughts before it; empty where they never end."""
    start = 0
    for end in _END_OF_THOUGHT.finditer(text):
        start = end.end()
    text = text[start:]
    return "" if _THOUGHT.search(text) else text.strip()


def read_verdict(text: str, ask: Ask) -> bool | None:
    """The verdict of a reply that is one of the two words and nothing else.

    Case does not matter, nor does one full stop at the end. Everything else, also a verdict with
    more words, is unreadable: ``None``.
    """
    word = said(text).removesuffix(".").casefold()
    return {ask.right.casefold(): True, ask.wrong.casefold(): False}.get(word)


def probability(log_probs: Mapping[str, float], ask: Ask) -> float | None:
    """The accepting word's probability against the rejecting one's.

    Args:
        log_probs: Natural logarithms of the probabilities of candidates for the verdict's first
            token, by their text; what is no number gives no number.
        ask: Whose words they are; they begin differently, so that a beginning tells them apart.

    Returns:
        A number in [0, 1], or ``None`` where neither word is among the candidates.
    """
    mass = dict.fromkeys(ask.choices, 0.0)
    for token, value in log_probs.items():
        start = token.strip().casefold()
        for word in ask.choices:
            if start and word.casefold().startswith(start):
                mass[word] += math.exp(value if value < 0 or math.isnan(value) else 0.0)
    total = sum(mass.values())
    if math.isnan(total):
        return math.nan
    return mass[ask.right] / total if total > 0 else None


def read_completion(whole: Any, ask: Ask) -> Completion:
    """The reply in a chat completion.

    Raises:
        Trouble: If it is no chat completion, or the model refused, or what it said is no verdict.
    """
    read, generated = tokens(whole, "prompt_tokens") or 0, tokens(whole, "completion_tokens") or 0

    def trouble(reason: str) -> Trouble:
        return Trouble(reason, tokens_in=read, tokens_out=generated)

    first = next(iter(as_tables(as_table(whole).get("choices"))), {})
    message = as_table(first.get("message"))
    text = message.get("content")
    if message.get("refusal") or first.get("finish_reason") == "content_filter":
        raise trouble("the model refused")
    if not isinstance(text, str):
        missing = "has no text" if first else "is no completion"
        raise trouble(f"the server's reply {missing}")
    if read_verdict(text, ask) is None:
        answer = said(text)[:60]
        reason = f"unreadable reply {answer!r}" if answer else "only thoughts, no reply"
        raise trouble(reason)
    return Completion(text, _probability(first.get("logprobs"), ask), read, generated)


def _probability(log_probs: object, ask: Ask) -> float | None:
    """From the candidates for the verdict's first token, which stands after all thoughts."""
    text = ""
    longest = max(map(len, ask.choices)) + 2
    for token in reversed(as_tables(as_table(log_probs).get("content"))):
        text = str(token.get("token", "")) + text
        if read_verdict(text, ask) is not None:
            items = (token, *as_tables(token.get("top_logprobs")))
            numbered = ((item.get("logprob"), str(item.get("token", ""))) for item in items)
            return probability({t: n for n, t in numbered if isinstance(n, int | float)}, ask)
        if len(text.strip()) > longest:
            break
    return None
