"""Deciding a shard with many rows holds a window of them, however many policies judged it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curate.filtering.decide import WINDOW
from curate.runs.annotation_table import SCHEMA
from tests.support.filtering_cases import DEFAULT_RULES

ROWS = 12 * WINDOW
LIMIT_MB = 160

_SCRIPT = f"""
import pathlib, resource, sys
import polars as pl
from curate.filtering.decide import SCHEMA, decide_windows
from curate.filtering.rules import compile_rules
from curate.settings.filter import FilterSettings
settings = FilterSettings(splits={DEFAULT_RULES!r}, thresholds={{"unsafe": 0.6, "review": 0.3}})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
frames = {{name: pl.scan_parquet(f"{{sys.argv[1]}}/{{name}}.parquet") for name in ("house", "kids")}}
rules = compile_rules(settings, [])
out = pathlib.Path(sys.argv[1], "out")
out.mkdir()
for number, window in enumerate(decide_windows(frames, {ROWS}, rules, settings, SCHEMA.names())):
    window.write_parquet(out / f"{{number:06d}}.parquet")
print(peak() - before)
"""


def _annotations(first: int, rows: int, policy: str) -> pa.Table:
    index = pa.array(range(first, first + rows))
    numbers = pc.cast(index, pa.string())
    columns = {
        "key": numbers,
        "shard": pa.repeat("s", rows),
        "index": index,
        "status": pa.repeat("labelled", rows),
        "rating": pa.repeat("Safe", rows),
        "category": pa.repeat("NA", rows),
        "rationale": pc.binary_join_element_wise(pa.repeat("because " * 40, rows), numbers, " "),
        "p_unsafe": pc.divide(pc.cast(pc.bit_wise_and(index, 63), pa.float32()), 64.0),
        "policy": pa.repeat(policy, rows),
        "meta": pc.binary_join_element_wise(pa.repeat("{}" + " " * 300, rows), numbers, " "),
    }
    return pa.table([columns.get(f.name, pa.nulls(rows)).cast(f.type) for f in SCHEMA], schema=SCHEMA)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shard(tmp_path: Path):
    size = 0
    for policy in ("house", "kids"):
        with pq.ParquetWriter(tmp_path / f"{policy}.parquet", SCHEMA, compression="zstd") as writer:
            for first in range(0, ROWS, 10_000):
                table = _annotations(first, 10_000, policy)
                size += table.nbytes
                writer.write_table(table, row_group_size=10_000)
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert size // 2**20 > 2 * LIMIT_MB
    assert grown < LIMIT_MB
    decided = pl.scan_parquet(tmp_path / "out/*.parquet").select("index", "split").collect()
    assert decided["index"].to_list() == list(range(ROWS))
    share = decided["split"].value_counts(normalize=True)
    assert set(share["split"]) == {"clean", "review", "unsafe"}
