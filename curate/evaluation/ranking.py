"""How well p_unsafe ranks: areas under the ROC and the precision-recall curve, and the curves.

A row without p_unsafe is ranked worst: an Unsafe one below everything, a Safe one above everything. The area under
precision-recall is average precision (a step function; no interpolation between points, which would flatter).
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


def ranking_scores(outcomes: Outcomes) -> Floats:
    """p_unsafe with the worst value, -1 or 2, where there is none; shape (n,)."""
    p = outcomes.p_unsafe
    return np.where(np.isnan(p), np.where(outcomes.unsafe, -1.0, 2.0), p)


def can_rank(outcomes: Outcomes) -> bool:
    """Whether there is any p_unsafe, and both classes to tell apart."""
    unsafe = outcomes.unsafe
    return bool(unsafe.any() and not unsafe.all() and not np.isnan(outcomes.p_unsafe).all())


def curves(score: Floats, unsafe: Bools) -> Curves:
    """Both curves of scores, shape (n,)."""
    safe, flagged = _cumulated(*_coded(score, unsafe))
    return Curves(
        false_positive_rate=safe / safe[-1],
        recall=flagged / flagged[-1],
        precision=flagged / (flagged + safe),
    )


def areas(outcomes: Outcomes) -> dict[str, float | None]:
    """Both areas by name; None where nothing can be ranked."""
    if not can_rank(outcomes):
        return dict.fromkeys(AREAS)
    values = _areas(*_coded(ranking_scores(outcomes), outcomes.unsafe))
    return {name: none_if_nan(value) for name, value in zip(AREAS, values.tolist(), strict=True)}


def area_intervals(outcomes: Outcomes) -> dict[str, Interval]:
    """The bootstrap intervals of both areas; (None, None) where nothing can be ranked."""
    if not can_rank(outcomes):
        return dict.fromkeys(AREAS, (None, None))
    codes, size = _coded(ranking_scores(outcomes), outcomes.unsafe)
    found = statistic_intervals(len(codes), lambda drawn: _areas(codes[drawn], size))
    return dict(zip(AREAS, found, strict=True))


def _coded(score: Floats, unsafe: Bools) -> tuple[NDArray[np.int64], int]:
    """Rank of each row's score, the highest first, times two, plus one if Unsafe; and the number of codes.

    One `bincount` of these codes is all that a resample needs; tied scores share a rank, so order never matters.
    """
    distinct, rank = np.unique(-score, return_inverse=True)
    return rank * 2 + unsafe, 2 * len(distinct)


def _cumulated(codes: NDArray[np.int64], size: int) -> tuple[Floats, Floats]:
    """Safe and Unsafe rows at or above each distinct score that occurs; shapes (points,)."""
    table = np.bincount(codes, minlength=size).reshape(-1, 2)
    table = table[table.sum(axis=1) > 0].cumsum(axis=0).astype(np.float64)
    return table[:, 0], table[:, 1]


def _areas(codes: NDArray[np.int64], size: int) -> Floats:
    safe, flagged = _cumulated(codes, size)
    if safe[-1] == 0 or flagged[-1] == 0:
        return np.array([np.nan, np.nan])
    rate = np.concatenate([[0.0], safe / safe[-1]])
    recall = np.concatenate([[0.0], flagged / flagged[-1]])
    roc = np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2)
    return np.array([roc, np.sum(np.diff(recall) * flagged / (flagged + safe))])
