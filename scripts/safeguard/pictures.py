"""From a drawing to a small square picture; colours follow from its name alone, so that every build agrees."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from drawings.draw import draw
from PIL import Image, ImageColor, ImageOps, ImageStat

from safeguard.labels import Label

SIDE = 224
"""Pixels of a picture's sides."""

MARGIN = 0.06
"""Share of each side that stays free around the drawing."""

LIGHT = ("#ffffff", "#ffffff", "#f4f1ea", "#e8f0f7", "#eef5e6", "#fdf3d8", "#f7e9ee", "#e9e6f4", "#dfe5ea", "#cfe8ff")
MIDDLE = ("#9fc5d9", "#e0b890", "#a9c69a", "#c7a9c9", "#d8cf7a", "#b9b9b9", "#e39b8f", "#8fb8a8")
DARK = ("#22313f", "#2d2a32", "#1e3d2f", "#3b1f2b", "#12324a", "#000000", "#4a2c17", "#33333d")

INK = "#010203"
"""Stands for the ink of a silhouette until its colour is drawn; no drawing has this colour of its own."""

DARK_INKS = ("#000000", "#1a1a1a", "#22313f", "#5b1a1a", "#17406d", "#1f4d2b", "#4b2a63", "#6b4311")
LIGHT_INKS = ("#ffffff", "#f4d35e", "#cfe8ff", "#f7b7a3", "#c8e6c9", "#f4f1ea")


def pictures(labels: Iterable[Label], archives: Path) -> Iterator[tuple[Label, bytes]]:
    """JPEG of SIDE x SIDE pixels for each label, source by source."""
    wanted = {(label.source, label.id): label for label in labels}
    for drawing_id, rgba in draw(wanted, archives, SIDE, INK):
        label = wanted[drawing_id]
        rng = random.Random(hashlib.sha256(f"colours\n{label.source}\n{label.id}".encode()).digest())
        yield label, _jpeg(compose(rgba, rng))


def compose(rgba: Image.Image, rng: random.Random) -> Image.Image:
    """The drawing in the middle of a plain ground on which it is seen; RGB of SIDE x SIDE pixels."""
    room = round(SIDE * (1 - 2 * MARGIN))
    fitted = ImageOps.contain(rgba, (room, room), method=Image.Resampling.LANCZOS)
    if _is_silhouette(rgba):
        grounds, inks = rng.choice(((LIGHT, DARK_INKS), (LIGHT, DARK_INKS), (MIDDLE, DARK_INKS), (DARK, LIGHT_INKS)))
        ink = Image.new("RGB", fitted.size, ImageColor.getrgb(rng.choice(inks)))
        return _on(Image.new("RGB", (SIDE, SIDE), rng.choice(grounds)), ink, fitted.getchannel("A"))
    ground = Image.new("RGB", (SIDE, SIDE), rng.choice(_grounds(fitted)))
    return _on(ground, fitted.convert("RGB"), fitted.getchannel("A"))


def _is_silhouette(rgba: Image.Image) -> bool:
    """Whether all that is opaque has the one colour that stands for ink."""
    opaque = rgba.getchannel("A").point(lambda alpha: 255 if alpha == 255 else 0)
    if opaque.getbbox() is None:
        return False
    extrema = ImageStat.Stat(rgba.convert("RGB"), mask=opaque).extrema
    return tuple(extrema) == tuple((band, band) for band in ImageColor.getrgb(INK))


def _grounds(fitted: Image.Image) -> tuple[str, ...]:
    """Dark grounds for drawings that are light, light ones for others."""
    brightness = ImageStat.Stat(fitted.convert("L"), mask=fitted.getchannel("A")).mean[0]
    return (*MIDDLE, *DARK) if brightness > 195 else (*LIGHT, *MIDDLE) if brightness > 90 else LIGHT


def _on(ground: Image.Image, drawn: Image.Image, mask: Image.Image) -> Image.Image:
    ground.paste(drawn, ((SIDE - drawn.width) // 2, (SIDE - drawn.height) // 2), mask)
    return ground


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=90, subsampling=0)
    return file.getvalue()
