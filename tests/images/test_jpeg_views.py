"""Second views behind a JPEG: judged like frames, and none where a host of pictures has cut them off."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from curate.images.decoding import decode

LIMITS = {"max_bytes": 2**24, "max_pixels": 10**6}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
COLOURS = ("red", "lime", "blue")


def views(count: int = 3, size: tuple[int, int] = (64, 48)) -> bytes:
    first, *others = (Image.new("RGB", size, colour) for colour in COLOURS[:count])
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=others)
    return out.getvalue()


def seen(data: bytes, **options: object) -> tuple[int, list[tuple[int, str]]]:
    """How many there are, and which are shown in which colour."""
    decoded = decode(data, **LIMITS, **options)
    named = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue"}
    shown = [(f.number, named[tuple(round(v / 255) for v in f.image.getpixel((9, 9)))]) for f in decoded.frames]
    return decoded.frame_count, shown


def test_each_is_judged_as_a_frame():
    assert seen(views(), frames="all") == (3, [(0, "red"), (1, "lime"), (2, "blue")])
    assert seen(views(), frames=("first", "last")) == (3, [(0, "red"), (2, "blue")])
    assert seen(views(2), frames="all") == (2, [(0, "red"), (1, "lime")])


@pytest.mark.parametrize("kept", [1, 2])
def test_what_was_cut_off_is_none(kept):
    data = views()
    starts = [
        0,
        *(
            n
            for n in range(1, len(data))
            if data[n : n + 4] == b"\xff\xd8\xff\xe0" or data[n : n + 4] == b"\xff\xd8\xff\xe1"
        ),
    ]
    whole = [n for n in starts if n == 0 or data[n - 2 : n] == b"\xff\xd9"]
    assert len(whole) == 3
    assert seen(data[: whole[kept]], frames="all") == (kept, [(n, COLOURS[n]) for n in range(kept)])


def test_a_damaged_one_is_left_unjudged():
    data = views(2)
    assert seen(data[:-40], frames="all") == (2, [(0, "red")])


def test_one_that_is_too_large_is_left_unjudged():
    small, large = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (2000, 1000), "lime")
    out = io.BytesIO()
    small.save(out, "MPO", save_all=True, append_images=[large])
    assert seen(out.getvalue(), frames="all") == (2, [(0, "red")])


def test_a_plain_jpeg_has_none():
    out = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(out, "JPEG")
    assert seen(out.getvalue(), frames="all") == (1, [(0, "red")])


@pytest.mark.parametrize("at", range(0, 84, 7))
def test_an_index_of_nonsense_is_no_error(at):
    data = bytearray(views(2))
    start = data.index(b"MPF\0") + 4
    data[start + at : start + at + 4] = b"\xff\xff\xff\xff"
    count, shown = seen(bytes(data), frames="all")
    assert shown[0] == (0, "red")
    assert count in (1, 2)
