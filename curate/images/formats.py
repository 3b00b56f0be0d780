"""Formats of pictures: told by the first bytes, and who decodes each.

Pillow decodes most itself. HEIC and JPEG XL take packages of their own, which the extra `images` installs; without
them such a picture is of an unsupported format, by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import ImageFile

from curate.images import jxl_header


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """A format that may be decoded.

    Attributes:
        suffix: of its files.
        name: as people call it.
        module, plugin: where Pillow's plugin for it is.
        package: what has to be installed for it; "" for nothing.
    """

    suffix: str
    name: str
    module: str
    plugin: str
    package: str = ""

    def load(self) -> type[ImageFile.ImageFile]:
        """The plugin.

        Raises:
            ModuleNotFoundError: its package is not installed.
        """
        found: type[ImageFile.ImageFile] = getattr(importlib.import_module(self.module), self.plugin)
        return found


def _own(suffix: str, name: str, stem: str) -> PictureFormat:
    return PictureFormat(suffix=suffix, name=name, module=f"PIL.{stem}ImagePlugin", plugin=f"{stem}ImageFile")


_FORMATS = (
    _own("jpg", "JPEG", "Jpeg"),
    _own("png", "PNG", "Png"),
    _own("webp", "WebP", "WebP"),
    _own("gif", "GIF", "Gif"),
    _own("bmp", "BMP", "Bmp"),
    _own("tif", "TIFF", "Tiff"),
    _own("avif", "AVIF", "Avif"),
    PictureFormat(
        suffix="heic",
        name="HEIC",
        module="pillow_heif.as_plugin",
        plugin="HeifImageFile",
        package="pillow-heif",
    ),
    PictureFormat(
        suffix="jxl",
        name="JPEG XL",
        module="pillow_jxl.JpegXLImagePlugin",
        plugin="JXLImageFile",
        package="pillow-jxl-plugin",
    ),
)
FORMATS: Mapping[str, PictureFormat] = {one.suffix: one for one in _FORMATS}
"""By suffix."""

BEGINNING = 32
"""Bytes of a file that tell whether it is a picture."""

_MAGIC = {
    "jpg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "jxl": (jxl_header.BARE, jxl_header.CONTAINER),
}

_OTHERS = {b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"8BPS": "Photoshop"}
"""Formats that people look at and that are not decoded."""

_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_EITHER = frozenset({b"mif1", b"msf1", b"miaf"})
"""Brands in a file's first box."""

_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes of the header behind "BM", two letters that any text may start with."""


def sniff_format(image: bytes) -> str | None:
    """File extension, a key of `FORMATS`, by magic bytes; None if it is none of them."""
    for extension, magics in _MAGIC.items():
        if image.startswith(magics):
            return extension
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    if image[:2] == b"BM" and int.from_bytes(image[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return _sniff_brand(image)


def _sniff_brand(image: bytes) -> str | None:
    if image[4:8] != b"ftyp":
        return None
    major = image[8:12]
    if major in _EITHER:
        others = image[16 : min(64, int.from_bytes(image[:4]))]
        brands = {others[n : n + 4] for n in range(0, len(others), 4)}
        return "avif" if brands & _AVIF else "heic"
    return "avif" if major in _AVIF else "heic" if major in _HEIC else None


def looks_like_a_picture(data: bytes) -> bool:
    """Whether bytes are a picture by their beginning, of a format that is decoded or of another that people look at."""
    return sniff_format(data) is not None or data.startswith(tuple(_OTHERS))


def name_of(image: bytes) -> str | None:
    """What the format of bytes is called, decoded or not; None for no picture."""
    suffix = sniff_format(image)
    if suffix is not None:
        return FORMATS[suffix].name
    return next((name for magic, name in _OTHERS.items() if image.startswith(magic)), None)
