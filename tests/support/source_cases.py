"""Data sets in every format a source reads, built from the same handful of pictures."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curate.core.types import Damage, Sample, ShardRef
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for

Members = Sequence[tuple[str, bytes]]


def picture(number: int, kind: str = "JPEG", size: int = 24) -> bytes:
    """A small picture that differs for each number."""
    out = io.BytesIO()
    pixels = random.Random(number).randbytes(size * size * 3)
    Image.frombytes("RGB", (size, size), pixels).save(out, kind)
    return out.getvalue()


def members_of(count: int, suffix: str = "jpg") -> list[tuple[str, bytes]]:
    """Members of `count` samples, as img2dataset lays them out."""
    return [
        member
        for i in range(count)
        for member in (
            (f"{i:06d}.{suffix}", picture(i)),
            (f"{i:06d}.json", json.dumps({"url": f"http://a.test/{i}", "punsafe": i / 10}).encode()),
            (f"{i:06d}.txt", f"picture {i} — naïve".encode()),
        )
    ]


def tar_bytes(members: Iterable[tuple[str, bytes]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, encoding="utf-8", errors="surrogateescape") as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return out.getvalue()


def table_of(count: int) -> pa.Table:
    images = [{"bytes": picture(i), "path": f"{i}.jpg"} for i in range(count)]
    return pa.table({"image": images, "caption": [f"picture {i}" for i in range(count)], "punsafe": [0.5] * count})


def write_parquet(path: Path, table: pa.Table, rows: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows, compression="none", use_dictionary=False)
    return path


def write_folder(root: Path, count: int) -> Path:
    for i in range(count):
        place = root / f"class{i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:04d}.JPG").write_bytes(picture(i))
        (place / f"{i:04d}.txt").write_text(f"picture {i}")
    return root


def dataset(*shards: Path | str, **settings: object) -> DatasetSettings:
    return DatasetSettings.model_validate({"name": "test", "shards": [str(shard) for shard in shards], **settings})


def only_shard(path: Path | str, settings: DatasetSettings, kind: str = "webdataset") -> ShardRef:
    (shard,) = source_for(kind).shards([str(path)], settings)
    return shard


def read(shard: ShardRef, settings: DatasetSettings) -> tuple[list[Sample], Damage | None]:
    """All samples of a shard, and its damage where it breaks off."""
    found: list[Sample] = []
    try:
        for sample in source_for(shard.format).samples(shard, settings):
            found.append(sample)  # noqa: PERF402 - what came before the damage counts
    except ShardBroken as broken:
        return found, broken.damage
    return found, None


def read_tar(path: Path, data: bytes, **settings: object) -> tuple[list[Sample], Damage | None]:
    """What a tar of these bytes yields."""
    path.write_bytes(data)
    chosen = dataset(path, **settings)
    return read(only_shard(path, chosen), chosen)
