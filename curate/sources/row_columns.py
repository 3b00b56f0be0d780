"""What stands beside the picture in a row of an Arrow table: exact, as a sidecar, and as a person reads it.

The sidecar of a row is one entry, COLUMNS: every column but that of the first image, exact, as an Arrow IPC stream of
one row (schema metadata, which belongs to the file and not to the row, is left out). `columns` reads it back. A column
that holds more than that image (a list, a struct with further fields) is in it too.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curate.sources.arrow_types import holds_dictionaries
from curate.sources.class_names import Features, with_names
from curate.sources.meta import plain, plain_text
from curate.sources.text_images import ENCODED_BEGINNING, is_encoded

COLUMNS = "columns.arrow"

_END = b"\xff\xff\xff\xff\0\0\0\0"
"""Of an Arrow IPC stream."""

_AT_ONCE = 2**20
"""Bytes of columns that are made Python's values for all rows of a batch, and not for each when it comes."""


def columns(data: bytes) -> pa.RecordBatch:
    """The one-row record batch in a sidecar's COLUMNS entry."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


class RowColumns:
    """Columns of a batch, row by row.

    Args:
        batch: some rows of a file, with those of its columns that are asked for.
        classes: columns whose numbers have names.
    """

    def __init__(self, batch: pa.RecordBatch, classes: Features) -> None:
        self._batch = batch.replace_schema_metadata(None)
        self._classes = classes
        self._schema: bytes | None = None
        self._read: list[dict[str, Any]] | None = None
        if not any(holds_dictionaries(kind) for kind in batch.schema.types):
            self._schema = self._batch.schema.serialize().to_pybytes()
        if self._batch.num_rows > 1 and self._batch.nbytes <= _AT_ONCE:
            try:
                self._read = self._batch.to_pylist()
            except _UNREADABLE:  # one of the rows is, which has to say so itself
                self._read = None

    def sidecar(self, row: int) -> bytes:
        """A row as an Arrow IPC stream: what `pa.ipc.new_stream` writes."""
        one = self._batch.slice(row, 1)
        if self._schema is not None:
            return b"".join((self._schema, one.serialize(), _END))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, one.schema) as writer:
            writer.write_batch(one)
        return bytes(sink.getvalue())

    def meta(self, row: int) -> dict[str, object]:
        """A row's values by name, as JSON holds them; a row that cannot be read has its reason as `columns_error`."""
        try:
            read = self._batch.slice(row, 1).to_pylist()[0] if self._read is None else self._read[row]
            if self._classes:
                read = read | {name: with_names(read[name], of) for name, of in self._classes.items() if name in read}
            values = plain(read, _text)
        except _UNREADABLE as error:
            return {"columns_error": f"{type(error).__name__}: {error}"[:200]}
        return values if isinstance(values, dict) else {}


_UNREADABLE = (ValueError, OverflowError, IndexError, pa.ArrowException)


def _text(text: str) -> str:
    """A text as JSON can hold it; of a picture in base64 its length, since it stands in the split files."""
    if len(text) > ENCODED_BEGINNING and is_encoded(text[:ENCODED_BEGINNING].encode("utf-8", "replace")):
        return f"<{len(text)} characters>"
    return plain_text(text)
