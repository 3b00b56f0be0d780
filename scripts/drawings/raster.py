"""From what an archive holds to a drawing on a transparent ground."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import resvg_py
from PIL import Image

ICON_FILE = "icons.json"
"""The member of an Iconify package that holds all its drawings; such a drawing is known by its name in there."""


def member_of(source: str, ref: str) -> str:
    """The archive member that holds the drawing `ref`: a path of its own, or a name in the package's collection."""
    return ref if source in {"openclipart", "openmoji", "fluent-emoji-3d"} else ICON_FILE


def icon_svg(collection: Mapping[str, Any], name: str, ink: str) -> str:
    """SVG of one drawing of an Iconify collection; `ink` colours a silhouette, others have their own."""
    icon = collection["icons"][name]
    size = [icon.get(side) or collection.get(side) or 16 for side in ("width", "height")]
    corner = [icon.get(side) or collection.get(side) or 0 for side in ("left", "top")]
    box = " ".join(str(number) for number in (*corner, *size))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" color="{ink}">{icon["body"]}</svg>'


def raster(svg: str, width: int) -> Image.Image:
    """RGBA, `width` pixels wide.

    Raises:
        ValueError: the SVG cannot be parsed.
    """
    # System fonts would make the result depend on the machine; drawings with text were not chosen.
    png = resvg_py.svg_to_bytes(svg_string=svg, width=width, dpi=96, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def cut_to_drawing(rgba: Image.Image) -> Image.Image:
    """Without the empty margin around what is drawn."""
    return rgba.crop(rgba.getchannel("A").getbbox())
