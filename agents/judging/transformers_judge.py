"""The judge ``transformers``: the likelier of the two verdict words, computed exactly.

Nothing is generated. The model reads the prompt and each word after it, and the word with the
larger probability is the verdict, so it can never be unreadable. A model that thinks before it
answers is not given the time to: serve it, and ask it by ``openai``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.judging.asking import Ask, Completion, Failure, Response
from agents.judging.judge import ModelJudge
from agents.judging.local import Local
from agents.judging.settings import Judging, make, read_spec
from vt_env.errors import ConfigError, MissingExtra

_NO_NUMBERS = "the model's probabilities are no numbers (try another dtype, such as bfloat16)"


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is loaded and run.

    Attributes:
        device: As torch names it, or ``auto``: a GPU where there is one.
        dtype: As torch names it, or ``auto``: the checkpoint's.
        batch: Answers judged at a time; each is read twice.
        revision: Of the checkpoint, or a word of your own that tells two of one path apart.
        gguf: The file of a GGUF checkpoint within the path.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch: int = 16
    revision: str = ""
    gguf: str = ""


def transformers_judge(spec: str = "", **options: Any) -> ModelJudge:
    """From ``PATH[,option=value…]``: a folder, or a name on the Hugging Face Hub.

    Options are the fields of ``Judging`` and :class:`Loading`.

    Raises:
        ConfigError: On a wrong setting, or a model that cannot be loaded.
        MissingExtra: If torch or transformers is not installed.
    """
    path, options = read_spec("transformers", spec, options)
    judging, loading = make("transformers", options, Judging, Loading)
    return judge_with(*_load(path, loading), path, loading, judging)


def _load(path: str, loading: Loading) -> tuple[Any, Any]:
    """A model on its device, in evaluation mode, and its tokenizer."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("transformers", "train", "the judge 'transformers'") from error
    device = loading.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    named = {"revision": loading.revision or None, "gguf_file": loading.gguf or None}
    named = {name: value for name, value in named.items() if value}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **named)
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=loading.dtype, **named)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"cannot load {path!r} as a language model: {error}") from error
    return model.to(device).eval(), tokenizer


def judge_with(
    model: Any,
    tokenizer: Any,
    name: str,
    loading: Loading | None = None,
    judging: Judging | None = None,
) -> ModelJudge:
    """A judge around a model that is loaded already.

    Args:
        model: A causal language model of transformers, on its device, in evaluation mode.
        tokenizer: Its tokenizer.
        name: What verdicts are signed with, and what the cache's key says of the model.
        loading: The batch, and the revision in the cache's key.
        judging: Settings of every model judge.
    """
    loading = loading or Loading()
    identity = (
        f"transformers model {name!r} {loading.gguf!r}, revision {loading.revision!r}, "
        f"dtype {model.dtype}"
    )
    reader = Reader(model, tokenizer)
    return ModelJudge(Local(f"transformers:{name}", identity, reader, loading.batch), judging)


class Reader:
    """Compares the probabilities of the two words after a prompt.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer; without a chat template, turns are parted by empty lines.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a judge around a model that is loaded cannot be sent to another process: make it "
            "there, from its spec transformers:PATH"
        )

    def __call__(self, asks: Sequence[Ask]) -> list[Response]:
        """One reply an ask: the likelier word, and the accepting word's probability."""
        prompts = [self._encode(self._rendered(ask)) for ask in asks]
        words = [self._encode(word) for ask in asks for word in ask.choices]
        prefixes = [prompt for prompt in prompts for _ in range(2)]
        sums = self._log_probabilities(prefixes, words)
        outcomes: list[Response] = []
        for place, ask in enumerate(asks):
            right, wrong = sums[2 * place : 2 * place + 2]
            if math.isnan(wrong - right):
                outcomes.append(Failure(_NO_NUMBERS, len(prompts[place])))
                continue
            probability = 1 / (1 + math.exp(min(wrong - right, 700.0)))
            word = ask.right if right > wrong else ask.wrong
            outcomes.append(Completion(word, probability, len(prompts[place]), 0))
        return outcomes

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _rendered(self, ask: Ask) -> str:
        """The prompt up to where the verdict begins; a template without a system turn gets one."""
        if not self.tokenizer.chat_template:
            return "\n\n".join(filter(None, (ask.system, ask.user))) + "\n\n"
        merged = [{"role": "user", "content": f"{ask.system}\n\n{ask.user}".strip()}]
        try:
            return self._templated(ask.messages())
        except Exception:  # what a template raises is of no one type
            return self._templated(merged)

    def _templated(self, messages: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )

    def _log_probabilities(
        self, prefixes: Sequence[list[int]], words: Sequence[list[int]]
    ) -> list[float]:
        """The summed log-probability of each word's tokens after its prefix."""
        import torch

        rows = [prefix + word for prefix, word in zip(prefixes, words, strict=True)]
        longest = max(map(len, rows))
        device = self.model.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        mask = torch.tensor(
            [[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device
        )
        last = max(map(len, words)) + longest - min(map(len, rows)) + 1
        with torch.inference_mode():
            logits = self.model(
                input_ids=ids, attention_mask=mask, logits_to_keep=min(last, longest)
            ).logits
        first = longest - logits.shape[1]  # the position of the first logits that were kept
        log_probs = logits.float().log_softmax(-1)
        sums: list[float] = []
        for row, (prefix, word) in enumerate(zip(prefixes, words, strict=True)):
            start = len(prefix) - 1 - first
            taken = log_probs[row, start : start + len(word)]
            chosen = taken.gather(1, torch.tensor(word, device=device)[:, None])
            sums.append(float(chosen.sum()))
        return sums
