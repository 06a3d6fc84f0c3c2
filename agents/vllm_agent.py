"""A vision-language model run by vLLM in this process.

Prompts are token ids, so they are exactly those of :class:`agents.transformers.TransformersAgent`,
and what the model said is never tokenised again. All conversations of a batch go into one call;
with vLLM's prefix cache a second turn reads only what is new, and siblings read their prompt once.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.base import TURN_ENDS, Conversation, Reply
from agents.models.engine import bias, end, heard
from agents.models.loading import load_words
from agents.models.transcript import Transcript, Transcripts, reply_of
from agents.rollout import AgentError
from vt_env.errors import ConfigError, MissingExtra


class VllmAgent:
    """``make_agent("vllm:PATH,temperature=1")``; the engine starts at the first turn.

    Args:
        path: Folder or Hub name of a checkpoint of Qwen's line.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        stop: Whether a turn ends with one of :data:`agents.base.TURN_ENDS`, and not only with the
            end-of-turn token.
        images: Most pictures in a conversation.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        max_model_len: Most tokens of a conversation; 0 for what the model can.
        memory: Share of a GPU's memory that the engine takes.
        tensor_parallel: GPUs that share the model.
        eager: Whether to do without compilation and CUDA graphs.

    Raises:
        ConfigError: On a value out of range, or a checkpoint that is not handled.
        MissingExtra: If vLLM is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        temperature: float = 0.0,
        max_new_tokens: int = 512,
        stop: bool = True,
        images: int = 2,
        dtype: str = "auto",
        max_model_len: int = 0,
        memory: float = 0.9,
        tensor_parallel: int = 1,
        eager: bool = False,
    ) -> None:
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"temperature must be a finite number from 0 up, got {temperature}")
        if min(max_new_tokens, images, tensor_parallel) < 1 or max_model_len < 0:
            raise ConfigError(
                "max_new_tokens, images and tensor_parallel must be at least 1, max_model_len 0"
            )
        if find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm", "the agent 'vllm'")
        self.path = str(path)
        self.words = load_words(path)
        if self.words.chat.around:
            raise ConfigError(
                f"the agent 'vllm' takes models of Qwen's line; serve {self.path!r} and play it by "
                "openai:MODEL@URL"
            )
        self.name = Path(path).name
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.stop = stop
        self.images = images
        self._settings = {
            "dtype": _dtype(self.words.model.config) if dtype == "auto" else dtype,
            "max_model_len": max_model_len or None,
            "gpu_memory_utilization": memory,
            "tensor_parallel_size": tensor_parallel,
            "enforce_eager": eager,
        }
        self._bias = bias(self.words)
        self._transcripts = Transcripts(Transcript)
        self._engine: Any = None

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation.

        Raises:
            AgentError: If the engine cannot be started, fails, or reads something else than was
                meant; or a conversation does not fit.
        """
        if not conversations:
            return []
        engine = self._started()
        self._transcripts.most = max(1024, 4 * len(conversations))
        transcripts = [self._transcripts.of(c.messages) for c in conversations]
        pairs = list(zip(transcripts, conversations, strict=True))
        prompts = [t.prompt(self.words, c.images) for t, c in pairs]
        asked = [self._asked(t, c) for t, c in pairs]
        sampling = [self._sampling(t, c) for t, c in pairs]
        try:
            outputs = engine.generate(asked, sampling, use_tqdm=False)
        except Exception as error:  # what a dead engine raises is of no one type
            raise AgentError(f"vLLM failed on {self.path!r}: {error}") from error
        replies: list[Reply] = []
        for transcript, prompt, output in zip(transcripts, prompts, outputs, strict=True):
            said, log_probs = heard(output, transcript, self._bias)
            reply = reply_of(self.words, prompt, said, log_probs, stop=self.stop)
            transcript.say(reply.text, said)
            replies.append(reply)
        return replies

    def close(self) -> None:
        """End the engine and its processes; the next turn starts another."""
        engine, self._engine = self._engine, None
        self._transcripts.clear()
        if engine is not None:
            end(engine)

    def _started(self) -> Any:
        if self._engine is None:
            from vllm import LLM

            try:
                self._engine = LLM(
                    model=self.path,
                    limit_mm_per_prompt={"image": self.images, "video": 0},
                    enable_prefix_caching=True,
                    logprobs_mode="processed_logprobs",
                    **self._settings,
                )
            except Exception as error:  # of no one type either
                raise AgentError(
                    f"vLLM cannot run {self.path!r}; it says why above: {error}"
                ) from error
        return self._engine

    def _asked(self, transcript: Transcript, conversation: Conversation) -> dict[str, Any]:
        views = conversation.images
        if len(views) > self.images:
            raise ConfigError(
                f"a conversation shows {len(views)} pictures and the engine was started for "
                f"{self.images}: give the agent images={len(views)}"
            )
        return {
            "prompt_token_ids": transcript.marked(self.words.image_id),
            "multi_modal_data": {"image": [view.image for view in views]},
        }

    def _sampling(self, transcript: Transcript, conversation: Conversation) -> Any:
        from vllm import SamplingParams

        most: int = self._engine.llm_engine.model_config.max_model_len
        room = most - len(transcript.ids)
        if room < 1:
            raise AgentError(
                f"sample {conversation.sample.id!r} has {len(transcript.ids)} tokens before turn "
                f"{conversation.turn + 1}, and the engine takes {most}: raise max_model_len"
            )
        return SamplingParams(
            temperature=self.temperature,
            max_tokens=min(self.max_new_tokens, room),
            seed=int(conversation.rng.integers(2**31)),
            stop=list(TURN_ENDS) if self.stop else None,
            stop_token_ids=sorted(self.words.stop_ids),
            logit_bias=self._bias,
            logprobs=0,
            skip_special_tokens=False,
            detokenize=self.stop,
        )


def _dtype(config: Any) -> str:
    """The checkpoint's; vLLM's own ``auto`` would round float32."""
    return str(config.dtype or "auto").removeprefix("torch.")
