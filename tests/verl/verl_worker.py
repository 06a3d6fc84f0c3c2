"""verl's worker for agent loops, with a server that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.protocol import DataProto
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.dataset.rl_dataset import collate_fn
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.replica import TokenOutput
from verl_runs import verls, write_rows

from trainers.verl.run import VerlRun

Say = Callable[[str, str], str | Exception]
"""The next turn of a rollout, by its question's id and its request's."""


class ScriptedClient(LLMServerClient):
    """In the place of the engines; everything before and behind it is verl's.

    Args:
        config: verl's.
        processor: Tokenises the turns.
        say: Says them.
    """

    def __init__(self, config: Any, processor: Any, say: Say) -> None:
        super().__init__(config)
        self.processor = processor
        self.say = say
        self.requests: list[dict[str, Any]] = []

    async def generate(self, request_id: str, **request: Any) -> TokenOutput:
        self.requests.append({"id": request_id, **request})
        text = self.say(request_id.partition("/")[0], request_id)
        await asyncio.sleep(0.001 * ((7 * len(self.requests)) % 5))  # they end in another order
        if isinstance(text, Exception):
            raise text
        said = self.processor.tokenizer.encode(text, add_special_tokens=False)
        said.append(self.processor.tokenizer.eos_token_id)
        said = said[: request["sampling_params"]["max_tokens"]]
        return TokenOutput(token_ids=said, log_probs=[-0.5] * len(said), stop_reason="completed")


def batch_of(config: Any, size: int, uids: Sequence[str], split: str = "train") -> DataProto:
    """Every row of a split ``size`` times, as verl's trainer hands them to a worker."""
    files = config.data.train_files if split == "train" else config.data.val_files
    rows = create_rl_dataset(files, config.data, None, None)
    batch = DataProto.from_single_dict(collate_fn([rows[i] for i in range(len(rows))]))
    own = collate_fn([{"uid": uid, "global_steps": 1} for uid in uids])
    batch.non_tensor_batch |= {name: own[name] for name in ("uid", "global_steps")}
    batch = batch.repeat(size, interleave=True)
    batch.meta_info = {"validate": split != "train", "global_steps": 1}
    return batch


def play(
    run: VerlRun, processor: Any, say: Say, ids: Sequence[str], size: int
) -> tuple[DataProto, Any]:
    """Groups in flight at the same time through verl's worker; its batch, and the client."""
    write_rows(run, "train", ids)
    config = verls(run)
    client = ScriptedClient(config, processor, say)
    worker = AgentLoopWorker(config, client)
    made = asyncio.run(worker.generate_sequences(batch_of(config, size, ids)))
    return made, client


def learn(run: VerlRun, batch: DataProto) -> DataProto:
    """The batch with verl's advantages by our estimator."""
    config = verls(run)
    batch.batch["token_level_rewards"] = batch.batch["rm_scores"]
    return compute_advantage(
        batch, config.algorithm.adv_estimator, config=config.algorithm, num_repeat=1
    )
