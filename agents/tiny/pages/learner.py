"""What the warm-up trains: the model and its dense heads, one step at a time.

The vision encoder works on many small pictures at once: the stock code attends to pictures one by
one, and cuts patches that are cut already with a convolution; with two hundred pictures of a few
tokens a step, that is most of its time. The numbers are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from agents.models.vlm import Features, VisionLanguageModel
from agents.tiny.pages.dense import DenseHeads
from agents.tiny.pages.lessons import FORMS, Prepared, Teacher
from agents.tiny.pages.model import SIZES, make_vlm
from agents.tiny.pages.muon import Muon
from agents.tiny.pages.sheets import sheet
from agents.tiny.pages.words import EDGES, edges_said
from agents.tiny.pages.zoom import GRID, TOKEN
from agents.tiny.teaching import Batch, collate
from vt_env.errors import ConfigError
from vt_env.sources.pages import Recipe, page_at
from vt_env.sources.pages.page import LEAST_SIDE
from vt_env.sources.seeded import stream


def join_pictures(vlm: VisionLanguageModel) -> None:
    """Let this model's vision encoder work so; pictures of one size should stand together."""
    visual = vlm.model.model.visual
    visual.patch_embed.forward = MethodType(_embed, visual.patch_embed)
    for block in visual.blocks:
        block.attn.forward = MethodType(_attend, block.attn)


def _embed(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    """Stands in for ``Qwen2_5_VisionPatchEmbed.forward``: [patches, pixels] to [patches, width]."""
    return functional.linear(hidden_states, self.proj.weight.flatten(1))


def _turned(joined: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Stands in for ``apply_rotary_pos_emb_vision``, for queries and keys together.

    Args:
        joined: float [patches, 2, heads, halves, width of a half].
        cos: [patches, width of a head].
        sin: Likewise.
    """
    cos, sin = (part.view(len(part), 1, 1, 2, -1) for part in (cos, sin))
    return joined * cos + joined.flip(3) * torch.cat([-sin[:, :, :, :1], sin[:, :, :, 1:]], 3)


def _attend(
    self: Any,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: Any,
) -> torch.Tensor:
    """Stands in for ``Qwen2_5_VLVisionAttention.forward``: [patches, width] to the same."""
    patches = hidden_states.shape[0]
    joined = self.qkv(hidden_states).view(patches, 3, self.num_heads, 2, -1)
    turned = _turned(joined[:, :2], *position_embeddings).flatten(3)
    query, key, value = turned[:, 0], turned[:, 1], joined[:, 2].flatten(2)
    made, at = [], 0
    for length, run in groupby((cu_seqlens[1:] - cu_seqlens[:-1]).tolist()):
        pictures = len(list(run))
        end = at + length * pictures
        queries, keys, values = (
            part[at:end].view(pictures, length, self.num_heads, -1).transpose(1, 2)
            for part in (query, key, value)
        )
        seen = functional.scaled_dot_product_attention(queries, keys, values, scale=self.scaling)
        made.append(seen.transpose(1, 2).reshape(end - at, -1))
        at = end
    return self.proj(torch.cat(made))


KINDS = ("form", "receipt")
"""The part of the generator that the policy is taught."""
_SHEETS = 3
"""The random stream of sheets, beside those of the splits."""
READINGS = tuple(
    f"{what}/{size}" for what in ("half", "full", "crop", "box") for size in ("small", "large")
)


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """Settings of the warm-up.

    Attributes:
        side: Pixels of a page's sides; a larger page has the same print and more room.
        steps: Of the optimizers.
        seeing: How many of them come first and teach the vision encoder alone.
        batch: Pages in a step, over all processes; no page is seen twice.
        muon: Peak rate of Muon, for the hidden matrices.
        adamw: Peak rate of AdamW, for everything else.
        decay: Weight decay of both.
        rise: Steps over which a rate rises, at the beginning and after a start from weights.
        falls: Share of the steps after which rates fall along a line to 0.
        processes: Each takes its part of a batch on one core.
        exam: Pages of the validation split that are read now and then.
        every: Steps between two such exams.
        minutes: Between two checkpoints.

    Raises:
        ConfigError: On a value out of range.
    """

    side: int = LEAST_SIDE
    steps: int = 6000
    seeing: int = 800
    batch: int = 20
    muon: float = 5e-3
    adamw: float = 2e-3
    decay: float = 0.02
    rise: int = 60
    falls: float = 0.3
    processes: int = 2
    exam: int = 64
    every: int = 200
    minutes: float = 4.0

    def __post_init__(self) -> None:
        if self.side % TOKEN:
            raise ConfigError(f"side must be a multiple of {TOKEN} pixels, got {self.side}")
        _ = self.recipe
        for name in ("steps", "batch", "processes", "exam", "every", "rise"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.seeing <= self.steps:
            raise ConfigError(f"seeing must be from 0 to steps, got {self.seeing}")
        if self.batch % self.processes:
            raise ConfigError(
                f"batch must be a multiple of processes ({self.processes}), got {self.batch}"
            )
        for name in ("muon", "adamw", "decay", "minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.falls < 1:
            raise ConfigError(f"falls must be from 0 to below 1, got {self.falls}")

    @property
    def recipe(self) -> Recipe:
        """How pages are printed."""
        return Recipe(self.side)

    def rate(self, step: int, since: int) -> float:
        """The rates' share of their peaks.

        Args:
            step: From 0.
            since: The step since which the parameters have been learning.
        """
        left = (self.steps - step) / (self.steps * (1 - self.falls))
        return min(1.0, (step - since + 1) / self.rise, left)


class Learner:
    """The model, its dense heads, and their optimizers.

    Args:
        config: Settings.
        seed: Of the first weights, the pages and the lessons.
    """

    def __init__(self, config: PagesConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.vlm = make_vlm(seed)
        self.vlm.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.heads = DenseHeads(SIZES.width)
        self.step = 0
        self.since = 0
        self.teacher = Teacher(self.vlm)
        self.parameters = [*self.vlm.model.parameters(), *self.heads.parameters()]
        self.optimizers = self._optimizers()
        join_pictures(self.vlm)

    @property
    def speaks(self) -> bool:
        """Whether the language model learns too."""
        return self.step >= self.config.seeing

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices between hidden states, AdamW for the rest."""
        config = self.config
        visual = {
            id(p) for p in [*self.vlm.model.model.visual.parameters(), *self.heads.parameters()]
        }
        inner = {
            id(p)
            for name, p in self.vlm.model.named_parameters()
            if p.ndim == 2 and any(part in name for part in ("blocks.", "merger.", "layers."))
        }

        def groups(hidden: bool, peak: float) -> list[dict[str, Any]]:
            chosen = [p for p in self.parameters if (id(p) in inner) == hidden]
            seeing = [p for p in chosen if id(p) in visual]
            speaking = [p for p in chosen if id(p) not in visual]
            return [
                {"params": seeing, "peak": peak, "after": 0},
                {"params": speaking, "peak": peak, "after": config.seeing},
            ]

        return [
            Muon(groups(True, config.muon), lr=config.muon, weight_decay=config.decay),
            torch.optim.AdamW(
                groups(False, config.adamw),
                lr=config.adamw,
                betas=(0.9, 0.98),
                weight_decay=config.decay,
            ),
        ]

    def prepared(self, split: str, indices: Iterable[int], crops: int | None) -> list[Prepared]:
        """Pages of a split with their lessons."""
        return [
            self.teacher.prepare(
                *page_at(KINDS, self.config.recipe, self.seed, split, index), crops
            )
            for index in indices
        ]

    def losses(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """The weighted losses of some pages of the training split; entropies are in nats."""
        speaks = self.speaks
        pages = self.prepared("train", indices, None if speaks else 1)
        views = [view for page in pages for view in page.views]
        truth = [seen for page in pages for seen in page.truth]
        for index in range(2 * indices[0], 2 * indices[0] + (1 if speaks else 2) * len(indices)):
            rng = stream(self.seed, _SHEETS, index)
            view, seen = sheet(self.config.recipe, rng, halved=index % 2 == 0)
            views.append(view)
            truth.append(seen)
        features = _features(self.vlm, views)
        losses = self.heads(features.values, truth)
        if speaks:
            for lesson, name in enumerate(("zoom", "page")):
                batch = _batch(self.vlm, pages, lesson)
                weights = batch.weights[:, 1:]
                said = weights > 0
                hidden = _hidden(self.vlm, batch, features)
                if name == "zoom":
                    losses["found"] = self._finding(hidden, batch)
                losses[f"decided/{name}"] = self._deciding(hidden, batch)
                logits = self.vlm.logits(hidden[:, :-1][said])
                each = functional.cross_entropy(logits, batch.ids[:, 1:][said], reduction="none")
                losses[name] = (each * weights[said]).sum() / weights[said].sum()
        return losses

    def _finding(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss of where calls are about to look, from the token that names what for."""
        calls = [(r, t) for r, turns in enumerate(batch.turns) for t in turns if t.what == "box"]
        boxes = [
            edges_said(self.vlm.tokenizer.decode(batch.ids[row, turn.begin : turn.end].tolist()))
            for row, turn in calls
        ]
        rows, named = [row for row, _ in calls], [turn.begin + 1 for _, turn in calls]
        return self.heads.finding(hidden[rows, named], torch.tensor(boxes).view(-1, 4) / EDGES)

    def _deciding(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss of how small the print is, from the token before a thought at half size."""
        thoughts = [
            (row, turn.begin - 2, turn.print == "small")
            for row, turns in enumerate(batch.turns)
            for turn in turns
            if turn.what in ("half", "box")
        ]
        rows, before, small = zip(*thoughts, strict=True) if thoughts else ((), (), ())
        return self.heads.deciding(hidden[list(rows), list(before)], torch.tensor(small).long())

    def descend(self) -> None:
        """Take a step along the gradients."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                since = max(self.since, group["after"])
                group["lr"] = group["peak"] * max(0.0, self.config.rate(self.step, since))
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1

    @torch.no_grad()
    def exam(self, indices: Sequence[int], split: str = "validation") -> torch.Tensor:
        """How many turns are said right, each token after the true ones before it.

        Args:
            indices: Pages of the split.
            split: Which.

        Returns:
            float32 [readings, 2]: right ones and all, for each of :data:`READINGS`. A box is right
            if each of its edges stands at most a step of the grid from where it should.
        """
        counts = torch.zeros(len(READINGS), 2)
        for begin in range(0, len(indices), 16):
            pages = self.prepared(split, indices[begin : begin + 16], None)
            features = _features(self.vlm, [view for page in pages for view in page.views])
            for lesson in range(len(FORMS)):
                batch = _batch(self.vlm, pages, lesson)
                hidden = _hidden(self.vlm, batch, features)
                likeliest = self.vlm.logits(hidden[:, :-1]).argmax(-1)
                for row, turns in enumerate(batch.turns):
                    for turn in turns:
                        reading = READINGS.index(f"{turn.what}/{turn.print}")
                        said = likeliest[row, turn.begin - 1 : turn.end - 1].tolist()
                        true = batch.ids[row, turn.begin : turn.end].tolist()
                        counts[reading] += torch.tensor([self._right(turn.what, said, true), 1.0])
        return counts

    def _right(self, what: str, said: list[int], true: list[int]) -> float:
        if what != "box":
            return float(said == true)
        ours, theirs = (edges_said(self.vlm.tokenizer.decode(ids)) for ids in (said, true))
        near = EDGES * GRID // self.config.side
        return float(
            ours is not None
            and theirs is not None
            and all(abs(a - b) <= near for a, b in zip(ours, theirs, strict=True))
        )

    def weights(self) -> dict[str, torch.Tensor]:
        """Model and heads by name."""
        model = {f"model.{name}": value for name, value in self.vlm.model.state_dict().items()}
        heads = {f"heads.{name}": value for name, value in self.heads.state_dict().items()}
        return {**model, **heads}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take weights as :meth:`weights` gives them, in any precision.

        Raises:
            ConfigError: If they are of another model.
        """
        for module, prefix in ((self.vlm.model, "model."), (self.heads, "heads.")):
            own = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
            try:
                module.load_state_dict(own)
            except RuntimeError as error:
                raise ConfigError(
                    "the weights to begin with have other names or shapes than this model's"
                ) from error


def _batch(vlm: VisionLanguageModel, pages: Sequence[Prepared], lesson: int) -> Batch:
    """The lessons of pages for one of :data:`FORMS`."""
    return collate(vlm, [page.lessons[lesson] for page in pages], [page.views for page in pages])


def _features(vlm: VisionLanguageModel, views: Sequence[Any]) -> Features:
    """Features of views in their order; they are encoded with those of one size together."""
    order = sorted(range(len(views)), key=lambda index: views[index].size)
    made = vlm.features([views[index] for index in order])
    places = {view: place for place, view in enumerate(order)}
    back = [places[index] for index in range(len(views))]
    sizes = [made.starts[place + 1] - made.starts[place] for place in back]
    return Features(made.gather(back), [0, *np.cumsum(sizes).tolist()])


def _hidden(vlm: VisionLanguageModel, batch: Batch, features: Features) -> torch.Tensor:
    """Last hidden states of lessons: [lessons, columns, width]."""
    return vlm.hidden(batch.ids, batch.positions, pictures=features.gather(batch.shown))
