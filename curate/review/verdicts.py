"""What reviewers said: read from a filled-in table or Label Studio's export, and brought to one verdict a task."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from curate.core.errors import InputError
from curate.core.types import Rating
from curate.review import label_studio

_RATINGS = {"safe": Rating.SAFE, "unsafe": Rating.UNSAFE}
_UNSAID = ("", "skip", "skipped", "unsure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one reviewer says of one task.

    Attributes:
        category: a code, "" where none was given.
        reviewer, time, reason: as given, "" where they were not.
    """

    task: str
    rating: Rating
    category: str = ""
    reviewer: str = ""
    time: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What becomes of all verdicts on a task.

    Attributes:
        rating: that of most reviewers; Unsafe where as many say the one as the other.
        verdicts: one for each reviewer, the first the one that is cited.
        is_tie: as many say Safe as Unsafe.
    """

    rating: Rating
    verdicts: tuple[Verdict, ...]
    is_tie: bool

    @property
    def cited(self) -> Verdict:
        """The first verdict that says what was settled."""
        return next(one for one in self.verdicts if one.rating is self.rating)


def read_verdicts(path: Path) -> list[Verdict]:
    """The verdicts in a CSV file with the columns of tasks.csv, or in Label Studio's JSON export.

    Tasks without a rating, or with "skip", have none.

    Raises:
        InputError: the file cannot be read, or a rating is neither Safe nor Unsafe.
    """
    try:
        data = path.read_bytes()
        rows = list(label_studio.verdicts(data)) if path.suffix == ".json" else _csv_rows(data, path)
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: no verdicts can be read: {error}") from error
    return [verdict for row in rows if (verdict := _verdict(row, path)) is not None]


def settle(verdicts: Iterable[Verdict]) -> dict[str, Settled]:
    """By task; of a reviewer who spoke more than once the last word counts."""
    by_task: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for verdict in verdicts:
        by_task[verdict.task][verdict.reviewer] = verdict
    return {task: _settled(tuple(said.values())) for task, said in by_task.items()}


def pairs(settled: Iterable[Settled]) -> list[tuple[bool, bool]]:
    """Two verdicts on each task that more than one reviewer has seen, true for Unsafe."""
    ratings = ([one.rating is Rating.UNSAFE for one in task.verdicts] for task in settled)
    return [next(pairwise(said)) for said in ratings if len(said) > 1]


def _settled(verdicts: tuple[Verdict, ...]) -> Settled:
    unsafe = sum(one.rating is Rating.UNSAFE for one in verdicts)
    rating = Rating.UNSAFE if 2 * unsafe >= len(verdicts) else Rating.SAFE
    return Settled(rating=rating, verdicts=verdicts, is_tie=2 * unsafe == len(verdicts))


def _csv_rows(data: bytes, path: Path) -> Sequence[Mapping[str, Any]]:
    text = data.decode("utf-8-sig")
    table = csv.DictReader(io.StringIO(text), dialect=_dialect(text))
    missing = [name for name in ("task", "rating") if name not in (table.fieldnames or ())]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; fill in the file that `review export` wrote")
    return list(table)


def _dialect(text: str) -> type[csv.Dialect]:
    """Spreadsheets of some countries write semicolons."""
    return csv.excel if text.partition("\n")[0].count(";") == 0 else _Semicolons


class _Semicolons(csv.excel):
    delimiter = ";"


def _verdict(row: Mapping[str, Any], path: Path) -> Verdict | None:
    fields = {name: str(row.get(name) or "").strip() for name in Verdict.__slots__}
    said = fields.pop("rating").lower()
    if said in _UNSAID:
        return None
    if said not in _RATINGS:
        raise InputError(f"{path}: task {fields['task']!r:.80} is rated {said!r:.40}; write Safe, Unsafe, or nothing")
    return Verdict(rating=_RATINGS[said], **fields)
