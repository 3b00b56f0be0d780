"""Samples a second of our tar reader, webdataset's, and a bare sequential read of the same files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import webdataset

from curate.settings import DatasetSettings
from curate.sources import source_for
from tests.benchmarks.measuring import Result, alternate, photograph_tars

SHARDS, EACH = 4, 250


def run(folder: Path) -> Result:
    """Read the same tars with each contender."""
    paths = photograph_tars(folder, SHARDS, EACH)
    dataset = DatasetSettings(name="bench", shards=[str(p) for p in paths])
    source = source_for("webdataset")
    shards = source.shards([str(p) for p in paths], dataset)

    def ours() -> list[bytes]:
        return [sample.image or b"" for shard in shards for sample in source.samples(shard, dataset)]

    def theirs() -> list[bytes]:
        return [s["jpg"] for s in webdataset.WebDataset(dataset.shards, shardshuffle=False, empty_check=False)]

    def bare() -> int:
        return sum(len(path.read_bytes()) for path in paths)

    same = [hashlib.sha256(b"".join(images)).hexdigest() for images in (ours(), theirs())]
    assert same[0] == same[1]
    result = Result(name="reading", unit="samples/s", checked=f"sha256 of all images {same[0][:16]}")
    alternate({"curate": ours, "webdataset": theirs, "bare read": bare}, SHARDS * EACH, result)
    megabytes = bare() / 1e6 / (SHARDS * EACH)
    result.notes["curate to webdataset"] = result.median("curate") / result.median("webdataset")
    result.notes["curate MB/s"] = result.median("curate") * megabytes
    result.notes["bare MB/s (page cache)"] = result.median("bare read") * megabytes
    return result
