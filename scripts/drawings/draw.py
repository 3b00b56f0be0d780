"""Drawings by source and reference, rastered no larger than needed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from PIL import Image

from drawings.archives import read_members
from drawings.raster import ICON_FILE, cut_to_drawing, icon_svg, member_of, raster

DrawingId = tuple[str, str]
"""Source and reference."""

MAX_WIDTH = 4000
"""No page is rastered wider, however small a part of it the drawing fills."""


def draw(
    ids: Iterable[DrawingId], archives: Path, side: int, ink: str = "#000000"
) -> Iterator[tuple[DrawingId, Image.Image]]:
    """Each drawing as RGBA cut to what is drawn, its longer side at least `side` pixels where the source has them.

    Args:
        ids: the drawings; they come back sorted by source.
        archives: folder of fetched archives.
        side: pixels.
        ink: colour of silhouettes.

    Raises:
        ValueError: a drawing cannot be rastered, or shows nothing.
    """
    for source, group in groupby(sorted(set(ids)), key=lambda drawing: drawing[0]):
        refs = [ref for _, ref in group]
        members = read_members(archives, source, {member_of(source, ref) for ref in refs})
        collection = json.loads(members[ICON_FILE]) if ICON_FILE in members else {}
        for ref in refs:
            if ref.endswith(".webp"):
                rgba = cut_to_drawing(Image.open(io.BytesIO(members[ref])).convert("RGBA"))
            else:
                svg = icon_svg(collection, ref, ink) if collection else members[ref].decode("utf-8")
                rgba = _of_side(svg, side, ref)
            yield (source, ref), rgba


def _of_side(svg: str, side: int, ref: str) -> Image.Image:
    """Rastered once more, larger, where the drawing fills a small part of its page only."""
    page = raster(svg, side)
    box = page.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"{ref}: shows nothing")
    longer = max(box[2] - box[0], box[3] - box[1])
    if longer >= side:
        return page.crop(box)
    return cut_to_drawing(raster(svg, min(MAX_WIDTH, -(-side * side // longer))))
