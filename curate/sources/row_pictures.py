"""The pictures in rows of Arrow tables, wherever they stand: in a column, a list, a struct.

Columns that are images or bytes, as nearly all are, are taken apart once for many rows; what is nested otherwise, and
texts that may be pictures in base64, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.images.formats import BEGINNING, looks_like_a_picture
from curate.sources.arrow_types import (
    beginnings,
    holds_bytes,
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

_TEXTS = (pa.StringScalar, pa.LargeStringScalar, pa.StringViewScalar)


class Picture(NamedTuple):
    """A picture as it stands in a row.

    Attributes:
        column: position of its column.
        part: which of the row's pictures it is.
        value: its bytes, or the text that stands for them; None where there are none.
        path: what it is called, "" where nothing is said.
        judged: whether it is to be.
    """

    column: int
    part: str
    value: pa.Scalar | None
    path: str
    judged: bool

    def read(self, fetch: Fetch | None) -> TextImage:
        """Its bytes, or why there are none.

        Args:
            fetch: reads what a path names; None where paths are not read.
        """
        if self.value is None:
            return from_path(self.path, fetch)
        data = bytes(self.value.as_buffer())
        return image_of(data, fetch) if isinstance(self.value, _TEXTS) else TextImage(data, self.path)


class Found(NamedTuple):
    """A picture in a value: `Picture` says what is what."""

    part: str
    value: pa.Scalar | None
    path: str = ""


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
        self._last_resort = None if layout.otherwise is None else plain_column(batch.column(layout.otherwise))
        self._finders: list[tuple[int, bool, _Finder]] = []
        for n in sorted((*layout.certain, *layout.possible)):
            certain = n in layout.certain
            column = batch.column(n)
            if certain or n not in layout.texts or holds_bytes(column.type) or _holds_encoded(column):
                finder = _finder(plain_column(column), self._names[n], certain=certain)
                self._finders.append((n, certain or not layout.chosen, finder))

    def of(self, row: int) -> list[Picture]:
        """The pictures in a row, in the order of the columns."""
        found = [
            Picture(n, part, value, path, judged)
            for n, judged, finder in self._finders
            for part, value, path in finder(row)
        ]
        return found or self._of_last_resort(row)

    def _of_last_resort(self, row: int) -> list[Picture]:
        n, column = self._otherwise, self._last_resort
        if n is None or column is None or not (value := column[row]).is_valid:
            return []
        return [Picture(n, self._names[n], value, "", True)]


def _finder(column: pa.Array, name: str, *, certain: bool) -> _Finder:
    if is_image(column.type):
        return _finder_of_images(column, name)
    if is_binary(column.type):
        return _finder_of_bytes(column, name, certain=certain)
    return lambda row: list(pictures_in(column[row], name, certain=certain))


def _finder_of_images(column: pa.Array, name: str) -> _Finder:
    images = pc.struct_field(column, [column.type.get_field_index("bytes")])
    place = column.type.get_field_index("path")
    path_of = None if place < 0 else texts_of(pc.struct_field(column, [place]))

    def found(row: int) -> Sequence[Found]:
        image = images[row]
        path = "" if path_of is None else path_of(row)
        return (Found(name, image if image.is_valid else None, path),) if image.is_valid or path else ()

    return found


def _finder_of_bytes(column: pa.Array, name: str, *, certain: bool) -> _Finder:
    if certain:
        return lambda row: (Found(name, value),) if (value := column[row]).is_valid else ()
    looks = [start is not None and looks_like_a_picture(start) for start in beginnings(column, BEGINNING)]
    return lambda row: (Found(name, column[row]),) if looks[row] else ()


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
        if _is_picture(value, certain=certain):
            yield Found(part, value)
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


def _is_picture(value: pa.Scalar, *, certain: bool) -> bool:
    if is_binary(value.type):
        return certain or looks_like_a_picture(_beginning(value, BEGINNING))
    beginning = _beginning(value, ENCODED_BEGINNING)
    return bool(certain and beginning) or is_encoded(beginning)


def _image_of(value: pa.Scalar, part: str) -> Iterator[Found]:
    path = text(value["path"]) if value.type.get_field_index("path") >= 0 else ""
    if value["bytes"].is_valid or path:
        yield Found(part, value["bytes"] if value["bytes"].is_valid else None, path)


def _beginning(value: pa.Scalar, most: int) -> bytes:
    return bytes(memoryview(value.as_buffer())[:most])
