"""Rows of Arrow tables as samples: shared by Parquet files and `datasets`.

Every picture in a row is judged, wherever it stands: in a column, a list, a struct. `dataset.image` chooses columns.
What is a picture is told by the column's type (images as `datasets` stores them) and by the first bytes, also of texts,
which may hold pictures as base64. Where a file holds no bytes at all, columns of paths are looked for.

The sidecar of a row is one entry, COLUMNS: every column but that of the first image, exact, as an Arrow IPC stream of
one row (schema metadata, which belongs to the file and not to the row, is left out). `columns` reads it back. A column
that holds more than that image (a list, a struct with further fields) is in it too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.core.types import Failure, Sample, ShardRef, Status
from curate.images.formats import BEGINNING, looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import MOST_BYTES, further_pictures, too_many_bytes
from curate.sources.class_names import Features, features_of, with_names
from curate.sources.meta import plain
from curate.sources.names import to_text
from curate.sources.text_images import (
    IMAGE_NAMES,
    PATH_NAMES,
    TEXT_NAMES,
    Fetch,
    TextImage,
    choose,
    from_path,
    image_of,
    is_encoded,
    why_none,
)

COLUMNS = "columns.arrow"
ROWS_PER_BATCH = 16
_LOOKED_AT = 64
"""Texts of a column in its first rows, which tell what it holds."""

_KEY_NAMES = ("key", "__key__")
_TEXT_BEGINNING = 256
_ENCODED = r"^\s*(?:[dD][aA][tT][aA]:|[A-Za-z0-9+/_-]{44})"
"""What a picture in base64 begins with, and few other texts do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a file's columns samples are made of.

    Attributes:
        certain: positions of columns whose every image and every binary value is a picture, whatever it looks like.
        possible: positions of further columns that may hold pictures, which their first bytes tell.
        texts: of both, positions of those that hold texts.
        otherwise: position of the one whose value counts as the picture of a row that has none else; or None.
        chosen: whether only those in `certain` are judged.
        key: the column of keys; without one rows are numbered.
        before_numbers: what stands before the number in the key of a row that has none.
        classes: columns whose numbers have names, as `class_names` reads them.
    """

    certain: tuple[int, ...]
    possible: tuple[int, ...]
    otherwise: int | None
    chosen: bool
    key: str | None
    texts: frozenset[int] = frozenset()
    before_numbers: str = ""
    classes: Features = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture as it stands in a row.

    Attributes:
        column: position of its column.
        part: which of the row's pictures it is.
        image: its bytes, None where there are none.
        path: what it is called, "" where nothing is said.
        judged: whether it is to be.
    """

    column: int
    part: str
    image: pa.Scalar | None
    path: str
    judged: bool


def columns(data: bytes) -> pa.RecordBatch:
    """The one-row record batch in a sidecar's COLUMNS entry."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def layout(
    schema: pa.Schema, dataset: DatasetSettings, url: str, shard: str = "", first: pa.RecordBatch | None = None
) -> Layout:
    """The columns of a file that samples are made of.

    Args:
        schema: of the file, with its metadata.
        dataset: how it is read.
        url: of the file.
        shard: id of the shard that it is.
        first: its first rows, which tell what texts are; None where they are not known yet, or there are none.

    Raises:
        InputError: there is no image column, or a named one is not there.
    """
    images = [("image", name) for name in dataset.images or ()]
    named = [*images, ("key", dataset.key), ("policy_column", dataset.policy_column)]
    for option, name in named:
        if name is not None and name not in schema.names:
            raise InputError(f"{url}: no column {name!r} (dataset.{option}); there are {', '.join(schema.names)}")
        if name is not None and schema.names.count(name) > 1:
            raise InputError(f"{url}: two columns are called {name!r} (dataset.{option}); rename one")
    key = dataset.key or next((name for name in _KEY_NAMES if schema.names.count(name) == 1), None)
    texts = frozenset(n for n, field in enumerate(schema) if _holds(field.type, _is_string))
    if dataset.images is None:
        certain, otherwise = _image_columns(schema, url, first)
    else:
        certain, otherwise = tuple(_chosen_column(schema, name, url) for name in dataset.images), None
    may_hold = (n for n, field in enumerate(schema) if _holds_bytes(field.type) or n in texts)
    possible = tuple(n for n in may_hold if n not in certain)
    in_full = dataset.row_names == "full"
    return Layout(
        certain,
        possible,
        otherwise,
        dataset.images is not None,
        key,
        texts,
        before_numbers=f"{shard}/" if in_full else "",
        classes=features_of(schema) if in_full else {},
    )


def samples(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    dataset: DatasetSettings,
    shard: ShardRef,
    fetch: Fetch | None = None,
) -> Iterator[Sample]:
    """All rows of a file as samples, the pictures of a row one after the other.

    Args:
        batches: all of its rows, some at a time.
        schema: of the file, with its metadata.
        dataset: its `max_bytes` counts.
        shard: which file it is.
        fetch: reads an image that is a path without bytes; None makes such a row one without an image.

    Raises:
        InputError: there is no image column, or a named one is not there.
    """
    start, found = 0, None
    for batch in batches:
        found = found or layout(schema, dataset, shard.url, shard.id, batch)
        yield from _of_batch(batch, found, start, dataset, fetch)
        start += batch.num_rows
    if found is None:
        layout(schema, dataset, shard.url, shard.id)


def _of_batch(
    batch: pa.RecordBatch, layout: Layout, start: int, dataset: DatasetSettings, fetch: Fetch | None
) -> Iterator[Sample]:
    looked_at = [n for n in layout.possible if n not in layout.texts or _may_be_encoded(batch.column(n))]
    decoded = {n: _plain_column(batch.column(n)) for n in (*layout.certain, *looked_at)}
    if layout.otherwise is not None:
        decoded[layout.otherwise] = _plain_column(batch.column(layout.otherwise))
    any_large = batch.nbytes > MOST_BYTES
    for row in range(batch.num_rows):
        too_large = _too_large(batch.slice(row, 1)) if any_large else None
        found = list(_pictures(row, decoded, batch.schema, layout))
        if not found and layout.otherwise is not None and (value := decoded[layout.otherwise][row]).is_valid:
            found = [_Picture(layout.otherwise, batch.schema.names[layout.otherwise], value, "", True)]
        yield from _samples(batch.slice(row, 1), layout, start + row, found, dataset, fetch, too_large=too_large)


def _pictures(row: int, values: dict[int, pa.Array], schema: pa.Schema, layout: Layout) -> Iterator[_Picture]:
    for n in sorted(values):
        certain = n in layout.certain
        for part, image, path in _found(values[n][row], schema.names[n], certain=certain):
            yield _Picture(n, part, image, path, certain or not layout.chosen)


def _found(value: pa.Scalar, part: str, *, certain: bool) -> Iterator[tuple[str, pa.Scalar | None, str]]:
    """The pictures in a value: what each is called, its bytes, its path."""
    kind = value.type
    if not value.is_valid:
        return
    if _is_binary(kind) or _is_string(kind):
        if _is_picture(value, certain=certain):
            yield part, value, ""
    elif _is_image(kind):
        yield from _image_of(value, part)
    elif pa.types.is_struct(kind):
        yield from _in_struct(value, part, certain=certain)
    elif _is_list(kind):
        for n, item in enumerate(value.values):
            yield from _found(item, f"{part}[{n}]", certain=certain)


def _in_struct(value: pa.Scalar, part: str, *, certain: bool) -> Iterator[tuple[str, pa.Scalar | None, str]]:
    """The pictures in a struct with other fields than those of an image alone: it may be one that says more of it."""
    place = value.type.get_field_index("bytes")
    holds_image = certain and place >= 0 and _is_binary(value.type.field(place).type)
    if holds_image:
        yield from _image_of(value, part)
    for name in (part_of.name for part_of in value.type):
        if holds_image and name in ("bytes", "path"):
            continue
        its_own = certain and not holds_image and (name == "bytes" or name.lower() in PATH_NAMES)
        yield from _found(value[name], part if its_own else f"{part}.{name}", certain=its_own)


def _is_picture(value: pa.Scalar, *, certain: bool) -> bool:
    if _is_binary(value.type):
        return certain or looks_like_a_picture(_beginning(value))
    beginning = _beginning(value, _TEXT_BEGINNING)
    return bool(certain and beginning) or is_encoded(beginning)


def _image_of(value: pa.Scalar, part: str) -> Iterator[tuple[str, pa.Scalar | None, str]]:
    path = _text(value["path"]) if value.type.get_field_index("path") >= 0 else ""
    if value["bytes"].is_valid or path:
        yield part, value["bytes"] if value["bytes"].is_valid else None, path


def _beginning(value: pa.Scalar, most: int = BEGINNING) -> bytes:
    return bytes(memoryview(value.as_buffer())[:most])


def _samples(
    row: pa.RecordBatch,
    layout: Layout,
    index: int,
    found: Sequence[_Picture],
    dataset: DatasetSettings,
    fetch: Fetch | None,
    *,
    too_large: Failure | None,
) -> Iterator[Sample]:
    """A picture each; the first carries the sample."""
    judged = [picture for picture in found if picture.judged]
    key = (_text(row.column(layout.key)[0]) if layout.key else "") or f"{layout.before_numbers}{index:09d}"
    unjudged = further_pictures(picture.part for picture in found if not picture.judged)
    others = row.replace_schema_metadata(None)
    carrier = judged[0].column if judged else next(iter(layout.certain), layout.otherwise)
    if carrier is not None and _is_only_an_image(row.schema.field(carrier).type):
        others = _without(others, carrier)
    meta = _meta(others, layout)
    for number, picture in enumerate(judged or [None]):
        found_image = TextImage(None) if picture is None else _image(picture, fetch)
        image, failure = found_image.image, found_image.failure
        held = image is None or len(image) <= dataset.max_bytes
        if failure is None and not held:
            failure = too_many_bytes(len(image or b""), dataset)
        yield Sample(
            key=key,
            index=index,
            picture=number,
            part=None if picture is None else picture.part,
            image=image if held else None,
            image_name=found_image.path,
            sidecar={COLUMNS: _stream(others)} if number == 0 else {},
            meta=meta,
            unjudged=unjudged,
            failure=too_large or failure,
            sha256=None if image is None or held else hashlib.sha256(image).hexdigest(),
        )


def _too_large(row: pa.RecordBatch) -> Failure | None:
    """Why a row cannot be copied into a split, and so is not judged."""
    if row.nbytes <= MOST_BYTES:
        return None
    return Failure(status=Status.TOO_MANY_BYTES, detail=f"a row of {row.nbytes} bytes, {MOST_BYTES} at most")


def _image(picture: _Picture, fetch: Fetch | None) -> TextImage:
    if picture.image is None:
        return from_path(picture.path, fetch)
    data = bytes(picture.image.as_buffer())
    return image_of(data, fetch) if _is_string(picture.image.type) else TextImage(data, picture.path)


def _image_columns(schema: pa.Schema, url: str, first: pa.RecordBatch | None) -> tuple[tuple[int, ...], int | None]:
    """`certain` and `otherwise` of a layout, where nobody has named the columns."""
    typed = [n for n, field in enumerate(schema) if _holds_images(field.type)]
    binary = [n for n, field in enumerate(schema) if _is_binary(_value_type(field.type))]
    bytes_within = [n for n, field in enumerate(schema) if _holds_bytes(field.type)]
    nulls = [n for n, field in enumerate(schema) if pa.types.is_null(field.type)]
    if typed:
        return tuple(typed), None
    if len(binary) > 1:
        named = tuple(n for n in binary if schema.names[n].lower() in IMAGE_NAMES)
        return named, None if named else binary[0]
    found = binary or bytes_within
    if found:
        return (found[0],), None
    return _text_columns(schema, url, first, nulls), None


def _text_columns(schema: pa.Schema, url: str, first: pa.RecordBatch | None, nulls: Sequence[int]) -> tuple[int, ...]:
    """Those whose texts are pictures, by the first rows; or else a column of nulls that is called as one of pictures.

    Raises:
        InputError: there is none.
    """
    holding = [n for n, field in enumerate(schema) if _holds(field.type, _is_string)]
    once = [n for n in holding if schema.names.count(schema.names[n]) == 1]
    values = {schema.names[n]: [] if first is None else list(_texts(first.column(n)))[:_LOOKED_AT] for n in once}
    if chosen := choose(values):
        return tuple(schema.get_field_index(name) for name in chosen)
    usual = [n for n in nulls if schema.names[n].lower() in IMAGE_NAMES]
    by_name = [n for n in once if schema.names[n].lower() in TEXT_NAMES and not values[schema.names[n]]]
    if usual or nulls or by_name:
        return ((usual or nulls or by_name)[0],)
    if first is None and once:
        return ()
    reason = why_none(values) or "is this metadata beside the images?"
    raise InputError(f"{url}: no image column among {', '.join(schema.names)}; {reason}")


def _texts(column: pa.Array) -> Iterator[str]:
    """The texts anywhere in a column."""
    for leaf in _leaves(column):
        yield from (text for text in leaf.to_pylist() if text)


def _leaves(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays of texts anywhere in a column; of types that have no way there, none."""
    plain_column = _plain_column(column)
    kind = plain_column.type
    if _is_string(kind):
        yield (
            plain_column.cast(pa.large_binary()).cast(pa.large_string(), safe=False) if _is_view(kind) else plain_column
        )
    elif pa.types.is_struct(kind):
        for inner in plain_column.flatten():
            yield from _leaves(inner)
    elif _is_list(kind):
        yield from _leaves(plain_column.flatten() if hasattr(plain_column, "flatten") else plain_column.values)


def _may_be_encoded(column: pa.Array) -> bool:
    """Whether a column of texts may hold a picture, or bytes as well."""
    if _holds_bytes(column.type):
        return True
    return any(pc.any(pc.match_substring_regex(leaf, _ENCODED)).as_py() for leaf in _leaves(column))


def _chosen_column(schema: pa.Schema, name: str, url: str) -> int:
    kind = schema.field(name).type
    if not (_holds_bytes(kind) or _holds(kind, _is_string) or pa.types.is_null(kind)):
        raise InputError(f"{url}: column {name!r} (dataset.image) holds neither bytes nor texts, so no images")
    return int(schema.get_field_index(name))


def _plain_column(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_only_an_image(kind: pa.DataType) -> bool:
    return _is_image(kind) or _is_binary(_value_type(kind))


def _without(row: pa.RecordBatch, position: int) -> pa.RecordBatch:
    kept = [n for n in range(row.num_columns) if n != position]
    return row.select(kept)


@lru_cache(256)
def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


@lru_cache(256)
def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or pa.types.is_map(kind)
    )


@lru_cache(256)
def _is_image(kind: pa.DataType) -> bool:
    """Whether this is how `datasets` stores images; further fields would be lost, so there may be none."""
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return _is_binary(kind.field("bytes").type) and {part.name for part in kind} <= {"bytes", "path"}


def _holds_images(kind: pa.DataType) -> bool:
    """Whether images as `datasets` stores them, with or without further fields, are anywhere in a column."""
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type):
        return True
    return pa.types.is_nested(kind) and any(_holds_images(kind.field(i).type) for i in range(kind.num_fields))


def _holds_bytes(kind: pa.DataType) -> bool:
    """Whether binary values are anywhere in a column."""
    return _holds(kind, _is_binary)


def _holds(kind: pa.DataType, wanted: Callable[[pa.DataType], bool]) -> bool:
    if pa.types.is_nested(kind):
        return any(_holds(kind.field(i).type, wanted) for i in range(kind.num_fields))
    return wanted(_value_type(kind))


def _text(scalar: pa.Scalar) -> str:
    """A value as a key or name; "" for null. Strings that are not UTF-8 keep their bytes as `names` writes them."""
    if not scalar.is_valid:
        return ""
    if _is_string(scalar.type) or _is_binary(scalar.type):
        return to_text(bytes(scalar.as_buffer()))
    return str(scalar.as_py())


def _meta(row: pa.RecordBatch, layout: Layout) -> dict[str, object]:
    try:
        read = row.to_pylist()[0]
        named = {name: with_names(read[name], kind) for name, kind in layout.classes.items() if name in read}
        values = plain(_without_encoded(read | named))
    except (ValueError, OverflowError, IndexError, pa.ArrowException) as error:
        return {"columns_error": f"{type(error).__name__}: {error}"[:200]}
    return values if isinstance(values, dict) else {}


def _without_encoded(value: Any) -> Any:
    """`value` with the lengths of pictures in base64, which stand in the split files."""
    if isinstance(value, str) and len(value) > _TEXT_BEGINNING:
        return f"<{len(value)} characters>" if is_encoded(value[:_TEXT_BEGINNING].encode("utf-8", "replace")) else value
    if isinstance(value, list):
        return [_without_encoded(item) for item in value]
    return {name: _without_encoded(item) for name, item in value.items()} if isinstance(value, dict) else value


def _stream(row: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as writer:
        writer.write_batch(row)
    return bytes(sink.getvalue())
