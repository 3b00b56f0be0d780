"""The loop that the safeguards' model cards show: transformers' `generate`, one picture or a few at a time.

Greedy and with the beginning of the answer given, as curate asks; transformers knows no grammar, so that an answer is
what the model writes, up to the number of tokens that curate allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from curate.judges.checkpoints import resolve_model_path
from curate.judges.verdicts import ANSWER_PREFIX, max_answer_tokens
from curate.settings.run import Settings
from tests.benchmarks.generating import judged, prompt_of
from tests.benchmarks.judging import Judged, question


@dataclass(frozen=True)
class Loop:
    """Picture files, and how many at a time."""

    paths: tuple[Path, ...]
    batch: int


class ModelCard:
    """Handler for `resident`: verdicts by the files' stems."""

    def __init__(self, settings: Settings) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        path = str(resolve_model_path(settings.model))
        self._processor = AutoProcessor.from_pretrained(path)
        self._processor.tokenizer.padding_side = "left"
        self._model = AutoModelForImageTextToText.from_pretrained(path, dtype=settings.model.dtype).eval()
        self._question = question(settings)
        self._text = prompt_of(settings, self._question)
        self._inference = torch.inference_mode

    def __call__(self, loop: Loop) -> dict[str, Judged]:
        answers: dict[str, Judged] = {}
        for start in range(0, len(loop.paths), loop.batch):
            batch = loop.paths[start : start + loop.batch]
            texts = self._answers([Image.open(path).convert("RGB") for path in batch])
            for path, text in zip(batch, texts, strict=True):
                answers[path.stem] = judged(f"{ANSWER_PREFIX}{text}", self._question)
        return answers

    def _answers(self, images: Sequence[Image.Image]) -> list[str]:
        texts = [self._text] * len(images)
        inputs: Any = self._processor(images=list(images), text=texts, return_tensors="pt", padding=True)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        with self._inference():
            tokens = self._model.generate(**inputs, max_new_tokens=max_answer_tokens(self._question), do_sample=False)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return list(self._processor.batch_decode(new, skip_special_tokens=True))
