"""Where each sample of a run went: the result of the rule set that counts, and its table of what was removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from curate.filtering.manifest import Manifest, read_manifests
from curate.filtering.result import FilterResult
from curate.filtering.rules import CLEAN
from curate.runs.run_folder import Run
from curate.settings.filter import FilterSettings
from curate.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """A finished filter stage: its rules, and what they came to."""

    manifest: Manifest
    rules: FilterSettings
    result: FilterResult

    @classmethod
    def of(cls, run: Run) -> Splitting | None:
        """The last that was finished; None where nothing was filtered yet."""
        done = [manifest for manifest in read_manifests(run.store) if manifest.result is not None]
        if not done or done[-1].result is None:
            return None
        rules = FilterSettings(**done[-1].rules) if done[-1].rules else run.settings.filter
        return cls(manifest=done[-1], rules=rules, result=FilterResult(**done[-1].result))


class Ledger:
    """What is not in `clean`, by shard; some 13 bytes for each such sample are held.

    Args:
        store: the run's folder.
        splitting: the stage that wrote it; nothing is known of a run without any, or whose table is gone.
    """

    def __init__(self, store: Store, splitting: Splitting | None) -> None:
        self._places: Mapping[str, tuple[int, int]] = {}
        self._index = pl.Series("index", [], dtype=pl.Int64)
        self._split = pl.Series("split", [], dtype=pl.Categorical())
        name = "" if splitting is None else splitting.manifest.side_file("removed")
        self.known = bool(name) and store.exists(name)
        if self.known:
            self._read(store, name)

    def split_of(self, shard: str, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` of a shard, which have `index`, with a column `split`; null where nothing is known."""
        if not self.known:
            return rows.with_columns(split=pl.lit(None, dtype=pl.String))
        start, count = self._places.get(shard, (0, 0))
        removed = pl.DataFrame([self._index.slice(start, count), self._split.slice(start, count)])
        joined = rows.join(removed, on="index", how="left", maintain_order="left")
        return joined.with_columns(pl.col("split").cast(pl.String).fill_null(CLEAN))

    def _read(self, store: Store, name: str) -> None:
        with store.local(name) as path:
            of = pl.scan_parquet(path, glob=False).select(
                pl.col("shard").cast(pl.Categorical()), "index", pl.col("split").cast(pl.Categorical())
            )
            table = of.collect(engine="streaming")
        runs = table["shard"].cast(pl.Categorical()).rle().struct.unnest()
        starts = runs["len"].cum_sum() - runs["len"]
        shards = runs["value"].cast(pl.String)
        self._places = dict(zip(shards, zip(starts, runs["len"], strict=True), strict=True))
        self._index, self._split = table["index"], table["split"]
