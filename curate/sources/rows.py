"""Rows of Arrow tables as samples: shared by Parquet files and `datasets`.

The sidecar of a row is one entry, COLUMNS: every column but the image, exact, as an Arrow IPC stream of one row
(schema metadata, which belongs to the file and not to the row, is left out). `columns` reads it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.core.types import Failure, Sample, Status
from curate.images.decoding import looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import further_pictures, too_many_bytes
from curate.sources.meta import plain
from curate.sources.names import to_text

COLUMNS = "columns.arrow"
ROWS_PER_BATCH = 16

_KEY_NAMES = ("key", "__key__")


class OutsideDataset(Exception):
    """A row names a file that does not belong to its data set."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds the image, and which the key; without a key column rows are numbered."""

    image: str
    key: str | None


def columns(data: bytes) -> pa.RecordBatch:
    """The one-row record batch in a sidecar's COLUMNS entry."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def layout(schema: pa.Schema, dataset: DatasetSettings, url: str) -> Layout:
    """The columns of a file that samples are made of.

    Raises:
        InputError: there is no image column, there are several and none is named, or a named one is not there.
    """
    for option, name in (("image", dataset.image), ("key", dataset.key), ("policy_column", dataset.policy_column)):
        if name is not None and name not in schema.names:
            raise InputError(f"{url}: no column {name!r} (dataset.{option}); there are {', '.join(schema.names)}")
        if name is not None and schema.names.count(name) > 1:
            raise InputError(f"{url}: two columns are called {name!r} (dataset.{option}); rename one")
    key = dataset.key or next((name for name in _KEY_NAMES if schema.names.count(name) == 1), None)
    return Layout(_image_column(schema, dataset, url), key)


def samples(
    batch: pa.RecordBatch,
    layout: Layout,
    start: int,
    dataset: DatasetSettings,
    fetch: Callable[[str], bytes] | None = None,
) -> Iterator[Sample]:
    """The rows of a batch as samples.

    Args:
        batch: any rows of a file.
        layout: of that file.
        start: index of the first.
        dataset: its `max_bytes` counts.
        fetch: reads an image that is a path without bytes; None makes such a row one without an image.
    """
    column = batch.column(layout.image)
    nested = pa.types.is_struct(column.type)
    images = pc.struct_field(column, "bytes") if nested else column
    paths = pc.struct_field(column, "path") if nested and column.type.get_field_index("path") >= 0 else None
    others = batch.drop_columns([layout.image]).replace_schema_metadata(None)
    for row in range(batch.num_rows):
        path = "" if paths is None else _text(paths[row])
        image, failure = _image(images[row].as_py(), path, fetch)
        yield _sample(others.slice(row, 1), layout, start + row, image, path, failure, dataset)


def _pictures(row: pa.RecordBatch) -> Iterator[str]:
    """Columns of a row, without the judged one, that hold a picture."""
    for name, column in zip(row.schema.names, row.columns, strict=True):
        if column[0].is_valid and _shows_a_picture(column[0]):
            yield name


def _shows_a_picture(value: pa.Scalar) -> bool:
    """Whether a value that is there is a picture, or holds any; nothing large is copied."""
    if _is_binary(value.type):
        return looks_like_a_picture(bytes(memoryview(value.as_buffer())[:_BEGINNING]))
    return _holds_images(value.type) and len(value) > 0


_BEGINNING = 32
"""Bytes that tell a picture's format."""


def _sample(
    row: pa.RecordBatch,
    layout: Layout,
    index: int,
    image: bytes | None,
    path: str,
    failure: Failure | None,
    dataset: DatasetSettings,
) -> Sample:
    held = image is None or len(image) <= dataset.max_bytes
    return Sample(
        key=(_text(row.column(layout.key)[0]) if layout.key else "") or f"{index:09d}",
        index=index,
        image=image if held else None,
        image_name=path,
        sidecar={COLUMNS: _stream(row)},
        meta=_meta(row),
        unjudged=further_pictures(_pictures(row)),
        failure=failure if image is None or held else too_many_bytes(len(image), dataset),
        sha256=None if image is None or held else hashlib.sha256(image).hexdigest(),
    )


def _image(image: bytes | None, path: str, fetch: Callable[[str], bytes] | None) -> tuple[bytes | None, Failure | None]:
    if image is not None or not path:
        return image, None
    if fetch is None:
        return None, Failure(status=Status.MISSING_IMAGE, detail=f"a path without bytes: {path}")
    try:
        return fetch(path), None
    except OutsideDataset:
        return None, Failure(status=Status.MISSING_IMAGE, detail=f"a path that is no file of this data set: {path}")
    except FileNotFoundError:
        return None, Failure(status=Status.MISSING_IMAGE, detail=f"not found: {path}")


def _image_column(schema: pa.Schema, dataset: DatasetSettings, url: str) -> str:
    if dataset.image is not None:
        if not (_is_image(schema.field(dataset.image).type) or _is_binary(schema.field(dataset.image).type)):
            raise InputError(f"{url}: column {dataset.image!r} (dataset.image) holds no bytes of images")
        return dataset.image
    found: list[str] = [field.name for field in schema if _holds_images(field.type)]
    found = found or [field.name for field in schema if _is_binary(field.type)]
    if not found:
        raise InputError(f"{url}: no image column among {', '.join(schema.names)}; is this metadata beside the images?")
    if len(found) > 1:
        raise InputError(
            f"{url}: several columns may hold images ({', '.join(found)}); "
            f"name the one to judge, e.g. dataset.image={found[0]}"
        )
    if not (_is_image(schema.field(found[0]).type) or _is_binary(schema.field(found[0]).type)):
        raise InputError(f"{url}: column {found[0]!r} holds several images a row; give each its own row")
    return found[0]


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_image(kind: pa.DataType) -> bool:
    """Whether this is how `datasets` stores images; further fields would be lost, so there may be none."""
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return _is_binary(kind.field("bytes").type) and {part.name for part in kind} <= {"bytes", "path"}


def _holds_images(kind: pa.DataType) -> bool:
    """Whether images are anywhere in a column, so that none goes unjudged because it is nested."""
    if pa.types.is_nested(kind) and not _is_image(kind):
        return any(_holds_images(kind.field(i).type) for i in range(kind.num_fields))
    return _is_image(kind)


def _text(scalar: pa.Scalar) -> str:
    """A value as a key or name; "" for null. Strings that are not UTF-8 keep their bytes as `names` writes them."""
    if not scalar.is_valid:
        return ""
    if _is_string(scalar.type) or _is_binary(scalar.type):
        return to_text(bytes(scalar.as_buffer()))
    return str(scalar.as_py())


def _meta(row: pa.RecordBatch) -> dict[str, object]:
    try:
        values = plain(row.to_pylist()[0])
    except (ValueError, OverflowError, pa.ArrowException) as error:
        return {"columns_error": f"{type(error).__name__}: {error}"[:200]}
    return values if isinstance(values, dict) else {}


def _stream(row: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as writer:
        writer.write_batch(row)
    return bytes(sink.getvalue())
