"""Everything that is measured about one set of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from curate.core.calibration import Calibration, Method
from curate.core.errors import InputError
from curate.evaluation.breakdowns import GROUPINGS, Summary, breakdown, summarise
from curate.evaluation.category_ranking import CategoryRanking, category_rankings
from curate.evaluation.fit_calibration import calibrated, cross_validated_errors, fit_calibration
from curate.evaluation.intervals import Interval
from curate.evaluation.origin import Origin
from curate.evaluation.outcomes import Outcomes
from curate.evaluation.prevalence import Prevalence, estimate_prevalence
from curate.evaluation.ranking import area_intervals, areas
from curate.evaluation.reliability import Bin, calibration_error_intervals, calibration_errors, reliability_table
from curate.evaluation.thresholds import OperatingPoint, Target, choose_by_category, choose_operating_point


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How p_unsafe agrees with gold, over the `n` rows that have it.

    Attributes:
        errors, intervals: expected calibration error and Brier score by name.
        table: the bins that hold rows.
        fitted: a calibration fitted on all these rows; None where they are of one class.
        calibrated_errors: the errors after calibrating, cross-validated; None where a class has too few rows.
    """

    n: int
    errors: Mapping[str, float]
    intervals: Mapping[str, Interval]
    table: list[Bin]
    fitted: Calibration | None
    calibrated_errors: Mapping[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Operating points for one target: a common threshold, and thresholds by category.

    `calibration` is what p_unsafe must go through before it is held against them; None for p_unsafe as it is.
    """

    target: Target
    calibration: Calibration | None
    common: OperatingPoint
    by_category: OperatingPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known about one set of predictions.

    Attributes:
        name: short name of the predictions.
        outcomes: row by row.
        summary: over all rows.
        groups: by grouping column, then by its value.
        areas, area_intervals: of the ROC and precision-recall curves.
        reliability: None without p_unsafe.
        points: None unless a recall or costs were asked for.
        prevalence: None unless there is an unlabelled set.
        origin: whose predictions these are; None where nobody knows.
        categories: what scores of categories bring; empty where there are none.
    """

    name: str
    outcomes: Outcomes
    summary: Summary
    groups: Mapping[str, Mapping[str, Summary]]
    areas: Mapping[str, float | None]
    area_intervals: Mapping[str, Interval]
    reliability: Reliability | None
    points: Points | None
    prevalence: Prevalence | None
    origin: Origin | None = None
    categories: tuple[CategoryRanking, ...] = ()


def assess(
    name: str,
    outcomes: Outcomes,
    *,
    method: Method | None = None,
    target: Target | None = None,
    on_calibrated: bool = False,
    origin: Origin | None = None,
    unlabelled: pl.DataFrame | None = None,
) -> Assessment:
    """Measure one set of predictions.

    Args:
        name: short name of the predictions.
        outcomes: gold joined with them.
        method: of the calibration; None chooses by the number of rows.
        target: what an operating point is chosen for, if wanted.
        on_calibrated: whether it is chosen on calibrated probabilities.
        origin: whose predictions these are, where that is known.
        unlabelled: predictions of a set without gold whose prevalence is wanted.

    Raises:
        InputError: the target cannot be met, see `choose_operating_point`; or nothing can be calibrated.
    """
    reliability = _reliability(outcomes, method, origin)
    fitted = reliability.fitted if on_calibrated and reliability else None
    if on_calibrated and fitted is None:
        raise InputError(f"{name}: no calibration can be fitted, which needs p_unsafe and gold rows of both ratings")
    return Assessment(
        name=name,
        outcomes=outcomes,
        summary=summarise(outcomes),
        groups={column: breakdown(outcomes, column) for column in GROUPINGS},
        areas=areas(outcomes),
        area_intervals=area_intervals(outcomes),
        reliability=reliability,
        points=None if target is None else _points(outcomes, target, fitted),
        prevalence=None if unlabelled is None else estimate_prevalence(outcomes, unlabelled),
        origin=origin,
        categories=category_rankings(outcomes),
    )


def _reliability(outcomes: Outcomes, method: Method | None, origin: Origin | None) -> Reliability | None:
    scored = ~np.isnan(outcomes.p_unsafe)
    p, unsafe = outcomes.p_unsafe[scored], outcomes.unsafe[scored]
    if not len(p):
        return None
    fitted = fit_calibration(p, unsafe, method) if unsafe.any() and not unsafe.all() else None
    return Reliability(
        n=len(p),
        errors=calibration_errors(p, unsafe),
        intervals=calibration_error_intervals(p, unsafe),
        table=reliability_table(p, unsafe),
        fitted=origin.stamp(fitted) if origin and fitted else fitted,
        calibrated_errors=cross_validated_errors(p, unsafe, fitted.method) if fitted else None,
    )


def _points(outcomes: Outcomes, target: Target, calibration: Calibration | None) -> Points:
    if calibration is not None:
        outcomes = calibrated(outcomes, calibration)
    return Points(
        target=target,
        calibration=calibration,
        common=choose_operating_point(outcomes, target),
        by_category=choose_by_category(outcomes, target),
    )
