"""What the laptop run has to reach on its test split, and what of it a policy missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ACCURACY = 0.97
TOKENS = 0.70
"""An oracle that knows the kinds shows 0.675 of the visual tokens at the laptop's mix."""

AT_MOST = {"colour": 0.05, "shape": 0.05, "corner": 0.05, "big_number": 0.10}
AT_LEAST = {"small_number": 0.90, "texture": 0.95}
"""Request rates by kind of question."""

MARGINS = {"always_request": -0.01, "low": 0.20, "random": 0.10}
"""By how much the policy's accuracy has to be above a reference's."""

SAMPLED = 0.05
"""How far accuracy and tokens at temperature 1 may be worse than greedy ones."""


def missed(accuracy: float, tokens: float, requests: Mapping[str, float]) -> list[str]:
    """What a policy alone missed, in words; nothing if it reached all.

    Args:
        accuracy: Share of right answers.
        tokens: Its visual tokens over those of always-full.
        requests: Its request rate by kind of question.
    """
    found = [f"accuracy {accuracy:.3f} < {ACCURACY}"] if accuracy < ACCURACY else []
    found += [f"tokens {tokens:.3f} > {TOKENS}"] if tokens > TOKENS else []
    for kind, bound in AT_MOST.items():
        if (rate := requests[kind]) > bound:
            found.append(f"asks for {kind} {rate:.2f} > {bound}")
    for kind, bound in AT_LEAST.items():
        if (rate := requests[kind]) < bound:
            found.append(f"asks for {kind} {rate:.2f} < {bound}")
    return found


def missed_beside(
    policies: Mapping[str, Mapping[str, Any]], sampled: Mapping[str, Any]
) -> list[str]:
    """What the trained policy missed, its references and its sampled answers included.

    Args:
        policies: Results as in ``result.json`` of ``vt demo``.
        sampled: The trained policy's at temperature 1.
    """
    trained = policies["trained"]
    requests = {kind: part["request_rate"] for kind, part in trained["by_kind"].items()}
    found = missed(trained["accuracy"], trained["token_ratio"], requests)
    for name, margin in MARGINS.items():
        above = trained["accuracy"] - policies[name]["accuracy"]
        if above < margin:
            found.append(f"accuracy {above:+.3f} beside {name}, less than {margin:+.2f}")
    for key, worse in (("accuracy", -1), ("token_ratio", 1)):
        change = worse * (sampled[key] - trained[key])
        if change > SAMPLED:
            found.append(f"sampled {key} {sampled[key]:.3f}, {change:.3f} worse than greedy")
    return found
