"""What a user would write with `datasets`: python -m tests.benchmarks.datasets_filter RUN OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from datasets import load_dataset

from tests.benchmarks.duckdb_filter import REVIEW, UNSAFE

_COLUMNS = ["key", "shard", "index", "sha256"]


def split_of(row: dict[str, object]) -> str:
    """The same decision as the SQL's."""
    if row["status"] != "labelled" or row["rating"] not in ("Safe", "Unsafe"):
        return "failed"
    if row["p_unsafe"] is None:
        return "review"
    if row["p_unsafe"] >= np.float32(UNSAFE):
        return "unsafe"
    return "review" if row["p_unsafe"] >= np.float32(REVIEW) else "clean"


def write_splits(run: Path, out: Path) -> None:
    """An index of the run's rows, split."""
    files = f"{run}/annotations/*/*.parquet"
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(out / "cache"))
    rows = rows.select_columns([*_COLUMNS, "status", "rating", "p_unsafe"])
    for split in ("clean", "review", "unsafe", "failed"):
        chosen = rows.filter(lambda row, split=split: split_of(row) == split)
        (out / split).mkdir(parents=True)
        chosen.select_columns(_COLUMNS).to_parquet(out / split / "index.parquet")


if __name__ == "__main__":
    write_splits(Path(sys.argv[1]), Path(sys.argv[2]))
