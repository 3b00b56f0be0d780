"""Parquet, CSV, JSON and JSON lines as one table of the columns that are asked for, under our names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from glob import escape
from pathlib import Path

import polars as pl

from curate.core.errors import InputError

Aliases = Mapping[str, Sequence[str]]
"""Our column name to the names it has in the wild, the preferred one first."""

READERS: Mapping[str, Callable[[Path], pl.LazyFrame]] = {
    ".parquet": lambda path: pl.scan_parquet(path, glob=False),
    # Everything a string: "007" is a key, not a number, and "NA" is a category.
    ".csv": lambda path: pl.scan_csv(path, infer_schema=False, glob=False),
    ".jsonl": lambda path: pl.scan_ndjson(escape(str(path)), infer_schema_length=None),
    ".ndjson": lambda path: pl.scan_ndjson(escape(str(path)), infer_schema_length=None),
    ".json": lambda path: pl.read_json(path, infer_schema_length=None).lazy(),
}


def read_table(path: Path, aliases: Aliases, required: Sequence[str], suffix: str | None = None) -> pl.DataFrame:
    """The columns of `aliases` that `path` has, in file order; all others stay unread.

    Args:
        path: the file.
        aliases: the columns.
        required: those that must be there.
        suffix: says how to read a file whose name does not, e.g. a copy; None goes by the name.

    Raises:
        InputError: the suffix is unknown, the file does not parse, or a column of `required` is missing.
    """
    suffix = suffix or path.suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise InputError(f"{path}: cannot read '{suffix}' files; use one of {', '.join(READERS)}")
    try:
        frame = reader(path)
        chosen = choose_columns(frame.collect_schema().names(), aliases, required, str(path))
        return frame.select(pl.col(theirs).alias(ours) for ours, theirs in chosen.items()).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: does not read as {suffix[1:]}: {_first_line(error)}") from error


def choose_columns(names: Sequence[str], aliases: Aliases, required: Sequence[str], where: str) -> dict[str, str]:
    """Our column names to theirs, for those that `names` holds.

    Raises:
        InputError: a column of `required` is missing.
    """
    chosen = {}
    for ours, candidates in aliases.items():
        found = [name for name in candidates if name in names]
        if found:
            chosen[ours] = found[0]
    missing = [f"'{column}' (or {', '.join(aliases[column][1:])})" for column in required if column not in chosen]
    if missing:
        raise InputError(f"{where}: no column {missing[0]}; it has {', '.join(names) or 'none'}")
    return chosen


def with_columns_of(frame: pl.DataFrame, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """`frame` with exactly the columns of `schema`, cast; absent ones are null."""
    present = [
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    ]
    return frame.select(present)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
