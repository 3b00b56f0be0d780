"""Rows of JSON lines, CSV, TSV, Parquet, or plain text with a prompt a line; what is wrong with a file is one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, and its fields."""

Reader = Callable[[Path, Sequence[str], Sequence[str]], Iterator[Row]]

_LONGEST_FIELD = 2**20
_LISTED = 300


def read_rows(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Row]:
    """The rows of a file, in order.

    Args:
        path: told by its suffix, one of `READERS`.
        columns: what is looked at; of tables with columns others are not read.
        required: those among them that a table has to have.

    Raises:
        InputError: there is no such file, it does not read, or lacks a column; says where.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: such files are not read; give one of {', '.join(READERS)}")
    try:
        yield from reader(path, columns, required)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (OSError, pa.ArrowException, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as {path.suffix.lower()[1:]} ({why})") from error


def listed(names: Iterable[object]) -> str:
    """Names of columns for a message."""
    return ", ".join(str(name) for name in names if name)[:_LISTED] or "nothing"


def _refuse_missing(path: Path, names: Sequence[str] | None, required: Sequence[str]) -> None:
    missing = [name for name in required if name not in (names or ())]
    if names is not None and missing:
        raise InputError(f"{path}: no column `{missing[0]}`; it has {listed(names)}")


def _lines(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}, line {number}", {"prompt": line.strip()}


def _json_lines(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: is no JSON ({error}); give an object a line") from error
            if not isinstance(fields, dict):
                raise InputError(f'{where}: is {type(fields).__name__}, not an object such as {{"prompt": "a cat"}}')
            yield where, fields


def _csv(delimiter: str) -> Reader:
    def read(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Row]:
        csv.field_size_limit(_LONGEST_FIELD)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter, strict=True)
            _refuse_missing(path, rows.fieldnames and list(rows.fieldnames), required)
            for fields in rows:
                where = f"{path}, line {rows.line_num}"
                if None in fields:
                    raise InputError(
                        f"{where}: has more fields than the header; put texts with {delimiter!r} in quotes"
                    )
                yield where, fields

    return read


def _parquet(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _refuse_missing(path, names, required)
        number = 0
        for batch in file.iter_batches(columns=[name for name in columns if name in names]):
            for fields in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", fields


READERS: Mapping[str, Reader] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".txt": _lines,
    ".parquet": _parquet,
}
"""By suffix."""
