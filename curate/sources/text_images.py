"""Pictures that stand in texts: as base64, as a `data:` URL, or by the path of a file.

A text that begins like a picture in base64 is one wherever it stands. A path is one only in a column that is said, or
called, to hold pictures. An address is never opened.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from curate.core.types import Failure, Status
from curate.images.formats import looks_like_a_picture
from curate.sources.base import MOST_BYTES, is_named_as_picture
from curate.sources.names import to_text
from curate.sources.own_files import NoPicture, OutsideDataset, is_address

Fetch = Callable[[str], bytes]
"""Reads what a path names; see `OwnFiles.read`."""

IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "picture", "photo", "bytes", "images")
"""What columns of pictures are called."""

_BASE64_NAMES = tuple(
    f"{stem}{joint}{word}"
    for stem in ("image", "img")
    for joint in ("_", "")
    for word in ("base64", "b64", "data", "str", "string", "encoded")
)
TEXT_NAMES = (*IMAGE_NAMES, "base64", "b64", *_BASE64_NAMES)
"""What columns of pictures as texts are called."""

_PATH_WORDS = ("path", "file", "filename", "name")
PATH_NAMES = (
    *(f"{stem}_{word}" for stem in ("image", "img", "picture", "photo") for word in _PATH_WORDS),
    *("path", "file", "file_name", "filename", "filepath", "file_path", "image_file_name", "imagepath", "relpath"),
)  # fmt: skip
"""What columns of paths of pictures are called, where no column is called as one of pictures."""

_LONGEST_PATH = 4096
_SURELY_NO_PATH = 256
_HEAD = 44
ENCODED_BEGINNING = 256
"""Bytes of a text that tell whether it is a picture in base64."""

_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{44}")
_DATA_URL = re.compile(rb"data:([^,]{0,200}),", re.IGNORECASE)
_BLANKS = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class TextImage:
    """What a text says of a picture: its bytes, or why there are none; `path` is what it is called."""

    image: bytes | None
    path: str = ""
    failure: Failure | None = None


def is_encoded(text: bytes) -> bool:
    """Whether a text begins like a picture in base64, or is a `data:` URL of one."""
    start = text[:ENCODED_BEGINNING].lstrip(_BLANKS)
    if start[:5].lower() == b"data:" and (described := _DATA_URL.match(start)):
        return described[1].lower().startswith(b"image/")
    return _ENCODED.match(start) is not None and looks_like_a_picture(_decoded(start[:_HEAD]) or b"")


def is_path_of_picture(text: str) -> bool:
    """Whether a text is the path of a picture by its name."""
    return len(text) <= _LONGEST_PATH and not is_address(text) and is_named_as_picture(text.rpartition(".")[2])


def image_of(text: bytes, fetch: Fetch | None) -> TextImage:
    """The picture that a text stands for.

    Args:
        text: as it is in the column.
        fetch: reads what a path names; None where paths are not read.
    """
    bare = text.strip(_BLANKS)
    if not bare:
        return TextImage(None)
    described = _DATA_URL.match(bare)
    if described or is_encoded(bare):
        return _from_base64(
            bare[described.end() :] if described else bare, encoded=not described or _says_so(described)
        )
    if len(bare) >= _SURELY_NO_PATH and (decoded := _decoded(bare)) is not None:
        return TextImage(decoded)  # of a format that is told where it is decoded
    if len(bare) > _LONGEST_PATH:
        return TextImage(None, failure=_no_image("a text that is neither base64 nor a path"))
    return from_path(to_text(bare), fetch)


def from_path(path: str, fetch: Fetch | None) -> TextImage:
    """The picture that a path names."""
    if fetch is None:
        return TextImage(None, path, _no_image(f"a path without bytes: {path}"))
    try:
        return TextImage(fetch(path), path)
    except OutsideDataset:
        what = (
            "an address, which is no file of this data set, and is never opened"
            if is_address(path)
            else "a path that is no file of this data set"
        )
        return TextImage(None, path, _no_image(f"{what}: {path}"))
    except NoPicture as error:
        return TextImage(None, path, _no_image(f"{error}: {path}"))
    except OSError as error:
        return TextImage(None, path, _no_image(f"{'not found' if _is_absent(error) else error.strerror}: {path}"))


def choose(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Of columns of texts, by name and with their first values, those that hold pictures, by what is in them.

    Those that are called as pictures come before those that are called as paths, and before what merely holds some.
    """
    for names in (TEXT_NAMES, PATH_NAMES):
        called = [name for name in columns if name.lower() in names]
        held = [name for name in called if any(map(_stands_for_picture, columns[name]))]
        if held:
            return held
    return [name for name, values in columns.items() if any(is_encoded(v.encode()) for v in values)]


def why_none(columns: Mapping[str, Sequence[str]]) -> str:
    """What to do about texts among which no picture is found, as a half-sentence; "" where nothing can be said."""
    for name, values in columns.items():
        if values and all(is_address(value) for value in values):
            return f"column {name!r} holds addresses, which are never opened: download them first, e.g. by img2dataset"
        if any(is_path_of_picture(value) for value in values):
            return (
                f"column {name!r} holds paths: dataset.image={name} reads the files below the folder that this lies in"
            )
    return ""


def _stands_for_picture(value: str) -> bool:
    return is_encoded(value.encode("utf-8", "replace")) or is_path_of_picture(value)


def _says_so(described: re.Match[bytes]) -> bool:
    return described[1].lower().rstrip().endswith(b";base64")


def _from_base64(text: bytes, *, encoded: bool) -> TextImage:
    if len(text) // 4 * 3 > MOST_BYTES:
        detail = f"{len(text)} characters of base64, {MOST_BYTES} bytes at most"
        return TextImage(None, failure=Failure(status=Status.TOO_MANY_BYTES, detail=detail))
    decoded = _decoded(text) if encoded else None
    if decoded is None:
        detail = "a text that begins like a picture and is no valid base64"
        return TextImage(None, failure=Failure(status=Status.UNDECODABLE, detail=detail))
    return TextImage(decoded)


def _decoded(text: bytes) -> bytes | None:
    """Strictly, of either alphabet; None where it is none."""
    packed = text.translate(None, _BLANKS)
    try:
        return base64.b64decode(packed.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except (binascii.Error, ValueError):
        return None


def _no_image(detail: str) -> Failure:
    return Failure(status=Status.MISSING_IMAGE, detail=detail[:300])


def _is_absent(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
