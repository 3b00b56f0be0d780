"""How fast a run was over its time, and how long the engine waited, from the lines that its workers wrote each second.

Time in which nobody worked is left out: a run that was interrupted and goes on next day has no day-long gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.storage.store import Store
from curate.telemetry.metrics import Metrics
from curate.telemetry.metrics_files import SECONDS, read_metrics
from curate.telemetry.throughput import pace

MOST_FILES = 1500
"""Files of lines that are read, evenly chosen where there are more: each is of up to half an hour of one worker."""
BINS = 120
PAUSE = 30.0
"""Seconds without a line of anybody, after which nobody worked."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Throughput over the time in which anybody worked.

    Attributes:
        seconds: where each bin begins.
        rate: samples a second, of all workers together.
        waited: share of the time in which an engine had nothing to do, the mean over the workers.
        metrics: the sums of all workers.
        words: what set the pace.
        files, files_read: how many there are, and how many were read.
        pauses: how often nobody worked.
    """

    seconds: tuple[float, ...]
    rate: tuple[float, ...]
    waited: tuple[float, ...]
    metrics: Metrics
    words: tuple[str, ...]
    files: int
    files_read: int
    pauses: int


def read_pace(store: Store) -> Pace | None:
    """What the workers wrote; None where nothing was asked of an engine."""
    metrics = read_metrics(store)
    names = [name for name in store.names(SECONDS) if name.endswith(".jsonl")]
    chosen = names[:: -(-len(names) // MOST_FILES)] if names else []
    lines = [line for name in chosen for line in _lines(store, name)]
    if not lines or not metrics.workers:
        return None
    table = np.array(sorted(lines), dtype=np.float64)
    at, pauses = _working_time(table[:, 0])
    width = _width(float(at[-1]))
    of = np.minimum((at / width).astype(np.int64), round(at[-1] // width))
    bins = int(of.max()) + 1
    samples = np.bincount(of, weights=table[:, 1], minlength=bins) * (len(names) / len(chosen))
    there = np.maximum(1, np.bincount(of, minlength=bins))
    waited = np.bincount(of, weights=table[:, 2], minlength=bins) / there
    lasts = np.full(bins, width)
    lasts[-1] = max(1.0, float(at[-1]) - (bins - 1) * width)
    return Pace(
        seconds=tuple(float(width * number) for number in range(bins)),
        rate=tuple(float(value) for value in samples / lasts),
        waited=tuple(float(min(1.0, max(0.0, value))) for value in waited),
        metrics=metrics,
        words=tuple(pace(metrics)),
        files=len(names),
        files_read=len(chosen),
        pauses=pauses,
    )


def _lines(store: Store, name: str) -> Iterator[tuple[float, float, float]]:
    """Time, samples and share waited of each line; one that a kill cut off is passed over."""
    for line in store.read(f"{SECONDS}/{name}").splitlines():
        try:
            fields = json.loads(line)
            yield float(fields["time"]), float(fields["samples"]), float(fields["waited"])
        except (ValueError, KeyError, TypeError):
            continue


def _working_time(times: Floats) -> tuple[Floats, int]:
    """Seconds since the first line with pauses taken out, and the number of pauses."""
    steps = np.diff(times, prepend=times[0])
    pauses = steps > PAUSE
    return np.cumsum(np.where(pauses, 1.0, steps)), int(pauses.sum())


def _width(seconds: float) -> float:
    """Of a bin: a round number of seconds, so that there are no more than `BINS`."""
    for width in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200):
        if seconds / width <= BINS:
            return float(width)
    return 86400.0 * max(1, -(-seconds // (86400 * BINS)))
