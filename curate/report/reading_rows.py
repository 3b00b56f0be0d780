"""The one pass over a run's annotation rows: windows of columns, shard after shard, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from curate.filtering.rules import CLEAN, FAILED, UNSAFE, Rules, sidecar_field
from curate.report.ledger import Ledger
from curate.report.tallies import FAILED_FIRST, NEVER, SAMPLES, STEPS, WINDOW, cell_of
from curate.runs.annotation_table import scanned
from curate.runs.commits import Commit
from curate.runs.compaction.reading import AnnotationFiles

ROWS = 400_000
"""Rows of a shard that are held at a time."""
BEYOND = 2.0
"""A threshold that no probability reaches."""


_SAMPLES = {"index": pl.Int64, "floor": pl.Int64, "ceiling": pl.Int64, "p_unsafe": pl.Float32} | {
    "width": pl.Int32,
    "height": pl.Int32,
    "split": pl.String,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some rows of one shard.

    Attributes:
        shard: its id.
        rows: by policy, in the columns of `tallies.WINDOW` with `floor`, `ceiling` and `split`.
        samples: over the policies that decide, in the columns of `tallies.SAMPLES`; empty where a shard has not been
            judged under all of them.
    """

    shard: str
    rows: Mapping[str, pl.DataFrame]
    samples: pl.DataFrame


class Reader:
    """Reads a run's rows.

    Args:
        files: where they stand.
        commits: by policy and shard id.
        deciding: the policies whose rows the rules are held against.
        rules: the rules, for what other thresholds would do; None where that cannot be told.
        ledger: where samples went.
    """

    def __init__(
        self,
        files: AnnotationFiles,
        commits: Mapping[str, Mapping[str, Commit]],
        deciding: Sequence[str],
        rules: Rules | None,
        ledger: Ledger,
    ) -> None:
        self._files, self._commits, self._deciding = files, commits, tuple(deciding)
        self._ledger = ledger
        self._low = None if rules is None else rules.with_unsafe_from(0.0)
        self._high = None if rules is None else rules.with_unsafe_from(BEYOND)

    @property
    def shards(self) -> list[str]:
        """Ids of the shards that have rows under any policy, in order."""
        return sorted({shard for of in self._commits.values() for shard in of})

    def windows(self) -> Iterator[Window]:
        """All rows, a window after the other."""
        for shard in self.shards:
            of = {policy: commits[shard] for policy, commits in self._commits.items() if shard in commits}
            whole = set(self._deciding) <= of.keys()
            for start in range(0, max(1, max(commit.sample_count for commit in of.values())), ROWS):
                rows = {policy: self._narrow(commit, start) for policy, commit in of.items()}
                rows = {policy: self._ledger.split_of(shard, frame) for policy, frame in rows.items()}
                deciding = [rows[policy] for policy in self._deciding] if whole else []
                yield Window(shard=shard, rows=rows, samples=_by_sample(deciding))

    def fields(self, shard: str, fields: Mapping[str, str]) -> pl.DataFrame:
        """Sidecar fields of a shard's samples as text, by the names they are to have, with `index` and `split`.

        They are read under the first policy that has the shard: sidecars are the same under all.
        """
        commit = next(of[shard] for of in self._commits.values() if shard in of)
        columns = [sidecar_field(field, "string").alias(name) for name, field in fields.items()]
        with self._scan(commit) as rows:
            head = rows.select("index", "meta").head(ROWS).unique("index", keep="first", maintain_order=True)
            table = head.select("index", *columns).collect(engine="streaming")
        return self._ledger.split_of(shard, table)

    def whole(self, policy: str, shard: str, places: pl.DataFrame) -> list[dict[str, object]]:
        """The rows at `places` (index, image_name) of a shard with all their columns, and `split`."""
        commit = self._commits[policy][shard]
        wanted = places.select("index", "image_name").lazy()
        with self._scan(commit) as rows:
            near = rows.filter(pl.col("index").is_in(places["index"].to_list()))
            found = near.join(wanted, on=["index", "image_name"], nulls_equal=True).collect(engine="streaming")
        return self._ledger.split_of(shard, found).to_dicts()

    @contextmanager
    def _scan(self, commit: Commit) -> Iterator[pl.LazyFrame]:
        table = self._files.in_part(commit)
        if table is not None:
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            yield frame.lazy()
            return
        with self._files.local(commit) as path:
            yield scanned(path)

    def _narrow(self, commit: Commit, start: int) -> pl.DataFrame:
        """Rows from `start` on, with `floor` where the policy decides."""
        with self._scan(commit) as rows:
            if commit.sample_count > ROWS:
                rows = rows.filter(pl.col("index").is_between(start, start + ROWS - 1))
            if self._low is None or self._high is None or commit.policy not in self._deciding:
                none = pl.lit(NEVER, dtype=pl.Int64)
                return rows.select(*WINDOW, floor=none, ceiling=none).collect(engine="streaming")
            low = self._low.apply(rows).rename({"split": "low"}).drop("reason", "p_calibrated")
            both = self._high.apply(low).rename({"split": "high"})
            compared = pl.coalesce("p_calibrated", "p_unsafe").fill_nan(None).alias("compared")
            frame = both.select(*WINDOW, compared, "low", "high").collect(engine="streaming")
        return frame.with_columns(_floor_and_ceiling(frame)).drop("compared", "low", "high")


def _floor_and_ceiling(rows: pl.DataFrame) -> list[pl.Series]:
    """See `tallies.NEVER`; of rows with `low`, the split where a threshold makes them unsafe, and `high`, where not.

    Whether a row is unsafe by the threshold is all that the threshold changes, and so all there is to know is where it
    would go in either case.
    """
    cells = np.full(len(rows), -1, dtype=np.int64)
    scored = rows["compared"].is_not_null().to_numpy()
    cells[scored] = np.minimum(cell_of(rows["compared"].drop_nulls()), STEPS)
    (clean_low, clean_high), (unsafe_low, unsafe_high) = (
        ((rows["low"] == name).to_numpy(), (rows["high"] == name).to_numpy()) for name in (CLEAN, UNSAFE)
    )
    floors = np.where(clean_low & clean_high, -1, np.where(clean_high & scored, cells, NEVER))
    ceilings = np.where(unsafe_low & unsafe_high, NEVER, np.where(unsafe_low & scored, cells, -1))
    ceilings[(rows["low"] == FAILED).to_numpy()] = FAILED_FIRST
    return [pl.Series("floor", floors, dtype=pl.Int64), pl.Series("ceiling", ceilings, dtype=pl.Int64)]


def _by_sample(deciding: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row for each sample: the strictest of its pictures and of all policies, the size of its first picture."""
    if not deciding:
        return pl.DataFrame(schema=_SAMPLES)
    rows = reduce(lambda one, other: one.vstack(other), [frame.select(SAMPLES) for frame in deciding])
    if len(deciding) == 1 and rows["index"].is_sorted() and rows["index"].n_unique() == len(rows):
        return rows
    return rows.group_by("index", maintain_order=True).agg(
        pl.col("floor", "ceiling", "p_unsafe").max(), pl.col("width", "height", "split").first()
    )
