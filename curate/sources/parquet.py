"""Parquet files with an image column: `struct<bytes, path>` as `datasets` writes it, plain binary, or texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import Damage, Sample, ShardRef
from curate.settings.dataset import DatasetSettings
from curate.sources import rows
from curate.sources.base import ShardBroken
from curate.sources.file_shards import shards_of_files, version_of_file
from curate.sources.files import Files, folder_of
from curate.sources.own_files import OwnFiles
from curate.sources.passed_over import Note, ignored
from curate.sources.row_layout import layout

# `Files.open` turns failures of the storage into ShardUnreadable; what Arrow still raises is about the content,
# as OSError in many cases.
_BROKEN = (pa.ArrowException, OSError, ValueError)
# Pages are read through a buffer of this size, so that a column chunk is never held whole.
_BUFFER = 2**20
_BATCH_BYTES = 2**27


class ParquetSource:
    """Parquet files, read by row group in small batches; one shard each."""

    format = "parquet"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`; numbers of samples are known for local files, where reading a footer costs little."""
        files = Files(dataset.storage_options)
        shards = shards_of_files(urls, dataset, self.format)
        _check_first(shards[0].url, files, dataset)
        return [s if "://" in s.url else replace(s, samples=_samples(s.url, files)) for s in shards]

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                file = _open(raw)
                own = OwnFiles(folder_of(shard.url), dataset)
                for sample in rows.samples(_batches(file), file.schema_arrow, dataset, shard, own.read):
                    yield sample
                    index = sample.index + 1
            except InputError as error:
                # The first file was checked when the run was planned; one that differs is a shard to name.
                raise ShardUnreadable(str(error)) from error
            except _BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`; what the footer says."""
        return min(most, _samples(shard.url, Files(dataset.storage_options)) or 0)

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        return version_of_file(shard, dataset)


def _open(raw: object) -> pq.ParquetFile:
    return pq.ParquetFile(raw, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True)


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):
        yield from file.iter_batches(_rows_at_once(file, group), row_groups=[group], use_threads=False)


def _rows_at_once(file: pq.ParquetFile, group: int) -> int:
    """As many as `_BATCH_BYTES` hold, by what the footer says of the row group."""
    known = file.metadata.row_group(group)
    a_row = max(1, int(known.total_byte_size) // max(1, int(known.num_rows)))
    return max(1, min(rows.ROWS_PER_BATCH, _BATCH_BYTES // a_row))


def _check_first(url: str, files: Files, dataset: DatasetSettings) -> None:
    """A wrong column is the user's mistake in every file alike: say so before an engine starts."""
    try:
        with files.open(url) as raw:
            file = _open(raw)
            schema, first = file.schema_arrow, next(_batches(file), None)
    except (ShardUnreadable, *_BROKEN):
        return
    layout(schema, dataset, url, first=first)


def _samples(url: str, files: Files) -> int | None:
    """Rows by the footer; None where there is none to read."""
    try:
        with files.open(url, 2**16) as raw:
            return int(pq.read_metadata(raw).num_rows)
    except (ShardUnreadable, *_BROKEN):
        return None
