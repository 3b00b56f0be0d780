"""Rows of Arrow tables as samples: shared by Parquet and Arrow files, and `datasets`.

Every picture in a row is judged, wherever it stands (`row_pictures`), of the columns that `row_layout` chooses; the
other columns go along (`row_columns`). What can be asked of many rows at once is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from curate.core.types import Failure, Sample, ShardRef, Status
from curate.settings.dataset import DatasetSettings
from curate.sources.arrow_types import is_only_an_image, texts_of
from curate.sources.base import MOST_BYTES, further_pictures, too_many_bytes
from curate.sources.row_columns import COLUMNS, RowColumns
from curate.sources.row_layout import Layout, layout
from curate.sources.row_pictures import Picture, RowPictures
from curate.sources.text_images import Fetch, TextImage

ROWS_PER_BATCH = 16

_NO_PICTURE: Sequence[Picture | None] = (None,)


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
        rows = _Rows(batch, found, start)
        for row in range(batch.num_rows):
            yield from rows.samples(row, dataset, fetch)
        start += batch.num_rows
    if found is None:
        layout(schema, dataset, shard.url, shard.id)


class _Rows:
    """A few rows of a file, and what was asked of all of them at once."""

    def __init__(self, batch: pa.RecordBatch, layout: Layout, start: int) -> None:
        self._batch = batch
        self._layout = layout
        self._start = start
        self._pictures = RowPictures(batch, layout)
        self._key_of = None if layout.key is None else texts_of(batch.column(layout.key))
        self._any_large = batch.get_total_buffer_size() > MOST_BYTES  # what its rows share with others included
        self._beside: dict[int | None, RowColumns] = {}

    def samples(self, row: int, dataset: DatasetSettings, fetch: Fetch | None) -> Iterator[Sample]:
        """A picture each; the first carries the sample."""
        found = self._pictures.of(row)
        judged = [picture for picture in found if picture.judged]
        index = self._start + row
        key = ("" if self._key_of is None else self._key_of(row)) or f"{self._layout.before_numbers}{index:09d}"
        beside = self._beside_of(judged)
        meta = beside.meta(row)
        too_large = self._too_large(row) if self._any_large else None
        unjudged = further_pictures(picture.part for picture in found if not picture.judged)
        for number, picture in enumerate(judged or _NO_PICTURE):
            read = TextImage(None) if picture is None else picture.read(fetch)
            image, failure = read.image, read.failure
            held = image is None or len(image) <= dataset.max_bytes
            if failure is None and not held:
                failure = too_many_bytes(len(image or b""), dataset)
            yield Sample(
                key=key,
                index=index,
                picture=number,
                part=None if picture is None else picture.part,
                image=image if held else None,
                image_name=read.path,
                sidecar={COLUMNS: beside.sidecar(row)} if number == 0 else {},
                meta=meta,
                unjudged=unjudged,
                failure=too_large or failure,
                sha256=None if image is None or held else hashlib.sha256(image).hexdigest(),
            )

    def _beside_of(self, judged: Sequence[Picture]) -> RowColumns:
        """All columns but that of the image which carries the sample, if that holds nothing else."""
        layout = self._layout
        carrier = judged[0].column if judged else next(iter(layout.certain), layout.otherwise)
        if carrier not in self._beside:
            kinds = self._batch.schema.types
            left_out = carrier is not None and is_only_an_image(kinds[carrier])
            kept = [n for n in range(len(kinds)) if not left_out or n != carrier]
            self._beside[carrier] = RowColumns(self._batch.select(kept), layout.classes)
        return self._beside[carrier]

    def _too_large(self, row: int) -> Failure | None:
        """Why a row cannot be copied into a split, and so is not judged."""
        size = self._batch.slice(row, 1).nbytes
        if size <= MOST_BYTES:
            return None
        return Failure(status=Status.TOO_MANY_BYTES, detail=f"a row of {size} bytes, {MOST_BYTES} at most")
