"""Does anything grow with the number of images? One job over 1,000, ten and a hundred times as many small pictures.

The stand-in engine answers at once, so that the rest of the job is what is measured. Start-up is the same for all sizes
and is left out of the rates by taking the difference of two sizes; the shards of a job are hard links to one tar.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

from tests.benchmarks.measuring import Ratio, Result
from tests.benchmarks.processes import Usage, watch
from tests.support.jobs import rows, write_tar

EACH = 100
SIZES = {"1x": 10, "10x": 100, "100x": 1_000}
"""Shards of `EACH` pictures."""

REPEATS = {"1x": 3, "10x": 3, "100x": 1}
WORKERS = 1
FLAT = 0.1
"""A share by which something may change and still counts as flat."""


def run(folder: Path) -> Result:
    """Rate, memory of each process, and open files of the job at each size."""
    tar = write_tar(folder / "pictures.tar", range(EACH))
    used = {size: [_job(folder, tar, size, number) for number in range(REPEATS[size])] for size in SIZES}
    judged = {size: len(rows(folder / f"run-{size}-0")) for size in SIZES}
    assert judged == {size: shards * EACH for size, shards in SIZES.items()}
    result = Result(name="growth", unit="images/s", checked=f"a row for every picture: {judged}")
    _add_rate(result, used, "1x", "10x")
    _add_rate(result, used, "10x", "100x")
    rate = result.median("10x to 100x") / result.median("1x to 10x")
    result.ratios["rate from 10x to 100x, to that from 1x to 10x"] = Ratio(value=rate, at_least=1 - FLAT)
    for size, usages in used.items():
        result.notes[f"seconds, {size}"] = statistics.median(u.seconds for u in usages)
        result.notes[f"peak MB of each process, {size}"] = ", ".join(f"{mb:.0f}" for mb in usages[0].each_mb)
        result.notes[f"open files, {size}"] = f"{max(u.open_files for u in usages)}"
    memory = _peak(used["100x"]) / _peak(used["10x"])
    result.ratios["peak memory of all processes, 100x to 10x"] = Ratio(value=memory, at_most=1 + FLAT)
    files = used["100x"][0].open_files / used["10x"][0].open_files
    result.ratios["open files, 100x to 10x"] = Ratio(value=files, at_most=1 + FLAT)
    return result


def _job(folder: Path, tar: Path, size: str, number: int) -> Usage:
    shards = folder / size
    shards.mkdir(exist_ok=True)
    for shard in range(SIZES[size]):
        if not (shards / f"{shard:06d}.tar").exists():
            os.link(tar, shards / f"{shard:06d}.tar")
    command = [
        *(sys.executable, "-m", "curate", "run", "+dataset=laion_subset", f"dataset.shards={shards}/*.tar"),
        *("engine=fake", f"engine.workers={WORKERS}", f"output.dir={folder}/run-{size}-{number}"),
    ]
    usage = watch(command, folder / "log")
    print(f"  {size}: {usage.seconds:.1f} s, {usage.each_mb} MB, {usage.open_files} open files", flush=True)
    return usage


def _add_rate(result: Result, used: dict[str, list[Usage]], less: str, more: str) -> None:
    """Images a second between two sizes, against the median of the smaller one."""
    images = (SIZES[more] - SIZES[less]) * EACH
    base = statistics.median(u.seconds for u in used[less])
    result.rates[f"{less} to {more}"] = [images / (usage.seconds - base) for usage in used[more]]


def _peak(usages: list[Usage]) -> float:
    return statistics.median(usage.peak_mb for usage in usages)
