"""vLLM loads the shipped policy, and says what it says here."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.openrlhf, pytest.mark.slow]
pytest.importorskip("vllm", reason="needs `make test-openrlhf`")

from agents import closing, make_agent  # noqa: E402
from agents.rollout import rollout  # noqa: E402
from agents.shipped import PAGES  # noqa: E402
from vt_env.vector import VisionThinkVectorEnv  # noqa: E402

N = 24


@pytest.mark.parametrize("protocol", ["visionthink", "zoom"])
def test_vllm_plays_it_as_transformers_does(protocol: str) -> None:
    said: list[list[str]] = []
    for spec in ("pages", f"vllm:{PAGES},max_new_tokens=16,eager=true,max_model_len=1024"):
        env = VisionThinkVectorEnv(
            N, data=f"pages:n={N},kinds=form+receipt", protocol=protocol, prompt="tiny",
            tokens="qwen2.5-vl", judge="exact",
        )  # fmt: skip
        with closing(make_agent(spec)) as agent:
            episodes = rollout(env, agent, sample_ids=env.task.source.ids())
        said.append([reply.text for episode in episodes for reply in episode.replies[:1]])
    same = sum(ours == theirs for ours, theirs in zip(*said, strict=True))
    assert same >= N - 2, "first turns, but for ties in the last digit of a probability"
