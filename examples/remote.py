"""An agent of this project plays on a server: groups of one question, rewarded as a group.

    vt serve --data pages:kinds=form+receipt,width=1240,height=1754
    python -m examples.remote http://127.0.0.1:8000 --agent ocr --questions 5

Any agent that does not read references will do: `ocr`, `request:answerer=ocr`, a model such as
`transformers:MODEL`. The server knows the right answers; this process does not.
"""

import argparse
import asyncio
import json
import os
from dataclasses import asdict

from agents import Agent, closing, make_agent
from trainers.openenv.client import VisionThinkClient, play_group
from vt_env.rewards import RewardConfig


async def play(
    url: str, agent: Agent, questions: int, size: int, reward: RewardConfig, token: str | None
) -> None:
    """Play the first questions, one line for each rollout."""
    clients = [VisionThinkClient(url, token=token) for _ in range(size)]
    try:
        for index in range(questions):
            for episode in await play_group(clients, agent, reward, index=index):
                assert episode.last is not None
                assert episode.reward is not None
                told = {"sample": episode.last.sample_id, "asked": len(episode.views) > 1}
                print(json.dumps({**told, **asdict(episode.reward)}), flush=True)  # noqa: T201
    finally:
        await asyncio.gather(*(client.close() for client in clients))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--agent", default="ocr")
    parser.add_argument("--questions", type=int, default=5)
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--penalty", default="paper")
    arguments = parser.parse_args()
    config = RewardConfig(penalty=arguments.penalty)
    key = os.environ.get("VT_SERVE_TOKEN")
    with closing(make_agent(arguments.agent)) as chosen:
        asyncio.run(
            play(arguments.url, chosen, arguments.questions, arguments.group_size, config, key)
        )
