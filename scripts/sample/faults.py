"""The odd members that every crawl has: broken files, and pictures that careless decoders get wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from sample.render import encode

HUGE = (20_000, 20_000)
"""Pixels of the absurdly large picture: 400 megapixels in some 50 kB."""

_NOT_FOUND = (
    b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>The picture is gone.</body></html>\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How an odd member is made.

    Attributes:
        extension: of the member, which need not tell the truth.
        make: from the composed picture (RGB) and the bare drawing (RGBA) to bytes; None for no image at all.
        exif: what img2dataset would note of the EXIF block.
    """

    extension: str
    make: Callable[[Image.Image, Image.Image], bytes | None]
    exif: str = "{}"


def _truncated(picture: Image.Image, drawn: Image.Image) -> bytes:
    whole = encode(picture, "jpg")
    return whole[: len(whole) * 6 // 10]


def _huge(picture: Image.Image, drawn: Image.Image) -> bytes:
    return encode(Image.new("1", HUGE, 1), "png")


def _animated(picture: Image.Image, drawn: Image.Image) -> bytes:
    frames = [f.quantize(64) for f in (picture, ImageOps.mirror(picture), ImageOps.flip(picture))]
    file = io.BytesIO()
    frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], duration=400, loop=0)
    return file.getvalue()


def _cmyk(picture: Image.Image, drawn: Image.Image) -> bytes:
    return encode(picture.convert("CMYK"), "jpg")


def _sixteen_bit(picture: Image.Image, drawn: Image.Image) -> bytes:
    grey = picture.convert("L").convert("I").point(lambda value: value * 257)
    return encode(grey.convert("I;16"), "png")


def _rotated(picture: Image.Image, drawn: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encode(picture.transpose(Image.Transpose.ROTATE_90), "jpg", exif=exif.tobytes())


def _transparent(picture: Image.Image, drawn: Image.Image) -> bytes:
    return encode(ImageOps.contain(drawn, picture.size, method=Image.Resampling.LANCZOS), "png")


FAULTS = {
    "truncated_jpeg": Fault(extension="jpg", make=_truncated),
    "zero_bytes": Fault(extension="jpg", make=lambda picture, drawn: b""),
    "text_named_jpg": Fault(extension="jpg", make=lambda picture, drawn: _NOT_FOUND),
    "huge_png": Fault(extension="png", make=_huge),
    "animated_gif": Fault(extension="gif", make=_animated),
    "cmyk_jpeg": Fault(extension="jpg", make=_cmyk),
    "png_16_bit": Fault(extension="png", make=_sixteen_bit),
    "exif_rotated": Fault(extension="jpg", make=_rotated, exif='{"Image Orientation": "Rotated 90 CW"}'),
    "png_transparent": Fault(extension="png", make=_transparent),
    "no_image": Fault(extension="", make=lambda picture, drawn: None),
    "duplicate": Fault(extension="jpg", make=lambda picture, drawn: encode(picture, "jpg")),
}
"""A "duplicate" row repeats another row's drawing, size and background, and so its bytes."""
