"""Zips of images: members in their order, grouped into samples as those of a tar are.

What is read is bounded by what lies there: a zip whose members together claim more bytes than it has (they overlap, as
in bombs) is damaged, and compressions other than the usual one, whose ratio has no bound, are not read.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice

from curate.core.secrets import one_line
from curate.core.types import Damage, Sample, ShardRef
from curate.images.formats import BEGINNING
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.file_shards import shards_of_files, version_of_file
from curate.sources.files import Files
from curate.sources.names import to_text
from curate.sources.passed_over import (
    ENCRYPTED,
    OTHER_COMPRESSION,
    SYMBOLIC_LINKS,
    Note,
    ignored,
    is_twin,
    why_hidden,
)
from curate.sources.tar import Body, Digest, Member
from curate.sources.webdataset import held_bytes, samples_of

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OverflowError)
_CHUNK = 2**20
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class ZipSource:
    """Zips; one shard each."""

    format = "zip"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        return shards_of_files(urls, dataset, self.format)

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                with zipfile.ZipFile(raw) as archive:
                    for sample in samples_of(_members(archive, dataset, note), dataset, note):
                        yield sample
                        index = sample.index + 1
            except _BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`; goes by the directory, and looks into what has no suffix."""
        counted = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                with zipfile.ZipFile(raw) as archive:
                    found = samples_of(_members(archive, dataset, note, bare=True), dataset, note)
                    for _ in islice((s for s in found if s.picture == 0), most):
                        counted += 1
            except _BROKEN:
                pass
        return counted

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        return version_of_file(shard, dataset)


def _members(archive: zipfile.ZipFile, dataset: DatasetSettings, note: Note, *, bare: bool = False) -> Iterator[Member]:
    """The files of an archive in the order of its directory; `bare` without what names tell of them."""
    entries = archive.infolist()
    _refuse_overlaps(archive, entries)
    limit = held_bytes(dataset)
    for entry in entries:
        name = entry.filename.encode("utf-8", "surrogateescape")
        reason = _passed_over(entry, name)
        if entry.is_dir():
            continue
        if reason is not None:
            note(reason, to_text(name))
            continue
        looked_at = not bare or b"." not in name.rpartition(b"/")[2]
        body = _body(archive, entry, BEGINNING if bare else limit(name)) if looked_at else b""
        yield Member(name, body, entry.file_size)


def _passed_over(entry: zipfile.ZipInfo, name: bytes) -> str | None:
    if is_twin(name) or name.rpartition(b"/")[2].startswith(b"."):
        return why_hidden(name)
    if stat.S_ISLNK(entry.external_attr >> 16):
        return SYMBOLIC_LINKS
    if entry.flag_bits & _ENCRYPTED:
        return ENCRYPTED
    return None if entry.compress_type in _READ else OTHER_COMPRESSION


def _refuse_overlaps(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> None:
    claimed = sum(entry.compress_size for entry in entries)
    if archive.fp is None:
        raise zipfile.BadZipFile("closed")
    size = archive.fp.seek(0, 2)
    if claimed > size:
        raise zipfile.BadZipFile(f"members claim {claimed} bytes of {size}: they overlap")


def _body(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> Body:
    """The bytes of a member up to where it is damaged, or their digest if they are more than `limit`."""
    held, size, digest = bytearray(), 0, hashlib.sha256()
    try:
        with archive.open(entry) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
                held += chunk[: max(BEGINNING, limit + 1) - len(held)]
    except (zipfile.BadZipFile, zlib.error, EOFError):
        pass  # a picture that is cut off is told as one where it is decoded
    return bytes(held) if size <= limit else Digest(size, digest.hexdigest(), bytes(held[:BEGINNING]))
