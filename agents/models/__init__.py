"""Vision-language models of ``transformers`` as policies: prompts, generation and training.

    Conversation ──chat──▶ tokens ──generation──▶ Reply ──▶ Episode ──batch──▶ tensors ──▶ scores

:mod:`agents.models.vlm` is the model with its tokenizer and image processor; the other modules use
it and know nothing of its family. Trainers need :func:`collate` and :func:`score`.
"""

from vt_env.errors import MissingExtra

try:
    from agents.models.batch import Scores, TokenBatch, collate, score
    from agents.models.loading import load_vlm
    from agents.models.vlm import VisionLanguageModel
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers"):
        raise
    raise MissingExtra(error.name, "train", "A model as an agent") from error

__all__ = ["Scores", "TokenBatch", "VisionLanguageModel", "collate", "load_vlm", "score"]
