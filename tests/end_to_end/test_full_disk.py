"""A disk that is really full, and one that really turns read-only: the job stops with one line, and goes on later."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import polars as pl
import pytest

from curate.filtering.table_files import sink, spill
from tests.support.jobs import command, curate, environment, fake_run, write_tar
from tests.support.scale_of_trials import full_or_share
from tests.support.storage_faults import leftovers, tables
from tests.support.waiting import HANG_SECONDS, wait_until

SHARDS = "{00000..00002}.tar"
PAGE = 4096
STEPS = full_or_share(tuple(range(1, 20)), (1, 4, 9, 16))
"""Twentieths of what a whole run needs."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        write_tar(folder / f"{number:05d}.tar", range(100 * number, 100 * number + 100))
    return folder


@pytest.fixture(scope="module")
def expected(shards, tmp_path_factory):
    """Tables of a run that has room, and the bytes that it takes."""
    folder = tmp_path_factory.mktemp("room") / "run"
    curate(*fake_run(f"{shards}/{SHARDS}", folder))
    sizes = [-(-p.stat().st_size // PAGE) * PAGE for p in folder.rglob("*") if p.is_file()]
    return tables(folder), sum(sizes)


@pytest.mark.parametrize("write", [lambda table, path: sink(table.lazy(), path, "zstd"), spill], ids=["sink", "spill"])
def test_what_polars_cannot_write_is_an_error_of_the_disk(write):
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(pl.DataFrame({"a": range(100_000)}), Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


class Disk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, *options: str) -> None:
        mount("-o", ",".join(("remount", *options)), str(self.folder))


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder), check=False):
        pytest.skip("needs the right to mount a file system")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(*arguments: str, check: bool = True) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True, check=check).returncode


@pytest.mark.slow
def test_a_disk_that_fills_up_again_and_again(disk, shards, expected, record_property):
    record_property("trials", len(STEPS))
    whole, size = expected
    run = disk.folder / "run"
    for step in STEPS:
        disk.remount(f"size={size * step // 20}")
        done = subprocess.run(
            command(*fake_run(f"{shards}/{SHARDS}", run)), env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "free some space" in done.stderr
        assert leftovers(run) == []
    disk.remount(f"size={3 * size}")
    curate(*fake_run(f"{shards}/{SHARDS}", run))
    assert tables(run) == whole
    assert "no violation" in curate("verify", f"output.dir={run}").stdout


@pytest.mark.slow
def test_a_disk_that_turns_read_only(disk, shards, expected):
    whole, size = expected
    disk.remount(f"size={3 * size}")
    run = disk.folder / "run"
    arguments = fake_run(f"{shards}/{SHARDS}", run, "engine.args.latency=0.1", "engine.max_requests=2", "job.lease=1")
    process = subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(run.glob("work/claims/*")), "no shard was claimed", alive=process)
    read_only = ("-o", "remount,ro", str(disk.folder))
    wait_until(lambda: mount(*read_only, check=False) == 0, "the disk did not turn read-only", every=0.01)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 2, errors
    assert errors.count("\n") == 1, errors
    assert "make it writable" in errors
    disk.remount("rw")
    curate(*fake_run(f"{shards}/{SHARDS}", run))
    assert tables(run) == whole
