"""What a user would write in SQL instead of `curate filter`: python -m tests.benchmarks.duckdb_filter RUN OUT.

The same decision as conf/filter/default.yaml with thresholds, written as one Parquet file or more for each split.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.contender_packages import load

UNSAFE, REVIEW = 0.6, 0.3

_DECISION = f"""
CASE WHEN status <> 'labelled' OR rating IS NULL OR rating NOT IN ('Safe', 'Unsafe') THEN 'failed'
     WHEN p_unsafe IS NULL OR isnan(p_unsafe) THEN 'review'
     WHEN p_unsafe >= {UNSAFE}::FLOAT THEN 'unsafe'
     WHEN p_unsafe >= {REVIEW}::FLOAT THEN 'review'
     ELSE 'clean' END
"""


def write_splits(run: Path, out: Path) -> None:
    """An index of the run's rows, split."""
    load("duckdb").connect().execute(
        f"""COPY (SELECT key, shard, index, sha256, {_DECISION} AS split
                  FROM read_parquet('{run}/annotations/*/*.parquet'))
            TO '{out}' (FORMAT parquet, PARTITION_BY (split), COMPRESSION zstd)"""
    )


def digests(folder: Path) -> list[tuple[str, int, int]]:
    """Split, rows, and a hash that does not depend on their order, of the files in the folders of `folder`."""
    rows = f"read_parquet('{folder}/*/*.parquet', filename = true, hive_partitioning = false)"
    query = f"""SELECT replace(split_part(filename, '/', -2), 'split=', '') AS split, count(*),
                       bit_xor(hash(key, shard, index, sha256))
                FROM {rows} GROUP BY 1 ORDER BY 1"""
    return load("duckdb").connect().execute(query).fetchall()


if __name__ == "__main__":
    write_splits(Path(sys.argv[1]), Path(sys.argv[2]))
