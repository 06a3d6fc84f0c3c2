"""A whole training step beside that of TRL's GRPOTrainer, in one process and in turns.

    make bench-trl          # or, in an environment that has trl and this package:
    python benchmarks/beside_trl.py [--repeat N]

Both sides train the policy that is shipped by GRPO on the same questions and pictures, 32 x 8
rollouts a step: generation over two turns, rewards, reference, loss, one update. TRL plays them as
its ``environment_factory`` allows, with :mod:`trainers.trl`'s processor. What costs it more than it
must is left out: its pictures are drawn and shrunk beforehand, its reward compares strings, its
gradient checkpointing and bfloat16 are off, and its rollouts are learnt from in one batch.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import math
import re
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trl
from bounds import Bound, conclude
from common import Training, clock, pages, said
from datasets import Dataset
from transformers import PrinterCallback, Qwen2_5_VLForConditionalGeneration, TrainerCallback

from agents import Episode
from agents.models.loading import load_processor
from agents.tiny.pages.words import resize_said
from trainers.config import TrainConfig
from trainers.trl.processor import Processor
from vt_env import Task, parse
from vt_env.actions import calls

TARGET = 3.0
RESULT = 32  # more tokens than the environment says between two turns
ANSWER = re.compile("<answer>(.*)</answer>")


class Game:
    """The environment as TRL takes it: its public methods are tools.

    Args:
        speaking: The processor's, see :class:`trainers.trl.environment.VisionThink`.
    """

    turns: Mapping[str, tuple[list[Any], list[Any]]] = {}

    def __init__(self, speaking: deque[Any] | None = None) -> None:
        self._speaking = deque[Any]() if speaking is None else speaking

    def reset(self, sample: str, **_: Any) -> list[Any]:
        """The half-size picture and the question."""
        self._sample = sample
        self._speaking.append(self)
        return self.turns[sample][0]

    def call(self) -> list[Any]:
        """Show the original."""
        self._speaking.append(self)
        return self.turns[self._sample][1]

    def _take(self, turn: str) -> bool:
        return calls(parse(turn))


def drawn(task: Task, ids: Sequence[str]) -> dict[str, tuple[list[Any], list[Any]]]:
    """What the environment says before either turn about each sample, its picture included."""
    made: dict[str, tuple[list[Any], list[Any]]] = {}
    for sample_id in ids:
        dialogue = task.begin(task.source.by_id(sample_id))[0]
        dialogue.apply(resize_said())
        asked, _, answered = (message["content"] for message in dialogue.messages[1:])
        half, full = (view.image for view in dialogue.views)
        made[sample_id] = _with(asked, half), _with(answered, full)
    return made


def _with(blocks: Sequence[Any], image: Any) -> list[Any]:
    return [{**b, "image": image} if b["type"] == "image" else b for b in blocks]


def reward(
    completions: Sequence[Any], references: Sequence[Sequence[str]], **_: Any
) -> list[float]:
    """1 for the answer, compared as text, and 0.5 for its tags."""
    found = [ANSWER.search(turns[-1]["content"]) for turns in completions]
    return [
        0.0 if match is None else 0.5 + (match[1] in right)
        for match, right in zip(found, references, strict=True)
    ]


class Alternate(TrainerCallback):
    """After each of TRL's steps, ours; the first of both is a warm-up.

    Attributes:
        theirs: Seconds of each of TRL's steps, from our last step to the end of theirs.
        ours: Seconds of each of ours.

    Args:
        step: Ours.
    """

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step
        self.theirs: list[float] = []
        self.ours: list[float] = []
        self._begun = math.nan

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take our turn."""
        ended = clock()
        self.step()
        after = clock()
        if not math.isnan(self._begun):
            self.theirs.append(ended - self._begun)
            self.ours.append(after - ended)
        self._begun = after


def grpo(config: TrainConfig, steps: int, forbidden: list[int], folder: str) -> Any:
    """TRL's settings for what a recipe of ours says; tokens for pictures are forbidden to both."""
    options, optimiser, rollout = config.algorithm.options, config.optimiser, config.rollout
    rollouts = rollout.prompts * rollout.group_size
    return trl.GRPOConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=rollouts,
        num_generations=rollout.group_size,
        max_completion_length=2 * rollout.max_new_tokens + RESULT,
        generation_kwargs={"max_new_tokens": rollout.max_new_tokens, "suppress_tokens": forbidden},
        max_tool_calling_iterations=1,
        temperature=rollout.temperature,
        beta=options["kl_coef"],
        loss_type="dr_grpo" if options["aggregation"] == "constant" else "grpo",
        epsilon=options["clip_low"],
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=optimiser.betas[0],
        adam_beta2=optimiser.betas[1],
        max_grad_norm=optimiser.max_grad_norm,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )


def trainer_of(training: Training, config: TrainConfig, steps: int, folder: str) -> Any:
    """TRL's trainer, with the samples that our player will play, in their order."""
    task = training.player.task
    ids, _ = training.player.order.take(0, steps * config.rollout.prompts)
    Game.turns = drawn(task, ids)
    rows = [
        {
            "prompt": [{"role": "user", "content": ""}],
            "sample": sample_id,
            "references": list(task.source.by_id(sample_id).references),
        }
        for sample_id in ids
    ]
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(config.model.path, dtype="float32")
    model.model.visual.requires_grad_(not config.model.freeze_vision)
    processor = Processor(load_processor(config.model.path))
    trainer = trl.GRPOTrainer(
        model,
        reward,
        args=grpo(config, steps, processor.base.forbidden, folder),
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        environment_factory=partial(Game, processor.speaking),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def main() -> None:
    """Measure, print, and leave with status 1 if the target was missed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--repeat", type=int, default=5, help="steps of each side")
    options.add_argument("--out", type=Path, default=Path("runs/bench/trl.json"))
    arguments = options.parse_args()
    episodes: list[list[Episode]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = pages()
        training = Training(config)
        trainer = trainer_of(training, config, arguments.repeat + 1, folder)
        times = Alternate(lambda: episodes.append(training.step()))
        trainer.add_callback(times)
        trainer.train()
    logs = [log for log in trainer.state.log_history if "completions/mean_length" in log]
    rollouts = config.rollout.prompts * config.rollout.group_size
    sides = {
        "ours": _side(
            times.ours,
            rollouts,
            [said(step) / rollouts for step in episodes],
            [sum(len(e.replies) > 1 for e in step) / rollouts for step in episodes],
        ),
        f"trl {trl.__version__}": _side(
            times.theirs,
            rollouts,
            [log["completions/mean_length"] for log in logs],
            [log["tools/call_frequency"] for log in logs],
        ),
    }
    for name, side in sides.items():
        print(f"{name:<12}", "  ".join(f"{value:.3g} {what}" for what, value in side.items()))
    ratios = [theirs / ours for theirs, ours in zip(times.theirs, times.ours, strict=True)]
    print("ratio of each pair of steps:", " ".join(f"{ratio:.2f}" for ratio in ratios))
    what = "rollouts a second of a whole training step, against TRL's"
    bound = Bound(what, statistics.median(ratios), TARGET, least=True)
    conclude([bound], arguments.out, {"sides": sides, "ratios": ratios})


def _side(
    seconds: Sequence[float], rollouts: int, tokens: Sequence[float], asked: Sequence[float]
) -> dict[str, float]:
    return {
        "rollouts/s": rollouts / statistics.median(seconds),
        "s a step": statistics.median(seconds),
        "tokens a rollout": statistics.fmean(tokens[1:]),
        "share with two turns": statistics.fmean(asked[1:]),
    }


if __name__ == "__main__":
    main()
