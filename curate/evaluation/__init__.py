"""Measuring a safeguard against a gold set: reading, joining, metrics with intervals, calibration, operating points.

Law: what is missing or not labelled counts as wrong; a score comes with its interval.

| file | does |
|---|---|
| labels | ratings and categories in every published spelling, brought to ours |
| files | Parquet, CSV, JSON and JSON lines as one table |
| gold, gold_folders | gold sets: tables, image folders, `datasets` |
| predictions | a run's folder or a table of predictions |
| origin | whose probabilities predictions are |
| outcomes | gold rows joined with what was predicted; nothing is dropped |
| metrics, intervals, breakdowns | scores, their bootstrap intervals, the same by category, split and policy |
| ranking, reliability, fit_calibration | areas and curves, calibration error, a fitted calibration |
| category_ranking | what scores of categories bring |
| thresholds | operating points, written as filter rules |
| compare, prevalence | paired differences; how much of an unlabelled set is unsafe |
| assess, document, report_md, plots | all of it together, as JSON, Markdown and PNG |
| evaluate | an evaluation as a whole |
"""

__all__ = (
    "evaluate",
    "gold",
    "predictions",
    "report_md",
    "thresholds",
)
