"""What was removed and why, as a table of samples and as shares of what the source itself calls them.

Removed is what is not in `clean`. A safeguard that removes half of one class and a hundredth of the others changes what
a data set is; the shares by the source's own label are there to see that.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from curate.filtering.counts import source_label
from curate.filtering.decide import SCHEMA
from curate.filtering.overrides import OVERRIDE, with_overrides
from curate.filtering.overrides import SCHEMA as OVERRIDES
from curate.filtering.rules import CLEAN
from curate.filtering.table_files import sink, spill
from curate.settings.dataset import DatasetSettings

_COLUMNS = ["key", "shard", "index", "image_name", "sha256", "split", "reason"]
_COLUMNS += ["policy", "status", "rating", "category", "category_name", "p_unsafe", "p_calibrated"]
_REVIEWED = ["key", "shard", "index", "image_name", "sha256", "policy", "rating", "category", "p_unsafe", "split"]
_SAID = ["verdict", "verdict_category", "reviewer", "time", "why", "review"]
"""What the ledger calls the fields of an override."""


class Removals:
    """Removed samples on their way to one table: a file for each window of a shard, in a folder of this machine.

    The files' names sort in the order of the plan, whichever shard is finished first.

    Args:
        folder: holds the files; it is there.
        dataset: names the source's own label, if any.
        overrides: verdicts of people that stand above the safeguard's.
    """

    def __init__(self, folder: Path, dataset: DatasetSettings, overrides: pl.DataFrame | None) -> None:
        self._folder = folder
        self._label = dataset.label
        self._overrides = overrides
        self._reviewed: list[pl.DataFrame] = []

    def take(self, decisions: pl.DataFrame, shard: int, window: int) -> None:
        """Keep the removed ones of a window of decisions.

        Args:
            decisions: with `meta` where the source has labels.
            shard: the shard's position in the plan.
            window: the window's in the shard.
        """
        removed = self._removed(decisions.lazy()).collect()
        if self._overrides is not None:
            self._reviewed.append(self._decided_by_people(decisions, shard, self._overrides))
        if len(removed):
            spill(removed, self._folder / f"{shard:09d}-{window:09d}.arrow")

    def write(self, path: Path) -> None:
        """Write one row for each removed sample: what it was, where it went and why."""
        files = sorted(self._folder.iterdir())
        sink(pl.scan_ipc(files, glob=False) if files else self._none(), path, "zstd")

    def write_reviewed(self, path: Path) -> None:
        """Write one row for each sample that a person's verdict decided: where it went, who said it, when and why."""
        sink(self.reviewed().lazy(), path, "zstd")

    def reviewed(self) -> pl.DataFrame:
        """These rows, in the order of the plan."""
        empty = self._decided_by_people(pl.DataFrame(schema=SCHEMA), 0, pl.DataFrame(schema=OVERRIDES))
        return pl.concat([empty, *self._reviewed]).sort("position", "index").drop("position")

    def _decided_by_people(self, decisions: pl.DataFrame, shard: int, overrides: pl.DataFrame) -> pl.DataFrame:
        ours = decisions.lazy().select(_REVIEWED).with_columns(position=pl.lit(shard, pl.Int64))
        decided = with_overrides(ours, overrides).filter(pl.col(OVERRIDE).is_not_null())
        return decided.with_columns(pl.col(OVERRIDE).struct.rename_fields(_SAID)).unnest(OVERRIDE).collect()

    def _removed(self, decisions: pl.LazyFrame) -> pl.LazyFrame:
        return decisions.filter(pl.col("split") != CLEAN).select(*_COLUMNS, source_label(self._label))

    def _none(self) -> pl.LazyFrame:
        return self._removed(pl.LazyFrame(schema=SCHEMA))
