"""Variations of training pictures: mirrored, turned, scaled, moved, recoloured; the same draw gives the same."""

from __future__ import annotations

import torch
from PIL.Image import Image
from torchvision.transforms import v2

DEGREES = 15
SHIFT = 0.1
SCALE = (0.8, 1.25)
COLOUR = 0.3
HUE = 0.1


def varied(image: Image, seed: int) -> Image:
    """`image` as the draw `seed` varies it, in its own size; what comes into view has the colour of the corner."""
    corner = image.getpixel((0, 0))
    vary = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                DEGREES, translate=(SHIFT, SHIFT), scale=SCALE, interpolation=v2.InterpolationMode.BILINEAR, fill=corner
            ),
            v2.ColorJitter(brightness=COLOUR, contrast=COLOUR, saturation=COLOUR, hue=HUE),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed: Image = vary(image)
    return changed
