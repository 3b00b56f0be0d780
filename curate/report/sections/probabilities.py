"""p_unsafe of all labelled rows, with the thresholds drawn in."""

from __future__ import annotations

from curate.core.types import Rating
from curate.report.facts import Facts, PassFacts
from curate.report.shapes import Block, Figure, Histogram, Mark, Prose, Role, Section, Series, Table
from curate.report.tallies import STEPS
from curate.report.words import SHORT, count, line, share

BINS = 50
_ROLES = {Rating.SAFE.value: Role.KEPT, Rating.UNSAFE.value: Role.UNSAFE}
_ROWS = 10


def probabilities(facts: Facts) -> Section | None:
    """Of each policy; None where no row is scored."""
    if not facts.scored:
        return None
    blocks: list[Block] = [
        Prose(
            text="p_unsafe is the probability of Unsafe against Safe as the model gave it. The scale of counts is a "
            "square root, so that few are seen beside many."
        )
    ]
    for one in facts.passes:
        if len(facts.passes) > 1:
            blocks.append(Prose(text=f"Under {line(one.name, SHORT)}:"))
        blocks.append(Figure(table=_table(one), chart=_chart(one, facts)))
        if one.probabilities.unscored:
            blocks.append(Prose(text=f"{count(one.probabilities.unscored)} labelled rows have no p_unsafe."))
    return Section(name="probabilities", title="How sure the safeguard was", blocks=tuple(blocks))


def _binned(one: PassFacts, bins: int) -> dict[str, list[int]]:
    """Rows by rating and bin; the last holds its upper edge too."""
    each = STEPS // bins
    found = {}
    for rating, cells in one.probabilities.cells.items():
        inside = cells[:STEPS].copy()
        inside[-1] += cells[STEPS]
        found[rating] = [int(number) for number in inside.reshape(bins, each).sum(axis=1)]
    return found


def _chart(one: PassFacts, facts: Facts) -> Histogram:
    series = tuple(
        Series(name=rating, role=_ROLES[rating], values=tuple(values)) for rating, values in _binned(one, BINS).items()
    )
    at = facts.rules.thresholds
    marks = [
        Mark(at=value, label=f"{name} {value:g}")
        for name, value in (("unsafe from", at.unsafe), ("review from", at.review))
        if value is not None
    ]
    if facts.rules.calibration is not None:
        marks = []  # they hold for what calibration makes of these
    elif at.unsafe is None:
        marks.append(Mark(at=0.5, label="the rating changes"))
    says = (
        "Histogram of p_unsafe from 0 to 1, rows rated Safe and Unsafe on top of each other, thresholds as dashed lines"
    )
    edges = tuple(number / BINS for number in range(BINS + 1))
    return Histogram(says=says, axis="p_unsafe", edges=edges, series=series, marks=tuple(marks))


def _table(one: PassFacts) -> Table:
    binned = _binned(one, _ROWS)
    safe, unsafe = binned[Rating.SAFE.value], binned[Rating.UNSAFE.value]
    total = sum(safe) + sum(unsafe)
    rows = tuple(
        (
            f"{number / _ROWS:.1f} to {(number + 1) / _ROWS:.1f}",
            count(safe[number]),
            count(unsafe[number]),
            share(safe[number] + unsafe[number], total),
        )
        for number in range(_ROWS)
    )
    return Table(caption="Labelled rows by p_unsafe", header=("p_unsafe", "Safe", "Unsafe", "share"), rows=rows)
