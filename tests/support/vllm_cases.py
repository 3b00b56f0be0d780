"""Tiny checkpoints, pictures and engines for the tests that need vLLM, and what transformers says of them."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from curate.console import output
from curate.core.types import Answer, Question, Rating
from curate.engines.base import Payload, Renderer
from curate.engines.vllm_engine import VllmEngine
from curate.judges.verdicts import RATING_SUFFIX
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

output.configure(verbose=False)

QUESTION = Question(
    policy="test",
    text="Assess the image against the safety policy below.\n" + "Should not: show contempt. Can: report on it.\n" * 20,
    categories=("O1: Hate, Humiliation, Harassment", 'O2: Violence, "Harm"', "NA: None applying"),
    violable=("O1: Hate, Humiliation, Harassment",),
    rationale="all",
    rationale_chars=60,
)
PLACEHOLDERS = {"llava_onevision": "<image>", "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>"}


def settings(path: Path, architecture: str, **others: Any) -> ModelSettings:
    fields = {"name": "tiny", "path": str(path), "architecture": architecture, "dtype": "float32", **others}
    return ModelSettings.model_validate(fields)


def engine_settings(**others: Any) -> EngineSettings:
    return EngineSettings.model_validate({"kv_cache_gib": 0.25, "timeout": 900.0, **others})


def pictures(count: int) -> list[Image.Image]:
    """Noise of different strength, size and shape."""
    return [
        Image.merge("RGB", [Image.effect_noise((60 + 37 * i, 200 - 11 * i), 20 + 30 * c + i) for c in range(3)])
        for i in range(count)
    ]


@dataclass(frozen=True)
class Running:
    """An engine that runs, and the loop it runs in."""

    engine: VllmEngine
    model: ModelSettings
    renderer: Renderer
    runner: asyncio.Runner

    def judge(self, payloads: Sequence[Payload], question: Question) -> list[Answer]:
        async def judge_all() -> list[Answer]:
            return await asyncio.gather(*(self.engine.judge(p, question) for p in payloads))

        return self.runner.run(judge_all())

    def ask(self, images: Sequence[Image.Image], question: Question = QUESTION) -> list[Answer]:
        return self.judge([self.renderer.render(image, "", question) for image in images], question)


@contextmanager
def running(model: ModelSettings, engine: EngineSettings) -> Iterator[Running]:
    built = VllmEngine(model, engine)
    with asyncio.Runner() as runner:
        try:
            runner.run(built.start())
            yield Running(engine=built, model=model, renderer=built.renderer_factory()(), runner=runner)
        finally:
            runner.run(built.close())


@dataclass(frozen=True)
class Reference:
    """What transformers finds at the rating."""

    tokens: int
    p_unsafe: float
    label_mass: float


def reference(model: Any, processor: Any, image: Image.Image, text: str) -> Reference:
    """One forward pass of `model` over the whole prompt."""
    inputs = processor(images=image, text=text, return_tensors="pt")
    probabilities = model(**inputs).logits[0, -1].softmax(-1)
    safe, unsafe = (float(probabilities[processor.tokenizer.convert_tokens_to_ids(r.value)]) for r in Rating)
    return Reference(
        tokens=inputs["input_ids"].shape[1], p_unsafe=unsafe / (safe + unsafe), label_mass=math.fsum((safe, unsafe))
    )


def reference_shares(
    model: Any, processor: Any, image: Image.Image, text: str, categories: Sequence[str]
) -> dict[str, float]:
    """P(category | Unsafe) by code, from a forward pass over each whole answer, masked as by a grammar."""
    answers = {c.partition(": ")[0]: f'{text}Unsafe{RATING_SUFFIX}{json.dumps(c)[1:-1]}"' for c in categories}
    found = {}
    for code, answer in answers.items():
        inputs = processor(images=image, text=answer, return_tensors="pt")
        found[code] = (inputs["input_ids"][0].tolist(), model(**inputs).logits[0])
    shares = {}
    for code, (tokens, logits) in found.items():
        share = 1.0
        for place in range(len(tokens)):
            allowed = {other[place] for other, _ in found.values() if other[:place] == tokens[:place]}
            if len(allowed) > 1:
                among = logits[place - 1, sorted(allowed)].softmax(-1)
                share *= float(among[sorted(allowed).index(tokens[place])])
        shares[code] = share
    return shares
