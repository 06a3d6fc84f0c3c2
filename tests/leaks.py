"""Specs that hold a key where none belongs, and what has to come of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vt_env.errors import ConfigError

KEY = "sk-test-0123456789abcdefSECRET"

LEAKING = [
    f"openai:m@http://user:{KEY}@127.0.0.1:1/v1",
    f"openai:m@https://{KEY}@host/v1",
    f"openai:m@http://127.0.0.1:1/v1?api-key={KEY}",
    f"openai:m@http://127.0.0.1:1/v1#{KEY}",
    f"openai:m@http://127.0.0.1:1/v1,key_env={KEY}",
    f"openai:m@http://127.0.0.1:1/v1,{KEY}",
    f"openai:m@http://127.0.0.1:1/v1,api_key={KEY}",
    f"openai:m@http://127.0.0.1:1/v1,temperature={KEY}",
    f"openai:m@http://[{KEY}/v1",
]


def assert_refused_in_silence(make: Callable[[str], Any], spec: str) -> None:
    """A spec is refused, and no error that a person would see repeats its key."""
    with pytest.raises(ConfigError) as refusal:
        make(spec)
    wrong: BaseException | None = refusal.value
    while wrong is not None:
        assert KEY not in str(wrong)
        wrong = None if wrong.__suppress_context__ else wrong.__context__
