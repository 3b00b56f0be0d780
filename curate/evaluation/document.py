"""metrics.json: the first predictions at the top level, the others and the differences from the first below it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from curate.evaluation.assess import Assessment, Points, Reliability
from curate.evaluation.compare import Difference
from curate.evaluation.gold import Gold
from curate.evaluation.intervals import LEVEL, Interval


def write_metrics(gold: Gold, assessments: Sequence[Assessment], differences: Sequence[Difference], path: Path) -> None:
    """Write metrics.json for at least one assessment."""
    first, *others = assessments
    document = {
        "gold": {"source": gold.source, "exceptions": gold.exceptions, "confidence": LEVEL},
        **_assessment(first),
        "others": [_assessment(other) for other in others],
        "differences": [asdict(difference) for difference in differences],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _assessment(assessment: Assessment) -> dict[str, object]:
    outcomes = assessment.outcomes
    return {
        "predictions": assessment.name,
        "dtype": assessment.origin and assessment.origin.dtype,
        "joined_on": list(outcomes.joined_on),
        "unused_predictions": outcomes.unused,
        "invalid": dict(outcomes.reasons),
        **assessment.summary.to_json(),
        "ranking": {**assessment.areas, "intervals": _lists(assessment.area_intervals)},
        "category_ranking": [asdict(one) for one in assessment.categories],
        "calibration": assessment.reliability and _reliability(assessment.reliability),
        "operating_points": assessment.points and _points(assessment.points),
        "prevalence": assessment.prevalence and asdict(assessment.prevalence),
        **{f"by_{column}": {k: s.to_json() for k, s in groups.items()} for column, groups in assessment.groups.items()},
    }


def _reliability(reliability: Reliability) -> dict[str, object]:
    return {
        "n": reliability.n,
        **reliability.errors,
        "intervals": _lists(reliability.intervals),
        "table": [asdict(row) for row in reliability.table],
        "fitted": reliability.fitted and reliability.fitted.method,
        "after_fitting_cross_validated": reliability.calibrated_errors,
    }


def _points(points: Points) -> dict[str, object]:
    return {
        "target": points.target.name,
        "calibrated": points.calibration is not None,
        "common": asdict(points.common),
        "by_category": asdict(points.by_category),
    }


def _lists(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {name: list(interval) for name, interval in intervals.items()}
