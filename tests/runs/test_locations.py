"""Data that moved, and ids that depend neither on where they are nor on how they are signed."""

from __future__ import annotations

import shutil

import pytest

from curate.cli.overrides import Override, pairs
from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.runs.locations import Moves, located, moved_from, recognised
from curate.runs.plan import make_plan, plan_of
from curate.settings.dataset import DatasetSettings
from curate.sources.base import shard_id
from tests.support.jobs import curate, fake_run, rows, write_tar


def dataset(**more):
    return DatasetSettings(name="d", **{"shards": ["x"], **more})


def test_the_longest_place_counts_and_names_are_whole():
    moves = Moves.of(dataset(moved={"/a": "/x", "/a/b": "s3://bucket/b/"}))
    assert moves.forth("/a/b/c.tar") == "s3://bucket/b/c.tar"
    assert moves.forth("/a/bc.tar") == "/x/bc.tar"
    assert moves.forth("/ab.tar") == "/ab.tar"
    assert moves.back("s3://bucket/b/c.tar") == "/a/b/c.tar"


def test_a_new_shard_has_the_id_that_it_would_have_had_at_the_old_place(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write_tar(tmp_path / name / "0.tar", range(3))
    before = make_plan(dataset(shards=[f"{tmp_path}/old/*.tar"]))
    moved = dataset(shards=[f"{tmp_path}/new/*.tar"], moved={f"{tmp_path}/old": f"{tmp_path}/new"})
    now = make_plan(moved)
    assert recognised(now, before, moved).shards[0].id == before.shards[0].id
    assert recognised(now, None, moved).shards[0].id == before.shards[0].id
    found = located(recognised(now, before, moved), moved, {})
    assert [shard.url for shard in found.shards] == [f"{tmp_path}/new/0.tar"]
    assert found.plan_hash == recognised(now, before, moved).plan_hash


def test_ids_of_before_are_kept():
    old = ShardRef(id="0-0123abcd", url="https://h/0.tar?X-Amz-Signature=a", format="webdataset")
    url = "https://h/0.tar?X-Amz-Signature=b"
    now = ShardRef(id=shard_id("0", url), url=url, format="webdataset")
    found = recognised(plan_of([now], None), plan_of([old], None), dataset())
    assert [(shard.id, shard.url) for shard in found.shards] == [("0-0123abcd", "https://h/0.tar?***")]


@pytest.mark.slow
def test_a_hundred_thousand_shards_of_one_name_have_ids_of_their_own():
    ids = {shard_id("images", f"s3://bucket/{k:06d}/images.tar") for k in range(100_000)}
    assert len(ids) == 100_000
    assert all(len(name.rpartition("-")[2]) == 16 for name in ids)


def test_a_likely_move_is_named():
    assert moved_from("/a/b/0.tar", "/c/b/0.tar") == " (if they only lie elsewhere now: dataset.moved='{/a: /c}')"
    assert moved_from("/a/0.tar", "/a/1.tar") == ""


@pytest.fixture
def moved_run(tmp_path):
    """A finished run whose data lie elsewhere now: the places, and its folder."""
    (tmp_path / "a, b").mkdir()
    for n in range(2):
        write_tar(tmp_path / "a, b" / f"{n}.tar", range(5 * n, 5 * n + 5))
    curate(*fake_run(f"{tmp_path}/a, b/*.tar", tmp_path / "run"))
    shutil.move(tmp_path / "a, b", tmp_path / "c")
    return tmp_path / "a, b", tmp_path / "c", tmp_path / "run"


@pytest.mark.slow
def test_filter_verify_and_run_find_what_was_moved(moved_run):
    old, new, folder = moved_run
    moved = f"dataset.moved={{'{old}': {new}}}"
    before = rows(folder)
    missing = curate("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3", code=2).stderr
    assert "dataset.moved=" in missing
    wrong = curate("filter", f"output.dir={folder}", f"dataset.shards={new}/*.tar", code=2).stderr
    assert f"dataset.moved='{{\"{old}\": {new}}}'" in wrong
    other = curate(*fake_run(f"{new}/*.tar", folder), code=2).stderr
    assert f"dataset.moved='{{\"{old}\": {new}}}'" in other
    curate("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3", moved)
    assert "no violation" in curate("verify", f"output.dir={folder}", moved).stdout
    write_tar(new / "2.tar", range(10, 15))
    curate(*fake_run(f"{new}/*.tar", folder, moved, "extend=true"))
    assert rows(folder)[:10] == before
    assert len(rows(folder)) == 15
    curate("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.4")  # which knows of the move by now
    assert "no violation" in curate("verify", f"output.dir={folder}").stdout
    shutil.move(new, old)
    write_tar(old / "3.tar", range(15, 20))
    curate(*fake_run(f"{old}/*.tar", folder, "extend=true"))
    assert len(rows(folder)) == 20
    assert "no violation" in curate("verify", f"output.dir={folder}").stdout


@pytest.mark.slow
def test_a_place_that_the_run_has_nothing_of_is_refused(moved_run):
    old, new, folder = moved_run
    said = curate("filter", f"output.dir={folder}", f"dataset.moved={{{new}: {new}x}}", code=2).stderr
    assert f"dataset.moved: no shard of this run was at {new}; its first one was {old}/0.tar" in said


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("{/a:/b}", {"/a": "/b"}),
        ("{/a: /b, s3://c/d:s3://e}", {"/a": "/b", "s3://c/d": "s3://e"}),
        ("{'/a, b:c': \"/d e\"}", {"/a, b:c": "/d e"}),
        ("/a b : /c d", {"/a b": "/c d"}),
    ],
)
def test_places_are_read_as_they_are_written(text, places):
    assert pairs(Override("dataset.moved", text)) == places


@pytest.mark.parametrize("text", ["{}", "{a}", "{a:}", "a"])
def test_what_is_no_mapping_of_places_is_refused(text):
    if text == "{}":
        assert pairs(Override("dataset.moved", text)) == {}
        return
    with pytest.raises(InputError, match=r"dataset\.moved takes"):
        pairs(Override("dataset.moved", text))
