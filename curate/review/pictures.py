"""The pictures that a person looks at, drawn anew from the sources: no byte of a shard reaches a reviewer's browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path

from curate.core.errors import InputError
from curate.core.types import Sample, ShardRef
from curate.images.decoding import Decoded, ImageRefused, decode, sha256_of
from curate.images.jpeg_reduction import Needed
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for

SIDE = 1024
"""Pixels that no side of a shown picture exceeds."""
_QUALITY = 85

Wanted = Mapping[str, object]
"""Of a drawn row: task, key, shard, index, image_name, sha256."""


def write_pictures(
    rows: Sequence[Wanted], shards: Sequence[ShardRef], dataset: DatasetSettings, folder: Path
) -> dict[str, list[str]]:
    """Write every picture of each drawn sample, and of animations the frames that are judged; file names by task.

    Args:
        rows: in the order of `shards` and by index, so that each shard is read once and no further than needed.
        shards: of the plan.
        dataset: how they are read.
        folder: of this machine; it is there.

    Raises:
        InputError: a picture is not the one that was judged.
        ShardUnreadable: a shard cannot be opened.
    """
    by_id = {shard.id: shard for shard in shards}
    written: dict[str, list[str]] = {}
    for shard, wanted in groupby(rows, key=itemgetter("shard")):
        for row, pictures in _found(by_id[str(shard)], list(wanted), dataset):
            task = str(row["task"])
            written[task] = [
                name
                for sample in pictures
                for name in _write(sample, dataset, folder, f"{task}-{sample.picture}" if len(pictures) > 1 else task)
            ]
    return written


def _found(
    shard: ShardRef, wanted: Sequence[Wanted], dataset: DatasetSettings
) -> Iterator[tuple[Wanted, list[Sample]]]:
    """Each wanted row with all pictures of its sample, one of which is the one that decided."""
    left = {int(str(row["index"])): row for row in wanted}
    with suppress(ShardBroken):  # what is missing is told below
        for index, pictures in groupby(source_for(shard.format).samples(shard, dataset), key=attrgetter("index")):
            if not left:
                break
            row = left.pop(index, None)
            if row is None:
                continue
            sample = list(pictures)
            if not any(one.image is not None and sha256_of(one.image) == row["sha256"] for one in sample):
                left[index] = row
                break
            yield row, sample
    if left:
        row = next(iter(left.values()))
        raise InputError(
            f"shard {shard.id} ({shard.url}): sample {row['index']}, key {row['key']!r}, is not the one that was "
            "judged: the source changed since; restore it, or say where it is now with dataset.moved"
        )


def _write(sample: Sample, dataset: DatasetSettings, folder: Path, stem: str) -> list[str]:
    if sample.image is None:
        return []
    try:
        decoded = _decoded(sample.image, dataset)
    except ImageRefused:  # a further picture of a sample may be one; such a sample is not clean
        return []
    names = []
    for frame in decoded.frames:
        name = f"{stem}.webp" if len(decoded.frames) == 1 else f"{stem}-frame{frame.number}.webp"
        frame.image.thumbnail((SIDE, SIDE))
        frame.image.save(folder / name, "WEBP", quality=_QUALITY)
        names.append(name)
    return names


def _decoded(image: bytes, dataset: DatasetSettings) -> Decoded:
    bounds = {"max_bytes": dataset.max_bytes, "max_pixels": dataset.max_pixels}
    return decode(image, **bounds, frames=dataset.frames, needed=Needed(side=SIDE))
