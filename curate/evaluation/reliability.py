"""Whether p_unsafe means what it says: reliability table, expected calibration error, Brier score.

Only rows with p_unsafe count here; how many those are stands beside. Sources: Brier 1950; Guo et al., "On Calibration
of Modern Neural Networks", arXiv 1706.04599 (equal-width bins).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.evaluation.intervals import Interval, statistic_intervals
from curate.evaluation.outcomes import Bools, Floats

BINS = 10
ERRORS = ("expected_calibration_error", "brier_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows whose p_unsafe lies in [low, high); the last bin includes 1. Empty bins are left out of a table."""

    low: float
    high: float
    n: int
    mean_p_unsafe: float
    share_unsafe: float


def reliability_table(p: Floats, unsafe: Bools) -> list[Bin]:
    """The bins that hold rows, for probabilities and labels of shape (n,)."""
    n, total_p, total_unsafe = _binned(p, unsafe)
    return [
        Bin(
            low=i / BINS,
            high=(i + 1) / BINS,
            n=int(n[i]),
            mean_p_unsafe=float(total_p[i] / n[i]),
            share_unsafe=float(total_unsafe[i] / n[i]),
        )
        for i in np.flatnonzero(n).tolist()
    ]


def calibration_errors(p: Floats, unsafe: Bools) -> dict[str, float]:
    """Expected calibration error and Brier score by name, both best at 0."""
    return dict(zip(ERRORS, _errors(p, unsafe).tolist(), strict=True))


def calibration_error_intervals(p: Floats, unsafe: Bools) -> dict[str, Interval]:
    """Their bootstrap intervals."""
    found = statistic_intervals(len(p), lambda drawn: _errors(p[drawn], unsafe[drawn]))
    return dict(zip(ERRORS, found, strict=True))


def _errors(p: Floats, unsafe: Bools) -> Floats:
    _, total_p, total_unsafe = _binned(p, unsafe)
    return np.array([np.abs(total_p - total_unsafe).sum() / len(p), np.mean((p - unsafe) ** 2)])


def _binned(p: Floats, unsafe: Bools) -> tuple[Floats, Floats, Floats]:
    """Rows, summed p and Unsafe rows of each bin; shapes (BINS,)."""
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    weights = (np.ones_like(p), p, unsafe)
    n, total_p, total_unsafe = (np.bincount(place, w, minlength=BINS).astype(np.float64) for w in weights)
    return n, total_p, total_unsafe
