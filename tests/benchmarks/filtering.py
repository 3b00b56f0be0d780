"""Annotation rows a second from a judged run to an index of its splits, and the memory that takes.

curate filters by its command line, as a user does; the contenders run in processes of their own too. DuckDB writes the
same index rows and nothing else, where curate also counts fates, writes the table of what was removed and why, flushes
every file to the disk, and can be interrupted. `datasets.filter` is measured on a part.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.contender_packages import load
from tests.benchmarks.duckdb_filter import REVIEW, UNSAFE, digests
from tests.benchmarks.judged_run import ROWS_PER_SHARD, write_judged_run
from tests.benchmarks.measuring import Ratio, Result
from tests.benchmarks.processes import Usage, watch

SIZES = {100: 3, 1_000: 3, 10_000: 2}
"""Shards of 10,000 rows, and how often they are filtered."""

PART = 20
"""Shards that `datasets.filter` gets."""

Digests = list[tuple[str, int, int]]


@dataclass(frozen=True)
class Contender:
    """Something that writes an index of splits in a folder that it makes."""

    command: Callable[[Path, Path], list[str]]
    splits: Callable[[Path, Path], Path]
    used: dict[int, list[Usage]] = field(default_factory=dict)


def _module(name: str) -> Contender:
    return Contender(
        command=lambda run, out: [sys.executable, "-m", f"tests.benchmarks.{name}", str(run), str(out)],
        splits=lambda run, out: out,
    )


CURATE = Contender(
    command=lambda run, out: [
        *(sys.executable, "-m", "curate", "filter", f"output.dir={run}", "filter.write=index"),
        *(f"filter.thresholds.unsafe={UNSAFE}", f"filter.thresholds.review={REVIEW}"),
    ],
    splits=lambda run, out: run / "splits",
)
DUCKDB, DATASETS = _module("duckdb_filter"), _module("datasets_filter")


def run(folder: Path) -> Result:
    """From a million rows to a hundred million, in bounded memory."""
    missing = load("duckdb")
    with_duckdb = not isinstance(missing, str)
    result = Result(name="filtering", unit="rows/s", checked="nothing: DuckDB is not there")
    if with_duckdb:
        result.checked = "rows of each split, by number and by a hash of key, shard, index and sha256"
    else:
        result.skipped["DuckDB"] = str(missing)
    _measure({"curate": CURATE} | ({"datasets.filter": DATASETS} if with_duckdb else {}), PART, 1, folder, result)
    for shards, repeats in SIZES.items():
        _measure({"curate": CURATE} | ({"DuckDB": DUCKDB} if with_duckdb else {}), shards, repeats, folder, result)
        _compare(shards, result)
    return result


def _measure(contenders: dict[str, Contender], shards: int, repeats: int, folder: Path, result: Result) -> None:
    """All contenders in turn over a run of so many shards, `repeats` times."""
    rows = shards * ROWS_PER_SHARD
    judged = write_judged_run(folder / "run", shards)
    for number in range(repeats):
        found: dict[str, Digests] = {}
        for name, contender in contenders.items():
            usage, found[name] = _once(contender, judged, folder / "out", folder / "log", number or len(contenders) < 2)
            contender.used.setdefault(shards, []).append(usage)
            result.rates.setdefault(_title(name, shards), []).append(rows / usage.seconds)
            result.notes[f"peak MB, {_title(name, shards)}"] = max(u.peak_mb for u in contender.used[shards])
            print(f"  {_title(name, shards)}: {usage.seconds:.1f} s, {usage.peak_mb:.0f} MB", flush=True)
        assert len({str(f) for f in found.values() if f}) <= 1, found
    shutil.rmtree(judged)


def _once(contender: Contender, judged: Path, out: Path, log: Path, unchecked: int | bool) -> tuple[Usage, Digests]:
    """One contender's use of the machine, and what it wrote; the first time only, for the reading takes as long."""
    usage = watch(contender.command(judged, out), log)
    splits = contender.splits(judged, out)
    found = [] if unchecked else digests(splits)
    for written in (splits, out):
        shutil.rmtree(written, ignore_errors=True)
    return usage, found


def _compare(shards: int, result: Result) -> None:
    ours, theirs = CURATE.used[shards], DUCKDB.used.get(shards)
    if theirs:
        ratio = statistics.median(u.seconds for u in theirs) / statistics.median(u.seconds for u in ours)
        result.ratios[f"curate to DuckDB, {_rows(shards)}"] = Ratio(value=ratio)


def _title(name: str, shards: int) -> str:
    return f"{name}, {_rows(shards)}"


def _rows(shards: int) -> str:
    return f"{shards * ROWS_PER_SHARD / 1e6:g} M rows"
