"""An evaluation as a whole: predictions joined with the gold set and assessed, and what that comes to, as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from curate.core.calibration import Method, save_calibration
from curate.core.errors import InputError
from curate.evaluation.assess import Assessment, assess
from curate.evaluation.compare import compare
from curate.evaluation.document import write_metrics
from curate.evaluation.gold import Gold, read_gold
from curate.evaluation.origin import read_origin
from curate.evaluation.outcomes import Outcomes, join
from curate.evaluation.plots import write_plots
from curate.evaluation.predictions import distinct_names, read_predictions
from curate.evaluation.report_md import render
from curate.evaluation.thresholds import Target, write_filter
from curate.storage.factory import is_url, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to evaluate.

    Attributes:
        predictions: runs' folders or URLs, or tables; all are compared to the first.
        gold: a table, an image folder, or datasets:NAME.
        folder: or URL, where to write.
        policy: judge the rows of this policy, joined by key alone; None joins by key and policy.
        target: of thresholds that are chosen; None chooses none.
        method: of the calibration; None chooses one.
        on_calibrated: whether thresholds are chosen on calibrated probabilities.
        unlabelled: predictions of images without a gold label.
    """

    predictions: tuple[str, ...]
    gold: str
    folder: str
    policy: str | None
    target: Target | None
    method: Method | None
    on_calibrated: bool
    unlabelled: str | None


def evaluate(request: Request) -> tuple[list[Assessment], list[Path]]:
    """What the predictions come to, and the files that say so, written into `request.folder`.

    Raises:
        InputError: a file is wrong; one line.
    """
    gold = read_gold(request.gold)
    assessments = _assess_all(request, gold)
    with _folder(request.folder) as folder:
        written = _write(folder, gold, assessments)
    return assessments, written


def _assess_all(request: Request, gold: Gold) -> list[Assessment]:
    unlabelled = None if request.unlabelled is None else _read_unlabelled(request.unlabelled, request.policy)
    return [
        assess(
            name,
            _outcomes(request, gold, path),
            method=request.method,
            target=request.target,
            on_calibrated=request.on_calibrated,
            origin=read_origin(path, request.policy),
            unlabelled=unlabelled,
        )
        for name, path in zip(distinct_names(request.predictions), request.predictions, strict=True)
    ]


def _outcomes(request: Request, gold: Gold, path: str) -> Outcomes:
    return join(gold, read_predictions(path, request.policy), by_policy=request.policy is None)


def _read_unlabelled(path: str, policy: str | None) -> pl.DataFrame:
    rows = read_predictions(path, policy)
    policies = rows["policy"].drop_nulls().unique().sort()
    if len(policies) > 1:
        raise InputError(f"{path}: holds the policies {', '.join(policies)}; choose one with policy={policies[0]}")
    return rows


@contextmanager
def _folder(place: str) -> Iterator[Path]:
    """A folder of this machine to write into; at the end what is in it goes to `place`, where that is a URL."""
    if not is_url(place):
        Path(place).mkdir(parents=True, exist_ok=True)
        yield Path(place)
        return
    with TemporaryDirectory(prefix="curate-evaluate-") as name:
        yield Path(name)
        store = open_store(place)
        for path in sorted(Path(name).iterdir()):
            store.replace(path.name, path.read_bytes())


def _write(folder: Path, gold: Gold, assessments: Sequence[Assessment]) -> list[Path]:
    first = assessments[0]
    differences = [compare((first.name, first.outcomes), (a.name, a.outcomes)) for a in assessments[1:]]
    metrics, report = folder / "metrics.json", folder / "evaluation.md"
    write_metrics(gold, assessments, differences, metrics)
    report.write_text(render(gold, assessments, differences), encoding="utf-8")
    written = [metrics, report, *write_plots(assessments, folder)]
    for assessment in assessments:
        suffix = f".{assessment.name.replace('/', '-')}" if len(assessments) > 1 else ""
        written += _write_rules(assessment, folder, suffix)
    return written


def _write_rules(assessment: Assessment, folder: Path, suffix: str) -> list[Path]:
    """The files that `run` and `filter` read."""
    written = []
    if assessment.reliability and assessment.reliability.fitted:
        written.append(folder / f"calibration{suffix}.json")
        save_calibration(assessment.reliability.fitted, written[-1])
    if assessment.points:
        points = assessment.points
        for name, point in (("filter", points.common), ("filter-by-category", points.by_category)):
            written.append(folder / f"{name}{suffix}.yaml")
            write_filter(point, points.target, written[-1], points.calibration)
    return written
