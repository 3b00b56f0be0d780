"""What is removed, by what the source says: a safeguard that takes half of one class changes what a data set is."""

from __future__ import annotations

from itertools import pairwise

from curate.filtering.rules import CLEAN
from curate.report.facts import Facts
from curate.report.shapes import Bars, Block, Figure, Prose, Role, Section, Series, Table
from curate.report.tallies import SIDES
from curate.report.words import SHORT, count, line, share, unique

_Row = tuple[str, int, int]
"""What, how many samples, how many removed."""


def removals(facts: Facts) -> Section | None:
    """By split and reason, the source's class, domain, size, and the model's label; None where nothing is split."""
    if facts.splitting is None:
        return None
    result = facts.splitting.result
    blocks: list[Block] = [
        Prose(
            text=f"{count(result.removed)} of {count(result.samples)} samples "
            f"({share(result.removed, result.samples)}) "
            "are not in clean. Where a class of the source loses far more than this, look at why."
        ),
        Figure(table=_reasons(facts)),
    ]
    blocks += _labels(facts)
    blocks += _hosts(facts)
    blocks += _sizes(facts)
    blocks.append(Figure(table=_categories(facts)))
    return Section(name="removals", title="What was removed", blocks=tuple(blocks))


def _reasons(facts: Facts) -> Table:
    assert facts.splitting is not None
    result = facts.splitting.result
    rows = tuple(
        (line(split, SHORT), line(reason), count(number), share(number, result.samples))
        for split, reason, number in result.reasons
    )
    return Table(
        caption="Removed samples by split and reason",
        header=("split", "reason", "samples", "of all"),
        rows=rows,
        texts=frozenset({"reason"}),
    )


def _categories(facts: Facts) -> Table:
    assert facts.splitting is not None
    rows = tuple(
        (line(f"{code}: {name}" if name else code or "no label"), line(split, SHORT), count(number))
        for code, name, split, number in sorted(facts.splitting.result.categories, key=lambda row: -row[3])
    )
    return Table(
        caption="Removed samples by the model's category",
        header=("category", "split", "samples"),
        rows=rows,
        texts=frozenset({"split"}),
    )


def _labels(facts: Facts) -> list[Block]:
    assert facts.splitting is not None
    name = facts.run.settings.dataset.label
    rows = [(str(label) or "none", total, removed) for label, total, removed in facts.splitting.result.labels]
    if name is None:
        text = "The data set names no class of its own (dataset.label), by which removals could be told apart."
        return [Prose(text=text)]
    return _shares(
        rows,
        "the source's own class",
        f"Removed by the source's own class ({line(name, SHORT)}), those that lost the largest shares",
    )


def _hosts(facts: Facts) -> list[Block]:
    if facts.hosts is None:
        return []
    rows = [(host, one.samples, one.removed) for host, one in facts.hosts.top.items()]
    seen = "" if facts.hosts.whole else f", in a sample of {count(facts.hosts.seen)} rows: every so many shards"
    return _shares(rows, "domain", f"Removed by domain, those that lost the most{seen}")


def _sizes(facts: Facts) -> list[Block]:
    names = [
        f"under {SIDES[0]}",
        *(f"{low} to {high - 1}" for low, high in pairwise(SIDES)),
        f"{SIDES[-1]} and more",
    ]
    sizes = facts.sizes
    rows = [
        (n, int(all_), int(gone)) for n, all_, gone in zip(names, sizes.samples, sizes.removed, strict=True) if all_
    ]
    return _shares(rows, "shorter side", "Removed by the picture's shorter side, in pixels")


def _shares(rows: list[_Row], what: str, caption: str) -> list[Block]:
    if not rows:
        return []
    labels = tuple(unique([line(name, SHORT) for name, _, _ in rows]))
    series = (
        Series(name="kept", role=Role.KEPT, values=tuple(1 - gone / total for _, total, gone in rows)),
        Series(name="removed", role=Role.UNSAFE, values=tuple(gone / total for _, total, gone in rows)),
    )
    says = f"Bars of the shares kept in {CLEAN} and removed, by {what}"
    table = Table(
        caption=caption,
        header=(what, "samples", "removed", "share"),
        rows=tuple(
            (label, count(total), count(gone), share(gone, total))
            for label, (_, total, gone) in zip(labels, rows, strict=True)
        ),
    )
    return [
        Figure(
            table=table, chart=Bars(says=says, axis="share of its samples", labels=labels, series=series, share=True)
        )
    ]
