"""From a drawing to an encoded picture, with every parameter fixed so that equal versions give equal bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from drawings.raster import ICON_FILE, cut_to_drawing, icon_svg, member_of, raster
from PIL import Image, ImageColor, ImageOps

from sample.manifest import Row

RENDER_WIDTH = 2000
"""Drawings are rastered this wide and scaled down, since many fill a small part of their page only."""

MARGIN = 0.06
"""Share of each side that stays free around the drawing."""

_ENCODE: Mapping[str, dict[str, object]] = {
    "jpg": {"format": "JPEG", "quality": 88, "subsampling": 2, "optimize": False, "progressive": False},
    "png": {"format": "PNG", "compress_level": 9},
    "webp": {"format": "WEBP", "quality": 85, "method": 4, "lossless": False},
}


def drawing(row: Row, member: bytes) -> Image.Image:
    """The drawing on a transparent ground (RGBA), cut to what is drawn."""
    if row.ref.endswith(".webp"):
        return cut_to_drawing(Image.open(io.BytesIO(member)).convert("RGBA"))
    if member_of(row.source, row.ref) == ICON_FILE:
        return cut_to_drawing(raster(icon_svg(json.loads(member), row.ref, row.ink), RENDER_WIDTH))
    return cut_to_drawing(raster(member.decode("utf-8"), RENDER_WIDTH))


def compose(row: Row, drawn: Image.Image) -> Image.Image:
    """The drawing in the middle of its background; RGB of `row.width` x `row.height` pixels."""
    room = (round(row.width * (1 - 2 * MARGIN)), round(row.height * (1 - 2 * MARGIN)))
    fitted = ImageOps.contain(drawn, room, method=Image.Resampling.LANCZOS)
    picture = background(row.background, (row.width, row.height))
    picture.paste(fitted, ((row.width - fitted.width) // 2, (row.height - fitted.height) // 2), fitted)
    return picture


def background(colours: str, size: tuple[int, int]) -> Image.Image:
    """One colour, or a gradient of two from top to bottom."""
    top, _, bottom = colours.partition("-")
    if not bottom:
        return Image.new("RGB", size, ImageColor.getrgb(top))
    return ImageOps.colorize(Image.linear_gradient("L").resize(size), black=top, white=bottom)


def encode(picture: Image.Image, extension: str, **more: object) -> bytes:
    """Bytes of `picture` as "jpg", "png" or "webp"; `more` goes to Pillow's encoder."""
    file = io.BytesIO()
    picture.save(file, **{**_ENCODE[extension], **more})
    return file.getvalue()
