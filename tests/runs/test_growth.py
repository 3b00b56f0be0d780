"""Data that are not quite what was planned: copied again, in another order, repaired, more of them."""

from __future__ import annotations

import os

import pytest

from curate.core.errors import InputError
from curate.runs.commits import committed
from tests.support.jobs import curate, fake_run, picture, rows, write_tar
from tests.support.verification_cases import judge, make_run


@pytest.fixture
def tars(tmp_path):
    return [write_tar(tmp_path / f"{n}.tar", range(5 * n, 5 * n + 5)) for n in range(3)]


def copied(paths):
    """The same bytes with a newer time."""
    for path in paths:
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


def test_copies_go_on_where_a_run_stopped(tars, tmp_path):
    run = make_run(tmp_path / "run", tars)
    judge(run, run.plan.shards[:1])
    copied(tars)
    again = make_run(tmp_path / "run", tars)
    judge(again)
    assert committed(again.store, "p") == {shard.id for shard in run.plan.shards}
    assert again.plan.shards[0].version == run.plan.shards[0].version, "of what was judged"
    assert again.plan.shards[1].version != run.plan.shards[1].version


def test_what_nobody_has_judged_may_be_anything(tars, tmp_path):
    run = make_run(tmp_path / "run", tars)
    judge(run, run.plan.shards[:1])
    write_tar(tars[1], range(100, 200))
    again = make_run(tmp_path / "run", tars)
    judge(again)
    assert sum(path.stat().st_size > 0 for path in (tmp_path / "run/commits/p").iterdir()) == 3


def test_another_policy_judges_a_copy(tars, tmp_path):
    run = make_run(tmp_path / "run", tars)
    judge(run)
    copied(tars)
    again = make_run(tmp_path / "run", tars, policies=("p", "q"))
    judge(again)
    assert committed(again.store, "q") == committed(again.store, "p")


def test_order_alone_is_no_difference(tars, tmp_path):
    run = make_run(tmp_path / "run", tars)
    again = make_run(tmp_path / "run", tars[::-1])
    assert again.plan == run.plan


def test_another_order_under_a_limit_is_other_data(tars, tmp_path):
    make_run(tmp_path / "run", tars, limit=7)
    with pytest.raises(InputError, match=r"dataset\.shards: .*output\.dir=NEW reuse="):
        make_run(tmp_path / "run", tars[::-1], limit=7)


def test_what_was_judged_and_has_changed_is_said(tars, tmp_path, capsys):
    judge(make_run(tmp_path / "run", tars))
    write_tar(tars[1], range(100, 200))
    make_run(tmp_path / "run", tars)
    said = capsys.readouterr().err
    assert f"{tars[1]}: has changed since it was judged; this run keeps to what it judged, output.dir=NEW" in said


@pytest.fixture
def images(tmp_path):
    """A folder of six images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}0.jpg").write_bytes(picture(n))
    return folder


def folder_run(images, folder, *more):
    arguments = fake_run(str(images), folder, "dataset.samples_per_shard=4", *more)
    return ["+dataset=folder" if one == "+dataset=laion_subset" else one for one in arguments]


@pytest.mark.slow
def test_a_finished_run_says_that_its_folder_has_more(images, tmp_path):
    folder = tmp_path / "run"
    curate(*folder_run(images, folder))
    before = rows(folder)
    (images / "05.jpg").write_bytes(picture(10))
    said = curate(*folder_run(images, folder)).stderr
    assert f"{images}: has " in said
    assert f"output.dir=NEW reuse={folder}" in said
    assert rows(folder) == before
    curate(*folder_run(images, tmp_path / "new", f"reuse={folder}"))
    found = rows(tmp_path / "new")
    assert len(found) == 7
    assert [row["key"] for row in found if row["reused_from"] is None] == ["05"]


@pytest.mark.slow
def test_the_way_that_is_named_for_a_folder_that_grew_past_its_last_shard_works(images, tmp_path):
    folder = tmp_path / "run"
    curate(*folder_run(images, folder))
    for n in range(1, 10):
        (images / f"0{n}.jpg").write_bytes(picture(20 + n))
    for more in ([], ["extend=true"]):
        said = curate(*folder_run(images, folder, *more), code=2).stderr
        assert "extend=true" not in said
        assert f"output.dir=NEW reuse={folder}" in said
    curate(*folder_run(images, tmp_path / "new", f"reuse={folder}"))
    assert len(rows(tmp_path / "new")) == 15
    assert sum(row["reused_from"] is not None for row in rows(tmp_path / "new")) == 6


@pytest.mark.slow
def test_what_is_left_of_a_folder_whose_listing_is_another_one_is_not_judged(images, tmp_path):
    """It would be judged twice, or not at all."""
    folder = tmp_path / "run"
    curate(*folder_run(images, folder, "dataset.limit=4"))
    (images / "05.jpg").write_bytes(picture(10) + b"longer")
    said = curate(*folder_run(images, folder, "dataset.limit=null", "extend=true"), code=2).stderr
    assert "the rest of it is not judged yet; judge all of it with output.dir=NEW reuse=" in said
    assert len(rows(folder)) == 4


@pytest.mark.slow
def test_a_folder_that_was_copied_goes_on_and_is_filtered(images, tmp_path):
    folder = tmp_path / "run"
    curate(*folder_run(images, folder))
    copied(sorted(images.iterdir()))
    assert "has changed" not in curate(*folder_run(images, folder)).stderr
    curate("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3")
    assert "no violation" in curate("verify", f"output.dir={folder}").stdout
