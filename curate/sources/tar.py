"""Members of a tar, read strictly forward: plain, gzip or Zstandard, told by the first bytes.

`tarfile` takes a damaged header for the end of the archive and would drop the rest in silence; here that is an error,
as is an archive without an end marker. What stands behind the end marker is read on as a further archive, since people
join tars with `cat`; where it is none, that is an error too. Reads are never larger than what is there, whatever a
header claims.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import zstandard

from curate.images.formats import BEGINNING
from curate.sources.names import to_text
from curate.sources.passed_over import RESERVED, SPARSE, SPECIAL, SYMBOLIC_LINKS, Note, ignored
from curate.sources.tar_headers import StrictHeader

BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
"""What reading raises where the content of an archive is damaged."""

_CHUNK = 2**20
_LARGEST_HEADER = 2**24
# webdataset keeps names of this kind for itself.
_RESERVED = re.compile(r"__[^/]*__($|/)")


@dataclass(frozen=True, slots=True)
class Digest:
    """Stands for bytes that are too many to hold; `head` are the first of them."""

    size: int
    sha256: str
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Stands for the bytes of a hard link whose target was not found: `target` is its name."""

    target: bytes


Body = bytes | Digest | Unlinked


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its name as stored, what is known of its bytes, and its size (0 of a link)."""

    name: bytes
    body: Body
    size: int


def members(archive: Archive, limit: Callable[[bytes], int], note: Note = ignored) -> Iterator[Member]:
    """The files of an archive, in order, as webdataset sees them (no directories, symbolic links, reserved names).

    A hard link has the bytes of the member that it names, where the archive is no compressed one.

    Args:
        archive: at its start.
        limit: by member name, how many bytes may be held; more are digested.
        note: told of what is neither a file nor a directory.

    Raises:
        tarfile.TarError, EOFError, zlib.error, OSError, zstandard.ZstdError: see `BROKEN`; a member that is cut off
            is not yielded.
    """
    for header in _headers(archive, note):
        name = _encoded(header.name)
        most = limit(name)
        body = archive.body(header.size, most) if header.isreg() else _linked(archive, header.linkname, most)
        yield Member(name, body, header.size)


def bare(archive: Archive, looked_at: Callable[[bytes], bool], note: Note = ignored) -> Iterator[Member]:
    """The members that `members` would yield; reads no more than the compression demands.

    Args:
        archive: at its start.
        looked_at: by name, whether the body is to be digested; it is empty otherwise.
        note: told of what is neither a file nor a directory.
    """
    for header in _headers(archive, note):
        name = _encoded(header.name)
        if header.isreg() and looked_at(name):
            yield Member(name, archive.body(header.size, -1), header.size)
        elif header.isreg():
            archive.skip(header.size)
            yield Member(name, b"", header.size)
        else:
            yield Member(name, _linked(archive, header.linkname, 0) if looked_at(name) else b"", header.size)


def _linked(archive: Archive, target: str, limit: int) -> Body:
    place = archive.place_of(target)
    return Unlinked(_encoded(target)) if place is None else archive.body_at(*place, limit)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class Archive:
    """A tar, decompressed, as a stream that only moves forward; what `tarfile` needs of a file.

    Args:
        raw: at its start.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        self._stream = _decompressed(raw)
        self._seekable = self._stream is raw and raw.seekable()
        self._position = 0
        self._unread = b""
        self._places: dict[str, tuple[int, int]] = {}
        self._placed_up_to = 0

    def tell(self) -> int:
        """Bytes passed so far."""
        return self._position

    def seek(self, position: int) -> None:
        """Forward to `position`, or to the end if that comes first."""
        if position < self._position:
            raise tarfile.ReadError("damaged header: it points backwards")
        if self._seekable:
            self._unread = b""
            self._position = self._stream.seek(position)
        else:
            for _ in self._chunks(position - self._position):
                pass

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of headers; fewer only at the end."""
        if size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"damaged header: one of {size} bytes")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        if 0 < size <= _CHUNK and not self._unread:
            chunk = self._stream.read(size)
            self._position += len(chunk)
            return chunk if len(chunk) == size else b"".join((chunk, *self._chunks(size - len(chunk))))
        return b"".join(self._chunks(size))

    def body(self, size: int, limit: int) -> bytes | Digest:
        """The next `size` bytes, or their digest if they are more than `limit`."""
        if size <= limit:
            return _whole(self._read(size), size)
        digest, head = hashlib.sha256(), b""
        start = self._position
        for chunk in self._chunks(size):
            head = head or chunk[:BEGINNING]
            digest.update(chunk)
        _check_whole(self._position - start, size)
        return Digest(size, digest.hexdigest(), head)

    def place_of(self, name: str) -> tuple[int, int] | None:
        """Offset and size of the last file of this name before here; None where there is none, or no way back.

        Headers are gone through again up to here, those of each stretch once: only archives with links pay for it.
        """
        if not self._seekable:
            return None
        here = self._position
        with self._elsewhere(self._placed_up_to):
            while self._placed_up_to < here:
                tar = _opened(self)
                while self._placed_up_to < here and (header := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]
                    self._placed_up_to = int(tar.offset)
                    if header.isreg() and not header.issparse():
                        self._places[header.name] = (header.offset_data, header.size)
                if self._placed_up_to < here:
                    self.goes_on()
                    self._placed_up_to = self._position
        return self._places.get(name)

    def body_at(self, offset: int, size: int, limit: int) -> bytes | Digest:
        """As `body`, of bytes that stand elsewhere."""
        with self._elsewhere(offset):
            return self.body(size, limit)

    @contextmanager
    def _elsewhere(self, offset: int) -> Iterator[None]:
        """Another position for a while; of a seekable archive."""
        before = self._position, self._unread, self._stream.tell()
        self._unread = b""
        self._position = self._stream.seek(offset)
        try:
            yield
        finally:
            self._position, self._unread, place = before
            self._stream.seek(place)

    def skip(self, size: int) -> None:
        """Past the next `size` bytes, making sure that they are there."""
        if size:
            self.seek(self._position + size - 1)
            _check_whole(len(self.read(1)), 1)

    def goes_on(self) -> bool:
        """Past blocks of zeros to whatever stands behind them; False at the end, where compressions have checksums."""
        while piece := self.read(_CHUNK):
            zeros = len(piece) - len(piece.lstrip(b"\0"))
            if zeros < len(piece):
                self._unread = piece[zeros - zeros % tarfile.BLOCKSIZE :]
                self._position -= len(self._unread)
                return True
        return False

    def _chunks(self, size: int) -> Iterator[bytes]:
        if self._unread and size > 0:
            chunk, self._unread = self._unread[:size], self._unread[size:]
            self._position += len(chunk)
            size -= len(chunk)
            yield chunk
        while size > 0 and (chunk := self._stream.read(min(size, _CHUNK))):
            self._position += len(chunk)
            size -= len(chunk)
            yield chunk


def _headers(archive: Archive, note: Note) -> Iterator[tarfile.TarInfo]:
    """Those of files and hard links."""
    yield from _filed(_headers_of_one(archive), note)
    while archive.goes_on():
        yield from _filed(_headers_of_one(archive), note)


def _filed(headers: Iterator[tarfile.TarInfo], note: Note) -> Iterator[tarfile.TarInfo]:
    for header in headers:
        plain = header.type == tarfile.REGTYPE and not header.issparse() and not _RESERVED.match(header.name)
        reason = None if plain else _passed_over(header)
        if reason is None:
            yield header
        elif reason:
            note(reason, to_text(_encoded(header.name)))


def _passed_over(header: tarfile.TarInfo) -> str | None:
    """Why a member is no part of any sample; "" for what is nothing to look for, None for a file."""
    if header.isdir():
        return ""
    if header.issparse():
        return SPARSE
    if header.issym():
        return SYMBOLIC_LINKS
    if not (header.isreg() or header.islnk()):
        return SPECIAL
    return RESERVED if _RESERVED.match(header.name) else None


def _headers_of_one(archive: Archive) -> Iterator[tarfile.TarInfo]:
    """Up to an end marker."""
    tar = _opened(archive)
    while (header := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        yield header


def _opened(archive: Archive) -> tarfile.TarFile:
    return tarfile.TarFile(
        fileobj=cast(BinaryIO, archive), tarinfo=StrictHeader, encoding="utf-8", errors="surrogateescape"
    )


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader:
    head = raw.peek(4)[:4]
    if head.startswith(b"\x1f\x8b"):
        return cast(io.BufferedReader, gzip.GzipFile(fileobj=raw))
    if head == b"\x28\xb5\x2f\xfd":
        return cast(io.BufferedReader, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
    return raw


def _whole(data: bytes, size: int) -> bytes:
    _check_whole(len(data), size)
    return data


def _check_whole(found: int, size: int) -> None:
    if found != size:
        raise tarfile.ReadError("unexpected end of data")
