"""A picture in a terminal: two pixels a character, one above the other, in the colours of its letter and its ground."""

from __future__ import annotations

from PIL.Image import Image, Resampling
from rich.color import Color
from rich.style import Style
from rich.text import Text

UPPER_HALF = "\u2580"


def half_blocks(image: Image, columns: int, rows: int) -> list[Text]:
    """The whole of a picture in the upper left corner of a box of characters; as many lines as it takes.

    Args:
        image: RGB.
        columns: of the box.
        rows: of the box.
    """
    scale = min(columns / image.width, 2 * rows / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize((min(width, columns), min(height, 2 * rows)), Resampling.BOX)
    return [_row(small, top, columns) for top in range(0, small.height, 2)]


def _row(image: Image, top: int, columns: int) -> Text:
    line = Text()
    for x in range(image.width):
        below = _colour(image, x, top + 1) if top + 1 < image.height else None
        line.append(UPPER_HALF, Style(color=_colour(image, x, top), bgcolor=below))
    return line.append(" " * (columns - len(line)))


def _colour(image: Image, x: int, y: int) -> Color:
    red, green, blue = image.getpixel((x, y))  # type: ignore[misc]
    return Color.from_rgb(red, green, blue)
