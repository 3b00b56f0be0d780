"""Pictures of examples, read from their sources again: by place, and held against the digest that was judged.

What may be unsafe is made a mosaic of 16 pixels before it is written anywhere; nothing else of it is in the file.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from PIL import Image

from curate.core.errors import CurateError
from curate.core.types import ShardRef
from curate.images.decoding import ImageRefused, decode, sha256_of
from curate.images.jpeg_reduction import Needed
from curate.report.examples import Example
from curate.report.shapes import Picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for

MOSAIC = 16
"""Pixels of the longer side of what may be unsafe."""
SIDE = 192
"""Of what is shown as it is."""
QUALITY = 60
SECONDS = 45.0
"""All pictures together: a report waits no longer for sources that are far away or large."""
READERS = 4
"""Shards that are read at once: far sources make one wait."""
MOST_BYTES = 6_000_000
"""All pictures together, before base64."""
MOST_PIXELS = 40_000_000

NOT_JUDGED = "not judged: no picture"
NO_SOURCE = "its source cannot be read"
CHANGED = "its source holds another picture now"
TOO_LATE = f"not read: all pictures together took longer than {SECONDS:.0f} seconds"
TOO_MUCH = "left out: the report would be too large"
TOO_LARGE = "too large to be shown here"

_Place = tuple[str, int, str | None]


class _Album:
    """Pictures by their place, filled by some threads and read by another."""

    def __init__(self, wanted: Sequence[Example], *, plain: bool) -> None:
        # Under one policy a picture may be beyond doubt and under another not: then it is not.
        ordered = sorted(wanted, key=lambda example: not example.may_be_plain)
        by_shard: dict[str, list[Example]] = {}
        for example in {_place(example): example for example in ordered}.values():
            by_shard.setdefault(example.shard, []).append(example)
        self._shards = sorted(by_shard.values(), key=lambda here: -max(example.index for example in here))
        self.found: dict[_Place, Picture | str] = {}
        self.bytes = 0
        self.ends = time.monotonic() + SECONDS
        self._plain = plain

    def next_shard(self) -> list[Example]:
        """What is wanted of a shard that nobody has read, one that ends soonest; nothing where none is left."""
        try:
            return self._shards.pop()
        except IndexError:
            return []

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.ends

    def take(self, example: Example, image: bytes, dataset: DatasetSettings) -> None:
        if sha256_of(image) != example.sha256:
            self.found[_place(example)] = CHANGED
        elif self.bytes > MOST_BYTES:
            self.found[_place(example)] = TOO_MUCH
        else:
            shown = _shown(example, image, dataset, plain=self._plain)
            self.bytes += 0 if isinstance(shown, str) else len(shown.data)
            self.found[_place(example)] = shown


def with_pictures(
    examples: Sequence[Example], shards: Sequence[ShardRef], dataset: DatasetSettings, *, plain: bool
) -> list[Example]:
    """Examples with what may be shown of their pictures, or why there is none.

    Each shard is read once, as far as its last example; those that end soonest first.

    Args:
        examples: to be shown.
        shards: of the plan.
        dataset: how they are read.
        plain: whether pictures are shown as they are, blurred until somebody asks.
    """
    album = _Album([example for example in examples if example.has_picture], plain=plain)
    by_id = {shard.id: shard for shard in shards}
    readers = [threading.Thread(target=_fill, args=(album, by_id, dataset), daemon=True) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(max(0.0, album.ends - time.monotonic()))
    found = dict(album.found)
    return [_with(example, found) for example in examples]


def _with(example: Example, found: Mapping[_Place, Picture | str]) -> Example:
    shown = found.get(_place(example), TOO_LATE) if example.has_picture else NOT_JUDGED
    return example.seen(None, shown) if isinstance(shown, str) else example.seen(shown, "")


def _fill(album: _Album, by_id: Mapping[str, ShardRef], dataset: DatasetSettings) -> None:
    """Read one shard after the other until none is left, or time is up."""
    while not album.is_late and (here := album.next_shard()):
        shard = by_id.get(here[0].shard)
        for place in _fill_from(album, shard, {_place(example): example for example in here}, dataset):
            album.found.setdefault(place, NO_SOURCE)


def _fill_from(
    album: _Album, shard: ShardRef | None, here: Mapping[_Place, Example], dataset: DatasetSettings
) -> Iterator[_Place]:
    """Take the pictures of one shard; those that it did not have."""
    last = max(example.index for example in here.values())
    try:
        if shard is not None:
            samples = source_for(shard.format).samples(shard, dataset)
            for sample in takewhile(lambda one: one.index <= last and not album.is_late, samples):
                place = next((p for p in _names(shard.id, sample.index, sample.part) if p in here), None)
                if place is not None and sample.image is not None and place not in album.found:
                    album.take(here[place], sample.image, dataset)
    except (CurateError, ShardBroken, OSError):  # gone, or not what it was
        pass
    if not album.is_late:
        yield from (place for place in here if place not in album.found)


def _names(shard: str, index: int, part: str | None) -> tuple[_Place, _Place]:
    """A picture by its part, and as rows of earlier versions have it."""
    return (shard, index, part), (shard, index, None)


def _shown(example: Example, image: bytes, dataset: DatasetSettings, *, plain: bool) -> Picture | str:
    try:
        limits = {"max_bytes": dataset.max_bytes, "max_pixels": min(dataset.max_pixels, MOST_PIXELS)}
        picture = decode(image, **limits, needed=Needed(side=SIDE)).image
    except ImageRefused:
        return TOO_LARGE
    whole = plain or example.may_be_plain
    side = SIDE if whole else MOSAIC
    picture.thumbnail((side, side), Image.Resampling.LANCZOS if whole else Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, lossless=not whole)
    return Picture(
        data=out.getvalue(),
        width=picture.width,
        height=picture.height,
        mosaic=not whole,
        veiled=plain and not example.may_be_plain,
    )


def _place(example: Example) -> _Place:
    return example.shard, example.index, example.image_name
