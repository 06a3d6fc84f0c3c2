"""What an engine of vLLM answers, token by token.

An engine gets token ids and gives token ids. What it read must be what was meant, pictures
included, and it may not say a token that stands for a picture: a mismatch stops the run instead of
going on with something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents.models.transcript import Transcript
from agents.models.vlm import VisionLanguageModel
from agents.rollout import AgentError

_NEVER = -100.0


def bias(words: VisionLanguageModel) -> dict[int, float]:
    """vLLM's ``logit_bias`` that keeps the model from saying what it may not."""
    return dict.fromkeys(words.forbidden, _NEVER)


def end(engine: Any) -> None:
    """End a ``vllm.LLM`` and its processes, which it does not do by itself."""
    engine.llm_engine.engine_core.shutdown()


def heard(
    output: Any, transcript: Transcript, forbidden: Iterable[int]
) -> tuple[list[int], list[float]]:
    """The tokens that an engine said, and their log-probabilities where they were asked for.

    Args:
        output: vLLM's ``RequestOutput``.
        transcript: What it was to read.
        forbidden: Tokens that it may not say.

    Raises:
        AgentError: If it read something else, or said nothing, or what it may not.
    """
    if list(output.prompt_token_ids) != transcript.ids:
        raise AgentError(
            f"the engine read {len(output.prompt_token_ids)} tokens where {len(transcript.ids)} "
            "were meant; do the engine and the image processor size pictures alike?"
        )
    made = output.outputs[0]
    said = allowed(made.token_ids, forbidden, made.finish_reason)
    scores = made.logprobs or ()
    return said, [at[token].logprob for at, token in zip(scores, said, strict=False)]


def allowed(said: Iterable[int], forbidden: Iterable[int], ended: object) -> list[int]:
    """The tokens that an engine said.

    Args:
        said: What it said.
        forbidden: Tokens that it may not say.
        ended: Why it ended, in its words.

    Raises:
        AgentError: If it said nothing, or what it may not.
    """
    said = list(said)
    if wrong := sorted(set(said).intersection(forbidden)):
        raise AgentError(f"the engine said tokens that are forbidden: {wrong}")
    if not said:
        raise AgentError(f"the engine said nothing and ended with {ended!r}")
    return said
