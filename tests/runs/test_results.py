"""Whoever lost a claim does no harm, and no file of another source or judge is ever committed."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import polars as pl
import pytest

from curate.annotation.shard_writer import Identity, ShardWriter
from curate.runs.claims import ClaimLost, Claims, heartbeat, holder
from curate.runs.commits import annotation_name, commit_name, read_commit
from curate.runs.journal import read_rows
from curate.runs.plan import make_plan
from curate.runs.reopening import Reopening, reopen_for_retry
from curate.runs.results import standing
from curate.runs.run_folder import open_run, read_record
from tests.support.jobs import picture, write_tar
from tests.support.verification_cases import judge, make_run, snapshot


def run_over(tmp_path, seeds=range(6), name="run"):
    return make_run(tmp_path / name, [write_tar(tmp_path / "0.tar", seeds)])


def shard_of(run):
    return run.plan.shards[0].id


@contextmanager
def living_worker(run, shard, lease=0.4):
    """A worker that holds `shard`, and beats."""
    claims = Claims(run.store, "elsewhere", lease=lease)
    with heartbeat(claims, dict, lambda error: None):
        assert claims.take(shard)
        yield claims


def digests(run):
    return pl.read_parquet(f"{run.store.uri('annotations')}/p/*.parquet")["sha256"].to_list()


@pytest.mark.parametrize("starts", [1, 2])
def test_a_file_that_was_never_committed_is_not_taken_for_that_of_another_source(tmp_path, starts):
    """As after a kill between the annotation file and its commit."""
    run = run_over(tmp_path)
    judge(run)
    run.store.delete(commit_name("p", shard_of(run)))
    write_tar(tmp_path / "0.tar", range(100, 106))
    for _ in range(starts):
        again = make_run(tmp_path / "run", [tmp_path / "0.tar"])
        judge(again)
    commit = read_commit(again.store, "p", shard_of(again))
    assert digests(again) == [hashlib.sha256(picture(n)).hexdigest() for n in range(100, 106)]
    assert (
        standing(again.store, "p", shard_of(again))["shard_version"] == commit.version == again.plan.shards[0].version
    )


def test_a_file_of_a_lower_limit_is_not_committed_for_a_higher_one(tmp_path):
    write_tar(tmp_path / "0.tar", range(6))
    run = make_run(tmp_path / "run", [tmp_path / "0.tar"], limit=2)
    judge(run)
    run.store.delete(commit_name("p", shard_of(run)))
    settings = run.settings.model_copy(
        update={"extend": True, "dataset": run.settings.dataset.model_copy(update={"limit": None})}
    )
    again = open_run(run.store, settings, make_plan(settings.dataset), run.fingerprints, read_record(run.store))
    judge(again)
    assert read_commit(again.store, "p", shard_of(again)).rows == 6


@pytest.mark.parametrize("how", ["discard", "retry", "more"])
def test_what_a_living_worker_is_at_is_left_to_it(tmp_path, capsys, how):
    run = run_over(tmp_path)
    judge(run)
    shard = shard_of(run)
    if how == "retry":
        commit = read_commit(run.store, "p", shard)
        run.store.replace(commit_name("p", shard), replace(commit, statuses={"engine_failure": 1}).to_json())
    with living_worker(run, shard):
        before = {name: body for name, body in snapshot(tmp_path / "run").items() if not name.startswith("work/")}
        with Reopening(run.store, lease=0.4) as reopening:
            if how == "discard":
                assert not reopening.discard(shard, "another version")
            elif how == "more":
                assert not reopening.reopen_for_more(shard)
        if how == "retry":
            assert reopen_for_retry(run.store, "p", frozenset({"engine_failure"}), lease=0.4) == 0
        after = {name: body for name, body in snapshot(tmp_path / "run").items() if not name.startswith("work/")}
        assert after == before
    assert f"{shard}: another worker is at it" in capsys.readouterr().err


def test_a_mended_shard_that_another_worker_is_at_keeps_its_plan_until_the_next_start(tmp_path):
    whole = write_tar(tmp_path / "0.tar", range(6)).read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[: len(whole) // 2])
    run = make_run(tmp_path / "run", [tmp_path / "0.tar"])
    run = replace(
        run, settings=run.settings.model_copy(update={"job": run.settings.job.model_copy(update={"lease": 0.4})})
    )
    judge(run)
    (tmp_path / "0.tar").write_bytes(whole)
    with living_worker(run, shard_of(run)) as claims:
        again = make_run(tmp_path / "run", [tmp_path / "0.tar"])
        assert again.plan.shards[0].version == run.plan.shards[0].version
        assert run.store.exists(commit_name("p", shard_of(run)))
        claims.release(next(iter(claims.newest().values())))
    again = make_run(tmp_path / "run", [tmp_path / "0.tar"])
    judge(again)
    assert read_commit(again.store, "p", shard_of(again)).rows == 6


@pytest.mark.slow
def test_a_dead_workers_claim_is_waited_out(tmp_path):
    run = run_over(tmp_path)
    judge(run)
    gone = Claims(run.store, "gone", lease=60)
    assert gone.take(shard_of(run))
    started = time.monotonic()
    with Reopening(run.store, lease=0.4) as reopening:
        assert reopening.discard(shard_of(run), "another version")
    assert time.monotonic() - started < 60
    assert holder(run.store, shard_of(run)) is None
    assert not run.store.exists(annotation_name("p", shard_of(run)))


def test_what_was_judged_of_the_version_that_is_there_now_is_kept(tmp_path):
    """Two starts see the same repair: the second comes after a worker has judged it."""
    run = run_over(tmp_path)
    judge(run)
    before = snapshot(tmp_path / "run/annotations")
    with Reopening(run.store) as reopening:
        assert reopening.discard(shard_of(run), run.plan.shards[0].version)
    assert snapshot(tmp_path / "run/annotations") == before
    assert run.store.exists(commit_name("p", shard_of(run)))


def writer(run, rows):
    version = run.plan.shards[0].version
    identity = Identity(fingerprint=run.fingerprints["p"].digest, plan_hash=run.plan.plan_hash, version=version)
    one = ShardWriter(run.store, run.plan.shards[0], "p", identity)
    for row in rows:
        one.journal.add(row.index, row)
    one.journal.checkpoint()
    return one


def rows_over(tmp_path):
    other = make_run(tmp_path / "other", [tmp_path / "0.tar"])
    judge(other)
    return list(read_rows(other.store.uri(annotation_name("p", shard_of(other)))))


def test_who_lost_the_claim_leaves_an_unfinished_shard_as_it_is(tmp_path):
    run = run_over(tmp_path)
    late = writer(run, rows_over(tmp_path))
    assert Claims(run.store, "another").take(shard_of(run))
    with pytest.raises(ClaimLost):
        late.publish(None, {}, "late", 1.0)
    assert run.store.names("annotations/p") == []
    assert run.store.names("commits/p") == []


def test_a_commit_of_a_file_that_is_gone_does_not_stand_in_the_way(tmp_path):
    """Of a worker that was stopped in the moment before it, and woke after its result was discarded."""
    run = run_over(tmp_path)
    late = writer(run, rows_over(tmp_path))
    assert Claims(run.store, "holder").take(shard_of(run))
    commit = late.publish(None, {}, "holder", 1.0)
    run.store.delete(commit_name("p", shard_of(run)))
    run.store.delete(annotation_name("p", shard_of(run)))
    again = writer(run, islice(rows_over(tmp_path), 6))
    real = again._commit

    def woken(*arguments):
        made = real(*arguments)
        run.store.create(commit_name("p", shard_of(run)), replace(commit, sha256="0" * 64).to_json())
        return made

    again._commit = woken  # the fault: another process's write between two lines of this one
    assert again.publish(None, {}, "holder", 1.0) == read_commit(run.store, "p", shard_of(run))
    assert read_commit(run.store, "p", shard_of(run)).sha256 != "0" * 64
