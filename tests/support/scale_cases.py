"""Runs of very many small shards, written without judging anything: what is slow about them is their number."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.types import Annotation, Rating, ShardRef, Status
from curate.runs.annotation_table import to_table
from curate.runs.commits import Commit, annotation_name, commit_name
from curate.runs.plan import plan_of
from curate.runs.run_folder import Run, load_run, open_run
from curate.storage.local_store import LocalStore
from tests.support.jobs import write_tar
from tests.support.verification_cases import make_run

T = TypeVar("T")
ROWS = 8
FIRST = "000000-0123abcd"


def judged_run(folder: Path, shards: int) -> Run:
    """A run of `shards` shards of `ROWS` samples under the policy p, all of them finished."""
    one = make_run(folder / "one", [write_tar(folder / "one.tar", range(1))])
    plan = plan_of([_shard(number) for number in range(shards)], None)
    place = folder / "run"
    open_run(LocalStore(place), one.settings, plan, one.fingerprints, None)
    metadata = {"fingerprint": one.fingerprints["p"].digest, "plan_hash": plan.plan_hash, "shard_version": ""}
    pattern = _pattern(metadata)
    for name in (annotation_name("p", FIRST), commit_name("p", FIRST)):
        (place / name).parent.mkdir(parents=True)
    for shard in plan.shards:
        data = pattern.replace(FIRST.encode(), shard.id.encode())
        (place / annotation_name("p", shard.id)).write_bytes(data)
        (place / commit_name("p", shard.id)).write_bytes(_commit(shard.id, data, metadata).to_json())
    return load_run(place)


def timed(what: str, shards: int, work: Callable[[], T]) -> T:
    """Do `work`, and print its time and the most memory that this process has had so far."""
    wall, cpu = time.monotonic(), time.process_time()
    result = work()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what}: {wall:.2f} s, {cpu:.2f} s of CPU for {shards} shards, peak {peak} MB", file=sys.stderr)
    return result


def _shard(number: int) -> ShardRef:
    name = f"{number:06d}"
    return ShardRef(id=f"{name}-0123abcd", url=f"/data/{name}.tar", format="webdataset", bytes=10**9, samples=ROWS)


def _pattern(metadata: dict[str, str]) -> bytes:
    """The annotation file of the first shard, uncompressed: another id of the same length can take its place."""
    rows = [_row(index) for index in range(ROWS)]
    sink = pa.BufferOutputStream()
    pq.write_table(to_table(rows, metadata), sink, compression="none")
    return bytes(sink.getvalue())


def _row(index: int) -> Annotation:
    return Annotation(
        key=f"{index:09d}",
        shard=FIRST,
        index=index,
        policy="p",
        status=Status.LABELLED,
        sha256=f"{index:064x}",
        rating=Rating.SAFE,
        category="NA",
        category_name="None applying",
        p_unsafe=0.1,
        label_mass=1.0,
        meta="{}",
    )


def _commit(shard: str, data: bytes, metadata: dict[str, str]) -> Commit:
    return Commit(
        shard=shard,
        policy="p",
        fingerprint=metadata["fingerprint"],
        plan_hash=metadata["plan_hash"],
        rows=ROWS,
        statuses={"labelled": ROWS},
        ratings={"Safe": ROWS},
        categories={},
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
        version=None,
    )
