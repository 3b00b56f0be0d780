"""A picture as it is at hand in Python -> the encoded bytes that are judged: without loss, upright."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps

from curate.core.errors import InputError

Picture = Image.Image | bytes | str | Path
"""A picture as a program has it: decoded, encoded, or the path of a file."""

_NO_PNG = ("CMYK", "YCbCr", "HSV", "LAB")


def encoded(picture: Picture) -> bytes:
    """Its bytes; those of a file as they are, a decoded picture as PNG.

    Raises:
        InputError: a file cannot be read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, Image.Image):
        upright = ImageOps.exif_transpose(picture)
        out = io.BytesIO()
        (upright.convert("RGB") if upright.mode in _NO_PNG else upright).save(out, "PNG", compress_level=1)
        return out.getvalue()
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise InputError(f"{picture}: cannot be read ({error.strerror})") from error
