"""Parquet split files: one schema for every source, images as `datasets` stores them, original bytes.

Row groups are small (filter.rows_per_group), because a reader that shuffles or streams fetches a group at a time; a
group also ends when its images pass `GROUP_BYTES`, so that memory does not depend on what a crawl calls an image.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.filtering.decisions import Row
from curate.filtering.rules import FAILED
from curate.filtering.writer import Format
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings

GROUP_BYTES = 128 * 2**20

_STRINGS = ("caption", "status", "rating", "category", "category_name", "rationale")

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("image_name", pa.string()),
        pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
        *(pa.field(name, pa.string()) for name in _STRINGS),
        pa.field("p_unsafe", pa.float32()),
        pa.field("p_calibrated", pa.float32()),
        pa.field("policy", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("sidecar", pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("data", pa.binary())]))),
    ]
)
"""Columns of splits/<split>/*.parquet."""

_REPEATING = ["shard", "status", "rating", "category", "category_name", "policy"]


def features(*, decode: bool) -> dict[str, Any]:
    """The columns as `datasets` describes them in its schema metadata and, nearly so, in a card.

    Args:
        decode: whether rows show the image as PIL; False for a split whose images may not be decodable.
    """
    kinds = {pa.string(): "string", pa.int64(): "int64", pa.float32(): "float32"}
    plain = {f.name: {"dtype": kinds[f.type], "_type": "Value"} for f in SCHEMA if f.type in kinds}
    sidecar = {name: {"dtype": kind, "_type": "Value"} for name, kind in (("name", "string"), ("data", "binary"))}
    nested = {
        "image": {"_type": "Image"} if decode else {"decode": False, "_type": "Image"},
        "sidecar": {"feature": sidecar, "_type": "List"},
    }
    return {name: plain.get(name) or nested[name] for name in SCHEMA.names}


class ParquetWriter:
    """Writes `SCHEMA`; see `curate.filtering.writer.SplitWriter`. A file of `failed` says that images stay bytes."""

    def __init__(self, path: Path, part: str, filtering: FilterSettings, dataset: DatasetSettings) -> None:
        self._caption = dataset.caption
        self._group_rows = filtering.rows_per_group
        described = {"info": {"features": features(decode=part != FAILED)}}
        self._schema = SCHEMA.with_metadata({"huggingface": json.dumps(described)})
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression={name: "zstd" for name in _leaves() if name != "image.bytes"} | {"image.bytes": "none"},
            use_dictionary=_REPEATING,
            write_statistics=["key", "shard", "index", "p_unsafe"],
            write_page_index=True,
        )
        self._held: list[dict[str, object]] = []
        self._bytes = 0

    def add(self, row: Row) -> None:
        """See `SplitWriter`."""
        sample = row.sample
        self._held.append(self._record(row))
        self._bytes += len(sample.image or b"") + sum(map(len, sample.sidecar.values()))
        if len(self._held) >= self._group_rows or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """See `SplitWriter`."""
        self._flush()
        self._writer.close()

    def _record(self, row: Row) -> dict[str, object]:
        sample = row.sample
        plain = {name: getattr(row.decision, name, None) for name in SCHEMA.names}
        caption = sample.meta.get(self._caption) if self._caption else None
        return plain | {
            "image": None if sample.image is None else {"bytes": sample.image, "path": sample.image_name or None},
            "caption": None if caption is None else str(caption),
            "sidecar": [{"name": name, "data": data} for name, data in sample.sidecar.items()],
        }

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_pylist(self._held, schema=self._schema))
            self._held, self._bytes = [], 0


def _leaves() -> list[str]:
    """Names of the Parquet columns, nested ones by their path."""
    plain = [field.name for field in SCHEMA if not pa.types.is_nested(field.type)]
    return [*plain, "image.bytes", "image.path", "sidecar.list.element.name", "sidecar.list.element.data"]


PARQUET = Format(suffix="parquet", open=ParquetWriter)
