"""A vision-language model with its tokenizer and image processor, in the few steps we need."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from agents.models.chat import Chat
from vt_env.errors import ConfigError, unknown_name
from vt_env.pictures import View

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


class VisionLanguageModel(ABC):
    """A model of one family or several: what is the same for all, and what each has to say.

    Attributes:
        families: The model types.
        pillow_processor: The name of their image processor where there is no torchvision.
        model: The stock model of transformers.
        tokenizer: Its tokenizer, with a chat template.
        image_processor: Its image processor.
        chat: Renders conversations.
        stop_ids: Tokens that end a turn.
        image_id: The token that stands for a visual token.
        forbidden: Tokens that the model may not say: they stand for pictures, or for nothing.
    """

    families: ClassVar[Sequence[str]]
    pillow_processor: ClassVar[str]

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any) -> None:
        if model.config.model_type not in self.families:
            raise unknown_name("model type", model.config.model_type, self.families)
        if not tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template; this needs a chat model")
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.image_id: int = model.config.image_token_id
        self.chat = Chat(tokenizer, self.image_id, self._around())
        self.stop_ids = _stop_ids(model, tokenizer)
        size: int = model.config.get_text_config().vocab_size
        self.forbidden = sorted({*self._marks(), *range(len(tokenizer), size)})
        penalty = torch.zeros(size)
        penalty[self.forbidden] = _FORBIDDEN
        self._penalty = penalty

    @cached_property
    def recurrent(self) -> bool:
        """Whether layers carry a state from token to token, as linear attention does.

        Padding between two turns would change the state, so every turn is read from the beginning.
        """
        kinds = getattr(self.model.config.get_text_config(), "layer_types", None) or ()
        return "linear_attention" in kinds

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def _around(self) -> Sequence[int]:
        """The tokens before and after a picture that the chat template does not put there."""
        return ()

    def _marks(self) -> list[int]:
        """Tokens that stand for pictures or for nothing."""
        config = self.model.config
        kinds = ("vision_start", "vision_end", "image_start", "image_end")
        kinds = ("image", "video", *kinds, "video_start", "video_end")
        ids = [getattr(config, f"{kind}_token_id", None) for kind in kinds]
        ids.append(self.tokenizer.get_vocab().get("<|vision_pad|>"))
        ids += [self.tokenizer.pad_token_id, self.tokenizer.unk_token_id, *self._around()]
        return [token for token in ids if token not in (None, self.tokenizer.eos_token_id)]

    @abstractmethod
    def count(self, view: View) -> int:
        """Visual tokens of a view."""

    @abstractmethod
    def positions(
        self, ids: Sequence[int], views: Sequence[View], start: int = 0
    ) -> tuple[NDArray[np.int64], int]:
        """Where the tokens of a stretch stand.

        Args:
            ids: The tokens; every picture is a run of :attr:`image_id`.
            views: The pictures in ``ids``, in order.
            start: Position of the first token.

        Returns:
            int64 [3, tokens], and the position of the token that follows.

        Raises:
            ValueError: If the image tokens are not those of the pictures.
        """

    @abstractmethod
    def _encoder(self) -> Iterable[torch.nn.Module]:
        """What sees."""

    @abstractmethod
    def _encoded(self, views: Sequence[View]) -> torch.Tensor:
        """Features of views, one after the other: [visual tokens of all views, width].

        Raises:
            ConfigError: If the image processor or the encoder does not make what was counted.
        """

    def features(self, views: Sequence[View]) -> Features:
        """Encode views, each once; gradients flow if the vision encoder is trained."""
        learns = any(p.requires_grad for part in self._encoder() for p in part.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            values = self._encoded(views)
        return Features(values, np.cumsum([0, *map(self.count, views)]).tolist())

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
            attention_mask=self._masks(mask, ids.shape[1]),
            use_cache=cache is not None,
            **{self._cache_name: cache},
            **deeper,
        ).last_hidden_state

    @cached_property
    def _cache_name(self) -> str:
        """What the language model calls its cache: transformers 5.24 renamed it."""
        known = inspect.signature(self.model.model.language_model.forward).parameters
        return "cache" if "cache" in known else "past_key_values"

    def _masks(self, mask: torch.Tensor | None, tokens: int) -> Any:
        """The mask as the language model takes it; a state is told which new tokens are none."""
        if mask is None or not self.recurrent:
            return mask
        return {"full_attention": mask, "linear_attention": mask[:, 0, -1, -tokens:]}

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


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    return frozenset({tokenizer.eos_token_id, *stops} - {None, tokenizer.pad_token_id})
