"""Whatever `datasets.load_dataset` streams, by hub name or path; each of its stream shards is one shard.

`dataset.shards` holds what is given to `load_dataset`, `dataset.options` its further arguments (name, split,
data_files, revision, ...). Images are not decoded, so that the original bytes stay.

A row may hold a path in place of an image. It is read where it names one of the data set's own files, as `datasets`
lists them for a folder of images or an archive of them, and nowhere else: what a row says is data, and must not make
this machine read its files or open addresses.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa

from curate.core.errors import InputError
from curate.core.secrets import one_line
from curate.core.types import Damage, Sample, ShardRef
from curate.settings.dataset import DatasetSettings
from curate.settings.secrets import refuse_masked
from curate.sources import rows
from curate.sources.base import FRESH_SECONDS, ShardBroken, shard_id
from curate.sources.files import STORAGE_ERRORS, file_name, is_inside, unreadable
from curate.sources.own_files import OutsideDataset
from curate.sources.passed_over import Note, ignored
from curate.sources.row_layout import layout

if TYPE_CHECKING:
    from datasets import IterableDataset

_Loaded = tuple[dict[str, "IterableDataset"], str | None, frozenset[str]]

_LONG_SECONDS = 0.5
"""A listing that takes longer is not made for each shard."""

_ARCHIVES = ("zip://", "tar://")
"""How `datasets` spells a member of an archive."""

_BROKEN = (pa.ArrowException, tarfile.TarError, zlib.error, EOFError, ValueError)


class HubSource:
    """Data sets that `datasets` streams."""

    format = "hub"

    def __init__(self) -> None:
        self._listed_at = self._took = 0.0

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        _streams.cache_clear()
        return [shard for url in urls for shard in self._shards(url, dataset)]

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        try:
            stream = _stream(shard, dataset)
            folder = str(dataset.options.get("data_dir", shard.url))
            own = _loaded(shard.url, dataset)[2]
            fetch = partial(_fetch, own=own, folder=folder, options=dataset.storage_options)
            for sample in rows.samples(_batches(stream), stream.features.arrow_schema, dataset, shard, fetch):
                yield sample
                index = sample.index + 1
        except InputError:
            raise
        except STORAGE_ERRORS as error:
            if _is_content(error):
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error
            raise unreadable(shard.url, error) from error
        except _BROKEN as error:
            raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`; streams the rows, since nobody counted them."""
        counted = 0
        try:
            for _ in _stream(shard, dataset).take(most).with_format("arrow"):
                counted += 1
        except STORAGE_ERRORS as error:
            if not _is_content(error):
                raise unreadable(shard.url, error) from error
        except _BROKEN:
            pass
        return counted

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`; asks for the data files anew, but for long listings that are new: one is for all shards."""
        listed_at = time.monotonic()
        if listed_at - self._listed_at > (FRESH_SECONDS if self._took > _LONG_SECONDS else 0):
            _streams.cache_clear()
            self._listed_at = listed_at
        try:
            version = _loaded(shard.url, dataset)[1]
            if self._listed_at == listed_at:
                self._took = time.monotonic() - listed_at
            return version
        except (*STORAGE_ERRORS, ValueError) as error:
            raise unreadable(shard.url, error) from error

    def _shards(self, url: str, dataset: DatasetSettings) -> Iterator[ShardRef]:
        try:
            streams, version, _ = _loaded(url, dataset)
        except (*STORAGE_ERRORS, ValueError) as error:
            raise InputError(f"dataset.shards: datasets cannot load {url!r}: {one_line(error)}") from error
        for split, stream in streams.items():
            schema = stream.features.arrow_schema
            if not layout(schema, dataset, url).certain:  # what texts are is told by the first row
                layout(schema, dataset, url, first=next(_batches(stream.take(1)), None))
            for number in range(stream.num_shards):
                part = f"{split}/{number:05d}-of-{stream.num_shards:05d}"
                stem = f"{file_name(url)}-{split}-{number:05d}"
                yield ShardRef(id=shard_id(stem, url, part), url=url, format=self.format, part=part, version=version)


def _batches(stream: IterableDataset) -> Iterator[pa.RecordBatch]:
    """Row by row: larger batches would be lost as a whole where the stream breaks off."""
    for table in stream.with_format("arrow"):
        yield from table.to_batches()


def _stream(shard: ShardRef, dataset: DatasetSettings) -> IterableDataset:
    split, _, place = shard.part.rpartition("/")
    number, count = place.split("-of-")
    return _loaded(shard.url, dataset)[0][split].shard(num_shards=int(count), index=int(number))


def _loaded(url: str, dataset: DatasetSettings) -> _Loaded:
    refuse_masked(dataset)
    options = (
        {"storage_options": dataset.storage_options, **dataset.options} if dataset.storage_options else dataset.options
    )
    return _streams(url, json.dumps(options, sort_keys=True))


@lru_cache(maxsize=8)
def _streams(url: str, options: str) -> _Loaded:
    """The streams by split, undecoded and with known features; the version of the data files behind them, and these.

    Raises:
        OSError, ValueError: `datasets` cannot load this; its other errors (a builder that finds no file raises
            IndexError, one whose decoder is not installed ImportError) become ValueError.
    """
    import datasets

    arguments: dict[str, Any] = json.loads(options)
    split = arguments.pop("split", None)
    try:
        builder = datasets.load_dataset_builder(url, **arguments)
        loaded = builder.as_streaming_dataset(split=split)
        streams = {str(split): loaded} if isinstance(loaded, datasets.IterableDataset) else dict(loaded)
        undecoded = {str(name): _undecoded(stream) for name, stream in streams.items()}
        return undecoded, _version(builder), _files(builder)
    except (datasets.exceptions.DatasetsError, LookupError, ImportError, TypeError) as error:
        raise ValueError(one_line(error)) from error


def _undecoded(stream: IterableDataset) -> IterableDataset:
    resolved = stream if stream.features is not None else stream._resolve_features()
    return resolved.decode(False)


def _files(builder: Any) -> frozenset[str]:
    """What `datasets` reads of this data set, as it spells it."""
    return frozenset(str(file) for part in (builder.config.data_files or {}).values() for file in part)


def _version(builder: Any) -> str | None:
    """A digest of what `datasets` knows of each data file: a revision on the hub, a time or an ETag elsewhere."""
    files = builder.config.data_files
    if not files:
        return None
    known = [[str(split), list(part), list(part.origin_metadata)] for split, part in sorted(files.items())]
    return hashlib.sha256(json.dumps(known, default=str).encode()).hexdigest()[:32]


def _is_content(error: Exception) -> bool:
    """Arrow reports damaged content as a bare OSError; what comes from a storage has a number or a kind of its own."""
    return type(error) is OSError and error.errno is None


def _fetch(path: str, *, own: Set[str], folder: str, options: Mapping[str, Any]) -> bytes:
    """The bytes of one of the data set's `own` files, or of a member of an archive among them.

    Raises:
        OutsideDataset: it is none.
    """
    *inside, container = path.split("::")
    if (
        container not in own
        or any(not member.startswith(_ARCHIVES) for member in inside)
        or _leads_out(container, folder)
    ):
        raise OutsideDataset
    with fsspec.open(path, "rb", **({} if inside else options)) as file:
        return bytes(file.read())


def _leads_out(path: str, folder: str) -> bool:
    """Whether a file of this machine lies outside of the folder that the data set was loaded from, by way of a link."""
    local = Path(path).exists() and Path(folder).is_dir()
    return local and not is_inside(os.path.realpath(path), folder)
