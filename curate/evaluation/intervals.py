"""95 % intervals by the bootstrap over samples: percentiles of resampled scores (Efron 1979).

A score that depends on counts alone needs no resampled rows: rows that count alike are one kind, and how often each
kind is drawn is multinomial. Thousands of resamples of any number of rows then take milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from curate.evaluation.metrics import SCORES, indicators, none_if_nan, scores
from curate.evaluation.outcomes import Floats, Outcomes

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0

Interval = tuple[float | None, float | None]


def resampled_counts(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums over rows drawn with replacement.

    Args:
        rows: what each row adds to each count, shape (n, counts).

    Returns:
        Shape (RESAMPLES, counts).
    """
    kinds, frequency = np.unique(rows, axis=0, return_counts=True)
    drawn = np.random.default_rng(SEED).multinomial(len(rows), frequency / len(rows), size=RESAMPLES)
    return drawn @ kinds


def score_intervals(outcomes: Outcomes) -> dict[str, Interval]:
    """The interval of every score."""
    values = scores(resampled_counts(indicators(outcomes)))
    return dict(zip(SCORES, percentiles(values), strict=True))


def statistic_intervals(n: int, statistic: Callable[[NDArray[np.int64]], Floats]) -> list[Interval]:
    """Intervals of statistics that need the rows themselves, such as the area under a curve.

    Args:
        n: number of rows.
        statistic: the values, shape (k,), of the rows with these positions, shape (n,).
    """
    rng = np.random.default_rng(SEED)
    return percentiles(np.stack([statistic(rng.integers(n, size=n)) for _ in range(RESAMPLES)]))


def percentiles(values: Floats) -> list[Interval]:
    """The central 95 % of each column of shape (RESAMPLES, k), over the resamples where it is defined."""
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    found = []
    for column in values.T:
        defined = column[~np.isnan(column)]
        low, high = np.quantile(defined, tails) if len(defined) else (np.nan, np.nan)
        found.append((none_if_nan(low), none_if_nan(high)))
    return found
