"""What rollouts and training cost beside the model's own work, and how the cost grows.

    python benchmarks/training.py [--repeat N] [--out FILE]

On the recipe ``pages``, with the policy that is shipped:

* tokens a second of a rollout, environment and judge included, against two bare ways to say as
  many tokens after the same prompts, both turns long: transformers' ``generate``, and a loop over
  the model with a cache of keys and values. Their inputs are made beforehand;
* a training step's time for each rollout, with 8 to 64 questions a step;
* the process's cache after some steps of the local trainer and after three times as many.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from bounds import Bound, conclude, quickest
from common import Training, pages, resident, said

from agents import Episode
from agents.models import VisionLanguageModel
from agents.models.generation import Chunk, KVCache, prefill
from agents.models.qwen import patches, positions
from trainers.config import TrainConfig
from trainers.local import LocalTrainer
from vt_env.pictures import View

SIZES = (8, 16, 32, 64)
STEPS = 10


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of all rollouts that took it, as it was played, ready to be said again.

    Attributes:
        rows: Who of the turn before goes on.
        chunks: What each reads that it has not read yet.
        views: The picture that each reads with it.
        said: What each says, filled up to the longest: int64 [rows, tokens].
        generate: All that transformers' ``generate`` needs, which begins anew.
    """

    rows: list[int]
    chunks: list[Chunk]
    views: list[View]
    said: torch.Tensor
    generate: dict[str, Any]


def turns_of(vlm: VisionLanguageModel, episodes: Sequence[Episode]) -> list[Turn]:
    """Both turns of a batch."""
    made: list[Turn] = []
    before = list(range(len(episodes)))
    for number in range(max(len(e.replies) for e in episodes)):
        going = [row for row in before if len(episodes[row].replies) > number]
        played = [episodes[row] for row in going]
        said = [torch.tensor(e.replies[number].token_ids) for e in played]
        read_before = [_ids(e, number)[: -len(e.replies[number].prompt_ids or ())] for e in played]
        made.append(
            Turn(
                rows=[before.index(row) for row in going],
                chunks=[
                    _chunk(vlm, e, number, len(done))
                    for e, done in zip(played, read_before, strict=True)
                ],
                views=[e.views[number] for e in played if len(e.views) > number],
                said=torch.nn.utils.rnn.pad_sequence(said, batch_first=True),
                generate=_generate(vlm, played, number),
            )
        )
        before = going
    return made


def _ids(episode: Episode, turn: int) -> list[int]:
    """Everything up to a turn of the model."""
    ids = [t for r in episode.replies[:turn] for t in (*(r.prompt_ids or ()), *(r.token_ids or ()))]
    return [*ids, *(episode.replies[turn].prompt_ids or ())]


def _chunk(vlm: VisionLanguageModel, episode: Episode, turn: int, begin: int) -> Chunk:
    ids = _ids(episode, turn)
    where, after = positions(ids, vlm.image_id, [vlm.grid(v) for v in episode.views[: turn + 1]])
    return Chunk(ids[begin:], where[:, begin:], after)


def _generate(vlm: VisionLanguageModel, episodes: Sequence[Episode], turn: int) -> dict[str, Any]:
    rows = [torch.tensor(_ids(e, turn)) for e in episodes]
    ids = torch.nn.utils.rnn.pad_sequence(
        rows, batch_first=True, padding_value=vlm.tokenizer.pad_token_id, padding_side="left"
    )
    pixels, grids = patches(
        vlm.image_processor, [view for e in episodes for view in e.views[: turn + 1]]
    )
    return {
        "input_ids": ids,
        "attention_mask": (ids != vlm.tokenizer.pad_token_id).long(),
        "mm_token_type_ids": (ids == vlm.image_id).long(),
        "pixel_values": pixels,
        "image_grid_thw": grids,
        "max_new_tokens": max(len(e.replies[turn].token_ids or ()) for e in episodes),
    }


@torch.no_grad()
def generated(vlm: VisionLanguageModel, turns: Sequence[Turn]) -> None:
    """As many tokens by ``generate``, each turn from the beginning of its conversation."""
    for turn in turns:
        vlm.model.generate(
            **turn.generate, do_sample=True, top_k=0, eos_token_id=None, pad_token_id=0
        )


@torch.no_grad()
def looped(vlm: VisionLanguageModel, turns: Sequence[Turn]) -> None:
    """The same tokens by a loop whose keys and values outlive the turn."""
    cache: KVCache | None = None
    for turn in turns:
        cache = cache.take(turn.rows) if cache else None
        cache, logits = prefill(vlm, cache, turn.chunks, vlm.pictures(turn.views))
        after = torch.tensor([chunk.after for chunk in turn.chunks])
        for step in range(turn.said.shape[1]):
            torch.multinomial(logits.softmax(-1), 1)
            new = torch.ones(len(after), 1, dtype=torch.bool)
            cache.valid = torch.cat([cache.valid, new], 1)
            hidden = vlm.hidden(
                turn.said[:, step, None],
                (after + step).expand(3, -1)[..., None],
                mask=cache.valid[:, None, None, :],
                cache=cache.cache,
            )
            logits = vlm.logits(hidden[:, -1])


def rollouts(config: TrainConfig, repeat: int) -> tuple[list[Bound], dict[str, float]]:
    """Tokens a second of a rollout, against the bare ways."""
    training = Training(config)
    vlm, player = training.policy.vlm, training.player

    def play() -> list[Episode]:
        player.position = 0
        with torch.no_grad():
            return player.play(1)

    episodes = play()
    turns = turns_of(vlm, episodes)
    sides: dict[str, Callable[[], object]] = {
        "rollout": play,
        "generate": lambda: generated(vlm, turns),
        "loop": lambda: looped(vlm, turns),
    }
    quickest(list(sides.values()), 1)
    seconds = quickest(list(sides.values()), repeat)
    speeds = dict(zip(sides, (said(episodes) / s for s in seconds), strict=True))
    bounds = [
        Bound(f"tokens a second of a rollout, against {name}", speeds["rollout"] / speed, 0.6, True)
        for name, speed in speeds.items()
        if name != "rollout"
    ]
    return bounds, {f"{name}, tokens/s": speed for name, speed in speeds.items()}


def growth(repeat: int) -> tuple[Bound, dict[str, float]]:
    """Milliseconds a rollout of steps of several sizes."""
    steps = [Training(pages(prompts)).step for prompts in SIZES]
    quickest(steps, 1)
    group = pages().rollout.group_size
    each = [
        1000 * seconds / (prompts * group)
        for prompts, seconds in zip(SIZES, quickest(steps, repeat), strict=True)
    ]
    bound = Bound(
        f"time a rollout at {SIZES[1]} questions a step or more, against {SIZES[0]}",
        max(each[1:]) / each[0],
        1.1,
    )
    return bound, {f"{n} questions, ms a rollout": ms for n, ms in zip(SIZES, each, strict=True)}


def cache() -> tuple[Bound, dict[str, float]]:
    """MiB of this process while the local trainer trains."""
    config = pages()
    config = replace(
        config,
        steps=3 * STEPS,
        data=replace(config.data, validation=None),
        tracking=replace(config.tracking, wandb="off"),
        checkpoint=replace(config.checkpoint, every=STEPS),
    )
    held: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        LocalTrainer().train(config, Path(out), progress=lambda *_: held.append(resident()))
    first, last = held[STEPS - 1], held[-1]
    what = f"cache after {3 * STEPS} steps of the local trainer, against {STEPS}"
    return Bound(what, last / first, 1.05), {
        f"MiB after {STEPS} steps": first,
        f"MiB after {3 * STEPS} steps": last,
    }


def main() -> None:
    """Measure, print, and leave with status 1 if a bound was missed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--repeat", type=int, default=7)
    options.add_argument("--out", type=Path, default=Path("runs/bench/training.json"))
    arguments = options.parse_args()
    spoken, speeds = rollouts(pages(), arguments.repeat)
    grown, times = growth(arguments.repeat)
    held, sizes = cache()
    details = {**speeds, **times, **sizes}
    print(*(f"{what:<64} {value:8.3g}" for what, value in details.items()), sep="\n")
    conclude([*spoken, grown, held], arguments.out, {"measured": details})


if __name__ == "__main__":
    main()
