"""What one pass over the annotation rows adds up: each takes a window of rows after the other, and keeps little.

A window has the columns of `WINDOW` for one policy; `samples` has those of `SAMPLES`, one row for each sample, over all
the policies that decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.core.types import Rating, Status
from curate.filtering.rules import CLEAN

WINDOW = ("index", "image_name", "status", "rating", "category", "p_unsafe", "detail", "width", "height")
"""Columns of a window, and after them `floor`, `ceiling` and `split`."""
SAMPLES = ("index", "floor", "ceiling", "p_unsafe", "width", "height", "split")
STEPS = 100
"""The grid of thresholds: 0, 0.01, ..., 1."""
GRID = np.linspace(0, 1, STEPS + 1, dtype=np.float32)
"""In float32, as p_unsafe is stored and compared."""
NEVER = STEPS + 1
"""`floor` of what is not in clean whatever the threshold; -1 is what always is.

`floor` is the last threshold of the grid at which something is not in clean, `ceiling` the last at which it is in
unsafe: -1 where it never is, `NEVER` where it always is, `FAILED_FIRST` where it has failed, which comes before both.
"""
FAILED_FIRST = NEVER + 1
EARLY = 1000
SIDES = (64, 128, 256, 512, 1024)
"""Pixels of the shorter side at which one class of sizes ends and the next begins."""

Counts = NDArray[np.int64]
Places = pl.DataFrame
"""Rows that were chosen: shard, index, image_name, and why."""


def cell_of(p: pl.Series) -> NDArray[np.int64]:
    """For each probability the last point of `GRID` that is not above it: `p >= GRID[i]` for i up to there."""
    return np.searchsorted(GRID, p.cast(pl.Float32).to_numpy(), side="right").astype(np.int64) - 1


class Probabilities:
    """How many rows there are by rating and p_unsafe.

    Attributes:
        cells: by rating, shape (STEPS + 1,); the last holds those of exactly 1.
    """

    def __init__(self) -> None:
        self.cells: dict[str, Counts] = {rating.value: np.zeros(STEPS + 1, dtype=np.int64) for rating in Rating}
        self.unscored = 0

    def take(self, rows: pl.DataFrame) -> None:
        """Count the rows that have a label."""
        for rating, cells in self.cells.items():
            p = rows.filter(pl.col("rating") == rating)["p_unsafe"].fill_nan(None)
            scored = p.drop_nulls()
            self.unscored += len(p) - len(scored)
            cells += np.bincount(cell_of(scored), minlength=STEPS + 1)


class Tradeoff:
    """Where samples would be for each threshold of `GRID`.

    Attributes:
        floors: how many samples have each `floor`, from -1 to `NEVER`; shape (STEPS + 3,).
        ceilings: the same of `ceiling`, from -1 to `FAILED_FIRST`; shape (STEPS + 4,).
    """

    def __init__(self) -> None:
        self.floors: Counts = np.zeros(NEVER + 2, dtype=np.int64)
        self.ceilings: Counts = np.zeros(FAILED_FIRST + 2, dtype=np.int64)

    def take(self, samples: pl.DataFrame) -> None:
        """Count samples."""
        self.floors += np.bincount(samples["floor"].to_numpy() + 1, minlength=NEVER + 2)
        self.ceilings += np.bincount(samples["ceiling"].to_numpy() + 1, minlength=FAILED_FIRST + 2)

    @property
    def total(self) -> int:
        """All samples."""
        return int(self.floors.sum())

    def kept(self) -> Counts:
        """Samples in clean for each threshold of `GRID`; shape (STEPS + 1,)."""
        return np.cumsum(self.floors)[: STEPS + 1]

    def unsafe(self) -> Counts:
        """Samples in unsafe for each threshold of `GRID`; shape (STEPS + 1,)."""
        up_to: Counts = np.cumsum(self.ceilings[: NEVER + 2])
        above: Counts = up_to[-1] - up_to
        return above[: STEPS + 1]


class Expected:
    """What the safeguard itself expects of `clean`: the sum of p_unsafe over it."""

    def __init__(self) -> None:
        self.unsafe, self.scored, self.clean = 0.0, 0, 0

    def take(self, samples: pl.DataFrame) -> None:
        """Add the samples in clean."""
        p = samples.filter(pl.col("split") == CLEAN)["p_unsafe"].fill_nan(None)
        self.clean += len(p)
        self.unsafe += float(p.cast(pl.Float64).sum())
        self.scored += len(p) - p.null_count()


class Sizes:
    """Samples and removed ones by the shorter side of their picture.

    Attributes:
        samples, removed: by class of `SIDES`, the last open; shape (len(SIDES) + 1,).
    """

    def __init__(self) -> None:
        self.samples: Counts = np.zeros(len(SIDES) + 1, dtype=np.int64)
        self.removed: Counts = np.zeros(len(SIDES) + 1, dtype=np.int64)

    def take(self, samples: pl.DataFrame) -> None:
        """Count the samples whose size is known."""
        known = samples.filter(pl.col("width").is_not_null() & pl.col("height").is_not_null())
        side = known.select(pl.min_horizontal("width", "height"))["width"].to_numpy()
        classes = np.searchsorted(SIDES, side, side="right")
        gone = (known["split"] != CLEAN).fill_null(value=False).to_numpy()
        self.samples += np.bincount(classes, minlength=len(SIDES) + 1)
        self.removed += np.bincount(classes[gone], minlength=len(SIDES) + 1)


@dataclass(frozen=True, slots=True)
class Removed:
    """How many samples there are, and how many of them are not in clean."""

    samples: int
    removed: int


class Values:
    """Samples and removed ones by a text of their own, such as the host of their link.

    Attributes:
        seen: samples that were looked at, with or without such a text.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._samples: Counter[str] = Counter()
        self._removed: Counter[str] = Counter()

    def take(self, rows: pl.DataFrame) -> None:
        """Count rows with `value` and `split`."""
        self.seen += len(rows)
        gone = (pl.col("split") != CLEAN).sum()
        table = rows.drop_nulls("value").group_by("value").agg(samples=pl.len(), removed=gone)
        for value, samples, removed in table.iter_rows():
            self._samples[value] += samples
            self._removed[value] += removed

    def top(self, most: int) -> Mapping[str, Removed]:
        """Those with the most removed samples, and among equals with the most samples."""
        ordered = sorted(self._samples, key=lambda one: (-self._removed[one], -self._samples[one], one))
        return {one: Removed(self._samples[one], self._removed[one]) for one in ordered[:most]}


class Nearest:
    """The labelled rows whose p_unsafe is nearest to a threshold."""

    def __init__(self, threshold: float, most: int) -> None:
        self._threshold, self._most = threshold, most
        self._kept: Places | None = None

    def take(self, shard: str, rows: pl.DataFrame) -> None:
        """Look at rows of a shard."""
        distance = (pl.col("p_unsafe").fill_nan(None) - pl.lit(self._threshold, dtype=pl.Float32)).abs()
        with_p = rows.filter(pl.col("status") == Status.LABELLED.value).with_columns(order=distance).drop_nulls("order")
        self._kept = _lowest(self._kept, _placed(shard, with_p, pl.lit("nearest")), self._most)

    def places(self) -> Places | None:
        """The rows, nearest first; None where there are none."""
        return self._kept


class Drawn:
    """A few rows of each kind, drawn by a hash of their place: the same whenever one asks, and from all shards.

    Where the first `EARLY` rows of the shards have enough, they are of these: a picture is reached by reading its shard
    up to it, and shards may be large.

    Args:
        kind: what a row is one of, as an expression over a window; rows of none have null.
        most: rows of each kind.
    """

    def __init__(self, kind: pl.Expr, most: int) -> None:
        self._kind, self._most = kind, most
        self._kept: Places | None = None

    def take(self, shard: str, rows: pl.DataFrame) -> None:
        """Look at rows of a shard."""
        seed = int.from_bytes(shard.encode()[-6:], "big")
        order = pl.col("index").hash(seed) / 2**64 + (pl.col("index") >= EARLY)
        of_kind = rows.with_columns(kind=self._kind, order=order).drop_nulls("kind")
        self._kept = _lowest(self._kept, _placed(shard, of_kind, pl.col("kind")), self._most)

    def places(self) -> Places | None:
        """The rows, by kind; None where there are none."""
        return self._kept


def spread(places: Places | None, most: int) -> Places | None:
    """At most so many of the places, of every kind as many as of another as far as there are."""
    if places is None:
        return None
    ranked = places.with_columns(rank=pl.int_range(pl.len()).over("kind"))
    return ranked.sort("rank", "kind").head(most).sort("kind", "rank").drop("rank")


def _placed(shard: str, rows: pl.DataFrame, kind: pl.Expr) -> Places:
    return rows.select(
        shard=pl.lit(shard), index="index", image_name="image_name", kind=kind, order=pl.col("order").cast(pl.Float64)
    )


def _lowest(before: Places | None, found: Places, most: int) -> Places:
    """Of each kind the `most` rows that come first."""
    if before is not None and len(before):
        bar = before.group_by("kind").agg(bar=pl.col("order").max(), full=pl.len() >= most)
        found = found.join(bar, on="kind", how="left").filter(
            pl.col("full").is_null() | ~pl.col("full") | (pl.col("order") <= pl.col("bar"))
        )
        found = pl.concat([before, found.drop("bar", "full")])
    ordered = found.sort("kind", "order", "shard", "index")
    return ordered.group_by("kind", maintain_order=True).head(most).select(found.columns)
