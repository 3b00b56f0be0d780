"""Shard files as img2dataset and `datasets` write them, without anything that changes between two builds."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sample.samples import Sample

_TYPES = {
    "hash": pa.int64(),
    "punsafe": pa.float64(),
    "pwatermark": pa.float64(),
    "similarity": pa.float64(),
    **dict.fromkeys(("width", "height", "original_width", "original_height"), pa.int32()),
}

ROWS_PER_GROUP = 16
"""Rows in a row group of the shard with pictures: small, so that reading by row group has something to do."""


def write_tar_shard(folder: Path, shard: str, samples: Sequence[Sample]) -> None:
    """SHARD.tar, SHARD.parquet (metadata only) and SHARD_stats.json, in img2dataset's layout."""
    _write_tar(folder / f"{shard}.tar", samples)
    pq.write_table(_table(s.meta for s in samples), folder / f"{shard}.parquet")
    (folder / f"{shard}_stats.json").write_text(json.dumps(_stats(len(samples)), indent=4), encoding="utf-8")


def write_parquet_shard(path: Path, samples: Sequence[Sample]) -> None:
    """A shard whose column `image` holds struct<bytes, path>, as `datasets` writes it."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    column = pa.array([_image_struct(s) for s in samples], image)
    table = _table(s.meta for s in samples).add_column(0, pa.field("image", image), column)
    features = {f.name: _feature(f.type) for f in table.schema}
    described = json.dumps({"info": {"features": features}}, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), path, row_group_size=ROWS_PER_GROUP)


def _write_tar(path: Path, samples: Sequence[Sample]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for extension, content in sorted(sample.members().items()):
                info = tarfile.TarInfo(f"{sample.key}.{extension}")
                info.size, info.mode = len(content), 0o444
                tar.addfile(info, io.BytesIO(content))


def _stats(count: int) -> dict[str, Any]:
    """What img2dataset counts; nothing was downloaded, so the times are 0."""
    return {
        "count": count,
        "successes": count,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "duration": 0.0,
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": {"success": count},
    }


def _table(metas: Iterable[dict[str, Any]]) -> pa.Table:
    rows = list(metas)
    return pa.Table.from_pylist(rows, pa.schema([(name, _TYPES.get(name, pa.string())) for name in rows[0]]))


def _image_struct(sample: Sample) -> dict[str, Any] | None:
    if sample.image is None:
        return None
    return {"bytes": sample.image, "path": f"{sample.key}.{sample.extension}"}


def _feature(kind: pa.DataType) -> dict[str, str]:
    """How `datasets` describes a column of this type."""
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    return {"_type": "Value", "dtype": "float64" if pa.types.is_float64(kind) else str(kind)}
