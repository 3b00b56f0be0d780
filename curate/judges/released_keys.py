"""Names of weights in the released checkpoints, which transformers 5 itself no longer writes and vLLM expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")

_LLAVA = (
    ("model.language_model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
    ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.", ""),
)

RELEASED_KEYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "llava": _LLAVA,
    "llava_next": _LLAVA,
    "llava_onevision": _LLAVA,
    "qwen2_5_vl": (("model.visual.", "visual."), ("model.language_model.", "model."), ("lm_head.", "lm_head.")),
}
"""By architecture, prefixes in memory (transformers 5) to those in files; the first that fits wins."""


def released(weights: Mapping[str, T], architecture: str) -> Iterator[tuple[str, T]]:
    """`weights` of a model in memory under the names of the released checkpoints."""
    for name, weight in weights.items():
        old, new = next(pair for pair in RELEASED_KEYS[architecture] if name.startswith(pair[0]))
        yield new + name.removeprefix(old), weight
