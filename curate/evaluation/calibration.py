"""A calibration fitted on a gold set, kept as JSON, and applied to p_unsafe with numpy alone.

Isotonic regression (Zadrozny and Elkan 2002) needs many rows; below `ISOTONIC_ROWS` a logistic curve on the log-odds
is fitted instead (Platt 1999). Both are monotone: calibrating never changes which image ranks before which.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from curate.errors import InputError
from curate.evaluation.outcomes import Bools, Floats
from curate.evaluation.reliability import calibration_errors

Method = Literal["isotonic", "platt"]

ISOTONIC_ROWS = 1000
FOLDS = 5
SEED = 0
_EDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A monotone map of p_unsafe.

    Attributes:
        method: "isotonic" interpolates between (x, y); "platt" is sigmoid(slope * logit(p) + intercept).
        fitted_on: number of gold rows it was fitted on.
        x, y: knots, ascending; empty for "platt".
    """

    method: Method
    fitted_on: int
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, p: Floats) -> Floats:
        """Calibrated probabilities, same shape; NaN stays NaN."""
        if self.method == "isotonic":
            return np.where(np.isnan(p), np.nan, np.interp(p, self.x, self.y))
        return 1 / (1 + np.exp(-(self.slope * _logit(p) + self.intercept)))


def apply_calibration(p: pl.Series, calibration: Calibration) -> pl.Series:
    """`p` calibrated, as Float64 under the same name; null stays null. Needs neither scikit-learn nor a gold set."""
    values = calibration(p.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return pl.Series(p.name, values, dtype=pl.Float64).fill_nan(None)


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

    fitted = LogisticRegression().fit(_logit(p)[:, None], unsafe)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < 0:
        # It would reverse the ranking: a p_unsafe that bad is flattened to the share of Unsafe rows, not turned round.
        slope, intercept = 0.0, float(_logit(np.mean(unsafe, keepdims=True))[0])
    return Calibration(method="platt", fitted_on=len(p), slope=slope, intercept=intercept)


def cross_validated_errors(p: Floats, unsafe: Bools, method: Method) -> dict[str, float] | None:
    """Calibration errors of rows that the calibration was not fitted on; None with fewer than 5 of either class."""
    if min(unsafe.sum(), (~unsafe).sum()) < FOLDS:
        return None
    from sklearn.model_selection import StratifiedKFold

    calibrated = np.empty_like(p)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(p, unsafe):
        calibrated[test] = fit_calibration(p[train], unsafe[train], method)(p[test])
    return calibration_errors(calibrated, unsafe)


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write it as JSON."""
    path.write_text(json.dumps(asdict(calibration), indent=1) + "\n", encoding="utf-8")


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        InputError: there is no such file, or it is not a calibration.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Calibration(**(fields | {"x": tuple(fields["x"]), "y": tuple(fields["y"])}))
    except OSError as error:
        raise InputError(f"{path}: no readable calibration; `evaluate` writes calibration.json") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a calibration as `evaluate` writes it ({error})") from error


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))
