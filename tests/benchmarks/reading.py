"""Samples a second of our readers of tar and Parquet, of what users would read with instead, and of a bare read.

The floor is a sequential read of the same bytes out of the page cache, which all contenders read from too: what is
compared is what a reader adds to the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from datasets import Image, load_dataset

from curate.settings.dataset import DatasetSettings
from curate.sources.registry import source_for
from tests.benchmarks.measuring import Ratio, Result, alternate, photograph_tars

SHARDS, EACH = 4, 250
ROWS_PER_GROUP = 100
CHUNK = 2**20

Images = Callable[[], Iterable[bytes]]


def run(folder: Path) -> Result:
    """Read the same pictures from tars and from Parquet files with each contender."""
    tars = photograph_tars(folder, SHARDS, EACH)
    tables = [to_parquet(tar) for tar in tars]
    contenders: dict[str, Images] = {
        "tar: curate": lambda: _ours("webdataset", tars),
        "tar: webdataset": lambda: _webdataset(tars),
        "Parquet: curate": lambda: _ours("parquet", tables),
        "Parquet: datasets, streaming": lambda: _datasets(tables),
        "Parquet: pyarrow": lambda: _pyarrow(tables),
    }
    digests = {name: hashlib.sha256(b"".join(images())).hexdigest() for name, images in contenders.items()}
    assert len(set(digests.values())) == 1, digests
    checked = f"sha256 of all images is {next(iter(digests.values()))[:16]}"
    result = Result(name="reading", unit="samples/s", checked=checked, floor="floor: bare read of the tars")
    reads = {name: lambda images=images: sum(map(len, images())) for name, images in contenders.items()}
    alternate(reads | {"floor: bare read of the tars": lambda: _bare(tars)}, SHARDS * EACH, result)
    megabytes = _bare(tars) / 1e6 / (SHARDS * EACH)
    for name in result.rates:
        result.notes[f"MB/s, {name}"] = result.median(name) * megabytes
    for ours, theirs in (("tar: curate", "tar: webdataset"), *(("Parquet: curate", n) for n in list(contenders)[3:])):
        result.ratios[f"{ours} to {theirs}"] = Ratio(value=result.ratio(ours, theirs))
    return result


def to_parquet(tar: Path) -> Path:
    """The pictures of a tar as `datasets` lays them out."""
    samples = list(webdataset.WebDataset(str(tar), shardshuffle=False, empty_check=False))
    columns = {
        "key": [s["__key__"] for s in samples],
        "image": [{"bytes": s["jpg"], "path": f"{s['__key__']}.jpg"} for s in samples],
        "caption": [s["txt"].decode() for s in samples],
    }
    path = tar.with_suffix(".parquet")
    pq.write_table(pa.table(columns), path, row_group_size=ROWS_PER_GROUP, compression="none")
    return path


def _ours(form: str, paths: list[Path]) -> Iterator[bytes]:
    dataset = DatasetSettings(name="bench", shards=[str(p) for p in paths])
    source = source_for(form)
    for shard in source.shards(dataset.shards, dataset):
        for sample in source.samples(shard, dataset):
            yield sample.image or b""


def _webdataset(paths: list[Path]) -> Iterator[bytes]:
    for sample in webdataset.WebDataset([str(p) for p in paths], shardshuffle=False, empty_check=False):
        yield sample["jpg"]


def _datasets(paths: list[Path]) -> Iterator[bytes]:
    rows = load_dataset("parquet", data_files=[str(p) for p in paths], split="train", streaming=True)
    for row in rows.cast_column("image", Image(decode=False)):
        yield row["image"]["bytes"]


def _pyarrow(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                for row in batch.to_pylist():
                    yield row["image"]["bytes"]


def _bare(paths: list[Path]) -> int:
    total = 0
    buffer = bytearray(CHUNK)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total
