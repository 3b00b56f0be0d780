"""Formats beyond Pillow's oldest: told by their bytes, decoded where a package is there, and named where it is not."""

from __future__ import annotations

import io
import random
import sys

import pytest
from PIL import Image

from curate.core.types import Status
from curate.images.decoding import ImageRefused, decode
from curate.images.formats import FORMATS, looks_like_a_picture, name_of, sniff_format
from curate.images.jxl_header import read_header

pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `images` is not installed")
pytest.importorskip("pillow_jxl", reason="the extra `images` is not installed")
pillow_heif.register_heif_opener()

LIMITS = {"max_bytes": 2**26, "max_pixels": 10**7}
NAMES = {"avif": "AVIF", "heic": "HEIF", "jxl": "JXL"}


def encoded(kind: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    out = io.BytesIO()
    noise = Image.frombytes("RGB", (8, 6), random.Random(1).randbytes(144))
    noise.resize(size, Image.Resampling.NEAREST).save(out, NAMES[kind], **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", NAMES)
def test_they_are_told_and_decoded(kind):
    data = encoded(kind)
    assert sniff_format(data) == kind
    assert looks_like_a_picture(data[:32])
    assert name_of(data) == FORMATS[kind].name
    decoded = decode(data, **LIMITS)
    assert (decoded.image.size, decoded.image.mode, decoded.frame_count) == ((64, 48), "RGB", 1)


@pytest.mark.parametrize("kind", NAMES)
def test_too_many_pixels_are_refused(kind):
    with pytest.raises(ImageRefused) as refused:
        decode(encoded(kind), max_bytes=2**26, max_pixels=64 * 48 - 1)
    assert refused.value.failure.status is Status.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_what_is_cut_off_is_no_picture(kind, share):
    data = encoded(kind)
    with pytest.raises(ImageRefused) as refused:
        decode(data[: int(len(data) * share)], **LIMITS)
    assert refused.value.failure.status in (Status.UNDECODABLE, Status.UNSUPPORTED_FORMAT)


@pytest.mark.parametrize(("kind", "size"), [("avif", (48, 64)), ("heic", (48, 64)), ("jxl", (64, 48))])
def test_they_stand_upright(kind, size):
    """In a JPEG XL the code stream says how it stands, whatever EXIF says."""
    exif = Image.Exif()
    exif[0x112] = 6
    assert decode(encoded(kind, exif=exif.tobytes()), **LIMITS).image.size == size


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_their_frames_are_counted_and_judged(kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue", "white")]
    out = io.BytesIO()
    frames[0].save(out, NAMES[kind], save_all=True, append_images=frames[1:])
    decoded = decode(out.getvalue(), **LIMITS, frames="all")
    assert decoded.frame_count == 4
    shown = [tuple(round(v / 255) for v in frame.image.getpixel((5, 5))) for frame in decoded.frames]
    assert shown == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]


@pytest.mark.parametrize(("kind", "package"), [("heic", "pillow-heif"), ("jxl", "pillow-jxl-plugin")])
def test_without_its_package_a_format_is_named(kind, package, monkeypatch):
    data = encoded(kind)
    monkeypatch.delitem(sys.modules, FORMATS[kind].module, raising=False)
    monkeypatch.setitem(sys.modules, FORMATS[kind].module.partition(".")[0], None)
    with pytest.raises(ImageRefused) as refused:
        decode(data, **LIMITS)
    assert refused.value.failure.status is Status.UNSUPPORTED_FORMAT
    assert package in refused.value.failure.detail
    assert FORMATS[kind].name in refused.value.failure.detail


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"8BPS" + bytes(60), "Photoshop"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "JPEG 2000"),
        (b"hello, this is text", "no picture"),
    ],
)
def test_what_is_not_decoded_is_named(data, name):
    with pytest.raises(ImageRefused) as refused:
        decode(data, **LIMITS)
    assert refused.value.failure.status is Status.UNSUPPORTED_FORMAT
    assert refused.value.failure.detail.startswith(name)


@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (257, 1), (1, 300), (640, 480), (1920, 1080), (1200, 1000), (2001, 1)]
)
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.slow
def test_the_header_of_a_jpeg_xl(size, lossless):
    header = read_header(encoded("jxl", size, lossless=lossless))
    assert (header.width, header.height, header.animated) == (*size, False)


def test_a_jpeg_xl_of_several_frames_is_refused():
    """Its library shows the first alone. Bits as annex D has them: 8 x 8, metadata of their own, an animation."""
    bits = [1, *[0] * 5, *[1, 0, 0], 0, 1, *[0, 0, 0], 0, 0, 1]
    value = sum(bit << n for n, bit in enumerate(bits))
    data = b"\xff\x0a" + value.to_bytes(16, "little")
    assert read_header(data).animated
    with pytest.raises(ImageRefused) as refused:
        decode(data, **LIMITS)
    assert refused.value.failure.status is Status.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "data", [b"\xff\x0a", b"\xff\x0a\xff", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n" * 9]
)
def test_no_header_is_an_error_of_the_picture(data):
    with pytest.raises(ImageRefused) as refused:
        decode(data, **LIMITS)
    assert refused.value.failure.status is Status.UNDECODABLE
