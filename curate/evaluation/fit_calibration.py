"""Fitting a calibration on a gold set, and what it mends.

Isotonic regression (Zadrozny and Elkan 2002) needs many rows; below `ISOTONIC_ROWS` a logistic curve on the log-odds
is fitted instead (Platt 1999). Both are monotone: calibrating never changes which image ranks before which.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from curate.core.calibration import Calibration, Method, calibrated_score, logit
from curate.evaluation.outcomes import Bools, Floats, Outcomes
from curate.evaluation.reliability import calibration_errors

ISOTONIC_ROWS = 1000
FOLDS = 5
SEED = 0


def fit_calibration(p: Floats, unsafe: Bools, method: Method | None = None) -> Calibration:
    """Fit on probabilities and labels of shape (n,), both classes present; None chooses the method by n."""
    method = method or ("isotonic" if len(p) >= ISOTONIC_ROWS else "platt")
    return _fit_isotonic(p, unsafe) if method == "isotonic" else _fit_platt(p, unsafe)


def _fit_isotonic(p: Floats, unsafe: Bools) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, unsafe.astype(np.float64))
    knots = (tuple(values.astype(np.float64).tolist()) for values in (fitted.X_thresholds_, fitted.y_thresholds_))
    x, y = knots
    return Calibration(method="isotonic", fitted_on=len(p), x=x, y=y)


def _fit_platt(p: Floats, unsafe: Bools) -> Calibration:
    """A ridge as weak as scikit-learn's default keeps the curve finite where p separates the classes perfectly."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(logit(p)[:, None], unsafe)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < 0:
        # It would reverse the ranking: a p_unsafe that bad is flattened to the share of Unsafe rows, not turned round.
        slope, intercept = 0.0, float(logit(np.mean(unsafe, keepdims=True))[0])
    return Calibration(method="platt", fitted_on=len(p), slope=slope, intercept=intercept)


def calibrated(outcomes: Outcomes, calibration: Calibration) -> Outcomes:
    """`outcomes` with p_unsafe calibrated, rounded to what `filter` holds thresholds against.

    Scores of categories keep their share of it, as in `curate.filtering.thresholds`.
    """
    judged = outcomes.p_unsafe
    p = calibration(judged).astype(np.float32).astype(np.float64)
    scores = [
        row and [{**one, "score": calibrated_score(one["score"], before, after)} for one in row]
        for row, before, after in zip(outcomes.rows["category_scores"].to_list(), judged, p, strict=True)
    ]
    return replace(
        outcomes,
        rows=outcomes.rows.with_columns(
            pl.Series("p_unsafe", p, dtype=pl.Float64).fill_nan(None),
            pl.Series("category_scores", scores, dtype=outcomes.rows.schema["category_scores"]),
        ),
    )


def cross_validated_errors(p: Floats, unsafe: Bools, method: Method) -> dict[str, float] | None:
    """Calibration errors of rows that the calibration was not fitted on; None with fewer than 5 of either class."""
    if min(unsafe.sum(), (~unsafe).sum()) < FOLDS:
        return None
    from sklearn.model_selection import StratifiedKFold

    calibrated = np.empty_like(p)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(p, unsafe):
        calibrated[test] = fit_calibration(p[train], unsafe[train], method)(p[test])
    return calibration_errors(calibrated, unsafe)
