"""What a run's folder tells of one sample's cost: measured by a probe, or by an earlier run."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pyarrow.parquet as pq

from curate.ledger import Commit, read_commits
from curate.metrics import Metrics
from curate.settings import Settings
from curate.store import Store
from curate.tables import SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What judging cost.

    Attributes:
        samples: how many were judged.
        failed: share of rows without a label, by status.
        rate: samples a second of one worker, from its first request to its last answer.
        startup: seconds of one worker before that.
        prompt_tokens, output_tokens: of a row, on average.
        row_bytes: of annotations, beside what a file costs without any row.
        engines: that a machine runs at this rate each.
    """

    samples: int
    failed: Mapping[str, float]
    rate: float
    startup: float
    prompt_tokens: float
    output_tokens: float
    row_bytes: float
    engines: int = 1


def measured(store: Store, settings: Settings, metrics: Metrics) -> Measured:
    """What the commits in `store`, and `metrics` of the workers that wrote them, tell."""
    commits = [commit for name in settings.passes for commit in read_commits(store, name)]
    rows = max(1, sum(commit.rows for commit in commits))
    statuses = _sum(commits, "statuses")
    tokens = _sum(commits, "tokens")
    file_bytes = sum(commit.file_bytes - empty_file_bytes() for commit in commits)
    return Measured(
        samples=metrics.samples,
        failed={s: n / rows for s, n in sorted(statuses.items()) if s != "labelled"},
        rate=metrics.rate,
        startup=metrics.startup / max(1, metrics.workers),
        prompt_tokens=tokens["prompt"] / rows,
        output_tokens=tokens["output"] / rows,
        row_bytes=max(0, file_bytes) / rows,
    )


@cache
def empty_file_bytes() -> int:
    """Size of an annotation file without rows: few rows say little of what many take while it is counted in."""
    out = io.BytesIO()
    pq.write_table(SCHEMA.empty_table(), out, compression="zstd")
    return out.tell()


def _sum(commits: list[Commit], name: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for commit in commits:
        counts.update(getattr(commit, name))
    return counts
