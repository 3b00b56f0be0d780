"""Headers of a tar, none of which passes for the end of the archive when it is damaged.

`tarfile` parses a header in twenty steps. That of a plain file, as nearly all are, is told by one look at its shape and
needs three; whatever looks otherwise is left to `tarfile`.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from typing import Self

_NUMBER = rb"(?:[0-7]{7}[\0 ]|[0-7]{6} \0)"
_LONG_NUMBER = rb"[0-7]{11}[\0 ]"
_MAYBE_NUMBER = rb"(?:\0{8}|" + _NUMBER + rb")"
_PLAIN_FILE = re.compile(
    rb"(?P<name>.{100})"
    + _NUMBER * 3  # mode and owners
    + rb"(?P<size>[0-7]{11})[\0 ]"
    + _LONG_NUMBER  # time
    + rb"(?P<checksum>[0-7]{6})(?:\0 | \0)"
    + tarfile.REGTYPE
    + rb".{172}"  # link, magic, names of owners
    + _MAYBE_NUMBER * 2  # device
    + rb"\0.{166}",  # no first half of a long name
    re.DOTALL,
)
_CHECKSUM = slice(148, 156)


class StrictHeader(tarfile.TarInfo):
    """A header that never passes for the end of the archive when it is damaged; of a plain file name and size alone."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See `tarfile.TarInfo`."""
        found = _PLAIN_FILE.fullmatch(buf)
        if found is None or int(found["checksum"], 8) != _sum(buf):
            return super().frombuf(buf, encoding, errors)
        header = cls(found["name"].partition(b"\0")[0].decode(encoding, errors))
        header.size = int(found["size"], 8)
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """See `tarfile.TarInfo`.

        Raises:
            tarfile.ReadError: the header is damaged, or there is none where the archive has not ended.
        """
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


def _sum(block: bytes | bytearray) -> int:
    """Of a header's bytes, its checksum taken for blanks.

    The lower half of an Adler-32 is one more than the sum of up to 256 bytes, which comes to less than its modulus.
    """
    blank = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    return (zlib.adler32(blank[:256]) & 0xFFFF) + (zlib.adler32(blank[256:]) & 0xFFFF) - 2
