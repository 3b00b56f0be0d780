"""Tables that polars streams to a file of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import polars as pl

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def sink(table: pl.LazyFrame, path: Path, compression: Literal["lz4", "zstd"]) -> None:
    """Write `table` as Parquet.

    Raises:
        OSError: the disk refuses, which polars itself tells in the words of another error.
    """
    try:
        table.sink_parquet(path, compression=compression)
    except pl.exceptions.ComputeError as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error
