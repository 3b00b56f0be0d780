"""What a filter stage reports: counts that the card, the summary and the report show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from curate.filtering.counts import Counts
from curate.filtering.rules import CLEAN
from curate.filtering.stage import Stage
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.disagreement import Disagreement, disagreements

TOP_LABELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterResult:
    """Counts of samples unless said otherwise.

    Attributes:
        digest: in the name of every file that was written.
        write: the format of the split files.
        splits: by split, zeros included, strictest first.
        parts: by folder below splits/, where there are any; differs from `splits` where `clean` is subdivided.
        files: number of files by folder.
        statuses: by status.
        ratings: by split and rating ("" for none).
        categories: removed samples by category code of the answer ("" for none) and split.
        reasons: removed samples by split and reason.
        labels: the labels of the source that lost the largest shares, as (label, total, removed); at most `TOP_LABELS`.
        pending: number of shards of the plan that are not judged yet and therefore in no split.
        reviewed: samples that a verdict of a person decided.
        overruled: of them those of which the safeguard said something else.
        reviewers: how many people's verdicts these are.
        differences: between several policies: the fields of `curate.runs.disagreement.Disagreement`.
    """

    digest: str
    write: str
    splits: Mapping[str, int]
    parts: Mapping[str, int]
    files: Mapping[str, int]
    statuses: Mapping[str, int]
    ratings: Sequence[Sequence[Any]]
    categories: Sequence[Sequence[Any]]
    reasons: Sequence[Sequence[Any]]
    labels: Sequence[Sequence[Any]]
    pending: int
    differences: Sequence[Mapping[str, Any]] = ()
    reviewed: int = 0
    overruled: int = 0
    reviewers: int = 0

    @property
    def samples(self) -> int:
        """All samples that have a fate."""
        return sum(self.splits.values())

    @property
    def removed(self) -> int:
        """Samples that are not in `clean`."""
        return self.samples - self.splits[CLEAN]

    def to_record(self) -> dict[str, Any]:
        """As plain JSON; `FilterResult(**record)` reads it back."""
        return asdict(self)


def to_result(stage: Stage, counts: Counts, *, pending: int, reviewed: pl.DataFrame) -> FilterResult:
    """What `counts` of all shards of the stage come to, and the rows of those that people decided."""
    splits, parts = _by_one(counts.by("split")), _by_one(counts.by("part"))
    return FilterResult(
        digest=stage.manifest.digest,
        write=stage.settings.write,
        splits={split: splits.get(split, 0) for split in stage.rules.splits},
        parts={part: parts[part] for part in stage.manifest.parts if part in parts},
        files=dict(sorted(counts.files.items())),
        statuses=_by_one(counts.by("status")),
        ratings=_flat(counts.by("split", "rating")),
        categories=_flat(counts.by("category", "category_name", "split", removed=True)),
        reasons=_flat(counts.by("split", "reason", removed=True)),
        labels=_top_labels(counts),
        pending=pending,
        differences=[asdict(one) for one in _differences(stage)],
        reviewed=len(reviewed),
        overruled=reviewed.filter(pl.col("verdict") != pl.col("rating")).height,
        reviewers=reviewed["reviewer"].fill_null("").n_unique(),
    )


def _differences(stage: Stage) -> Sequence[Disagreement]:
    several = len(stage.commits) > 1
    return disagreements(AnnotationFiles(stage.store), stage.commits) if several else ()


def _by_one(counts: list[tuple[tuple[str | None, ...], int]]) -> dict[str, int]:
    return {values[0] or "": rows for values, rows in counts}


def _flat(counts: list[tuple[tuple[str | None, ...], int]]) -> list[list[Any]]:
    return [[*(value or "" for value in values), rows] for values, rows in counts]


def _top_labels(counts: Counts) -> list[list[Any]]:
    top = counts.labels().filter(pl.col("removed") > 0).select("label", "total", "removed").head(TOP_LABELS)
    return [["" if value is None else value for value in row] for row in top.iter_rows()]
