"""How well p_unsafe ranks: areas under the ROC and the precision-recall curve, and the curves.

A row without p_unsafe is ranked worst: an Unsafe one is reached by no threshold, so that recall ends below 1, and a
Safe one is flagged by all. The area under precision-recall is average precision (a step function; no interpolation
between points, which would flatter); what no threshold reaches adds nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.evaluation.intervals import Interval, statistic_intervals
from curate.evaluation.metrics import none_if_nan
from curate.evaluation.outcomes import Bools, Floats, Outcomes

AREAS = ("roc_area", "precision_recall_area")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Points of the two curves, one for each distinct score, the strictest threshold first.

    Attributes:
        false_positive_rate, recall, precision: shape (points,), each between 0 and 1.
    """

    false_positive_rate: Floats
    recall: Floats
    precision: Floats


def can_rank(outcomes: Outcomes) -> bool:
    """Whether there is any p_unsafe, and both classes to tell apart."""
    unsafe = outcomes.unsafe
    return bool(unsafe.any() and not unsafe.all() and not np.isnan(outcomes.p_unsafe).all())


def curves(outcomes: Outcomes) -> Curves:
    """Both curves; needs `can_rank`."""
    return _curves(*coded(outcomes.p_unsafe, outcomes.unsafe))


def areas(outcomes: Outcomes) -> dict[str, float | None]:
    """Both areas by name; None where nothing can be ranked."""
    if not can_rank(outcomes):
        return dict.fromkeys(AREAS)
    values = areas_of(*coded(outcomes.p_unsafe, outcomes.unsafe))
    return {name: none_if_nan(value) for name, value in zip(AREAS, values.tolist(), strict=True)}


def area_intervals(outcomes: Outcomes) -> dict[str, Interval]:
    """The bootstrap intervals of both areas; (None, None) where nothing can be ranked."""
    if not can_rank(outcomes):
        return dict.fromkeys(AREAS, (None, None))
    codes, size = coded(outcomes.p_unsafe, outcomes.unsafe)
    found = statistic_intervals(len(codes), lambda drawn: areas_of(codes[drawn], size))
    return dict(zip(AREAS, found, strict=True))


def coded(p: Floats, positive: Bools) -> tuple[NDArray[np.int64], int]:
    """Rank of each row's score, the highest first, times two, plus one if positive; and the number of codes.

    One `bincount` of these codes is all that a resample needs; tied scores share a rank, so order never matters. The
    last rank is kept for the positive rows that no threshold reaches.

    Args:
        p: scores between 0 and 1, shape (n,); NaN where there is none.
        positive: what is looked for, shape (n,).
    """
    unreached = positive & np.isnan(p)
    distinct, rank = np.unique(-np.where(np.isnan(p), 2.0, p), return_inverse=True)
    return np.where(unreached, len(distinct), rank) * 2 + positive, 2 * len(distinct) + 2


def _curves(codes: NDArray[np.int64], size: int) -> Curves:
    table = np.bincount(codes, minlength=size).reshape(-1, 2).astype(np.float64)
    safe, unsafe = table.sum(axis=0)
    reached = table[:-1][table[:-1].any(axis=1)].cumsum(axis=0)
    return Curves(
        false_positive_rate=reached[:, 0] / safe,
        recall=reached[:, 1] / unsafe,
        precision=reached[:, 1] / reached.sum(axis=1),
    )


def areas_of(codes: NDArray[np.int64], size: int) -> Floats:
    """Both areas of rows that are `coded`, shape (2,); NaN where all are of one kind."""
    if len(np.unique(codes % 2)) < 2:
        return np.array([np.nan, np.nan])
    points = _curves(codes, size)
    recall = np.concatenate([[0.0], points.recall])
    rate = np.concatenate([[0.0], points.false_positive_rate])
    roc = np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2)
    return np.array([roc, np.sum(np.diff(recall) * points.precision)])
