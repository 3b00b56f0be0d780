"""What the header of a JPEG XL says, before its library decodes all of it (ISO/IEC 18181-1, annexes D and E)."""

from __future__ import annotations

from dataclasses import dataclass

BARE = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"

_SIZE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class JxlHeader:
    """Width and height in pixels, as stored, and whether there are several frames."""

    width: int
    height: int
    animated: bool


def read_header(data: bytes) -> JxlHeader:
    """The header of a file.

    Raises:
        ValueError: there is none.
    """
    bits = _Bits(_codestream(data))
    width, height = _size(bits)
    animated = False
    if not bits.take(1) and bits.take(1):  # not all metadata have their default, nor the first of them
        bits.take(3)  # orientation
        if bits.take(1):
            _size(bits)
        animated = bool(bits.take(1)) or bool(bits.take(1))  # a preview's size would have to be skipped: as good as one
    return JxlHeader(width=width, height=height, animated=animated)


class _Bits:
    """Reads from the least significant bit on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:64], "little")
        self._left = 8 * min(len(data), 64)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("cut off in its header")
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return found


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = _length(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        return _length(bits, small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _length(bits: _Bits, small: int) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take(_SIZE_BITS[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """The beginning of the code stream, behind its mark: bare, or in the first box that holds any of it."""
    if data.startswith(BARE):
        return data[len(BARE) :][:64]
    at = 0
    while at + 8 <= len(data):
        size, kind, body = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16]), at + 16
        if kind in (b"jxlc", b"jxlp"):
            stream = data[body + (4 if kind == b"jxlp" else 0) :][:66]
            if stream.startswith(BARE):
                return stream[len(BARE) :]
        if size < 8:
            break
        at += size
    raise ValueError("no code stream in it")
