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

from agents.base import Conversation, Reply
from agents.models.engine import completion_tokens, logit_bias, shut_down
from agents.models.loading import load_processor
from agents.models.transcript import Transcript, Transcripts, reply_of
from agents.rollout import AgentError
from vt_env.errors import ConfigError, MissingExtra


class VllmAgent:
    """``vllm:PATH,temperature=1``; the engine starts at the first turn.

    Args:
        path: Folder or Hub name of a checkpoint of Qwen's line.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        stop: Whether a turn ends with the stop strings of its protocol's grammar, and not only
            with the end-of-turn token.
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
                "max_new_tokens, images and tensor_parallel must be at least 1, max_model_len 0, "
                f"got {max_new_tokens}, {images}, {tensor_parallel} and {max_model_len}"
            )
        if find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm", "the agent 'vllm'")
        self.path = str(path)
        self.processor = load_processor(path)
        if self.processor.chat.around:
            raise ConfigError(
                f"the agent 'vllm' takes models of Qwen's line; serve {self.path!r} and play it by "
                "openai:MODEL@URL"
            )
        self.name = Path(path).name
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.stop = stop
        self.images = images
        if dtype == "auto":  # the checkpoint's; vLLM's own would round float32
            dtype = str(self.processor.model.config.dtype or dtype).removeprefix("torch.")
        self._settings = {
            "dtype": dtype,
            "max_model_len": max_model_len or None,
            "gpu_memory_utilization": memory,
            "tensor_parallel_size": tensor_parallel,
            "enforce_eager": eager,
        }
        self._bias = logit_bias(self.processor)
        self._transcripts = Transcripts(Transcript)
        self._engine: Any = None

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation.

        Raises:
            AgentError: If the engine cannot be started, fails, or reads something else than was
                meant; or a conversation does not fit, or goes on without its tokens being here.
        """
        if not conversations:
            return []
        engine = self._started()
        transcripts = self._transcripts.of(conversations)
        pairs = list(zip(transcripts, conversations, strict=True))
        prompts = [t.prompt(self.processor, c.messages, c.images) for t, c in pairs]
        inputs = [self._asked(t, c) for t, c in pairs]
        sampling = [self._sampling(t, c) for t, c in pairs]
        try:
            outputs = engine.generate(inputs, sampling, use_tqdm=False)
        except Exception as error:  # what a dead engine raises is of no one type
            raise AgentError(f"vLLM failed on {self.path!r}: {error}") from error
        replies: list[Reply] = []
        for (transcript, asked), prompt, output in zip(pairs, prompts, outputs, strict=True):
            tokens, log_probs = completion_tokens(output, transcript, self._bias)
            ends = asked.ends if self.stop else ()
            reply = reply_of(self.processor, prompt, tokens, log_probs, ends=ends)
            transcript.add_turn(reply.text, tokens)
            replies.append(reply)
        return replies

    def close(self) -> None:
        """End the engine and its processes; the next turn starts another."""
        engine, self._engine = self._engine, None
        self._transcripts.clear()
        if engine is not None:
            shut_down(engine)

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
            "prompt_token_ids": transcript.with_placeholders(self.processor.image_id),
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
            stop=list(conversation.ends) if self.stop else None,
            stop_token_ids=sorted(self.processor.stop_ids),
            logit_bias=self._bias,
            logprobs=0,
            skip_special_tokens=False,
            detokenize=self.stop,
        )
