"""A folder of images, recursive, sorted by path; every `dataset.samples_per_shard` files are one shard.

Images are told by their names, and where these say nothing by their first bytes. Neighbours of the same stem ending in
.txt and .json are the sidecar. The name of the folder an image lies in is its `label`, as in ImageNet, unless the JSON
has one. What else is there is counted with the folder's first shard.

A folder may come from anywhere, and a link in it can lead to any file of this machine: what lies outside is not read,
unless `dataset.outside_links` says that the links are one's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import Failure, Sample, ShardRef, Status
from curate.images.formats import BEGINNING, looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import FRESH_SECONDS, is_named_as_picture, shard_id, too_many_bytes
from curate.sources.files import STORAGE_ERRORS, FileInfo, Files, file_name, leaves, relative, unreadable
from curate.sources.meta import describe, too_long
from curate.sources.names import to_text
from curate.sources.passed_over import LISTS, NO_PICTURE, ORPHANS, OUTSIDE, UNREADABLE, Note, ignored

_SIDECARS = (".txt", ".json")
_LISTS = tuple(f"metadata.{ending}" for ending in ("jsonl", "csv", "tsv", "ndjson", "parquet"))
"""What says something of each picture in a folder, as `datasets` has it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image and its neighbours.

    Attributes:
        path: relative to the folder.
        outside: those of the files that a link leads to out of the folder.
    """

    path: str
    image: FileInfo
    neighbours: tuple[FileInfo, ...]
    outside: frozenset[FileInfo] = frozenset()


@dataclass(frozen=True, slots=True)
class _Listing:
    """A folder as it was listed: its images in order, and what else there is."""

    entries: Sequence[_Entry]
    passed_over: Sequence[tuple[str, str]]
    at: float


class FolderSource:
    """Folders of images. A listing is kept from planning on, since every shard of a folder needs it."""

    format = "folder"

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        self._listings.clear()
        return [shard for url in urls for shard in self._shards(url, dataset)]

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`. A broken image is no broken shard: each file stands for itself."""
        files = Files(dataset.storage_options)
        entries = self._entries(shard, dataset)
        self._tell(shard, dataset, note)
        for index, entry in enumerate(entries):
            yield _sample(entry, index, files, dataset)

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`."""
        self._tell(shard, dataset, note)
        return min(most, len(self._entries(shard, dataset)))

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`; of this machine's files, looks at those of the shard alone, so that all shards look once."""
        if "://" in shard.url:
            if time.monotonic() - self._listing(shard.url, dataset).at > FRESH_SECONDS:
                del self._listings[shard.url]
            return _version(self._entries(shard, dataset))
        files = Files(dataset.storage_options)
        try:
            return _version([_as_now(entry, files) for entry in self._entries(shard, dataset)])
        except STORAGE_ERRORS as error:
            raise unreadable(shard.url, error) from error

    def _tell(self, shard: ShardRef, dataset: DatasetSettings, note: Note) -> None:
        """What else is in a folder is told with its first shard."""
        if shard.part.startswith(f"{0:09d}-"):
            for reason, name in self._listing(shard.url, dataset).passed_over:
                note(reason, name)

    def _shards(self, url: str, dataset: DatasetSettings) -> Iterator[ShardRef]:
        try:
            entries = self._listing(url, dataset).entries
        except STORAGE_ERRORS as error:
            raise InputError(f"{url}: {one_line(error)}") from error
        if not entries:
            raise InputError(f"{url}: no images here or below (told by their names and their first bytes)")
        for start in range(0, len(entries), dataset.samples_per_shard):
            part = f"{start:09d}-{start + dataset.samples_per_shard:09d}"
            chosen = entries[start : start + dataset.samples_per_shard]
            yield ShardRef(
                id=shard_id(f"{file_name(url)}-{part[:9]}", url, part),
                url=url,
                format=self.format,
                part=part,
                bytes=sum(entry.image.size or 0 for entry in chosen),
                samples=len(chosen),
                version=_version(chosen),
            )

    def _entries(self, shard: ShardRef, dataset: DatasetSettings) -> Sequence[_Entry]:
        start, stop = map(int, shard.part.split("-"))
        try:
            return self._listing(shard.url, dataset).entries[start:stop]
        except STORAGE_ERRORS as error:
            raise unreadable(shard.url, error) from error

    def _listing(self, url: str, dataset: DatasetSettings) -> _Listing:
        if url not in self._listings:
            self._listings[url] = _list(url, Files(dataset.storage_options))
        return self._listings[url]


def _list(folder: str, files: Files) -> _Listing:
    if not files.info(folder).is_folder:
        raise NotADirectoryError(f"{folder} is no folder")
    passed_over: list[tuple[str, str]] = []

    def note(reason: str, name: str) -> None:
        passed_over.append((reason, to_text(os.fsencode(name))))

    images: list[tuple[str, FileInfo]] = []
    neighbours: dict[str, list[FileInfo]] = defaultdict(list)
    for info in files.walk(folder, note):
        path = relative(info.url, folder)
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in _SIDECARS:
            neighbours[_stem(path)].append(info)
        elif (reason := None if is_named_as_picture(suffix) else _why_no_picture(info, folder, files)) is None:
            images.append((path, info))
        else:
            note(reason, path)
    entries = [_entry(path, info, neighbours.get(_stem(path), ()), folder) for path, info in images]
    for stem in sorted(neighbours.keys() - {_stem(path) for path, _ in images}):
        note(ORPHANS, relative(neighbours[stem][0].url, folder))
    return _Listing(entries, passed_over, time.monotonic())


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _why_no_picture(info: FileInfo, folder: str, files: Files) -> str | None:
    """Why a file whose name tells nothing is none; elsewhere than here, one with a suffix is not looked into."""
    if leaves(info, folder):
        return OUTSIDE
    if file_name(info.url).lower() in _LISTS:
        return LISTS
    if "://" in info.url and "." in file_name(info.url):
        return NO_PICTURE
    try:
        with files.open(info.url, BEGINNING) as file:
            return None if looks_like_a_picture(file.read(BEGINNING)) else NO_PICTURE
    except ShardUnreadable:
        return UNREADABLE


def _as_now(entry: _Entry, files: Files) -> _Entry:
    """An entry with its files as they are now."""
    return replace(
        entry, image=files.info(entry.image.url), neighbours=tuple(files.info(info.url) for info in entry.neighbours)
    )


def _entry(path: str, image: FileInfo, neighbours: Sequence[FileInfo], folder: str) -> _Entry:
    outside = frozenset(info for info in (image, *neighbours) if leaves(info, folder))
    return _Entry(path, image, tuple(neighbours), outside)


def _version(entries: Sequence[_Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        for info in (entry.image, *entry.neighbours):
            digest.update(f"{entry.path}\n{info.size}\n{info.version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _sample(entry: _Entry, index: int, files: Files, dataset: DatasetSettings) -> Sample:
    path = PurePosixPath(entry.path)
    left_out = frozenset() if dataset.outside_links else entry.outside
    if entry.image in left_out:
        return _left_out(entry, index)
    held = (entry.image.size or 0) <= dataset.max_bytes
    beside = [info for info in entry.neighbours if info not in left_out]
    found = {PurePosixPath(file_name(info.url)).suffix[1:]: _read(info, files) for info in beside}
    by_suffix = {suffix.lower(): body for suffix, body in found.items()}
    label = {"label": to_text(os.fsencode(path.parent.name))} if path.parent.name else {}
    return Sample(
        key=to_text(os.fsencode(path.with_suffix(""))),
        index=index,
        image=_read(entry.image, files) if held else None,
        image_name=to_text(os.fsencode(path)),
        part=_part(path),
        sidecar=found,
        meta={**label, **_described(by_suffix.get("txt"), by_suffix.get("json")), **_said_of(left_out)},
        failure=None if held else too_many_bytes(entry.image.size or 0, dataset),
        sha256=None if held else _digest(entry.image, files),
    )


def _part(path: PurePosixPath) -> str:
    return to_text(os.fsencode(path.suffix[1:]))


def _left_out(entry: _Entry, index: int) -> Sample:
    """The sample of an image that lies outside; nothing of it is read."""
    path = PurePosixPath(entry.path)
    return Sample(
        key=to_text(os.fsencode(path.with_suffix(""))),
        index=index,
        image=None,
        image_name=to_text(os.fsencode(path)),
        part=_part(path),
        failure=Failure(status=Status.MISSING_IMAGE, detail=f"a link out of the folder; {_OWN}"),
    )


def _described(text: bytes | None, fields: bytes | None) -> dict[str, object]:
    """As `describe`, of what is not too large for a row."""
    read = {name: body for name, body in (("txt", text), ("json", fields)) if body is not None}
    unread = too_long(read)
    said = describe(*(None if name in unread else read.get(name) for name in ("txt", "json")))
    return said | ({"members_left_out": unread} if unread else {})


_OWN = "dataset.outside_links=true reads it, if the links are your own"


def _said_of(left_out: Iterable[FileInfo]) -> dict[str, object]:
    names = sorted(to_text(os.fsencode(file_name(info.url))) for info in left_out)
    return {"links_left_out": names} if names else {}


def _read(info: FileInfo, files: Files) -> bytes:
    with files.open(info.url, io.DEFAULT_BUFFER_SIZE) as file:
        return file.read()


def _digest(info: FileInfo, files: Files) -> str:
    with files.open(info.url) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
