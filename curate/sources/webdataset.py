"""Tars as webdataset and img2dataset write them.

A sample is what webdataset makes of a tar: adjacent members whose path is equal up to the first dot of the base name;
or up to the last one, where `dataset.suffix_from` says so. A name without a dot is a key without a suffix. A member
name that comes twice in a sample starts a new one (webdataset refuses such a tar), so that neither picture is lost; so
does a sample that grows beyond all bounds. Where a tar breaks off, the sample that was being read counts if it holds a
picture.

Pictures are told by their names and by their first bytes: every one is judged, unless `dataset.image` chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from curate.core.errors import ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import Damage, Failure, Sample, ShardRef, Status
from curate.images.formats import looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import (
    MOST_BYTES,
    ShardBroken,
    further_pictures,
    is_named_as_picture,
    too_many_bytes,
)
from curate.sources.file_shards import shards_of_files, version_of_file
from curate.sources.files import Files
from curate.sources.kinds import by_beginning
from curate.sources.meta import READ_BYTES, describe, too_long
from curate.sources.names import to_text
from curate.sources.passed_over import CUT, KEY_COMES_BACK, NO_PICTURE, NUMBERED, Note, ignored, is_twin, why_hidden
from curate.sources.tar import BROKEN, Archive, Body, Digest, Member, Unlinked, bare, members

_KEY_AND_SUFFIX = re.compile(rb"((?:.*/)?[^.]+)\.([^/]*)", re.DOTALL)
_KEY_AND_LAST_SUFFIX = re.compile(rb"((?:.*/)?[^./][^/]*)\.([^./]*)", re.DOTALL)
_NUMBERED = re.compile(rb"(?:.*\D)?\d+\.[^.]+", re.DOTALL)
_KEY_ALONE = re.compile(rb"(?:.*/)?[^./]+", re.DOTALL)

MOST_MEMBERS = 256
"""Of one sample."""

_SIDECAR_BYTES = 2**26
"""Of one member beside the pictures, while these are judged; the split stage holds more."""

_REMEMBERED = 2**20
"""Keys of a shard that are remembered, to notice those that come back."""
_BEGINNING = 512
# Counting hops from header to header; a large buffer would read what it hops over.
_HEADER_BUFFER = 8192


class WebDatasetSource:
    """Tars, plain or compressed; one shard each."""

    format = "webdataset"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        return shards_of_files(urls, dataset, self.format)

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            if (what := by_beginning(raw.peek(_BEGINNING)[:_BEGINNING])) is not None:
                raise ShardUnreadable(f"{shard.url}: {what}")
            try:
                for sample in samples_of(members(Archive(raw), held_bytes(dataset), note), dataset, note):
                    yield sample
                    index = sample.index + 1
            except BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`; reads headers only, as far as the compression allows."""
        counted = 0
        with Files(dataset.storage_options).open(shard.url, _HEADER_BUFFER) as raw:
            try:
                for _ in islice(_noted(_groups(bare(Archive(raw), _has_no_suffix, note), dataset, note), note), most):
                    counted += 1
            except BROKEN:
                pass
        return counted

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        return version_of_file(shard, dataset)


def samples_of(found: Iterable[Member], dataset: DatasetSettings, note: Note) -> Iterator[Sample]:
    """The samples that the members of an archive make, whatever archive it is.

    Raises:
        the errors in `BROKEN`, where `found` does; the sample that was being read comes before if it has a picture.
    """
    for index, group in enumerate(_noted(_groups(found, dataset, note), note)):
        yield from _samples(group, index, dataset)


def key_and_suffix(name: bytes) -> tuple[bytes, bytes] | None:
    """A member's key and its suffix without the dot; None for a name that webdataset skips."""
    match = _KEY_AND_SUFFIX.fullmatch(name)
    return (match[1], match[2]) if match else None


def _has_no_suffix(name: bytes) -> bool:
    return b"." not in name.rpartition(b"/")[2]


def _split(name: bytes, dataset: DatasetSettings) -> tuple[bytes, bytes] | None:
    """A member's key and suffix; None for what macOS writes beside a file, and for a name that begins with a dot."""
    if is_twin(name):
        return None
    match = (_KEY_AND_SUFFIX if dataset.suffix_from == "first_dot" else _KEY_AND_LAST_SUFFIX).fullmatch(name)
    if match:
        return match[1], match[2]
    return (name, b"") if _KEY_ALONE.fullmatch(name) else None


class _Group:
    """The members of one sample, by suffix, in their order."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.bodies: dict[bytes, Body] = {}
        self._suffixes: set[bytes] = set()
        self._bytes = 0

    def takes(self, suffix: bytes) -> bool:
        """Whether such a member belongs to this sample."""
        return suffix.lower() not in self._suffixes

    def has_room(self, size: int) -> bool:
        """Whether a member of so many bytes makes it no larger than can be held."""
        return len(self.bodies) < MOST_MEMBERS and self._bytes + size <= MOST_BYTES

    def add(self, suffix: bytes, member: Member) -> None:
        self._suffixes.add(suffix.lower())
        self.bodies[suffix] = member.body
        self._bytes += member.size

    def find(self, suffix: bytes) -> bytes | None:
        """The body of a sidecar by its suffix, whatever the case, if it is not too large to be read."""
        body = next((body for name, body in self.bodies.items() if name.lower() == suffix), None)
        return body if isinstance(body, bytes) and len(body) <= READ_BYTES else None


def _groups(found: Iterable[Member], dataset: DatasetSettings, note: Note) -> Iterator[_Group]:
    group: _Group | None = None
    is_judged = _judged(dataset)
    try:
        for member in found:
            if (split := _split(member.name, dataset)) is None:
                note(why_hidden(member.name), to_text(member.name))
                continue
            key, suffix = split
            if _has_no_suffix(member.name) and not _is_picture(suffix, member.body):
                note(NO_PICTURE, to_text(member.name))
                continue
            if group is None or key != group.key or not group.takes(suffix) or not group.has_room(member.size):
                if group is not None:
                    yield group
                if group is not None and key == group.key and group.takes(suffix):
                    note(CUT, to_text(key))
                group = _Group(key)
            group.add(suffix, member)
    except BROKEN:
        if group is not None and any(is_judged(*item) for item in group.bodies.items()):
            yield group
        raise
    if group is not None:
        yield group


def _noted(groups: Iterable[_Group], note: Note) -> Iterator[_Group]:
    """The groups, and a note of each that may not be what it was meant to be."""
    seen: set[int] = set()
    before: bytes | None = None
    for group in groups:
        known = hash(group.key)
        if group.key != before and known in seen:
            note(KEY_COMES_BACK, to_text(group.key))
        dotted = [suffix for suffix in group.bodies if b"." in suffix]
        if len(dotted) > 1 and sum(_NUMBERED.fullmatch(suffix) is not None for suffix in dotted) > 1:
            note(NUMBERED, to_text(group.key))
        if len(seen) < _REMEMBERED:
            seen.add(known)
        before = group.key
        yield group


def _judged(dataset: DatasetSettings) -> Callable[[bytes, Body], bool]:
    """Whether a member, by its suffix and its bytes, is an image to judge."""
    if dataset.images is None:
        return _is_picture
    wanted = {name.lower().lstrip(".").encode() for name in dataset.images}
    return lambda suffix, _: suffix.lower() in wanted


def held_bytes(dataset: DatasetSettings) -> Callable[[bytes], int]:
    """Pictures may be as large as they are judged; what lies beside them is not less for that."""
    others = max(dataset.max_bytes, _SIDECAR_BYTES)

    def limit(name: bytes) -> int:
        _, dot, suffix = name.rpartition(b".")
        return dataset.max_bytes if dot and is_named_as_picture(suffix.decode("latin-1")) else others

    return limit


def _is_picture(suffix: bytes, body: Body) -> bool:
    """Whether a member is a picture, by its name or by its first bytes."""
    beginning = body.head if isinstance(body, Digest) else body if isinstance(body, bytes) else b""
    return is_named_as_picture(suffix.decode("latin-1")) or looks_like_a_picture(beginning)


def _samples(group: _Group, index: int, dataset: DatasetSettings) -> Iterator[Sample]:
    """A picture each; the first carries the sample."""
    pictures = judged = [suffix for suffix, body in group.bodies.items() if _is_picture(suffix, body)]
    if dataset.images is not None:
        is_judged = _judged(dataset)
        judged = [suffix for suffix, body in group.bodies.items() if is_judged(suffix, body)]
    unjudged = further_pictures(to_text(suffix) for suffix in pictures if suffix not in judged)
    meta = describe(group.find(b"txt"), group.find(b"json")) | _left_out(group, judged)
    too_large = _too_large(group)
    for number, suffix in enumerate(judged or [None]):
        body = None if suffix is None else group.bodies[suffix]
        yield Sample(
            key=to_text(group.key),
            index=index,
            picture=number,
            part=None if suffix is None else to_text(suffix),
            image=body if isinstance(body, bytes) else None,
            image_name="" if suffix is None else to_text(_joined(group.key, suffix)),
            image_at=0 if suffix is None else list(group.bodies).index(suffix),
            sidecar=_sidecar(group, suffix) if number == 0 else {},
            meta=meta,
            failure=too_large or _failure(body, dataset),
            sha256=body.sha256 if isinstance(body, Digest) else None,
            unjudged=unjudged,
        )


def _joined(key: bytes, suffix: bytes) -> bytes:
    return key + b"." + suffix if suffix else key


def _sidecar(group: _Group, image: bytes | None) -> dict[str, bytes]:
    bodies = group.bodies.items()
    return {to_text(name): data for name, data in bodies if name != image and isinstance(data, bytes)}


def _left_out(group: _Group, judged: Sequence[bytes]) -> dict[str, object]:
    """What of the sidecar is not held."""
    others = {name: body for name, body in group.bodies.items() if name not in judged}
    if all(isinstance(body, bytes) and len(body) <= READ_BYTES for body in others.values()):
        return {}
    sizes = {to_text(name): f"{body.size} bytes" for name, body in others.items() if isinstance(body, Digest)}
    described = {
        to_text(name): body
        for name, body in others.items()
        if name.lower() in (b"txt", b"json") and isinstance(body, bytes)
    }
    links = {
        to_text(name): f"link to {to_text(body.target)}" for name, body in others.items() if isinstance(body, Unlinked)
    }
    found = sizes | too_long(described) | links
    return {"members_left_out": found} if found else {}


def _too_large(group: _Group) -> Failure | None:
    """Why a sample cannot be copied into a split, and so is not judged."""
    for name, body in group.bodies.items():
        if isinstance(body, Digest) and body.size > MOST_BYTES:
            what = f"member {to_text(name)}: {body.size} bytes, {MOST_BYTES} at most"
            return Failure(status=Status.TOO_MANY_BYTES, detail=what)
    return None


def _failure(body: Body | None, dataset: DatasetSettings) -> Failure | None:
    if isinstance(body, Digest):
        return too_many_bytes(body.size, dataset)
    if isinstance(body, Unlinked):
        what = f"a hard link to {to_text(body.target)}, which is not before it, or in a compressed tar"
        return Failure(status=Status.MISSING_IMAGE, detail=what)
    return None
