"""What one split file holds, as digests: enough to tell a changed byte, and little enough to hold for a whole shard.

Shares no code with the writers of `curate.filtering`, nor with the sources' reader of tars, so that an error of
theirs is not repeated here.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from itertools import groupby
from operator import itemgetter
from typing import Protocol, cast
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.types import Sample
from curate.sources.names import to_text
from curate.sources.webdataset import key_and_suffix
from curate.storage.store import Store

UNREADABLE = (tarfile.TarError, pa.ArrowException, OSError, ValueError)
"""What `read_split_file` raises where a file is damaged."""

_BATCH = 16


class Placed(Protocol):
    """One sample in a split file."""

    @property
    def part(self) -> str:
        """The folder below splits/."""
        ...

    @property
    def where(self) -> str:
        """File, and the place in it."""
        ...

    def holds(self, pictures: Sequence[str | None]) -> bool:
        """Whether the sample with these pictures, by their digests in order, is this one; None is one without bytes."""
        ...

    def difference(self, sample: Sample) -> str | None:
        """What differs from the sample in the source; None where it is all there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow:
    """A row of a Parquet split or of an index; an index has neither image nor sidecar."""

    part: str
    file: str
    key: str
    shard: str
    index: int
    sha256: str | None
    image_name: str | None = None
    sidecar: bytes | None = None

    @property
    def where(self) -> str:
        """See `Placed`."""
        return f"{self.file}, index {self.index}"

    def holds(self, pictures: Sequence[str | None]) -> bool:
        """See `Placed`; an index names the picture that decided, a copy has the first one as its image."""
        return self.sha256 in pictures if self.sidecar is None else self.sha256 == pictures[0]

    def difference(self, sample: Sample) -> str | None:
        """See `Placed`."""
        if self.key != sample.key:
            return f"key is {self.key!r}, in the source {sample.key!r}"
        if self.sidecar is None:
            return None
        if self.sha256 != _sha256(sample.image):
            return "the image's bytes are not those of the source"
        if sample.image is not None and (self.image_name or "") != sample.image_name:
            return f"the image is called {self.image_name!r}, in the source {sample.image_name!r}"
        return None if self.sidecar == _sidecar(sample.sidecar.items()) else "the sidecar is not that of the source"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedMembers:
    """A sample of a tar: (suffix, digest) of its members."""

    part: str
    file: str
    key: str
    members: tuple[tuple[str, str], ...]

    @property
    def where(self) -> str:
        """See `Placed`."""
        return f"{self.file}, key {self.key}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys in the source that this may stand for: a writer may have had to escape the key and to number it."""
        bare = self.key.rpartition("%23")[0]
        return tuple(dict.fromkeys((self.key, unquote(self.key), bare, unquote(bare))))

    def holds(self, pictures: Sequence[str | None]) -> bool:
        """See `Placed`."""
        return {digest for digest in pictures if digest is not None} <= {digest for _, digest in self.members}

    def difference(self, sample: Sample) -> str | None:
        """See `Placed`."""
        if sample.key not in self.keys:
            return f"key is {self.key!r}, in the source {sample.key!r}"
        if not self.holds([_sha256(sample.image)]):
            return "the image's bytes are not those of the source"
        there = dict(self.members)
        for name, data in sample.sidecar.items():
            if there.get(name) != _sha256(data):
                return f"member .{name} is {'not that of the source' if name in there else 'gone'}"
        return self._added(sample)

    def _added(self, sample: Sample) -> str | None:
        """What the source does not have; one that was no tar has its fields as JSON here."""
        written = {"json"} - sample.sidecar.keys()
        added = [name for name, digest in self.members if name not in sample.sidecar and name not in written]
        images = 0 if sample.image is None else 1
        return f"members {', '.join(added)} where the source has {images} image" if len(added) > images else None


def read_split_file(store: Store, part: str, name: str) -> Iterator[PlacedRow | PlacedMembers]:
    """The samples in a split file, in order; holds a few of them at a time.

    Raises:
        the errors in UNREADABLE: it is damaged.
    """
    with store.open(name) as file:
        if name.endswith(".tar"):
            for key, group in _groups(_members(file)):
                yield PlacedMembers(part=part, file=name, key=key, members=tuple(group))
        else:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(_BATCH, columns=_columns(parquet), use_threads=False):
                    yield from (_row(row, part, name) for row in batch.to_pylist())


def _columns(parquet: pq.ParquetFile) -> list[str]:
    wanted = ("key", "shard", "index", "sha256", "image", "sidecar")
    return [name for name in parquet.schema_arrow.names if name in wanted]


def _row(row: dict[str, object], part: str, file: str) -> PlacedRow:
    image, sidecar = row.pop("image", None), row.pop("sidecar", None)
    copied = {} if sidecar is None else _copied(image, sidecar)
    return PlacedRow(part=part, file=file, **row | copied)  # type: ignore[arg-type]


def _copied(image: object, sidecar: object) -> dict[str, object]:
    held = image if isinstance(image, dict) else {"bytes": None, "path": None}
    entries = sidecar if isinstance(sidecar, list) else []
    return {
        "sha256": _sha256(held["bytes"]),
        "image_name": held["path"],
        "sidecar": _sidecar((entry["name"], entry["data"]) for entry in entries),
    }


def _members(file: BufferedIOBase) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each file in a tar; neither a body nor the headers so far are held."""
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        while (header := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]
            body = tar.extractfile(header)
            if body is not None:
                yield header.name, hashlib.file_digest(cast(BufferedReader, body), "sha256").hexdigest()


def _groups(members: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Adjacent members of one key, as webdataset reads them: (suffix, SHA-256) by key."""
    named = ((key_and_suffix(name.encode("utf-8", "surrogateescape")), digest) for name, digest in members)
    keyed = ((to_text(split[0]), to_text(split[1]), digest) for split, digest in named if split is not None)
    for key, group in groupby(keyed, key=itemgetter(0)):
        yield key, [(suffix, digest) for _, suffix, digest in group]


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _sidecar(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """One digest of names and bytes, in their order."""
    digest = hashlib.sha256()
    for name, data in entries:
        digest.update(f"{len(name)} {name} {_sha256(data)}\n".encode("utf-8", "surrogateescape"))
    return digest.digest()
