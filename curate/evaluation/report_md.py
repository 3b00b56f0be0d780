"""evaluation.md: the same numbers as a person reads them, in percent with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from curate.evaluation.assess import Assessment, Points, Reliability
from curate.evaluation.breakdowns import GROUPINGS, Summary
from curate.evaluation.category_ranking import CategoryRanking
from curate.evaluation.compare import Difference
from curate.evaluation.gold import Gold
from curate.evaluation.intervals import Interval
from curate.evaluation.metrics import SCORES
from curate.evaluation.ranking import AREAS

TITLES = {
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "category_accuracy": "category accuracy",
    "per": "PER",
    "pes": "PES",
    "roc_area": "ROC area",
    "precision_recall_area": "precision-recall area",
    "expected_calibration_error": "expected calibration error",
    "brier_score": "Brier score",
}
_COUNTS = ("n", "n_invalid", "tp", "fp", "tn", "fn", "exceptions_safe", "n_exceptions")
_GROUP_SCORES = ("recall", "specificity", "category_accuracy", "per")


def score_table(assessments: Sequence[Assessment]) -> str:
    """Counts and scores, one column for each set of predictions, as a Markdown table."""
    rows = [[name, *(str(a.summary.counts[name]) for a in assessments)] for name in _COUNTS]
    rows += [[TITLES[name], *(_score(a.summary, name) for a in assessments)] for name in SCORES]
    rows += [
        [TITLES[name], *(_with_interval(a.areas[name], a.area_intervals[name]) for a in assessments)] for name in AREAS
    ]
    formats = [a.origin.dtype if a.origin else "" for a in assessments]
    if any(formats):
        rows.append(["computed in", *formats])  # two formats of one model are two judges
    return _table(["", *(a.name for a in assessments)], rows)


def render(gold: Gold, assessments: Sequence[Assessment], differences: Sequence[Difference]) -> str:
    """The whole report."""
    parts = [
        "# Evaluation",
        f"Gold set: {gold.source}. Scores in percent, 95 % intervals in brackets (bootstrap over samples). "
        "Positive is Unsafe; what is missing, failed, repeated or unreadable counts as wrong.",
        score_table(assessments),
        *(_differences(difference) for difference in differences),
    ]
    for assessment in assessments:
        parts += _sections(assessment)
    return "\n\n".join(parts) + "\n"


def _sections(a: Assessment) -> list[str]:
    parts = [f"## {a.name}", _invalid(a)]
    parts += [_groups(column, a.groups[column]) for column in GROUPINGS if a.groups[column]]
    if a.reliability:
        parts.append(_reliability(a.reliability))
    if a.categories:
        parts.append(_category_rankings(a.categories))
    if a.points:
        parts.append(_points(a.points))
    if a.prevalence:
        p = a.prevalence
        parts.append(
            f"### Prevalence\n\nOf {p.n} labelled rows ({p.n_invalid} more have no label), {_percent(p.flagged)} % are "
            f"flagged; corrected for the errors on the gold set, {_with_interval(p.unsafe, p.interval)} % are unsafe."
        )
    return parts


def _invalid(a: Assessment) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in a.outcomes.reasons.items()) or "none"
    return (
        f"Without a valid prediction: {reasons}. Predictions without a gold row: {a.outcomes.unused}. "
        f"Joined on {' and '.join(a.outcomes.joined_on)}."
    )


def _groups(column: str, groups: Mapping[str, Summary]) -> str:
    header = [column, "n", "unsafe", "invalid", *(TITLES[name] for name in _GROUP_SCORES)]
    rows = [
        [value, *_group_counts(summary), *(_score(summary, name) for name in _GROUP_SCORES)]
        for value, summary in groups.items()
    ]
    return f"### By {column}\n\n{_table(header, rows)}"


def _group_counts(summary: Summary) -> list[str]:
    counts = summary.counts
    return [str(counts["n"]), str(counts["tp"] + counts["fn"]), str(counts["n_invalid"])]


def _reliability(r: Reliability) -> str:
    errors = ", ".join(f"{TITLES[name]} {_fraction(value, r.intervals[name])}" for name, value in r.errors.items())
    rows = [[f"{b.low:.1f}-{b.high:.1f}", str(b.n), f"{b.mean_p_unsafe:.3f}", f"{b.share_unsafe:.3f}"] for b in r.table]
    parts = [f"### Calibration\n\nOver {r.n} rows with p_unsafe: {errors}."]
    if r.fitted and r.calibrated_errors:
        after = ", ".join(f"{TITLES[name]} {value:.4f}" for name, value in r.calibrated_errors.items())
        parts.append(f"After fitting ({r.fitted.method}), on rows it was not fitted on: {after}.")
    parts.append(_table(["p_unsafe", "n", "mean p_unsafe", "share unsafe"], rows))
    return "\n\n".join(parts)


def _category_rankings(rankings: Sequence[CategoryRanking]) -> str:
    header = ["category", "unsafe", "called Safe", "by the answer", "by the score", "gain"]
    rows = [
        [r.category, str(r.n), str(r.called_safe), _percent(r.by_answer), _percent(r.by_score), _gain(r)]
        for r in rankings
    ]
    return (
        "### Scores of categories\n\nAverage precision of finding each category's unsafe rows among all others: by the "
        f"one category that an answer names, and by `category_scores`.\n\n{_table(header, rows)}"
    )


def _gain(ranking: CategoryRanking) -> str:
    return _signed(ranking.by_score - ranking.by_answer, ranking.gain)


def _points(points: Points) -> str:
    names = ("recall", "specificity", "precision", "balanced_accuracy")
    p = "calibrated p_unsafe" if points.calibration else "p_unsafe"
    header = ["thresholds", f"{p} from", *(TITLES[name] for name in names)]
    rows = [
        ["common", f"{points.common.threshold:g}", *(_percent(points.common.scores[name]) for name in names)],
        ["by category", _cuts(points), *(_percent(points.by_category.scores[name]) for name in names)],
    ]
    return (
        f"### Operating point for {points.target.name}\n\nOn the gold set it was chosen on:\n\n{_table(header, rows)}"
    )


def _cuts(points: Points) -> str:
    own = [f"{category} {value:g}" for category, value in points.by_category.by_category.items()]
    return ", ".join([*own, f"else {points.by_category.threshold:g}"])


def _differences(d: Difference) -> str:
    rows = [[TITLES[name], _signed(d.scores[name], d.intervals[name])] for name in SCORES]
    return (
        f"## {d.other} against {d.reference}\n\n"
        f"Ratings that only {d.other} has right: {d.only_other_right}; that only {d.reference} has right: "
        f"{d.only_reference_right}; McNemar's exact p = {d.p_value:.4g}.\n\n"
        f"{_table(['', 'difference in points'], rows)}"
    )


def _score(summary: Summary, name: str) -> str:
    return _with_interval(summary.scores[name], summary.intervals[name])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _with_interval(value: float | None, interval: Interval) -> str:
    low, high = interval
    if value is None or low is None or high is None:
        return _percent(value)
    return f"{100 * value:.2f} [{100 * low:.1f}, {100 * high:.1f}]"


def _signed(value: float | None, interval: Interval) -> str:
    low, high = interval
    if value is None or low is None or high is None:
        return "-"
    return f"{100 * value:+.2f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _fraction(value: float, interval: Interval) -> str:
    low, high = interval
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.3f}, {high:.3f}]"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in a terminal too; the first column to the left, the others right."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    rule = [f":{'-' * max(widths[0] - 1, 2)}", *(f"{'-' * max(width - 1, 2)}:" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in (lines[0], rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
    return f"| {' | '.join(padded)} |"
