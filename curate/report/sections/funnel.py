"""From what was planned to what is in each split: nothing is lost on the way without a number."""

from __future__ import annotations

from curate.core.types import Status
from curate.filtering.rules import CLEAN, FAILED, REVIEW, UNSAFE
from curate.report.facts import Facts
from curate.report.shapes import Bars, Block, Figure, Note, Prose, Role, Section, Series, Table
from curate.report.words import SHORT, count, line, share, unique

ROLES = {CLEAN: Role.KEPT, UNSAFE: Role.UNSAFE, REVIEW: Role.REVIEW, FAILED: Role.FAILED}


def funnel(facts: Facts) -> Section:
    """Shards, samples, labels, splits."""
    first, run = facts.first, facts.run
    labelled = first.statuses.get(Status.LABELLED.value, 0)
    steps = [
        ("shards planned", len(run.plan.shards), Role.OTHER),
        ("shards judged", facts.finished, Role.OTHER),
        ("samples read", first.samples, Role.OTHER),
        ("pictures with a label", labelled, Role.OTHER),
    ]
    splits = facts.splitting.result.splits if facts.splitting else {}
    for name, of in reversed(list(splits.items())):
        steps.append((f"in {line(name, SHORT)}", of, ROLES.get(name, Role.OTHER)))
    blocks: list[Block] = [Figure(table=_table(steps, first.samples), chart=_chart(steps[2:]))]
    if first.rows != first.samples:
        blocks.append(
            Prose(text=f"{count(first.samples)} samples hold {count(first.rows)} pictures; the strictest decides.")
        )
    subsets = {
        part: of for part, of in (facts.splitting.result.parts if facts.splitting else {}).items() if "/" in part
    }
    if subsets:
        told = ", ".join(f"{line(part, SHORT)} {count(of)}" for part, of in subsets.items())
        blocks.append(Prose(text=f"Clean is divided: {told}."))
    left = len(run.plan.shards) - facts.finished
    if left:
        blocks.append(
            Note(text=f"{count(left)} of {count(len(run.plan.shards))} shards are not judged: they are in no split.")
        )
    blocks += _broken(facts)
    if facts.passed_over:
        blocks.append(Figure(table=_passed_over(facts)))
    return Section(name="funnel", title="From inputs to splits", blocks=tuple(blocks))


def _table(steps: list[tuple[str, int, Role]], samples: int) -> Table:
    rows = tuple(
        (name, count(number), "" if name.startswith("shards") else share(number, samples)) for name, number, _ in steps
    )
    return Table(caption="How many at each step", header=("step", "number", "of the samples"), rows=rows)


def _chart(steps: list[tuple[str, int, Role]]) -> Bars:
    labels = tuple(unique([name for name, _, _ in steps]))
    roles = list(dict.fromkeys(role for _, _, role in steps))
    names = {
        Role.OTHER: "read and labelled",
        Role.KEPT: "clean",
        Role.UNSAFE: "unsafe",
        Role.REVIEW: "review",
        Role.FAILED: "failed",
    }
    series = tuple(
        Series(name=names[role], role=role, values=tuple(n if of is role else 0 for _, n, of in steps))
        for role in roles
    )
    return Bars(
        says="Bars of how many samples were read and labelled, and how many are in each split",
        axis="samples",
        labels=labels,
        series=series,
    )


def _broken(facts: Facts) -> list[Block]:
    if not facts.broken_count:
        return []
    more = facts.broken_count - len(facts.broken)
    rows = tuple((line(one.shard, SHORT), line(one.url), line(one.reason)) for one in facts.broken)
    caption = (
        f"Shards that could not be read, or not to their end{f'; {count(more)} more are in failures/' if more else ''}"
    )
    return [
        Figure(
            table=Table(caption=caption, header=("shard", "where", "why"), rows=rows, texts=frozenset({"where", "why"}))
        )
    ]


def _passed_over(facts: Facts) -> Table:
    rows = tuple((line(reason), count(one.count), line(one.first)) for reason, one in facts.passed_over.items())
    return Table(
        caption="What in the sources is no part of any sample, or not as it was meant to be",
        header=("what", "number", "the first"),
        rows=rows,
        texts=frozenset({"the first"}),
    )
