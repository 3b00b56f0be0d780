"""Tables that polars writes, and what it says where the disk of this machine refuses."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import polars as pl

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def sink(table: pl.LazyFrame, path: Path, compression: Literal["lz4", "zstd"]) -> None:
    """Stream `table` to a Parquet file.

    Raises:
        OSError: the disk refuses.
    """
    with _disk_errors(path):
        table.sink_parquet(path, compression=compression)


def spill(table: pl.DataFrame, path: Path) -> None:
    """Write `table` as an Arrow file, which costs half of what Parquet does and is read again soon.

    Raises:
        OSError: the disk refuses.
    """
    with _disk_errors(path):
        table.write_ipc(path)


def to_parquet(table: pl.DataFrame) -> bytes:
    """A small table as the bytes of a Parquet file, for a store."""
    out = io.BytesIO()
    table.write_parquet(out, compression="zstd")
    return out.getvalue()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Polars tells the number of an error of the system in words only."""
    try:
        yield
    except (pl.exceptions.ComputeError, OSError) as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error
