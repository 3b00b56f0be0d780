r"""Names that are not text, as text: lossless and valid UTF-8, so that they fit into keys, Parquet and JSON.

A byte of a name that is not part of valid UTF-8 becomes the four characters `\xHH`. So that this can be undone, a name
that already holds such four characters has its backslash written as `\x5c`. Every other name stays as it is.
"""

from __future__ import annotations

import re

_AMBIGUOUS = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_UNDECODED = re.compile("[\udc80-\udcff]")
_ESCAPED = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def to_text(name: bytes) -> str:
    """The name as valid text; `to_bytes` undoes it."""
    if name.isascii() and b"\\" not in name:
        return name.decode()
    decoded = _AMBIGUOUS.sub(r"\\x5c", name.decode("utf-8", "surrogateescape"))
    return _UNDECODED.sub(lambda char: f"\\x{ord(char[0]) - 0xDC00:02x}", decoded)


def to_bytes(text: str) -> bytes:
    """The name as the source has it."""
    parts = _ESCAPED.split(text)
    plain, codes = parts[::2], parts[1::2]
    return plain[0].encode() + b"".join(
        bytes([int(code, 16)]) + rest.encode() for code, rest in zip(codes, plain[1:], strict=True)
    )
