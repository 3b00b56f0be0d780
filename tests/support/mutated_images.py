"""Pictures of every format, mode and size from a seed: whole, damaged, bombs, and files that are two things at once."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from functools import cache

from PIL import Image

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
}
SIZES = ((1, 1), (1, 9), (9, 1), (2, 2), (24, 24), (64, 40), (2000, 1))
SHAPES = 7


def image(seed: int) -> bytes:
    """One file; every seventh of the seeds is of each shape."""
    chance = random.Random(seed)
    whole = _whole(*chance.choice(_KINDS))
    match seed % SHAPES:
        case 0:
            return whole
        case 1:
            return whole[: chance.randrange(len(whole))]
        case 2:
            return whole + chance.randbytes(chance.randint(1, 3000))
        case 3:
            return _polyglot(chance, whole)
        case 4:
            return _bomb(chance)
        case _:
            return damaged(chance, whole)


def damaged(chance: random.Random, data: bytes) -> bytes:
    """A few bytes changed, mostly where headers and indexes are, or lost, or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        reach = chance.choice((40, 400, len(changed)))
        place = chance.choice((0, max(0, len(changed) - reach))) + chance.randrange(reach)
        place = min(place, len(changed) - 1)
        changed[place : place + chance.choice((1, 1, 1, 0, 9))] = chance.choice(
            (b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", chance.randbytes(chance.randint(1, 8)))
        )
    return bytes(changed)


_KINDS = [(kind, mode, size) for kind, modes in MODES.items() for mode in modes for size in SIZES]


@cache
def _whole(kind: str, mode: str, size: tuple[int, int]) -> bytes:
    pixels = random.Random(f"{kind}{mode}{size}").randbytes(size[0] * size[1] * 3)
    picture = Image.frombytes("RGB", size, pixels)
    picture = picture.convert("L").convert("I;16") if mode == "I;16" else _converted(picture, mode)
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.merge("LAB", picture.split())
    return picture.convert("L").convert(mode) if mode in ("I", "F", "LA") else picture.convert(mode)


def _polyglot(chance: random.Random, picture: bytes) -> bytes:
    """A picture that is an archive, a page or another picture too."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.html", b"<script>alert(1)</script>")
    other = _whole(*chance.choice(_KINDS))
    return chance.choice((
        picture + archive.getvalue(), picture + b"<html><body>hello</body></html>", b"%PDF-1.7\n" + picture,
        picture + other, picture[: len(picture) // 2] + other, other[:12] + picture,
    ))  # fmt: skip


def _bomb(chance: random.Random) -> bytes:
    """A few bytes that declare, or decompress to, very many pixels."""
    side = chance.choice((20_000, 65_000, 2**31 - 1))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(chance.choice((10, 10_000_000))))
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02"
    bmp = bytearray(_whole("BMP", "RGB", (24, 24)))
    bmp[18:26] = struct.pack("<ii", min(side, 60_000), -60_000)
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))
    small = _whole("PNG", "RGB", (2, 2))
    return chance.choice((png, gif, bytes(bmp), small[:33] + text + small[33:]))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
