"""A folder of images, recursive, sorted by path; every `dataset.samples_per_shard` files are one shard.

Neighbours of the same stem ending in .txt and .json are the sidecar. The name of the folder an image lies in is its
`label`, as in ImageNet, unless the JSON has one. Hidden files and all others are no part of the data set.

A folder may come from anywhere, and a link in it can lead to any file of this machine: what lies outside is not read,
unless `dataset.outside_links` says that the links are one's own.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from curate.core.errors import InputError
from curate.core.types import Failure, Sample, ShardRef, Status
from curate.settings.dataset import DatasetSettings
from curate.sources.base import IMAGE_SUFFIXES, shard_id, too_many_bytes
from curate.sources.files import STORAGE_ERRORS, FileInfo, Files, file_name, leaves, one_line, relative, unreadable
from curate.sources.meta import describe
from curate.sources.names import to_text

_SIDECARS = (".txt", ".json")


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


class FolderSource:
    """Folders of images. A listing is kept from planning on, since every shard of a folder needs it."""

    format = "folder"

    def __init__(self) -> None:
        self._listings: dict[str, list[_Entry]] = {}

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        self._listings.clear()
        return [shard for url in urls for shard in self._shards(url, dataset)]

    def samples(self, shard: ShardRef, dataset: DatasetSettings) -> Iterator[Sample]:
        """See `Source`. A broken image is no broken shard: each file stands for itself."""
        files = Files(dataset.storage_options)
        for index, entry in enumerate(self._entries(shard, dataset)):
            yield _sample(entry, index, files, dataset)

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int) -> int:
        """See `Source`."""
        return min(most, len(self._entries(shard, dataset)))

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`; lists the folder again."""
        self._listings.pop(shard.url, None)
        return _version(self._entries(shard, dataset))

    def _shards(self, url: str, dataset: DatasetSettings) -> Iterator[ShardRef]:
        try:
            entries = self._listing(url, dataset)
        except STORAGE_ERRORS as error:
            raise InputError(f"{url}: {one_line(error)}") from error
        if not entries:
            raise InputError(f"{url}: no images here or below (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
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

    def _entries(self, shard: ShardRef, dataset: DatasetSettings) -> list[_Entry]:
        start, stop = map(int, shard.part.split("-"))
        try:
            return self._listing(shard.url, dataset)[start:stop]
        except STORAGE_ERRORS as error:
            raise unreadable(shard.url, error) from error

    def _listing(self, url: str, dataset: DatasetSettings) -> list[_Entry]:
        if url not in self._listings:
            self._listings[url] = _list(url, Files(dataset.storage_options))
        return self._listings[url]


def _list(folder: str, files: Files) -> list[_Entry]:
    if not files.info(folder).is_folder:
        raise NotADirectoryError(f"{folder} is no folder")
    images: list[FileInfo] = []
    neighbours: dict[str, list[FileInfo]] = defaultdict(list)
    for info in files.walk(folder):
        path = PurePosixPath(relative(info.url, folder))
        if path.suffix.lower().lstrip(".") in IMAGE_SUFFIXES:
            images.append(info)
        elif path.suffix.lower() in _SIDECARS:
            neighbours[str(path.with_suffix(""))].append(info)
    paths = [relative(info.url, folder) for info in images]
    return [
        _entry(path, info, neighbours.get(str(PurePosixPath(path).with_suffix("")), ()), folder)
        for path, info in zip(paths, images, strict=True)
    ]


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
        sidecar=found,
        meta={**label, **describe(by_suffix.get("txt"), by_suffix.get("json")), **_said_of(left_out)},
        failure=None if held else too_many_bytes(entry.image.size or 0, dataset),
        sha256=None if held else _digest(entry.image, files),
    )


def _left_out(entry: _Entry, index: int) -> Sample:
    """The sample of an image that lies outside; nothing of it is read."""
    path = PurePosixPath(entry.path)
    return Sample(
        key=to_text(os.fsencode(path.with_suffix(""))),
        index=index,
        image=None,
        image_name=to_text(os.fsencode(path)),
        failure=Failure(status=Status.MISSING_IMAGE, detail=f"a link out of the folder; {_OWN}"),
    )


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
