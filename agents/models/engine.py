"""The output of a vLLM engine, token by token.

An engine takes and gives token ids. Its prompt must be the one that was meant, pictures included,
and it may not generate a token that stands for a picture: a mismatch stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents.models.transcript import Transcript
from agents.models.vlm import VisionLanguageModel
from agents.rollout import AgentError, TokenMismatch

_FORBIDDEN = -100.0


def logit_bias(processor: VisionLanguageModel) -> dict[int, float]:
    """vLLM's ``logit_bias`` that keeps the model from generating forbidden tokens."""
    return dict.fromkeys(processor.forbidden, _FORBIDDEN)


def shut_down(engine: Any) -> None:
    """End a ``vllm.LLM`` and its processes, which it does not do by itself."""
    engine.llm_engine.engine_core.shutdown()


def completion_tokens(
    output: Any, transcript: Transcript, forbidden: Iterable[int]
) -> tuple[list[int], list[float]]:
    """The tokens that an engine generated, and their log-probabilities where they were asked for.

    Args:
        output: vLLM's ``RequestOutput``.
        transcript: Its prompt.
        forbidden: Tokens that it may not generate.

    Raises:
        TokenMismatch: If its prompt was another, or it generated a forbidden token.
        AgentError: If it generated nothing.
    """
    if list(output.prompt_token_ids) != transcript.ids:
        raise TokenMismatch(
            f"the engine read {len(output.prompt_token_ids)} tokens where {len(transcript.ids)} "
            "were meant; do the engine and the image processor size pictures alike?"
        )
    made = output.outputs[0]
    tokens = checked_tokens(made.token_ids, forbidden, made.finish_reason)
    scores = made.logprobs or ()
    return tokens, [at[token].logprob for at, token in zip(scores, tokens, strict=False)]


def checked_tokens(tokens: Iterable[int], forbidden: Iterable[int], ended: object) -> list[int]:
    """The tokens that an engine generated, none of them forbidden.

    Args:
        tokens: What it generated.
        forbidden: Tokens that it may not generate.
        ended: Why it ended, in its own words.

    Raises:
        TokenMismatch: If one is forbidden.
        AgentError: If there are none.
    """
    tokens = list(tokens)
    if wrong := sorted(set(tokens).intersection(forbidden)):
        raise TokenMismatch(f"the engine said tokens that are forbidden: {wrong}")
    if not tokens:
        raise AgentError(f"the engine said nothing and ended with {ended!r}")
    return tokens
