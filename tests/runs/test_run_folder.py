from pathlib import Path

import pytest

from curate.core.errors import InputError
from curate.runs.commits import committed
from curate.runs.plan import make_plan
from curate.runs.run_folder import open_run, read_record
from tests.support.jobs import write_tar
from tests.support.verification_cases import finished_run, judge, make_run, snapshot


def number_of_rows(folder: Path) -> int:
    import polars as pl

    return pl.read_parquet(folder / "annotations/p/*.parquet", columns=["index"]).height


@pytest.fixture
def shards(tmp_path):
    """Two shards of ten samples, of which the first breaks off in the middle."""
    made = [write_tar(tmp_path / f"{n}.tar", range(10 * n, 10 * n + 10)) for n in range(2)]
    whole = made[0].read_bytes()
    made[0].write_bytes(whole[: len(whole) // 2])
    return made, whole


def test_a_repaired_shard_is_judged_again_where_a_limit_is_reached_earlier_now(shards, tmp_path):
    made, whole = shards
    folder = tmp_path / "run"
    judge(make_run(folder, made, limit=8))
    assert number_of_rows(folder) == 8
    made[0].write_bytes(whole)
    again = make_run(folder, made, limit=8)
    assert again.plan.shards[0].take == 8, "the second shard is not reached any more"
    assert len(again.plan.shards) == 2, "and keeps its rows all the same"
    judge(again)
    assert number_of_rows(folder) > 8
    assert committed(again.store, "p") == {shard.id for shard in again.plan.shards}


@pytest.mark.parametrize("limit", [None, 6])
def test_nothing_is_deleted_where_the_run_does_not_go_on(shards, tmp_path, limit):
    made, whole = shards
    folder = tmp_path / "run"
    judge(make_run(folder, made, limit=limit and 8))
    made[0].write_bytes(whole)
    before = snapshot(folder)
    other = [*made, write_tar(tmp_path / "2.tar", range(3))] if limit is None else made
    with pytest.raises(InputError, match=r"dataset\.(shards|limit)"):
        make_run(folder, other, limit=limit)
    assert snapshot(folder) == before


def test_rows_of_two_key_columns_do_not_stand_in_one_folder(tmp_path):
    folder = finished_run(tmp_path / "run", [write_tar(tmp_path / "0.tar", range(3))])
    run = make_run(folder, [tmp_path / "0.tar"])
    dataset = run.settings.dataset.model_copy(update={"key": "id"})
    settings = run.settings.model_copy(update={"dataset": dataset})
    with pytest.raises(InputError, match=r"dataset\.key: is id, and was left out when .* was begun; .* reuse="):
        open_run(run.store, settings, make_plan(run.settings.dataset), run.fingerprints, read_record(run.store))
