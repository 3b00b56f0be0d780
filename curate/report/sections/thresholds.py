"""What other thresholds would have done: for each, how many samples would be in clean, counted from the rows."""

from __future__ import annotations

import numpy as np

from curate.filtering.rules import CLEAN
from curate.report.facts import Facts
from curate.report.shapes import Block, Command, Curves, Figure, Mark, Prose, Role, Section, Series, Table
from curate.report.tallies import GRID, STEPS
from curate.report.words import count, share

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def thresholds(facts: Facts) -> Section | None:
    """Kept and removed samples over the threshold; None where no row is scored."""
    if facts.tradeoff is None or not facts.scored or not facts.tradeoff.floors.sum():
        return None
    kept = facts.tradeoff.kept()
    total = int(facts.tradeoff.floors.sum())
    blocks: list[Block] = [
        Prose(
            text="If filter.thresholds.unsafe were another, and everything else as it is: what would be in clean, and "
            f"what would not. Counted from all {count(total)} samples by the rules of this run; judging nothing again."
        ),
        Figure(table=_table(facts, kept, total), chart=_chart(facts, kept, total)),
        _command(facts),
    ]
    return Section(name="thresholds", title="What other thresholds would have done", blocks=tuple(blocks))


def _chart(facts: Facts, kept: np.ndarray[tuple[int], np.dtype[np.int64]], total: int) -> Curves:
    at = facts.rules.thresholds.unsafe
    label = "as it is" if at is not None else "by rating"
    x = tuple(float(value) for value in GRID.round(2))
    return Curves(
        says="Areas of the share of samples that would be kept in clean and removed, over the threshold from 0 to 1",
        axis="filter.thresholds.unsafe",
        value_axis="share of samples",
        x=x,
        series=(
            Series(name="kept in clean", role=Role.KEPT, values=tuple(float(value) / total for value in kept)),
            Series(name="removed", role=Role.UNSAFE, values=tuple(1 - float(value) / total for value in kept)),
        ),
        marks=(Mark(at=facts.threshold, label=f"{facts.threshold:g}: {label}"),),
        stacked=True,
        share=True,
    )


def _table(facts: Facts, kept: np.ndarray[tuple[int], np.dtype[np.int64]], total: int) -> Table:
    now = facts.splitting.result.splits[CLEAN] if facts.splitting else None
    rows = []
    if now is not None:
        rows.append(("as it is", count(now), count(total - now), share(total - now, total), ""))
    for at in sorted({*SHOWN, round(facts.threshold, 2)}):
        clean = int(kept[round(at * STEPS)])
        change = "" if now is None else f"{clean - now:+,}"
        rows.append((f"{at:g}", count(clean), count(total - clean), share(total - clean, total), change))
    header = ("unsafe from", "kept", "removed", "share", "change")
    return Table(caption="Samples kept and removed for other thresholds", header=header, rows=tuple(rows))


def _command(facts: Facts) -> Command:
    folder = facts.run.settings.output.dir
    return Command(
        does="Split by another threshold; nothing is judged again",
        line=f"python -m curate filter output.dir={folder} filter.thresholds.unsafe=0.3",
    )
