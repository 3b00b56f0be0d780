"""What people do to a run, in every order of two: limits lifted, rows judged again, copies, moves, parts, reuse.

Whatever was done, and in whichever order, the rows are in the end those of a run that nobody disturbed.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

import curate
from curate.cli.program import main
from tests.support.several_pictures import picture
from tests.support.source_cases import tar_bytes

pytestmark = pytest.mark.slow

SHARDS, SAMPLES = 3, 4
FAILING = hashlib.sha256(picture(1)).hexdigest()[:16]
# What tells how a label came about, not what it is; ids and places differ where another folder is reused.
PROVENANCE = ["reused_from", "prompt_tokens", "cached_tokens", "output_tokens", "shard"]


@dataclass
class Job:
    """A run under way, and where its data lie now."""

    root: Path
    data: Path = field(init=False)
    out: Path = field(init=False)
    more: list[str] = field(default_factory=list)
    limit: int | None = None

    def __post_init__(self) -> None:
        self.data, self.out = self.root / "data", self.root / "run"
        self.data.mkdir(parents=True)
        for shard in range(SHARDS):
            first = shard * SAMPLES
            # The last sample of each is one of two pictures.
            members = [(f"{n}.png", picture(n)) for n in range(first, first + SAMPLES)]
            last = f"{first + SAMPLES - 1}.jpg"
            (self.data / f"{shard}.tar").write_bytes(tar_bytes([*members, (last, picture(100 + shard, "JPEG"))]))

    def run(self, *arguments: str) -> None:
        shards = f"dataset.shards={self.data}/?.tar"
        given = ["+dataset=laion_subset", shards, "engine=fake", "engine.workers=0", f"output.dir={self.out}"]
        limit = [] if self.limit is None else [f"dataset.limit={self.limit}"]
        assert main(["run", *given, *self.more, *limit, *arguments]) == 0

    def rows(self) -> pl.DataFrame:
        rows = curate.load_run(self.out).annotations().drop(PROVENANCE)
        return rows.sort(pl.col("key").cast(pl.Int64), "image_name")


def extended(job: Job) -> None:
    for job.limit in (7, None):
        job.run("extend=true")


def retried(job: Job) -> None:
    job.run(f"engine.args.fail={{{FAILING}: reject}}", "retry=[rejected_by_engine]")
    job.run("retry=[rejected_by_engine]")


def copied(job: Job) -> None:
    aside = job.root / "aside"
    shutil.copytree(job.data, aside, copy_function=shutil.copy)  # other times
    shutil.rmtree(job.data)
    aside.rename(job.data)
    job.run()


def moved(job: Job) -> None:
    old, job.data = job.data, job.root / "elsewhere"
    old.rename(job.data)
    job.more.append(f"dataset.moved={{'{old}': '{job.data}'}}")
    job.run()


def compacted(job: Job) -> None:
    assert main(["compact", f"output.dir={job.out}"]) == 0


def reused(job: Job) -> None:
    old, job.out, job.more = job.out, job.root / "another", []  # planned with where the data are now
    job.run(f"reuse={old}")


STEPS = {one.__name__: one for one in (extended, retried, copied, moved, compacted, reused)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    job = Job(tmp_path_factory.mktemp("undisturbed"))
    job.run()
    return job.rows()


@pytest.mark.parametrize("steps", list(permutations(STEPS, 2)), ids="-".join)
def test_whatever_is_done_to_a_run_its_rows_are_the_same(tmp_path, undisturbed, steps):
    job = Job(tmp_path)
    job.limit = 3
    job.run(*([f"engine.args.fail={{{FAILING}: reject}}"] if "retried" in steps else []))
    for step in steps:
        STEPS[step](job)
    job.limit = None
    job.run("extend=true", *(["retry=[rejected_by_engine]"] if "retried" in steps else []))
    assert job.rows().equals(undisturbed)
    assert main(["verify", f"output.dir={job.out}"]) == 0
