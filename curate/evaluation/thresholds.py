"""Operating points: the cut-off on p_unsafe for a wanted recall or for costs, over all and by predicted category.

A row is flagged where its p_unsafe reaches the threshold, or, as `filter` has it, where the score of a category reaches
that category's own. Thresholds lie between two scores that occur, so that
neither rounding nor the side of an equal sign decides. A row without p_unsafe cannot be flagged by any threshold: it
stays wrong, and bounds the recall that can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml

from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.core.package_files import conf_dir
from curate.evaluation.metrics import scores_of
from curate.evaluation.outcomes import Bools, Floats, Outcomes

MIN_UNSAFE = 10
"""Unsafe gold rows that a predicted category needs for a threshold of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is wanted of a threshold: at least this recall, else the least total cost of errors."""

    recall: float | None = None
    cost_fn: float = 1.0
    cost_fp: float = 1.0

    @property
    def name(self) -> str:
        """For the filter's name: "recall-0.95" or "cost-10-1"."""
        return f"recall-{self.recall:g}" if self.recall is not None else f"cost-{self.cost_fn:g}-{self.cost_fp:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """Thresholds, and what they do on the gold set they were chosen on (which flatters them a little).

    Attributes:
        threshold: for every category that has none of its own.
        by_category: for single predicted category codes.
        counts: tp, fp, tn, fn.
        scores: of those counts.
    """

    threshold: float
    by_category: Mapping[str, float]
    counts: Mapping[str, int]
    scores: Mapping[str, float | None]


def choose_operating_point(outcomes: Outcomes, target: Target) -> OperatingPoint:
    """One threshold for all rows.

    Raises:
        InputError: no row has p_unsafe, there is no Unsafe row, or the recall cannot be reached.
    """
    _check(outcomes)
    threshold = _choose(outcomes.p_unsafe, outcomes.unsafe, target)
    return _operating_point(outcomes, threshold, {})


def choose_by_category(outcomes: Outcomes, target: Target) -> OperatingPoint:
    """A threshold for each predicted category with enough Unsafe rows, and the common one for the rest.

    Categories are the predicted ones, since those are all that a filter sees.

    Raises:
        InputError: as `choose_operating_point`.
    """
    common = choose_operating_point(outcomes, target)
    predicted = outcomes.rows["predicted_category"].to_numpy()
    p, unsafe = outcomes.p_unsafe, outcomes.unsafe
    own = {}
    for category in outcomes.rows["predicted_category"].drop_nulls().unique().sort():
        rows = (predicted == category) & ~np.isnan(p)
        if unsafe[rows].sum() >= MIN_UNSAFE:
            own[category] = _choose(p[rows], unsafe[rows], target)
    return _operating_point(outcomes, common.threshold, own)


def write_filter(point: OperatingPoint, target: Target, path: Path, calibration: Calibration | None = None) -> None:
    """Write the default rules with these thresholds as a filter file, for `filter=PATH` of `run` and `filter`.

    Args:
        point: the thresholds.
        target: what they were chosen for.
        path: the file.
        calibration: what p_unsafe goes through before it is held against them.
    """
    default = yaml.safe_load((conf_dir() / "filter" / "default.yaml").read_text(encoding="utf-8"))
    rules = default | {
        "name": target.name,
        "thresholds": {"unsafe": point.threshold, "review": None},
        "by_category": {category: {"unsafe": value} for category, value in point.by_category.items()},
        "calibration": None if calibration is None else calibration.model_dump(mode="json"),
    }
    reached = ", ".join(f"{name} {_shown(point.scores[name])}" for name in ("recall", "specificity", "precision"))
    kind = "uncalibrated" if calibration is None else "calibrated as below"
    header = f"# Thresholds on p_unsafe, {kind}. On the gold set they were chosen on: {reached}.\n"
    path.write_text(header + yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")


def _check(outcomes: Outcomes) -> None:
    if np.isnan(outcomes.p_unsafe).all():
        raise InputError("predictions: have no p_unsafe, which a threshold needs; leave out recall and costs")
    if not outcomes.unsafe.any():
        raise InputError("gold: has no Unsafe row, which a threshold needs; leave out recall and costs")


def _choose(p: Floats, unsafe: Bools, target: Target) -> float:
    thresholds, hits, false_alarms = _sweep(p, unsafe)
    if target.recall is None:
        cost = target.cost_fn * (unsafe.sum() - hits) + target.cost_fp * false_alarms
        # Of equally cheap ones the last, which flags most.
        return float(thresholds[len(cost) - 1 - int(np.argmin(cost[::-1]))])
    reached = hits >= target.recall * unsafe.sum() - 1e-9
    if not reached.any():
        best = hits[-1] / unsafe.sum()
        raise InputError(
            f"recall={target.recall:g}: out of reach, Unsafe rows without p_unsafe; the most is {best:.4f}"
        )
    return float(thresholds[int(np.argmax(reached))])


def _sweep(p: Floats, unsafe: Bools) -> tuple[Floats, Floats, Floats]:
    """Every threshold that makes a difference, the strictest first, with the Unsafe and the Safe rows it flags."""
    scored = ~np.isnan(p)
    values, place = np.unique(p[scored], return_inverse=True)
    hits = np.bincount(place, weights=unsafe[scored])[::-1].cumsum()
    false_alarms = np.bincount(place, weights=~unsafe[scored])[::-1].cumsum()
    edges = np.concatenate([[0.0], values])
    thresholds = np.array([_between(low, high) for low, high in pairwise(edges.tolist())])[::-1]
    if values[-1] < 1:
        nothing = _between(values[-1], 1.0)
        return np.r_[nothing, thresholds], np.r_[0.0, hits], np.r_[0.0, false_alarms]
    return thresholds, hits, false_alarms


def _between(low: float, high: float) -> float:
    """The shortest decimal above `low` and up to `high`, in float32 too, which annotations are kept in; else `high`."""
    rounded = (round((low + high) / 2, digits) for digits in range(1, 12))
    return next((value for value in rounded if low < value <= high and low < np.float32(value) <= high), high)


def _operating_point(outcomes: Outcomes, threshold: float, by_category: Mapping[str, float]) -> OperatingPoint:
    p, unsafe = outcomes.p_unsafe, outcomes.unsafe
    cuts = np.full(len(p), threshold)
    for category, value in by_category.items():
        cuts[outcomes.rows["predicted_category"].to_numpy() == category] = value
    found = {category: outcomes.category_score(category).astype(np.float32) for category in by_category}
    by_score = [found[category] >= np.float32(value) for category, value in by_category.items()]
    flagged = np.where(np.isnan(p), ~unsafe, np.logical_or.reduce([p >= cuts, *by_score]))
    counts = {
        "tp": int((unsafe & flagged).sum()),
        "fp": int((~unsafe & flagged).sum()),
        "tn": int((~unsafe & ~flagged).sum()),
        "fn": int((unsafe & ~flagged).sum()),
    }
    shown = ("balanced_accuracy", "recall", "specificity", "precision", "f1")
    scores = {name: value for name, value in scores_of(counts).items() if name in shown}
    return OperatingPoint(threshold=threshold, by_category=by_category, counts=counts, scores=scores)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
