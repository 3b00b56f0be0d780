from itertools import islice

import pytest

from curate.annotation.shard_writer import Identity, ShardWriter
from curate.runs.claims import Claims
from curate.runs.commits import read_commit
from curate.runs.journal import read_rows
from tests.support.jobs import write_tar
from tests.support.verification_cases import judge, make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", [write_tar(tmp_path / "0.tar", range(6))])


def writer_of(run):
    identity = Identity(fingerprint=run.fingerprints["p"].digest, plan_hash=run.plan.plan_hash, version=None)
    return ShardWriter(run.store, run.plan.shards[0], "p", identity)


def rows_of(run, tmp_path):
    """What another run over the same shard has judged."""
    other = make_run(tmp_path / "other", [tmp_path / "0.tar"])
    judge(other)
    (path,) = (tmp_path / "other/annotations/p").glob("*.parquet")
    return list(read_rows(str(path)))


def test_who_wakes_up_after_another_has_finished_takes_its_commit(run, tmp_path):
    rows = rows_of(run, tmp_path)
    late = writer_of(run)
    for row in islice(rows, 3):
        late.journal.add(row.index, row)
    late.journal.checkpoint()
    judge(run)  # takes the shard over, finishes it, and deletes the checkpoints
    for row in islice(rows, 3, None):
        late.journal.add(row.index, row)
    late.journal.checkpoint()
    assert late.publish(None, {}, "late", 1.0) == read_commit(run.store, "p", run.plan.shards[0].id)
    assert run.store.names(f"work/parts/p/{run.plan.shards[0].id}") == []


def test_a_checkpoint_that_is_gone_is_an_error_where_nobody_has_finished(run, tmp_path):
    late = writer_of(run)
    for row in rows_of(run, tmp_path):
        late.journal.add(row.index, row)
    late.journal.checkpoint()
    late.journal.discard()
    assert Claims(run.store, "late").take(run.plan.shards[0].id)
    with pytest.raises(FileNotFoundError):
        late.publish(None, {}, "late", 1.0)
