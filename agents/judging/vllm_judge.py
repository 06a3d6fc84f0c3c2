"""The judge ``vllm``: a model run by vLLM in this process, held to one of the two words."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.judging.asking import Ask, Completion, Failure, Response
from agents.judging.judge import ModelJudge
from agents.judging.local import Local
from agents.judging.reading import probability, read_verdict
from agents.judging.settings import Judging, make, read_spec
from agents.models.engine import shut_down
from vt_env.errors import MissingExtra

_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Engine:
    """How vLLM is started and asked.

    Attributes:
        dtype: As vLLM names it.
        batch: Answers given to it at a time; it makes its own batches of them.
        memory: Share of a GPU's memory that it takes.
        max_model_len: Tokens of a prompt and its verdict; 0 for what the model can.
        tensor_parallel: GPUs that share the model.
        scores: Whether to grade by the two words' probabilities.
        eager: Whether to do without CUDA graphs.
        revision: Of the checkpoint.
    """

    dtype: str = "auto"
    batch: int = 256
    memory: float = 0.5
    max_model_len: int = 0
    tensor_parallel: int = 1
    scores: bool = False
    eager: bool = False
    revision: str = ""


def vllm_judge(spec: str = "", **options: Any) -> ModelJudge:
    """From ``PATH[,option=value…]``: a folder, or a name on the Hugging Face Hub.

    Options are the fields of ``Judging`` and :class:`Engine`.

    Raises:
        ConfigError: On a wrong setting.
        MissingExtra: If vLLM is not installed.
    """
    path, options = read_spec("vllm", spec, options)
    judging, engine = make("vllm", options, Judging, Engine)
    try:
        from vllm import LLM
    except ImportError as error:
        raise MissingExtra("vllm", "vllm", "the judge 'vllm'") from error
    model = LLM(
        model=path,
        dtype=engine.dtype,
        gpu_memory_utilization=engine.memory,
        max_model_len=engine.max_model_len or None,
        tensor_parallel_size=engine.tensor_parallel,
        enforce_eager=engine.eager,
        revision=engine.revision or None,
        enable_prefix_caching=True,
        max_logprobs=_CANDIDATES,
    )
    identity = (
        f"vllm model {path!r}, revision {engine.revision!r}, dtype {engine.dtype}, "
        f"scores {engine.scores}"
    )
    reader = Chooser(model, engine.scores)
    return ModelJudge(Local(f"vllm:{path}", identity, reader, engine.batch), judging)


class Chooser:
    """Has vLLM choose one of the two words.

    Args:
        model: A ``vllm.LLM``.
        scores: Whether to grade by probabilities.
    """

    def __init__(self, model: Any, scores: bool = False) -> None:
        self.model = model
        self.scores = scores

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a judge around a running engine cannot be sent to another process: make it there, "
            "from its spec vllm:PATH"
        )

    def __call__(self, asks: Sequence[Ask]) -> list[Response]:
        """One outcome an ask."""
        answers = self.model.chat(
            [ask.messages() for ask in asks],
            [self._sampling(ask) for ask in asks],
            use_tqdm=False,
            chat_template_kwargs={"enable_thinking": False},
        )
        return [self._outcome(ask, answer) for ask, answer in zip(asks, answers, strict=True)]

    def close(self) -> None:
        """End the engine; it answers nothing more."""
        shut_down(self.model)

    def _sampling(self, ask: Ask) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        return SamplingParams(
            temperature=0.0,
            max_tokens=16,
            logprobs=_CANDIDATES if self.scores else None,
            structured_outputs=StructuredOutputsParams(choice=list(ask.choices)),
        )

    def _outcome(self, ask: Ask, answer: Any) -> Response:
        output = answer.outputs[0]
        spent = len(answer.prompt_token_ids or ()), len(output.token_ids)
        if read_verdict(output.text, ask) is None:
            return Failure(f"unreadable reply {output.text[:60]!r}", *spent)
        graded = None
        if self.scores and output.logprobs:
            found = {str(item.decoded_token): item.logprob for item in output.logprobs[0].values()}
            graded = probability(found, ask)
        return Completion(output.text, graded, *spent)
