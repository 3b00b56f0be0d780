"""Pictures as generative pipelines hand them on: PIL images, or arrays and tensors of several; seen, and blanked.

What is judged are the pixels that are shown: numbers become pixels here as they do in `diffusers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from curate.core.errors import InputError

_BEYOND = 0.05
"""As far as rounding may go. What comes straight from a VAE (`low` of -1) may go further: it is cut off there."""

Pictures = Any
"""A list of PIL images, an array [B, H, W, C], or a tensor [B, C, H, W]; numbers from 0 to 1 unless said otherwise."""


def pictures_of(images: Pictures, *, low: float = 0.0) -> list[Image.Image]:
    """Each picture as a PIL image; numbers go from `low` to 1, and what lies beyond is cut off.

    Raises:
        InputError: these are no pictures, or hold values that are no numbers.
    """
    if isinstance(images, (list, tuple)) and images and all(isinstance(one, Image.Image) for one in images):
        return list(images)
    said = _said(images)
    if _is_tensor(images) and images.ndim == 4:
        images = images.detach().cpu().float().movedim(1, -1).numpy()
    # Four channels are what latents have, and those are no picture.
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise InputError(f"guard: judges PIL images, arrays [B, H, W, C] and tensors [B, C, H, W], not {said}")
    whole = images if images.dtype == np.uint8 else _whole(images, low)
    return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in whole]


def _whole(images: np.ndarray, low: float) -> np.ndarray:
    if not np.isfinite(images).all():
        raise InputError("guard: a picture holds values that are no numbers")
    beyond = images.size and (images.min() < low - _BEYOND or images.max() > 1 + _BEYOND)
    if beyond and low == 0.0:
        raise InputError("guard: numbers lie far outside of 0 to 1, so that nobody knows what they will look like")
    whole: np.ndarray = (((images - low) / (1 - low)).clip(0, 1) * 255).round().astype(np.uint8)
    return whole


def blanked(images: Pictures, blocked: Sequence[bool], *, value: float = 0.0) -> Pictures:
    """`images` with those that are blocked black; arrays and tensors are copied, and get `value` there."""
    if isinstance(images, (list, tuple)):
        return [Image.new(one.mode, one.size) if no else one for one, no in zip(images, blocked, strict=True)]
    kept = images.clone() if _is_tensor(images) else images.copy()
    for index, no in enumerate(blocked):
        if no:
            kept[index] = value
    return kept


def put(images: Pictures, index: int, other: Pictures, at: int) -> Pictures:
    """`images` with the picture `at` of `other` in place of the one at `index`."""
    if isinstance(images, (list, tuple)):
        return [other[at] if n == index else one for n, one in enumerate(images)]
    kept = images.clone() if _is_tensor(images) else images.copy()
    kept[index] = other[at]
    return kept


def _is_tensor(images: object) -> bool:
    return hasattr(images, "movedim") and hasattr(images, "detach")


def _said(images: object) -> str:
    shape = getattr(images, "shape", None)
    return f"{type(images).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"
