"""A calibration on its way into the rules: p_unsafe calibrated before any condition sees it, and whether it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import polars as pl

from curate.console.output import complain
from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.runs.fingerprint import Fingerprint
from curate.settings.filter import FilterSettings


def apply_calibration(p: pl.Series, calibration: Calibration) -> pl.Series:
    """`p` calibrated, as Float64 under the same name; null stays null. Needs neither scikit-learn nor a gold set."""
    values = calibration(p.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return pl.Series(p.name, values, dtype=pl.Float64).fill_nan(None)


def calibrated_column(calibration: Calibration | None) -> pl.Expr:
    """The column `p_calibrated`, in float32 as p_unsafe is kept in; null without a calibration."""
    if calibration is None:
        return pl.lit(None, dtype=pl.Float32).alias("p_calibrated")
    apply = partial(apply_calibration, calibration=calibration)
    values = pl.col("p_unsafe").map_batches(apply, return_dtype=pl.Float64, is_elementwise=True)
    return values.cast(pl.Float32).alias("p_calibrated")


def check_calibration(
    settings: FilterSettings, fingerprints: Mapping[str, Fingerprint], deciding: Iterable[str]
) -> None:
    """Refuse a calibration of another judge; say so where it is of one asked something else, or of nobody known.

    Args:
        settings: the rules.
        fingerprints: of the run, by pass.
        deciding: the passes whose rows the rules are held against.

    Raises:
        InputError: it was fitted on another model, or on the same one run in another way.
    """
    calibration = settings.calibration
    if calibration is None:
        return
    if calibration.judge is None:
        complain("filter.calibration: does not say what it was fitted on, so nobody can tell whether it fits this run")
        return
    for name in deciding:
        _check_one(calibration, name, fingerprints[name])


def _check_one(calibration: Calibration, name: str, fingerprint: Fingerprint) -> None:
    if calibration.judge not in fingerprint.judges:
        raise InputError(
            f"filter.calibration: was fitted on another model or engine (judge {calibration.judge}) than this run's "
            f"(judge {fingerprint.judge}); fit one on this model's answers, or set filter.calibration=null"
        )
    if fingerprint.asked not in calibration.policies.values():
        fitted = ", ".join(calibration.policies)
        complain(
            f"filter.calibration: was fitted under {fitted}, not under {name} as it is here; under another policy "
            "probabilities may be off in another way"
        )
