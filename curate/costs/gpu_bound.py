"""Images a second that a GPU could judge: floating-point operations and bytes, each at a share of the card's peak.

A bound, not a measurement: scheduling, the event loop and the image processors are left out, and so is start-up.
Tokens of the prompt cost two operations for each weight, and attention to those before them; each token of the answer
reads the weights once for a whole batch, and its own KV cache. A policy that stands first is computed once for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from curate.core.package_files import packaged
from curate.costs.picture_tokens import PICTURES, PictureTokens
from curate.settings.model import ModelSettings

PEAK_SHARE = 0.45
"""Of the peak of operations and of memory bandwidth that is taken to be reached."""
BYTES_A_WEIGHT = 2
CHARACTERS_A_TOKEN = 3.8
"""Of a policy's text: LlavaGuard's has 5,407 characters and some 1,420 tokens."""
ANSWER_TOKENS = {"all": 130.0, "unsafe": 40.0, "none": 30.0}
"""By `model.rationale`; "unsafe" takes one picture in ten to be so."""
KEPT_FREE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A card by its data sheet: dense bfloat16 operations a second, bytes a second, bytes."""

    name: str
    flops: float
    bandwidth: float
    memory: float


H100 = Gpu(name="H100 (SXM, 80 GB)", flops=989e12, bandwidth=3.35e12, memory=80e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """See data/model_sizes.yaml."""

    pictures: str
    linear: float
    whole: float
    layers: int
    width: int
    kv_heads: int
    head: int
    tower: float
    merged: int = 1

    @property
    def kv_bytes(self) -> float:
        """Bytes of KV cache that a token takes."""
        return 2 * self.layers * self.kv_heads * self.head * BYTES_A_WEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one picture takes under one policy.

    Attributes:
        seconds: of `gpus` cards.
        gpus: that hold the weights together.
        prompt_tokens, output_tokens: of a picture.
    """

    seconds: float
    gpus: int
    prompt_tokens: float
    output_tokens: float

    @property
    def rate(self) -> float:
        """Images a second of all `gpus` together."""
        return 1 / self.seconds

    @property
    def gpu_hours_a_million(self) -> float:
        """GPU-hours for a million pictures."""
        return 1e6 * self.seconds * self.gpus / 3600


def size_of(model: ModelSettings) -> ModelSize | None:
    """The size of a shipped model; None of any other."""
    return _sizes().get(model.path)


def cost(
    model: ModelSettings, size: ModelSize, picture: tuple[int, int], policy_characters: int, gpu: Gpu = H100
) -> Cost:
    """What judging a picture takes.

    Args:
        model: for the layout, the pixel budget and the rationale mode.
        size: of the model.
        picture: width and height in pixels.
        policy_characters: of the policy's text.
        gpu: the card; as many of it as hold the weights.
    """
    tokens = PICTURES[size.pictures](*picture, model.max_pixels)
    policy, answer = policy_characters / CHARACTERS_A_TOKEN, ANSWER_TOKENS[model.rationale]
    gpus = _gpus(size, gpu)
    seconds = _prompt_seconds(size, tokens, policy, gpu, shared=model.layout == "policy_first")
    seconds += _answer_seconds(size, policy + tokens.read, answer, gpu, gpus)
    return Cost(seconds=seconds / gpus, gpus=gpus, prompt_tokens=policy + tokens.read, output_tokens=answer)


def _prompt_seconds(size: ModelSize, tokens: PictureTokens, policy: float, gpu: Gpu, *, shared: bool) -> float:
    whole = policy + tokens.read
    computed = tokens.read if shared else whole
    pairs = (whole**2 - (policy**2 if shared else 0)) / 2
    flops = 2 * size.linear * computed + 4 * size.layers * size.width * pairs
    tower = 2 * size.tower * tokens.seen * size.merged
    return (flops + tower) / (PEAK_SHARE * gpu.flops)


def _answer_seconds(size: ModelSize, prompt: float, answer: float, gpu: Gpu, gpus: int) -> float:
    kv = size.kv_bytes * prompt
    room = gpus * gpu.memory * (1 - KEPT_FREE) - size.whole * BYTES_A_WEIGHT
    batch = max(1.0, min(256.0, room / kv))
    read = kv + size.whole * BYTES_A_WEIGHT / batch
    return answer * (2 * size.whole / (PEAK_SHARE * gpu.flops) + read / (PEAK_SHARE * gpu.bandwidth))


def _gpus(size: ModelSize, gpu: Gpu) -> int:
    """Cards, a power of two, on which the weights leave a fifth of the memory to the KV cache."""
    needed, gpus = size.whole * BYTES_A_WEIGHT, 1
    while needed > 0.8 * gpus * gpu.memory * (1 - KEPT_FREE):
        gpus *= 2
    return gpus


@cache
def _sizes() -> dict[str, ModelSize]:
    with open(packaged("data/model_sizes.yaml"), encoding="utf-8") as file:  # noqa: PTH123 - a path as text
        return {name: ModelSize(**fields) for name, fields in yaml.safe_load(file).items()}
