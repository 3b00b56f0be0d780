"""What a run would cost on a GPU with a model that is not on this machine: from its size and a sample of pictures."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from curate.core.errors import CurateError
from curate.costs.gpu_bound import BYTES_A_WEIGHT, H100, Gpu, cost, size_of
from curate.judges.checkpoints import is_here
from curate.judges.questions import questions_of
from curate.runs.plan import Plan
from curate.settings.dataset import DatasetSettings
from curate.settings.run import Settings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for

SHARDS, PICTURES = 8, 16
"""How many shards are looked into, and how many pictures of each."""
ROW_BYTES = 300.0
"""Of annotations with rationales: a rough figure, since compression decides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What a run would take.

    Attributes:
        gpu: the card.
        gpus: of them that hold the model together.
        rate: images a second of those `gpus`, under all policies.
        gpu_seconds: for one image, over all cards and policies.
        prompt_tokens, output_tokens: of a row, on average.
        pictures: how many were looked at.
        width, height: of the median picture.
        download: bytes of the weights.
    """

    gpu: Gpu
    gpus: int
    rate: float
    gpu_seconds: float
    prompt_tokens: float
    output_tokens: float
    pictures: int
    width: float
    height: float
    download: float


def computed(settings: Settings, plan: Plan) -> Computed | None:
    """The cost of the shipped model that `settings` name; None where it is here and can be measured, or is unknown."""
    size = size_of(settings.model)
    if size is None or settings.engine.name != "vllm" or is_here(settings.model):
        return None
    sides = list(_sides(plan, settings.dataset))
    if not sides:
        return None
    texts = [len(question.text) for question in questions_of(settings)]
    costs = [cost(settings.model, size, side, text, H100) for side in sides for text in texts]
    seconds = statistics.mean(c.seconds for c in costs) * len(texts)
    return Computed(
        gpu=H100,
        gpus=costs[0].gpus,
        rate=1 / seconds,
        gpu_seconds=seconds * costs[0].gpus,
        prompt_tokens=statistics.mean(c.prompt_tokens for c in costs),
        output_tokens=costs[0].output_tokens,
        pictures=len(sides),
        width=statistics.median(width for width, _ in sides),
        height=statistics.median(height for _, height in sides),
        download=size.whole * BYTES_A_WEIGHT,
    )


def _sides(plan: Plan, dataset: DatasetSettings) -> Iterator[tuple[int, int]]:
    """Width and height of some pictures, by their headers; of shards that are spread over the plan."""
    for shard in plan.shards[:: max(1, len(plan.shards) // SHARDS)][:SHARDS]:
        with suppress(CurateError, ShardBroken):
            for sample in islice(source_for(shard.format).samples(shard, dataset), PICTURES):
                with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                    yield Image.open(io.BytesIO(sample.image or b"")).size
