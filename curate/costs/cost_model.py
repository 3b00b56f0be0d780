"""What a run's folder tells of one sample's cost: measured by a probe, or by an earlier run."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pyarrow.parquet as pq

from curate.core.types import Annotation, Rating, Status
from curate.runs.annotation_table import to_table
from curate.runs.commits import Commit, read_commits
from curate.settings.run import Settings
from curate.storage.store import Store
from curate.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCost:
    """What judging cost.

    Attributes:
        samples: how many were judged.
        failed: share of rows without a label, by status.
        rate: samples a second of one worker, from its first request to its last answer.
        startup: seconds of one worker before that.
        prompt_tokens, output_tokens: of a row, on average.
        row_bytes: of annotations, beside what a file costs with any row.
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


def observed_cost(store: Store, settings: Settings, metrics: Metrics) -> ObservedCost:
    """What the commits in `store`, and `metrics` of the workers that wrote them, tell."""
    commits = [commit for name in settings.passes for commit in read_commits(store, name)]
    rows = max(1, sum(commit.rows for commit in commits))
    statuses = _sum(commits, "statuses")
    tokens = _sum(commits, "tokens")
    annotations = sum(commit.file_bytes - file_bytes() for commit in commits)
    return ObservedCost(
        samples=metrics.samples,
        failed={s: n / rows for s, n in sorted(statuses.items()) if s != "labelled"},
        rate=metrics.rate,
        startup=metrics.startup / max(1, metrics.workers),
        prompt_tokens=tokens["prompt"] / rows,
        output_tokens=tokens["output"] / rows,
        row_bytes=max(0, annotations) / rows,
    )


@cache
def file_bytes() -> int:
    """What an annotation file costs whatever it holds: its size with one row that says next to nothing.

    Few rows say little of what many take while this is counted in.
    """
    row = Annotation(
        key="0", shard="0", index=0, policy="p", status=Status.LABELLED, sha256="0", rating=Rating.SAFE, category="NA",
        category_name="None", rationale="-", p_unsafe=0.0, label_mass=1.0, width=1, height=1, prompt_tokens=1,
        cached_tokens=0, output_tokens=1,
    )  # fmt: skip
    out = io.BytesIO()
    pq.write_table(to_table([row]), out, compression="zstd")
    return out.tell()


def _sum(commits: list[Commit], name: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for commit in commits:
        counts.update(getattr(commit, name))
    return counts
