"""What other thresholds would have done: for each, how many samples would be in clean, counted from the rows."""

from __future__ import annotations

from curate.filtering.rules import CLEAN, UNSAFE
from curate.report.facts import Facts
from curate.report.shapes import Block, Command, Curves, Figure, Mark, Prose, Role, Section, Series, Table
from curate.report.tallies import GRID, STEPS, Tradeoff
from curate.report.words import count, share

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def thresholds(facts: Facts) -> Section | None:
    """Kept and removed samples over the threshold; None where no row is scored."""
    if facts.tradeoff is None or not facts.scored or not facts.tradeoff.total:
        return None
    blocks: list[Block] = [
        Prose(
            text="If filter.thresholds.unsafe were another, and everything else as it is: what would be in clean, and "
            f"what would not. Counted from all {count(facts.tradeoff.total)} samples by the rules of this run."
        ),
        Figure(table=_table(facts, facts.tradeoff), chart=_chart(facts, facts.tradeoff)),
        _command(facts),
    ]
    return Section(name="thresholds", title="What other thresholds would have done", blocks=tuple(blocks))


def _chart(facts: Facts, tradeoff: Tradeoff) -> Curves:
    at = facts.rules.thresholds.unsafe
    label = "as it is" if at is not None else "by rating"
    kept, unsafe = tradeoff.kept() / tradeoff.total, tradeoff.unsafe() / tradeoff.total
    series = (
        ("kept in clean", Role.KEPT, kept),
        ("review, failed, others", Role.REVIEW, 1 - kept - unsafe),
        ("unsafe", Role.UNSAFE, unsafe),
    )
    return Curves(
        says="Areas of the shares of samples that would be in clean, in unsafe, and elsewhere, over the threshold",
        axis="filter.thresholds.unsafe",
        value_axis="share of samples",
        x=tuple(float(value) for value in GRID.round(2)),
        series=tuple(
            Series(name=name, role=role, values=tuple(float(value) for value in values))
            for name, role, values in series
        ),
        marks=(Mark(at=facts.threshold, label=f"{facts.threshold:g}: {label}"),),
        stacked=True,
        share=True,
    )


def _table(facts: Facts, tradeoff: Tradeoff) -> Table:
    kept, unsafe, total = tradeoff.kept(), tradeoff.unsafe(), tradeoff.total
    rows = []
    now = None
    if facts.splitting is not None:
        splits = facts.splitting.result.splits
        now = splits[CLEAN]
        rows.append(("as it is", count(now), count(splits.get(UNSAFE, 0)), share(total - now, total), ""))
    for at in sorted({*SHOWN, round(facts.threshold, 2)}):
        step = round(at * STEPS)
        clean = int(kept[step])
        change = "" if now is None else f"{clean - now:+,}"
        rows.append((f"{at:g}", count(clean), count(int(unsafe[step])), share(total - clean, total), change))
    header = ("unsafe from", "kept", "unsafe", "removed", "change")
    caption = "Samples kept in clean, in unsafe, and removed in all; and how many more would be kept than now"
    return Table(caption=caption, header=header, rows=tuple(rows))


def _command(facts: Facts) -> Command:
    folder = facts.run.settings.output.dir
    return Command(
        does="Split by another threshold; nothing is judged again",
        line=f"python -m curate filter output.dir={folder} filter.thresholds.unsafe=0.3",
    )
