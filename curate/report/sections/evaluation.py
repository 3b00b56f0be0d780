"""Scores against a gold set, where `evaluate` left any in the run's folder."""

from __future__ import annotations

from curate.report.facts import Facts
from curate.report.scores import Score
from curate.report.shapes import Block, Figure, Intervals, Prose, Section, Table
from curate.report.words import SHORT, count, line, percent, unique


def evaluation(facts: Facts) -> Section | None:
    """None where nothing was evaluated."""
    known = facts.evaluation
    if known is None:
        return None
    counts = known.counts
    blocks: list[Block] = [
        Prose(
            text=f"Against {count(counts['n'])} rows of {line(known.gold)}: {count(counts['tp'])} unsafe found and "
            f"{count(counts['fn'])} missed, {count(counts['tn'])} safe let through and {count(counts['fp'])} flagged; "
            f"{count(counts['n_invalid'])} without a valid answer count as wrong. A gold set that was not "
            "drawn at random from these data says how good the safeguard is, and not how clean this run's clean is."
        ),
        *_figure("Scores with their 95 % intervals", known.scores),
        *_figure("Recall by category", known.by_category),
    ]
    return Section(name="evaluation", title="Against a gold set", blocks=tuple(blocks))


def _figure(caption: str, scores: tuple[Score, ...]) -> list[Block]:
    if not scores:
        return []
    labels = tuple(unique([line(score.name, SHORT) for score in scores]))
    rows = tuple((label, percent(score.value), _interval(score)) for label, score in zip(labels, scores, strict=True))
    chart = Intervals(
        says=f"{caption}, as dots with bars",
        axis="fraction",
        labels=labels,
        values=tuple(score.value for score in scores),
        lows=tuple(score.value if score.low is None else score.low for score in scores),
        highs=tuple(score.value if score.high is None else score.high for score in scores),
    )
    return [Figure(table=Table(caption=caption, header=("score", "value", "95 % interval"), rows=rows), chart=chart)]


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{percent(score.low)} to {percent(score.high)}"
