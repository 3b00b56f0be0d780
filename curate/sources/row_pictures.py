"""The pictures in rows of Arrow tables, wherever they stand: in a column, a list, a struct.

Columns that are images or bytes, as nearly all are, are taken apart once for many rows; what is nested otherwise, and
texts that may be pictures in base64, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from curate.images.formats import BEGINNING, looks_like_a_picture
from curate.sources.arrow_types import (
    beginnings,
    bytes_of,
    is_binary,
    is_image,
    is_list,
    is_string,
    plain_column,
    plain_value,
    text,
    text_arrays,
    texts_of,
)
from curate.sources.row_layout import Layout
from curate.sources.text_images import ENCODED_BEGINNING, PATH_NAMES, Fetch, TextImage, from_path, image_of, is_encoded


class Picture(NamedTuple):
    """A picture as it stands in a row.

    Attributes:
        column: position of its column.
        part: which of the row's pictures it is.
        value: its bytes, or the text that stands for them; None where there are none.
        path: what it is called, "" where nothing is said.
        is_text: whether it is a text that stands for the bytes.
        judged: whether it is to be.
    """

    column: int
    part: str
    value: memoryview | None
    path: str
    is_text: bool
    judged: bool

    def read(self, fetch: Fetch | None) -> TextImage:
        """Its bytes, or why there are none.

        Args:
            fetch: reads what a path names; None where paths are not read.
        """
        if self.value is None:
            return from_path(self.path, fetch)
        data = bytes(self.value)
        return image_of(data, fetch) if self.is_text else TextImage(data, self.path)


class Found(NamedTuple):
    """A picture in a value: `Picture` says what is what."""

    part: str
    value: memoryview | None
    path: str = ""
    is_text: bool = False


_Finder = Callable[[int], Sequence[Found]]
"""The pictures of a column in a row."""


class RowPictures:
    """The pictures in each row of a batch.

    Args:
        batch: some rows of a file.
        layout: of that file.
    """

    def __init__(self, batch: pa.RecordBatch, layout: Layout) -> None:
        self._names = batch.schema.names
        self._otherwise = layout.otherwise
        self._last_resort = None if layout.otherwise is None else bytes_of(plain_column(batch.column(layout.otherwise)))
        self._finders: list[tuple[int, bool, _Finder]] = []
        for n in sorted((*layout.certain, *layout.possible)):
            certain = n in layout.certain
            column = batch.column(n)
            if certain or n not in layout.texts or _holds_encoded(column):
                finder = _finder(plain_column(column), self._names[n], certain=certain)
                self._finders.append((n, certain or not layout.chosen, finder))

    def of(self, row: int) -> list[Picture]:
        """The pictures in a row, in the order of the columns."""
        found = [
            Picture(n, part, value, path, is_text, judged)
            for n, judged, finder in self._finders
            for part, value, path, is_text in finder(row)
        ]
        return found or self._of_last_resort(row)

    def _of_last_resort(self, row: int) -> list[Picture]:
        n, bytes_in = self._otherwise, self._last_resort
        value = None if bytes_in is None else bytes_in(row)
        return [] if n is None or value is None else [Picture(n, self._names[n], value, "", False, True)]


def _finder(column: pa.Array, name: str, *, certain: bool) -> _Finder:
    if is_image(column.type):
        return _finder_of_images(column, name)
    if is_binary(column.type):
        return _finder_of_bytes(column, name, certain=certain)
    return lambda row: list(pictures_in(column[row], name, certain=certain))


def _finder_of_images(column: pa.Array, name: str) -> _Finder:
    fields = column.flatten()
    bytes_in = bytes_of(fields[column.type.get_field_index("bytes")])
    place = column.type.get_field_index("path")
    path_of = None if place < 0 else texts_of(fields[place])

    def found(row: int) -> Sequence[Found]:
        image = bytes_in(row)
        path = "" if path_of is None else path_of(row)
        return () if image is None and not path else (Found(name, image, path),)

    return found


def _finder_of_bytes(column: pa.Array, name: str, *, certain: bool) -> _Finder:
    bytes_in = bytes_of(column)

    def found(row: int) -> Sequence[Found]:
        value = bytes_in(row)
        is_one = value is not None and (certain or looks_like_a_picture(bytes(value[:BEGINNING])))
        return (Found(name, value),) if is_one else ()

    return found


def _holds_encoded(column: pa.Array) -> bool:
    """Whether any text in a column is a picture in base64."""
    arrays = text_arrays(column)
    return any(start and is_encoded(start) for array in arrays for start in beginnings(array, ENCODED_BEGINNING))


def pictures_in(scalar: pa.Scalar, part: str, *, certain: bool) -> Iterator[Found]:
    """The pictures in a value, of any type; `RowPictures` finds the same in columns.

    Args:
        scalar: the value.
        part: what a picture is called that is all of the value.
        certain: whether bytes and texts are pictures whatever they begin with.
    """
    value = plain_value(scalar)
    if value is None:
        return
    kind = value.type
    if is_binary(kind) or is_string(kind):
        inside = memoryview(value.as_buffer())
        if _is_picture(inside, is_text=is_string(kind), certain=certain):
            yield Found(part, inside, is_text=is_string(kind))
    elif is_image(kind):
        yield from _image_of(value, part)
    elif pa.types.is_struct(kind):
        yield from _in_struct(value, part, certain=certain)
    elif is_list(kind):
        for n, item in enumerate(value.values):
            yield from pictures_in(item, f"{part}[{n}]", certain=certain)


def _in_struct(value: pa.Scalar, part: str, *, certain: bool) -> Iterator[Found]:
    """The pictures in a struct with other fields than those of an image alone: it may be one that says more of it."""
    place = value.type.get_field_index("bytes")
    holds_image = certain and place >= 0 and is_binary(value.type.field(place).type)
    if holds_image:
        yield from _image_of(value, part)
    for name in (part_of.name for part_of in value.type):
        if holds_image and name in ("bytes", "path"):
            continue
        its_own = certain and not holds_image and (name == "bytes" or name.lower() in PATH_NAMES)
        yield from pictures_in(value[name], part if its_own else f"{part}.{name}", certain=its_own)


def _is_picture(value: memoryview, *, is_text: bool, certain: bool) -> bool:
    if not is_text:
        return certain or looks_like_a_picture(bytes(value[:BEGINNING]))
    beginning = bytes(value[:ENCODED_BEGINNING])
    return bool(certain and beginning) or is_encoded(beginning)


def _image_of(value: pa.Scalar, part: str) -> Iterator[Found]:
    path = text(value["path"]) if value.type.get_field_index("path") >= 0 else ""
    image = value["bytes"]
    if image.is_valid or path:
        yield Found(part, memoryview(image.as_buffer()) if image.is_valid else None, path)
