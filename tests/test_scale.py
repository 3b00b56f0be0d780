"""A run over very many shards: planning, claiming, status and verify stay bounded in time and memory.

CI makes 2,000 shards, CURATE_RELIABILITY=full 100,000; the figures go to docs/reliability.md.
"""

from __future__ import annotations

import os
import resource
import sys
import time

import pytest

from curate.config import compose_settings
from curate.fingerprint import Fingerprint
from curate.ledger import Claims, Commit, commit_name
from curate.planning import plan_of
from curate.run_folder import open_run
from curate.status import read_status
from curate.store import LocalStore
from curate.types import ShardRef

FULL = os.environ.get("CURATE_RELIABILITY") == "full"
SHARDS = 100_000 if FULL else 2_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of SHARDS shards under one policy, half of them finished."""
    folder = tmp_path_factory.mktemp("scale") / "run"
    store = LocalStore(folder)
    settings = compose_settings(["+dataset=laion_subset", "engine=fake", f"output.dir={folder}"])
    shards = [
        ShardRef(id=f"{n:06d}-0123abcd", url=f"/data/{n:06d}.tar", format="webdataset", bytes=10**9, samples=10_000)
        for n in range(SHARDS)
    ]
    open_run(store, settings, plan_of(shards, None), {"llavaguard": Fingerprint(digest="f", parts={})})
    (folder / "commits/llavaguard").mkdir(parents=True)
    for shard in shards[::2]:
        commit = Commit(
            shard=shard.id, policy="llavaguard", fingerprint="f", plan_hash="h", rows=10_000, statuses={},
            ratings={}, categories={}, sha256="", file_bytes=0, version=None,
        )  # fmt: skip
        (folder / commit_name("llavaguard", shard.id)).write_bytes(commit.to_json())
    return folder


def timed(what, work):
    """Do `work` and print how long it took."""
    started = time.monotonic()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what}: {time.monotonic() - started:.2f} s for {SHARDS} shards, peak {peak} MB", file=sys.stderr)
    return result


def test_status_counts_them_all(folder):
    status = timed("status", lambda: read_status(folder))
    assert status.shards == SHARDS
    assert status.done == {"llavaguard": SHARDS // 2}


def test_claiming_costs_the_same_for_the_last_shard_as_for_the_first(folder):
    claims = Claims(LocalStore(folder), "worker")
    claims.beat({})

    def claim_many():
        for number in range(1, 400, 2):
            claim = claims.take(f"{SHARDS - number:06d}-0123abcd")
            assert claim is not None
            claims.release(claim)

    timed("200 claims", claim_many)
    assert claims.held() == {}
