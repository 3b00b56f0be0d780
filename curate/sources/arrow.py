"""Arrow files, streamed or not, as `datasets` writes them with `save_to_disk`; rows as in Parquet.

A file of this machine is mapped, so that a record batch, which may be large, is never held whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import Damage, Sample, ShardRef
from curate.settings.dataset import DatasetSettings
from curate.sources import rows
from curate.sources.base import ShardBroken
from curate.sources.file_shards import shards_of_files, version_of_file
from curate.sources.files import Files, folder_of, unreadable
from curate.sources.own_files import OwnFiles
from curate.sources.passed_over import Note, ignored
from curate.sources.row_layout import layout

_BROKEN = (pa.ArrowException, OSError, ValueError)
_MAGIC = b"ARROW1"


class ArrowSource:
    """Arrow files; one shard each."""

    format = "arrow"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        shards = shards_of_files(urls, dataset, self.format)
        _check_first(shards[0].url, dataset)
        return shards

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        with _opened(shard.url, dataset) as raw:
            try:
                schema, batches = _read(raw)
                own = OwnFiles(folder_of(shard.url), dataset)
                for sample in rows.samples(batches, schema, dataset, shard, own.read):
                    yield sample
                    index = sample.index + 1
            except InputError as error:
                raise ShardUnreadable(str(error)) from error
            except _BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`."""
        counted = 0
        with _opened(shard.url, dataset) as raw:
            try:
                for batch in _read(raw)[1]:
                    counted += batch.num_rows
                    if counted >= most:
                        break
            except _BROKEN:
                pass
        return min(most, counted)

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        return version_of_file(shard, dataset)


@contextmanager
def _opened(url: str, dataset: DatasetSettings) -> Iterator[pa.NativeFile]:
    """A file, of this machine mapped.

    Raises:
        ShardUnreadable: at once or, elsewhere, at any read.
    """
    if "://" in url:
        with Files(dataset.storage_options).open(url) as raw:
            yield pa.PythonFile(raw, mode="r")
        return
    try:
        with pa.memory_map(url) as mapped:
            yield mapped
    except OSError as error:
        raise unreadable(url, error) from error


def _read(raw: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema and the rows, some at a time."""
    magic = raw.read(len(_MAGIC))
    raw.seek(0)
    if magic == _MAGIC:
        file = pa.ipc.open_file(raw)
        return file.schema, _cut(file.get_batch(n) for n in range(file.num_record_batches))
    stream = pa.ipc.open_stream(raw)
    return stream.schema, _cut(stream)


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A few rows at a time, of batches whose offsets stay inside of them, which Arrow leaves to its readers to see."""
    for batch in batches:
        batch.validate(full=True)
        for start in range(0, batch.num_rows, rows.ROWS_PER_BATCH):
            yield batch.slice(start, rows.ROWS_PER_BATCH)


def _check_first(url: str, dataset: DatasetSettings) -> None:
    """A wrong column is the user's mistake in every file alike: say so before an engine starts."""
    try:
        with _opened(url, dataset) as raw:
            schema, batches = _read(raw)
            first = next(batches, None)
            layout(schema, dataset, url, first=first)
    except InputError:
        raise
    except (ShardUnreadable, *_BROKEN):
        return
