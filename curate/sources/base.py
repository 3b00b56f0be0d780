"""What every source of samples offers. Another format is one new file and one line in `__init__`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from curate.core.secrets import masked_url
from curate.core.types import Damage, Failure, Sample, ShardRef, Status
from curate.settings.dataset import DatasetSettings
from curate.sources.passed_over import Note, ignored

IMAGE_SUFFIXES = frozenset(
    {
        *("jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "pjpeg", "pjpg", "pjp", "mpo"),
        *("png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("avif", "avifs", "heic", "heif", "hif", "jxl", "jp2"),
    }
)
"""Names of pictures, whether or not their format is decoded: what is not has a row that says so."""

MOST_BYTES = 2**30
"""Of one sample, all that belongs to it: what can be held at once, and written into a row of Parquet."""


FRESH_SECONDS = 300.0
"""How long a listing of what lies elsewhere is good for: one for each shard would be all of it each time."""

_NAMED = re.compile(rf"(?:.*\.)?(?:{'|'.join(sorted(IMAGE_SUFFIXES))})(?:[^A-Za-z0-9].*)?", re.IGNORECASE | re.DOTALL)


def is_named_as_picture(suffix: str) -> bool:
    """Whether a suffix is that of a picture: jpg, left.png, and as downloads leave it "jpg?w=500" or "JPG:large"."""
    if len(suffix) > _SHORT:
        return _NAMED.fullmatch(suffix) is not None
    return _is_short_name(suffix)


_SHORT = 32
"""Characters of suffixes that are remembered, since those of a data set are few."""


@lru_cache(4096)
def _is_short_name(suffix: str) -> bool:
    return _NAMED.fullmatch(suffix) is not None


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder of this machine and in all folders below it, sorted."""
    return sorted(f for f in folder.rglob("*") if f.suffix[1:].lower() in IMAGE_SUFFIXES and f.is_file())


class ShardBroken(Exception):
    """Raised by `Source.samples` where a shard breaks off; everything before it was yielded and counts."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(damage.reason)
        self.damage = damage


class Source(Protocol):
    """A format: how its shards are found, and how one shard is read.

    `samples` streams: its memory does not grow with the shard. It is deterministic: two readings of an
    unchanged shard yield equal samples in equal order. It does not look at `ShardRef.take` or `ShardRef.version`.

    An image of more than `dataset.max_bytes` is not held: the sample comes with `image=None`, a `too_many_bytes`
    failure and the image's sha256. Whoever needs its bytes reads with `unlimited(dataset)`, which holds up to
    `MOST_BYTES`.
    """

    format: str

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """The shards behind already expanded `urls`, in order.

        Raises:
            InputError: a url cannot be listed or holds nothing this source reads.
        """
        ...

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """The samples of `shard`, index from 0 without gaps, those of several pictures one picture after the other.

        Args:
            shard: of a plan.
            dataset: how it is read.
            note: told of everything in the shard that is no part of any sample.

        Raises:
            ShardUnreadable: the shard cannot be opened, or the storage fails while it is read.
            ShardBroken: its content breaks off; what was yielded before stands.
        """
        ...

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """How many samples `samples` would yield, without reading more than it takes to see `most` of them.

        What is no part of any sample is noted as far as that goes.

        Raises:
            ShardUnreadable: the shard cannot be opened.
        """
        ...

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """What `ShardRef.version` would be if the plan were made now.

        Raises:
            ShardUnreadable: the shard is not there.
        """
        ...


def further_pictures(names: Iterable[str]) -> str | None:
    """What `Sample.unjudged` says of pictures beside the one that is judged."""
    found = list(names)
    return f"{len(found)} more in the sample not judged: {', '.join(found)}"[:300] if found else None


def unlimited(dataset: DatasetSettings) -> DatasetSettings:
    """`dataset` with every image held, up to `MOST_BYTES`: how the split stage reads, one sample at a time."""
    return dataset.model_copy(update={"max_bytes": MOST_BYTES})


def too_many_bytes(size: int, dataset: DatasetSettings) -> Failure:
    """The failure of an image that is not held."""
    return Failure(status=Status.TOO_MANY_BYTES, detail=f"{size} bytes, limit {dataset.max_bytes}")


def shard_id(stem: str, url: str, part: str = "") -> str:
    """An id that is safe as a file name, readable, and depends on nothing but `url` and `part`.

    Secrets of the url are no part of it: a shard is the same whoever may read it, and for how long.
    """
    readable = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in stem)
    digest = hashlib.sha256(f"{masked_url(url)}\n{part}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{readable[:80] or 'shard'}-{digest[:16]}"
