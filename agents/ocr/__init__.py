"""An agent without a language model: it reads words, and asks when it reads badly."""

from agents.ocr.agent import OcrAgent, OcrAnswerer, answer
from agents.ocr.reader import Reader, Word

__all__ = ["OcrAgent", "OcrAnswerer", "Reader", "Word", "answer"]
