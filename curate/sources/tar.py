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
from dataclasses import dataclass
from typing import BinaryIO, cast

import zstandard

BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
"""What reading raises where the content of an archive is damaged."""

_CHUNK = 2**20
# webdataset keeps names of this kind for itself.
_RESERVED = re.compile(r"__[^/]*__($|/)")


@dataclass(frozen=True, slots=True)
class Digest:
    """Stands for bytes that are too many to hold."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of the archive: its name as stored, and its bytes, or their digest where they are not held."""

    name: bytes
    body: bytes | Digest


def members(archive: Archive, limit: Callable[[bytes], int]) -> Iterator[Member]:
    """The regular files of an archive, in order, as webdataset sees them (no directories, links, reserved names).

    Args:
        archive: at its start.
        limit: by member name, how many bytes may be held; more are digested.

    Raises:
        tarfile.TarError, EOFError, zlib.error, OSError, zstandard.ZstdError: see `BROKEN`; a member that is cut off
            is not yielded.
    """
    for header in _headers(archive):
        name = header.name.encode("utf-8", "surrogateescape")
        yield Member(name, archive.body(header.size, limit(name)))


def names(archive: Archive) -> Iterator[bytes]:
    """The names `members` would yield, without reading more of the bodies than the compression demands."""
    for header in _headers(archive):
        archive.skip(header.size)
        yield header.name.encode("utf-8", "surrogateescape")


class _StrictHeader(tarfile.TarInfo):
    """A header that never passes for the end of the archive when it is damaged."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _StrictHeader:
        try:
            header = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            raise tarfile.ReadError("no end-of-archive marker: cut off, or never finished") from None
        except (tarfile.HeaderError, ValueError, IndexError, OverflowError, RecursionError) as error:
            raise tarfile.ReadError(f"damaged header: {error}") from None
        if not 0 <= header.size < 2**60:
            raise tarfile.ReadError(f"damaged header: a size of {header.size} bytes")
        return header


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
        """Up to `size` bytes; fewer only at the end."""
        chunks = list(self._chunks(size))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def body(self, size: int, limit: int) -> bytes | Digest:
        """The next `size` bytes, or their digest if they are more than `limit`."""
        if size <= limit:
            return _whole(self.read(size), size)
        digest = hashlib.sha256()
        start = self._position
        for chunk in self._chunks(size):
            digest.update(chunk)
        _check_whole(self._position - start, size)
        return Digest(size, digest.hexdigest())

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


def _headers(archive: Archive) -> Iterator[tarfile.TarInfo]:
    yield from _headers_of_one(archive)
    while archive.goes_on():
        yield from _headers_of_one(archive)


def _headers_of_one(archive: Archive) -> Iterator[tarfile.TarInfo]:
    """Up to an end marker."""
    tar = tarfile.TarFile(
        fileobj=cast(BinaryIO, archive), tarinfo=_StrictHeader, encoding="utf-8", errors="surrogateescape"
    )
    while (header := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        if header.issparse():
            raise tarfile.ReadError(f"{header.name}: sparse members are not supported")
        if header.isreg() and not _RESERVED.match(header.name):
            yield header


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
