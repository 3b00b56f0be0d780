"""Where the storage cannot decide between workers, each has a fixed share, and all shares are the whole."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from curate.core.errors import InputError
from curate.launch.device_placement import divide
from curate.launch.node import assign
from curate.launch.slurm import write_scripts
from curate.launch.static_sharding import own_shards
from curate.settings.job import JobSettings
from tests.support.jobs import write_tar
from tests.support.verification_cases import make_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of five shards on a file system without hard links."""
    found = make_run(tmp_path / "run", [write_tar(tmp_path / f"{n}.tar", [n]) for n in range(5)])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    return found


def share(run, capsys, **job: int) -> list[str]:
    settings = run.settings.model_copy(update={"job": JobSettings(**job)})
    shards = own_shards(replace(run, settings=settings))
    said = capsys.readouterr().err
    assert "fixed share" in said
    assert said.count("\n") == 1
    return [shard.id for shard in shards]


def test_shares_are_the_whole_and_disjoint(run, capsys):
    shares = [share(run, capsys, tasks=3, task=n) for n in range(3)]
    assert sorted(shard for one in shares for shard in one) == sorted(s.id for s in run.plan.shards)
    assert share(run, capsys) == [s.id for s in run.plan.shards]


def test_engine_processes_of_one_worker_divide_its_share(run, capsys):
    run = replace(run, settings=run.settings.model_copy(update={"job": JobSettings(tasks=2, task=0)}))
    shards = own_shards(run)
    shares = [assignment.shards for _, assignment in assign(run, divide(2, [], {0}, {}), shards)]
    assert [len(share) for share in shares] == [2, 1]
    assert {s.id for share in shares for s in share} == {s.id for s in shards}


def test_the_index_in_the_array_is_the_task(run, capsys, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert share(run, capsys, tasks=3) == share(run, capsys, tasks=3, task=2)


@pytest.mark.parametrize("job", [{"tasks": 2}, {"tasks": 2, "task": 2}])
def test_a_worker_that_has_no_share_is_told(run, job):
    with pytest.raises(InputError, match=r"job\.task"):
        own_shards(replace(run, settings=run.settings.model_copy(update={"job": JobSettings(**job)})))


def test_where_links_are_known_every_worker_may_take_every_shard(tmp_path, capsys):
    run = make_run(tmp_path / "run", [write_tar(tmp_path / "a.tar", [1])])
    assert list(own_shards(run)) == list(run.plan.shards)
    assert capsys.readouterr().err == ""


def test_scripts_name_the_bucket_and_lie_in_a_folder(tmp_path: Path):
    scripts = write_scripts(tmp_path / "jobs", "data", JobSettings(tasks=2), ["+dataset=x"], "s3://bucket/run")
    for script in scripts:
        assert script.parent == tmp_path / "jobs"
        assert "output.dir=s3://bucket/run" in script.read_text()
