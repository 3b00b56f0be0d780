"""A run over very many shards: planning, claiming, status and verify stay bounded in time and memory.

CI makes 2,000 shards, CURATE_RELIABILITY=full 100,000; the figures go to docs/reliability.md.
"""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from curate.cli.hydra_config import compose_settings
from curate.core.types import ShardRef
from curate.pipeline.compacting import compact
from curate.runs.claims import Claims
from curate.runs.commits import Commit, commit_name
from curate.runs.fingerprint import Fingerprint
from curate.runs.plan import plan_of
from curate.runs.rollup import roll_up
from curate.runs.run_folder import open_run
from curate.storage.local_store import LocalStore
from curate.telemetry import status as status_module
from curate.telemetry.status import read_status
from curate.testing.faulty_store import Fault, FaultyStore
from curate.verification.audit import audit
from tests.support.scale_cases import judged_run, timed
from tests.support.scale_of_trials import full_or_share

SHARDS = full_or_share(100_000, 2_000)


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
    open_run(store, settings, plan_of(shards, None), {"drawings": Fingerprint(digest="f", parts={})}, None)
    (folder / "commits/drawings").mkdir(parents=True)
    for shard in shards[::2]:
        commit = Commit(
            shard=shard.id, policy="drawings", fingerprint="f", plan_hash="h", rows=10_000, statuses={},
            ratings={}, categories={}, sha256="", file_bytes=0, version=None,
        )  # fmt: skip
        (folder / commit_name("drawings", shard.id)).write_bytes(commit.to_json())
    return folder


def test_status_counts_them_all(folder):
    status = timed("status", SHARDS, lambda: read_status(folder))
    assert status.shards == SHARDS
    assert status.done == {"drawings": SHARDS // 2}


def test_claiming_costs_the_same_for_the_last_shard_as_for_the_first(folder):
    claims = Claims(LocalStore(folder), "worker")
    claims.beat({})

    def claim_many():
        for number in range(1, 400, 2):
            claim = claims.take(f"{SHARDS - number:06d}-0123abcd")
            assert claim is not None
            claims.release(claim)

    timed("200 claims", SHARDS, claim_many)
    assert claims.held() == {}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A finished run of SHARDS small shards."""
    return judged_run(tmp_path_factory.mktemp("judged"), SHARDS)


def calls_of_status(run, monkeypatch):
    """The status, and the calls that it makes of the store."""
    store = FaultyStore(run.store, Fault(at=10**9, errno=errno.EIO))
    with monkeypatch.context() as patch:
        patch.setattr(status_module, "load_run", lambda folder: replace(run, store=store))
        status = timed("status", SHARDS, lambda: read_status("."))
    return status, store.log


@pytest.mark.slow
def test_a_run_of_very_many_shards_is_watched_verified_and_compacted(judged, monkeypatch):
    status, calls = calls_of_status(judged, monkeypatch)
    assert status.exact
    assert status.done == {"p": SHARDS}
    timed("roll-up", SHARDS, lambda: roll_up(judged.store, judged.plan.shards, ["p"]))
    status, calls = calls_of_status(judged, monkeypatch)
    assert not status.exact
    assert status.done == {"p": SHARDS}
    assert len(calls) < 10, calls
    folder = judged.store.uri("")
    report = timed("verify", SHARDS, lambda: audit(folder, against_sources=False))
    assert not report.found
    (done,) = timed("compact", SHARDS, lambda: compact(judged.store, judged.plan.shards, ["p"], target=64 * 2**20))
    assert done.deleted == done.shards == SHARDS
    report = timed("verify, compacted", SHARDS, lambda: audit(folder, against_sources=False))
    assert not report.found
    assert report.notes == {}
