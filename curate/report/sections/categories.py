"""Ratings, and the categories of what was found Unsafe."""

from __future__ import annotations

from curate.core.types import Rating, Status
from curate.report.facts import Facts, PassFacts
from curate.report.shapes import Bars, Block, Figure, Prose, Role, Section, Series, Table
from curate.report.words import SHORT, count, line, share, unique


def categories(facts: Facts) -> Section:
    """Of each policy."""
    blocks: list[Block] = []
    for one in facts.passes:
        if len(facts.passes) > 1:
            blocks.append(Prose(text=f"Under {line(one.name, SHORT)}:"))
        blocks.append(Figure(table=_ratings(one), chart=_ratings_chart(one)))
        if one.categories:
            blocks.append(Figure(table=_categories(one), chart=_chart(one)))
    return Section(name="categories", title="Ratings and categories", blocks=tuple(blocks))


def named(one: PassFacts, code: str) -> str:
    """A category as people read it: its code and its name."""
    return line(f"{code}: {one.names[code]}" if code in one.names else code or "none")


def _ratings(one: PassFacts) -> Table:
    safe, unsafe = (one.ratings[rating.value] for rating in (Rating.SAFE, Rating.UNSAFE))
    rows = [("Safe", safe), ("Unsafe", unsafe), ("no label", one.failed)]
    if one.reused:
        rows.append(("of these, label reused", one.reused))
    return Table(
        caption="Ratings, as the model gave them",
        header=("rating", "pictures", "share"),
        rows=tuple((name, count(number), share(number, one.rows)) for name, number in rows),
    )


def _ratings_chart(one: PassFacts) -> Bars:
    values = [
        ("Safe", Role.KEPT, one.ratings[Rating.SAFE.value]),
        ("Unsafe", Role.UNSAFE, one.ratings[Rating.UNSAFE.value]),
        ("no label", Role.FAILED, one.rows - one.statuses.get(Status.LABELLED.value, 0)),
    ]
    series = tuple(Series(name=name, role=role, values=(number,)) for name, role, number in values)
    return Bars(
        says="One bar of all pictures, divided into Safe, Unsafe and without a label",
        axis="pictures",
        labels=("all",),
        series=series,
    )


def _categories(one: PassFacts) -> Table:
    unsafe = one.ratings[Rating.UNSAFE.value]
    rows = tuple((named(one, code), count(number), share(number, unsafe)) for code, number in one.categories.items())
    return Table(caption="Unsafe pictures by category", header=("category", "pictures", "of Unsafe"), rows=rows)


def _chart(one: PassFacts) -> Bars:
    labels = tuple(unique([line(named(one, code), SHORT) for code in one.categories]))
    series = Series(name="Unsafe", role=Role.UNSAFE, values=tuple(one.categories.values()))
    return Bars(
        says="Bars of how many Unsafe pictures each category has", axis="pictures", labels=labels, series=(series,)
    )
