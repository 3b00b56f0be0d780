"""Broken and odd input by the thousand, through the whole job: a fate for each sample, a name for each broken shard.

Readers and decoders are C++ in good part; a crash of theirs is not an exception. So each batch is one run of the
command, as a user starts it, decoding in worker processes, and `verify` then reads every source a second time.
500 inputs in CI, 10,000 in full mode.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.core.types import Status
from curate.runs.plan import plan_from_bytes
from curate.runs.run_folder import PLAN
from tests.support.jobs import command, environment, fake_run, rows
from tests.support.mutated_images import image
from tests.support.mutated_shards import parquet, tar
from tests.support.scale_of_trials import full_or_share
from tests.support.source_cases import table_of, tar_bytes, write_parquet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEEDS = range(full_or_share(20, 1))
SHARDS = 150
IMAGES = 200
A_TAR = 50
MEGABYTES = 4096
"""A shard is read at a time. Arrow allocates what a page header claims, at most 2 GiB; nothing else comes near it."""


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_and_odd_tars(tmp_path, record_property, seed):
    record_property("trials", SHARDS)
    numbers = range(seed * SHARDS, (seed + 1) * SHARDS)
    judge(write(tmp_path, numbers, tar, "tar"), tmp_path / "run", "dataset.image=jpg")


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_and_odd_parquet_files(tmp_path, record_property, seed):
    record_property("trials", SHARDS)
    numbers = range(seed * SHARDS, (seed + 1) * SHARDS)
    write_parquet(tmp_path / "00.parquet", table_of(3))  # What the first file lacks, the user is told at once.
    judge(write(tmp_path, numbers, parquet, "parquet"), tmp_path / "run", "dataset.key=null")


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_and_odd_images(tmp_path, record_property, seed):
    record_property("trials", IMAGES)
    numbers = range(seed * IMAGES // A_TAR, (seed + 1) * IMAGES // A_TAR)
    judge(write(tmp_path, numbers, tar_of_images, "tar"), tmp_path / "run")
    assert len(rows(tmp_path / "run")) == IMAGES


def tar_of_images(number: int) -> bytes:
    return tar_bytes([(f"{n:06d}.jpg", image(n)) for n in range(number * A_TAR, (number + 1) * A_TAR)])


def write(folder: Path, numbers: range, shard: Callable[[int], bytes], suffix: str) -> str:
    """The glob of one file for each number."""
    for number in numbers:
        (folder / f"{number:06d}.{suffix}").write_bytes(shard(number))
    return f"{folder}/*.{suffix}"


def judge(shards: str, folder: Path, *more: str) -> None:
    """Run the job, and hold what is there against the laws."""
    tolerant = ("budget.data=1000000", "engine.shards_in_flight=1", "engine.workers=1")
    ended = bounded("annotate", *fake_run(shards, folder, *tolerant, *more)[1:])
    committed = {path.stem for path in folder.glob("commits/*/*.json")}
    failures = {path.stem: json.loads(path.read_text()) for path in folder.glob("failures/*.json")}
    unread = {name for name, failure in failures.items() if not failure["judged"]}
    planned = {shard.id for shard in plan_from_bytes((folder / PLAN).read_bytes()).shards}
    assert committed | unread == planned, "a shard is committed, or named"
    assert not committed & unread
    assert ended == (2 if unread else 0)
    by_shard: dict[str, list[int]] = {}
    for row in rows(folder):
        by_shard.setdefault(row["shard"], []).append(row["index"])
        assert row["status"] in set(Status)
    for indices in by_shard.values():  # of a sample with several pictures, one row each
        assert indices == sorted(indices)
        assert list(dict.fromkeys(indices)) == list(range(indices[-1] + 1))
    assert bounded("verify", f"output.dir={folder}") == 0, "what is named and not judged is no violation"


def bounded(*arguments: str) -> int:
    """Exit code of a command, which neither failed with a traceback nor took more than MEGABYTES."""
    process = subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 2), errors
    assert usage.ru_maxrss < MEGABYTES * 1024, f"{usage.ru_maxrss // 1024} MB"
    return process.returncode
