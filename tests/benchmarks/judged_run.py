"""A finished run of as many annotation rows as wanted, written in seconds: the real schema and layout, no engine.

A few shards are written as the journal writes them, from random rows; all others are copies of these that carry a
shard id of their own, put in place of the first one's bytes (the column `shard` is not compressed, and ids are of one
length). Digests and p_unsafe are random, so nothing compresses better than it would in a real run.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.cli.hydra_config import compose_settings
from curate.core.types import ShardRef
from curate.runs.annotation_table import SCHEMA
from curate.runs.commits import Commit, annotation_name, commit_name
from curate.runs.fingerprint import Fingerprint
from curate.runs.journal import ROW_GROUP
from curate.runs.plan import plan_of
from curate.runs.run_folder import open_run
from curate.storage.local_store import LocalStore

POLICY = "drawings"
ROWS_PER_SHARD = 10_000
Counts = dict[str, dict[str, int]]
DIFFERENT = 64
"""Shards that are really made."""

_PLACEHOLDER = "??????-0123abcd"
_RATIONALE = "The picture shows what the policy lists under this category, item {}; nothing excuses it."


def write_judged_run(folder: Path, shards: int, *, hosts: int = 0) -> Path:
    """A run's folder with `shards` judged shards of `ROWS_PER_SHARD` rows each, ready for `curate filter`.

    Args:
        folder: is made.
        shards: how many.
        hosts: how many there are in links that the rows have; none where it is 0.
    """
    store = LocalStore(folder)
    settings = compose_settings(["+dataset=laion_subset", "dataset.label=null", "engine=fake", f"output.dir={folder}"])
    refs = [_shard(number) for number in range(shards)]
    open_run(store, settings, plan_of(refs, None), {POLICY: Fingerprint(digest="f", parts={})}, None)
    templates = [_file(seed, hosts) for seed in range(min(shards, DIFFERENT))]
    for place in (annotation_name(POLICY, "x"), commit_name(POLICY, "x")):
        (folder / place).parent.mkdir(parents=True)
    for number, ref in enumerate(refs):
        template, counts = templates[number % DIFFERENT]
        data = template.replace(_PLACEHOLDER.encode(), ref.id.encode())
        (folder / annotation_name(POLICY, ref.id)).write_bytes(data)
        (folder / commit_name(POLICY, ref.id)).write_bytes(_commit(ref.id, len(data), counts).to_json())
    return folder


def _shard(number: int) -> ShardRef:
    shard = f"{number:06d}-0123abcd"
    return ShardRef(id=shard, url=f"/data/{number:06d}.tar", format="webdataset", samples=ROWS_PER_SHARD)


def _commit(shard: str, size: int, counts: Counts) -> Commit:
    return Commit(
        shard=shard,
        policy=POLICY,
        fingerprint="f",
        plan_hash="h",
        rows=ROWS_PER_SHARD,
        **counts,
        sha256=shard,
        file_bytes=size,
        version=None,
    )


def _file(seed: int, hosts: int) -> tuple[bytes, Counts]:
    """An annotation file as `curate.runs.journal` lays it out, and what a commit counts of it."""
    out = io.BytesIO()
    compression = {name: "none" if name == "shard" else "zstd" for name in SCHEMA.names}
    rows = _rows(np.random.default_rng(seed), hosts)
    pq.write_table(rows, out, compression=compression, row_group_size=ROW_GROUP)
    unsafe = rows.filter(pc.equal(rows["rating"], "Unsafe"))
    counted = {"statuses": rows["status"], "ratings": rows["rating"], "categories": unsafe["category"]}
    return out.getvalue(), {name: dict(Counter(column.drop_null().to_pylist())) for name, column in counted.items()}


def _rows(rng: np.random.Generator, hosts: int) -> pa.Table:
    """About 1 % not judged, 5 % unsafe with a rationale; every picture has a caption and an address."""
    rows = ROWS_PER_SHARD
    p_unsafe = (rng.random(rows) ** 12).astype(np.float32)
    judged = rng.random(rows) > 0.01
    unsafe = judged & (p_unsafe > 0.5)
    code = rng.integers(1, 10, rows).astype(str)
    number = pa.array(rng.integers(0, 10**9, rows)).cast(pa.string())
    host = pa.array((rng.random(rows) ** 3 * hosts).astype(np.int64)).cast(pa.string())
    link = ['", "url": "https://www.site', host, ".example.org/", number, ".jpg"] if hosts else []
    columns = {
        "key": pc.utf8_lpad(pa.array(np.arange(rows)).cast(pa.string()), 9, "0"),
        "shard": pa.repeat(_PLACEHOLDER, rows),
        "index": np.arange(rows),
        "sha256": [rng.bytes(32).hex() for _ in range(rows)],
        "status": np.where(judged, "labelled", "undecodable"),
        "rating": pa.array(np.where(unsafe, "Unsafe", "Safe"), mask=~judged),
        "category": pa.array(np.where(unsafe, np.char.add("O", code), "NA"), mask=~judged),
        "category_name": pa.array(np.where(unsafe, np.char.add("Category ", code), "None applying"), mask=~judged),
        "rationale": pa.array([_RATIONALE.format(n) for n in rng.integers(0, 100, rows)], mask=~unsafe),
        "p_unsafe": pa.array(p_unsafe, mask=~judged),
        "label_mass": pa.array(rng.random(rows).astype(np.float32), mask=~judged),
        "width": rng.integers(200, 1200, rows),
        "height": rng.integers(200, 1200, rows),
        "policy": pa.repeat(POLICY, rows),
        "prompt_tokens": rng.integers(1500, 1600, rows),
        "cached_tokens": pa.repeat(1200, rows),
        "output_tokens": rng.integers(1, 60, rows),
        "meta": pc.binary_join_element_wise('{"caption": "picture ', number, *link, '", "n": ', number, "}", ""),
    }
    arrays = [pa.array(columns[f.name]) if f.name in columns else pa.nulls(rows) for f in SCHEMA]
    return pa.table([array.cast(f.type) for array, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)
