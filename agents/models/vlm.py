"""A vision-language model with its tokenizer and image processor, in the few steps we need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen2VLImageProcessorPil

from agents.models.chat import Chat
from agents.models.images import counter_of, patches
from agents.models.positions import positions
from vt_env.errors import ConfigError, unknown_name
from vt_env.pictures import View
from vt_env.tokens import TokenCounter

_FORBIDDEN = -1e9


@dataclass(frozen=True, slots=True)
class Features:
    """What the vision encoder makes of some views.

    Attributes:
        values: float [visual tokens of all views, width]; where the encoder has features for
            several layers of the language model (Qwen3-VL), they stand side by side.
        starts: Where each view begins in ``values``; one more than there are views.
    """

    values: torch.Tensor
    starts: Sequence[int]

    def gather(self, order: Sequence[int]) -> torch.Tensor:
        """The features of views in the order in which a batch shows them, one after the other."""
        starts = self.starts
        index = [torch.arange(starts[view], starts[view + 1]) for view in order]
        return self.values[torch.cat(index).to(self.values.device)]


class VisionLanguageModel:
    """A model of Qwen's line; other families derive from it.

    Attributes:
        families: The model types.
        pillow_processor: Their image processor where there is no torchvision.
        model: The stock model of transformers.
        tokenizer: Its tokenizer, with a chat template.
        image_processor: Its image processor.
        chat: Renders conversations.
        stop_ids: Tokens that end a turn.
        image_id: The token that stands for a visual token.
        forbidden: Tokens that the model may not say: they stand for pictures, or for nothing.
    """

    families: ClassVar[Sequence[str]] = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
    pillow_processor: ClassVar[Any] = Qwen2VLImageProcessorPil

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any) -> None:
        if model.config.model_type not in self.families:
            raise unknown_name("model type", model.config.model_type, self.families)
        if not tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template; this needs a chat model")
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.image_id: int = model.config.image_token_id
        self.chat = self._chat()
        self.stop_ids = _stop_ids(model, tokenizer)
        size: int = model.config.get_text_config().vocab_size
        self.forbidden = sorted({*self._marks(), *range(len(tokenizer), size)})
        penalty = torch.zeros(size)
        penalty[self.forbidden] = _FORBIDDEN
        self._penalty = penalty

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @cached_property
    def counter(self) -> TokenCounter:
        """How the image processor sizes pictures."""
        return counter_of(self.image_processor)

    def _chat(self) -> Chat:
        return Chat(self.tokenizer, self.image_id)

    def _marks(self) -> list[int]:
        """Tokens that stand for pictures or for nothing."""
        config = self.model.config
        names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
        ids = [getattr(config, name, None) for name in names]
        ids.append(self.tokenizer.get_vocab().get("<|vision_pad|>"))
        ids += [self.tokenizer.pad_token_id, self.tokenizer.unk_token_id]
        return [token for token in ids if token not in (None, self.tokenizer.eos_token_id)]

    def grid(self, view: View) -> tuple[int, int]:
        """Rows and columns of the visual tokens of a view."""
        rows, columns = self.counter.grid(*view.size)
        return rows // self.counter.merge, columns // self.counter.merge

    def count(self, view: View) -> int:
        """Visual tokens of a view."""
        rows, columns = self.grid(view)
        return rows * columns

    def positions(
        self, ids: Sequence[int], views: Sequence[View], start: int = 0
    ) -> tuple[NDArray[np.int64], int]:
        """Where the tokens of a stretch stand; see :func:`agents.models.positions.positions`."""
        return positions(ids, self.image_id, [self.grid(view) for view in views], start)

    def features(self, views: Sequence[View]) -> Features:
        """Encode views, each once; gradients flow if the vision encoder is trained."""
        pixels, grids = patches(self.image_processor, views)
        visual = self.model.model.visual
        trained = torch.is_grad_enabled() and any(p.requires_grad for p in visual.parameters())
        with torch.set_grad_enabled(trained):
            made = self.model.get_image_features(
                pixels.to(self.device), grids.to(self.device), return_dict=True
            )
            deeper = getattr(made, "deepstack_features", None) or []
            layers = [made.pooler_output, *deeper]
            values = torch.cat([_together(layer) for layer in layers], -1)
        starts = [0]
        for piece in made.pooler_output:
            starts.append(starts[-1] + len(piece))
        return Features(values, starts)

    @torch.no_grad()
    def pictures(self, views: Sequence[View]) -> torch.Tensor | None:
        """Features of views one after the other, each distinct view encoded once.

        Args:
            views: In the order of the image tokens that stand for them; a view may come again.

        Returns:
            What :meth:`hidden` takes; ``None`` for no views.
        """
        if not views:
            return None
        distinct = {id(view): view for view in views}
        places = {key: place for place, key in enumerate(distinct)}
        return self.features(list(distinct.values())).gather([places[id(v)] for v in views])

    def hidden(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        *,
        pictures: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        cache: Any = None,
    ) -> torch.Tensor:
        """Last hidden states.

        Args:
            ids: int64 [rows, tokens].
            positions: int64 [3, rows, tokens].
            pictures: Features of the image tokens in ``ids``, row by row: [image tokens, width].
            mask: bool [rows, 1, tokens, cached + tokens], true where a token is looked at; causal
                if left out.
            cache: Keys and values of the tokens before, which is extended.

        Returns:
            [rows, tokens, width].
        """
        embedded = self.model.get_input_embeddings()(ids)
        deeper: dict[str, Any] = {}
        if pictures is not None:
            where = ids == self.image_id
            first, *rest = pictures.to(embedded.dtype).split(embedded.shape[-1], -1)
            embedded = embedded.masked_scatter(where.unsqueeze(-1), first)
            if rest:
                deeper = {"visual_pos_masks": where, "deepstack_visual_embeds": rest}
        return self.model.model.language_model(
            inputs_embeds=embedded,
            position_ids=self._position_ids(positions),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            **deeper,
        ).last_hidden_state

    def _position_ids(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions as the language model takes them."""
        return positions

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, float32 [..., vocabulary]; forbidden tokens have none."""
        if self._penalty.device != hidden.device:
            self._penalty = self._penalty.to(hidden.device)
        return self.model.lm_head(hidden).float() + self._penalty

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, without the end-of-turn token at its end."""
        end = len(ids) - (len(ids) > 0 and ids[-1] in self.stop_ids)
        return self.tokenizer.decode(
            ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def _together(pieces: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Features of all views; some versions of transformers have cut them into views, some not."""
    return pieces if isinstance(pieces, torch.Tensor) else torch.cat(list(pieces))


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    return frozenset({tokenizer.eos_token_id, *stops} - {None, tokenizer.pad_token_id})
