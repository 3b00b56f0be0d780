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

from curate.ledger import Commit, annotation_name, commit_name
from curate.planning import plan_of
from curate.run_folder import Run, load_run, open_run
from curate.store import LocalStore
from curate.tables import to_table
from curate.types import Annotation, Rating, ShardRef, Status
from tests.jobs import write_tar
from tests.verification_cases import make_run

T = TypeVar("T")
ROWS = 8


def judged_run(folder: Path, shards: int) -> Run:
    """A run of `shards` shards of `ROWS` samples under the policy p, all of them finished."""
    one = write_tar(folder.with_name(f"{folder.name}.tar"), range(1))
    run = make_run(folder.with_name(f"{folder.name}-one"), [one])
    refs = [
        ShardRef(id=f"{n:06d}-0123abcd", url=f"/data/{n:06d}.tar", format="webdataset", bytes=10**9, samples=ROWS)
        for n in range(shards)
    ]
    plan = plan_of(refs, None)
    open_run(LocalStore(folder), run.settings, plan, run.fingerprints)
    metadata = {"fingerprint": run.fingerprints["p"].digest, "plan_hash": plan.plan_hash, "shard_version": ""}
    table = _table(metadata)
    for name in (annotation_name("p", "x"), commit_name("p", "x")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for ref in refs:
        _write(folder, ref.id, table, metadata)
    return load_run(folder)


def timed(what: str, shards: int, work: Callable[[], T]) -> T:
    """Do `work` and print how long it took, and the most memory this process has had so far."""
    started = time.monotonic()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what}: {time.monotonic() - started:.2f} s for {shards} shards, peak {peak} MB", file=sys.stderr)
    return result


def _table(metadata: dict[str, str]) -> pa.Table:
    rows = [
        Annotation(
            key=f"{index:09d}",
            shard="",
            index=index,
            policy="p",
            status=Status.LABELLED,
            sha256=f"{index:064x}",
            rating=Rating.SAFE,
            category="NA",
            category_name="None applying",
            p_unsafe=0.1,
            label_mass=1.0,
            width=64,
            height=64,
            meta="{}",
        )
        for index in range(ROWS)
    ]
    return to_table(rows, metadata)


def _write(folder: Path, shard: str, table: pa.Table, metadata: dict[str, str]) -> None:
    column = table.column_names.index("shard")
    own = table.set_column(column, table.field("shard"), pa.array([shard] * ROWS))
    path = folder / annotation_name("p", shard)
    pq.write_table(own, path, compression="zstd")
    data = path.read_bytes()
    commit = Commit(
        shard=shard, policy="p", fingerprint=metadata["fingerprint"], plan_hash=metadata["plan_hash"], rows=ROWS,
        statuses={"labelled": ROWS}, ratings={"Safe": ROWS}, categories={}, sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data), version=None,
    )  # fmt: skip
    (folder / commit_name("p", shard)).write_bytes(commit.to_json())
