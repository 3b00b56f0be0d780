"""Tars as webdataset and img2dataset write them.

A sample is what webdataset makes of a tar: adjacent members whose path is equal up to the first dot of the base name.
A member name that comes twice in a sample starts a new one (webdataset refuses such a tar), so that neither picture is
lost. Where a tar breaks off, the sample that was being read counts if its image is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from curate.core.errors import InputError
from curate.core.types import Damage, Sample, ShardRef
from curate.images.decoding import looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import IMAGE_SUFFIXES, ShardBroken, further_pictures, shard_id, too_many_bytes
from curate.sources.files import STORAGE_ERRORS, Files, file_name, one_line, unreadable
from curate.sources.meta import describe
from curate.sources.names import to_text
from curate.sources.tar import BROKEN, Archive, Digest, Member, members, names

_KEY_AND_SUFFIX = re.compile(rb"((?:.*/)?[^.]+)\.([^/]*)", re.DOTALL)
# Counting hops from header to header; a large buffer would read what it hops over.
_HEADER_BUFFER = 8192


class WebDatasetSource:
    """Tars, plain or compressed; one shard each."""

    format = "webdataset"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        try:
            infos = Files(dataset.storage_options).infos(urls)
        except STORAGE_ERRORS as error:
            raise InputError(f"dataset.shards: {one_line(error)}") from error
        return [
            ShardRef(
                id=shard_id(file_name(info.url).partition(".")[0], info.url),
                url=info.url,
                format=self.format,
                bytes=info.size,
                version=info.version,
            )
            for info in infos
        ]

    def samples(self, shard: ShardRef, dataset: DatasetSettings) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                archive = Archive(raw)
                for group in _groups(members(archive, _limit(dataset)), _judged(dataset)):
                    yield _sample(group, index, shard, dataset)
                    index += 1
            except BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int) -> int:
        """See `Source`; reads headers only, as far as the compression allows."""
        counted = 0
        with Files(dataset.storage_options).open(shard.url, _HEADER_BUFFER) as raw:
            try:
                bare = (Member(name, b"") for name in names(Archive(raw)))
                for _ in islice(_groups(bare, _judged(dataset)), most):
                    counted += 1
            except BROKEN:
                pass
        return counted

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        try:
            return Files(dataset.storage_options).info(shard.url).version
        except STORAGE_ERRORS as error:
            raise unreadable(shard.url, error) from error


def key_and_suffix(name: bytes) -> tuple[bytes, bytes] | None:
    """A member's key and its suffix without the dot; None for a name that webdataset skips."""
    match = _KEY_AND_SUFFIX.fullmatch(name)
    return (match[1], match[2]) if match else None


class _Group:
    """The members of one sample, by suffix, in their order."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.bodies: dict[bytes, bytes | Digest] = {}
        self._suffixes: set[bytes] = set()

    def takes(self, key: bytes, suffix: bytes) -> bool:
        """Whether such a member belongs to this sample."""
        return key == self.key and suffix.lower() not in self._suffixes

    def add(self, suffix: bytes, body: bytes | Digest) -> None:
        self._suffixes.add(suffix.lower())
        self.bodies[suffix] = body

    def find(self, suffix: bytes) -> bytes | None:
        """The body of a sidecar by its suffix, whatever the case."""
        body = next((body for name, body in self.bodies.items() if name.lower() == suffix), None)
        return body if isinstance(body, bytes) else None


def _groups(found: Iterable[Member], judged: Callable[[bytes], bool]) -> Iterator[_Group]:
    group: _Group | None = None
    try:
        for member in found:
            if (split := key_and_suffix(member.name)) is None:
                continue
            if group is None or not group.takes(*split):
                if group is not None:
                    yield group
                group = _Group(split[0])
            group.add(split[1], member.body)
    except BROKEN:
        if group is not None and any(judged(suffix) for suffix in group.bodies):
            yield group
        raise
    if group is not None:
        yield group


def _judged(dataset: DatasetSettings) -> Callable[[bytes], bool]:
    """Whether a member with this suffix is an image to judge."""
    if dataset.image is None:
        return _is_image
    wanted = dataset.image.lower().lstrip(".").encode()
    return lambda suffix: suffix.lower() == wanted


def _is_image(suffix: bytes) -> bool:
    return suffix.lower().rpartition(b".")[2].decode("latin-1") in IMAGE_SUFFIXES


def _limit(dataset: DatasetSettings) -> Callable[[bytes], int]:
    """Only what is judged may be too large to hold; sidecars are held whole."""
    judged = _judged(dataset)

    def limit(name: bytes) -> int:
        split = key_and_suffix(name)
        return dataset.max_bytes if split is not None and judged(split[1]) else 2**60

    return limit


def _sample(group: _Group, index: int, shard: ShardRef, dataset: DatasetSettings) -> Sample:
    suffix = _image_suffix(group, shard, dataset)
    body = None if suffix is None else group.bodies[suffix]
    further = [item for item in group.bodies.items() if _is_further(*item, suffix)]
    return Sample(
        key=to_text(group.key),
        index=index,
        image=body if isinstance(body, bytes) else None,
        image_name="" if suffix is None else to_text(group.key + b"." + suffix),
        image_at=0 if suffix is None else list(group.bodies).index(suffix),
        sidecar={
            to_text(name): data for name, data in group.bodies.items() if name != suffix and isinstance(data, bytes)
        },
        meta=describe(group.find(b"txt"), group.find(b"json")),
        failure=too_many_bytes(body.size, dataset) if isinstance(body, Digest) else None,
        sha256=body.sha256 if isinstance(body, Digest) else None,
        unjudged=further_pictures(to_text(name) for name, _ in further),
    )


def _is_further(name: bytes, body: bytes | Digest, judged: bytes | None) -> bool:
    """Whether a member is a picture beside the one that is judged, by its name or by its first bytes."""
    return name != judged and (_is_image(name) or (isinstance(body, bytes) and looks_like_a_picture(body)))


def _image_suffix(group: _Group, shard: ShardRef, dataset: DatasetSettings) -> bytes | None:
    images = [suffix for suffix in group.bodies if _judged(dataset)(suffix)]
    if len(images) > 1:
        found = ", ".join(to_text(suffix) for suffix in images)
        raise InputError(
            f"{shard.url}: sample {to_text(group.key)!r} has {len(images)} images ({found}); "
            f"name the one to judge, e.g. dataset.image={to_text(images[0])}"
        )
    return images[0] if images else None
