"""What Arrow types hold, at the top or anywhere within: bytes, texts, images as `datasets` stores them.

Files have few types and many rows: what is asked for every row is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.names import to_text


@lru_cache(256)
def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes, of any length."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


@lru_cache(256)
def is_string(kind: pa.DataType) -> bool:
    """Whether values are texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


@lru_cache(256)
def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists of any kind, maps among them."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or pa.types.is_map(kind)
    )


def is_union(kind: pa.DataType) -> bool:
    """Whether each value is of one type of several."""
    return bool(pa.types.is_union(kind))


@lru_cache(256)
def is_image(kind: pa.DataType) -> bool:
    """Whether this is how `datasets` stores images; further fields would be lost, so there may be none."""
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return is_binary(kind.field("bytes").type) and {part.name for part in kind} <= {"bytes", "path"}


@lru_cache(256)
def is_only_an_image(kind: pa.DataType) -> bool:
    """Whether a value is an image and nothing else, so that nothing is lost where it is left out."""
    return is_image(kind) or is_binary(plain_type(kind))


def holds_images(kind: pa.DataType) -> bool:
    """Whether images as `datasets` stores them, with or without further fields, are anywhere in a column."""

    def is_more_than_an_image(part: pa.DataType) -> bool:
        is_struct = pa.types.is_struct(part) and part.get_field_index("bytes") >= 0
        return is_struct and is_binary(part.field("bytes").type)

    return any(map(is_more_than_an_image, _types_within(kind)))


@lru_cache(256)
def holds_bytes(kind: pa.DataType) -> bool:
    """Whether binary values are anywhere in a column."""
    return any(map(is_binary, _types_within(kind)))


@lru_cache(256)
def holds_texts(kind: pa.DataType) -> bool:
    """Whether texts are anywhere in a column."""
    return any(map(is_string, _types_within(kind)))


@lru_cache(256)
def holds_dictionaries(kind: pa.DataType) -> bool:
    """Whether values anywhere in a column stand for others that are written down once."""
    return any(map(pa.types.is_dictionary, _types_within(kind)))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Of the values themselves, where a column says in fewer words what they are, or what they mean."""
    while (inner := _wrapped(kind)) is not None:
        kind = inner
    return kind


def plain_column(column: pa.Array) -> pa.Array:
    """A column with the values themselves, each in its place."""
    while _wrapped(column.type) is not None:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        else:
            column = column.storage if hasattr(column, "storage") else pc.run_end_decode(column)
    return column


def plain_value(value: pa.Scalar) -> pa.Scalar | None:
    """A value itself; None for null."""
    while value is not None and value.is_valid and (is_union(value.type) or _wrapped(value.type) is not None):
        value = value.value
    return value if value is not None and value.is_valid else None


def bytes_of(column: pa.Array) -> Callable[[int], memoryview | None]:
    """By row, a value of a column of bytes or texts, where it lies; None for null.

    `column[row]` would be a copy, and what it is turned into a second one.
    """
    kind = column.type
    if pa.types.is_binary_view(kind) or pa.types.is_string_view(kind):
        return lambda row: memoryview(value.as_buffer()) if (value := column[row]).is_valid else None
    if len(column) == column.null_count:
        return lambda row: None
    _, offsets, data = column.buffers()
    number = np.dtype(np.int64 if pa.types.is_large_binary(kind) or pa.types.is_large_string(kind) else np.int32)
    ends = np.frombuffer(offsets, number, len(column) + 1, column.offset * number.itemsize).tolist()
    values = memoryview(b"" if data is None else data)
    if not column.null_count:
        return lambda row: values[ends[row] : ends[row + 1]]
    is_valid = column.is_valid().to_pylist()
    return lambda row: values[ends[row] : ends[row + 1]] if is_valid[row] else None


def texts_of(column: pa.Array) -> Callable[[int], str]:
    """By row, a column's value as a key or name; "" for null, and for what Python cannot say (a date of the year 0).

    Strings that are not UTF-8 keep their bytes as `names` writes them.
    """
    if is_string(column.type) or is_binary(column.type):
        values = bytes_of(column)
        return lambda row: to_text(bytes(values(row) or b""))
    return lambda row: text(column[row])


def text(scalar: pa.Scalar) -> str:
    """As `texts_of`, of one value."""
    if not scalar.is_valid:
        return ""
    if is_string(scalar.type) or is_binary(scalar.type):
        return to_text(bytes(scalar.as_buffer()))
    try:
        return str(scalar.as_py())
    except (ValueError, OverflowError, pa.ArrowException):
        return ""


def beginnings(column: pa.Array, most: int) -> list[bytes | None]:
    """The first bytes of a column's bytes or texts, at most so many of each; None for null."""
    values = map(bytes_of(column), range(len(column)))
    return [None if value is None else bytes(value[:most]) for value in values]


def text_arrays(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays of texts anywhere in a column; they may hold more than its rows do, of columns that share them."""
    column = plain_column(column)
    kind = column.type
    if is_string(kind):
        yield column
    elif pa.types.is_struct(kind):
        for inner in column.flatten():
            yield from text_arrays(inner)
    elif pa.types.is_map(kind):
        yield from text_arrays(column.keys)
        yield from text_arrays(column.items)
    elif is_list(kind):
        yield from text_arrays(column.flatten())
    elif is_union(kind):
        for n in range(kind.num_fields):
            yield from text_arrays(column.field(n))


def _wrapped(kind: pa.DataType) -> pa.DataType | None:
    """Of the values of a dictionary, of runs, or of a type that gives another one a meaning; None for others."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return kind.value_type
    return None


def _types_within(kind: pa.DataType) -> Iterator[pa.DataType]:
    """A type, and all that its values are made of."""
    yield kind
    inner = _wrapped(kind)
    if inner is not None:
        yield from _types_within(inner)
    elif pa.types.is_nested(kind):
        for n in range(kind.num_fields):
            yield from _types_within(kind.field(n).type)
