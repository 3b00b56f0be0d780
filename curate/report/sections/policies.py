"""The policies of a run side by side: what each finds, and where they differ about the same picture."""

from __future__ import annotations

from curate.core.types import Rating
from curate.report.facts import Facts
from curate.report.shapes import Bars, Block, Figure, Prose, Role, Section, Series, Table
from curate.report.words import SHORT, count, line, share, unique

_TOP = 3


def policies(facts: Facts) -> Section | None:
    """None where there is one policy."""
    if len(facts.passes) < 2:
        return None
    blocks: list[Block] = [Figure(table=_table(facts), chart=_chart(facts)), Figure(table=_differences(facts))]
    if not any(one.samples for one in facts.differences):
        blocks.append(Prose(text="They differ nowhere: nothing is Unsafe under one and Safe under another."))
    return Section(name="policies", title="Policies side by side", blocks=tuple(blocks))


def _table(facts: Facts) -> Table:
    rows = []
    for one in facts.passes:
        unsafe = one.ratings[Rating.UNSAFE.value]
        rows.append(
            (
                line(one.name, SHORT),
                count(one.ratings[Rating.SAFE.value]),
                count(unsafe),
                share(unsafe, one.rows),
                count(one.failed),
            )
        )
    header = ("policy", "Safe", "Unsafe", "share", "no label")
    return Table(caption="What each policy finds", header=header, rows=tuple(rows))


def _chart(facts: Facts) -> Bars:
    labels = tuple(unique([line(one.name, SHORT) for one in facts.passes]))
    of = [
        ("Safe", Role.KEPT, [one.ratings[Rating.SAFE.value] for one in facts.passes]),
        ("Unsafe", Role.UNSAFE, [one.ratings[Rating.UNSAFE.value] for one in facts.passes]),
        ("no label", Role.FAILED, [one.failed for one in facts.passes]),
    ]
    series = tuple(Series(name=name, role=role, values=tuple(numbers)) for name, role, numbers in of)
    return Bars(
        says="Bars of what each policy finds Safe and Unsafe, and what has no label",
        axis="pictures",
        labels=labels,
        series=series,
    )


def _differences(facts: Facts) -> Table:
    rows = tuple(
        (
            line(one.unsafe_under, SHORT),
            line(one.safe_under or "any other", SHORT),
            count(one.samples),
            line(
                ", ".join(f"{code or 'none'} {count(number)}" for code, number in list(one.categories.items())[:_TOP])
            ),
        )
        for one in facts.differences
    )
    header = ("Unsafe under", "and Safe under", "pictures", "most frequent")
    return Table(
        caption="Where they differ about the same picture",
        header=header,
        rows=rows,
        texts=frozenset({"and Safe under", "most frequent"}),
    )
