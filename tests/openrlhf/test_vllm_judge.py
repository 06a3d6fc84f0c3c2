"""The judge ``vllm`` on vLLM itself, with a tiny random model: its choice is always one of two."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vllm")

import psutil
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from agents.judging.vllm_judge import vllm_judge
from vt_env.judges import Query

pytestmark = pytest.mark.openrlhf

QUERIES = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(8)]
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"


def checkpoint(folder: Path) -> Path:
    """A random model that reads and writes letter by letter, with heads as vLLM needs them."""
    letters = {chr(code): place for place, code in enumerate(range(32, 127))}
    words = Tokenizer(models.WordLevel({**letters, "\n": 95, "</s>": 96}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.add_special_tokens(["</s>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="?", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        eos_token_id=96,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore:Exception ignored.*Context")  # vLLM leaves one of zmq's
def test_a_random_model_is_held_to_the_two_words(tmp_path: Path):
    folder = checkpoint(tmp_path / "model")
    before = set(psutil.Process().children())
    options = f"dtype=float32,eager=true,scores=true,canaries=0,cache={tmp_path / 'cache.sqlite'}"
    with vllm_judge(f"{folder},{options}") as judge:
        verdicts = judge.score(QUERIES)
        assert None not in [verdict.correct for verdict in verdicts]
        assert all(verdict.score is not None for verdict in verdicts)
        assert judge.usage.answered == len(QUERIES)
        assert judge.usage.tokens_in > 1000
        assert judge.score(QUERIES) == verdicts
        begun = set(psutil.Process().children()) - before
        engine = [process for process in begun if "resource_tracker" not in str(process.cmdline())]
        assert engine
    psutil.wait_procs(engine, timeout=30)
    assert not [process for process in engine if process.is_running()]
