"""What decides: how much that is unsafe `clean` may still hold, and what it takes to say so.

Until people have looked at a random sample of it, nobody knows. Till then this says how many blind reviews that would
be; as soon as there are any, what they say stands here, first of all.
"""

from __future__ import annotations

from collections.abc import Iterator

from curate.filtering.rules import CLEAN
from curate.policies.policy import BY_ROW
from curate.report.binomial import LEVEL, reviews_needed
from curate.report.facts import Facts
from curate.report.reviews import Audit, Bound
from curate.report.shapes import Block, Command, Figure, Headline, Note, Prose, Section, Table
from curate.report.words import count, percent, plain_percent

SHARES = (0.05, 0.02, 0.01, 0.005, 0.001, 0.0005)
FOUND = (0, 1, 3, 10)
GOAL = 0.01
SECONDS_EACH = 4.0
"""What a person needs for a picture, roughly, for hours to think about."""


def decides(facts: Facts) -> Section:
    """What people's verdicts say of `clean`; or how many blind reviews a statement would take."""
    clean = facts.splitting.result.splits[CLEAN] if facts.splitting else 0
    if not clean:
        nothing = "Nothing is in clean." if facts.splitting else "Nothing is split yet: `filter` does that."
        return _section(Prose(text=f"{nothing} What it holds can be told once there is something in it."))
    audit = facts.audit
    if audit is not None and audit.leakage is not None:
        return _section(*_reviewed(audit, audit.leakage), Figure(table=_table(clean)))
    return _section(*_unreviewed(facts, clean), Figure(table=_table(clean)), *_expected(facts, clean))


def _section(*blocks: Block) -> Section:
    return Section(name="what-decides", title="What clean still holds", blocks=blocks)


def _reviewed(audit: Audit, leakage: Bound) -> Iterator[Block]:
    yield Headline(
        number=f"at most {percent(leakage.at_most)}",
        text="of clean is unsafe",
        more=f"at {plain_percent(LEVEL)} confidence: {count(leakage.reviewed)} blind reviews, {count(leakage.wrong)} "
        f"of them unsafe{_agreement(audit)}",
    )
    if not audit.is_current:
        yield Note(
            text="The splits have changed since these reviews were drawn: rules, rows, or verdicts of people that are "
            "obeyed now. The figures are of the splits before; another review says what these hold."
        )
    yield Prose(
        text=f"The estimate is {percent(leakage.rate)}, and lies between {percent(leakage.low)} and "
        f"{percent(leakage.high)}: {_sentence(leakage)}, drawn at random within strata and weighted. "
        + _removed(audit.false_removals)
        + (f"{count(audit.ties)} pictures on which reviewers are divided count as unsafe. " if audit.ties else "")
        + "To tighten the bound, look at more: the table says how many that would be."
    )


def _sentence(bound: Bound) -> str:
    unseen = f", {count(bound.unreviewed)} of which are of kinds that nobody has looked at" if bound.unreviewed else ""
    return f"{count(bound.reviewed)} of {count(bound.population)} samples{unseen}"


def _removed(bound: Bound | None) -> str:
    if bound is None:
        return ""
    return (
        f"Of what was removed, {percent(bound.rate)} is safe by {count(bound.reviewed)} reviews, between "
        f"{percent(bound.low)} and {percent(bound.high)}. "
    )


def _agreement(audit: Audit) -> str:
    return "" if audit.ac1 is None else f", agreement {audit.ac1:.2f} (AC1 over {count(audit.twice)} looked at twice)"


def _unreviewed(facts: Facts, clean: int) -> Iterator[Block]:
    needed = reviews_needed(GOAL)
    if needed < clean:
        yield Headline(
            number=count(needed),
            text=f"blind reviews would show that at most {plain_percent(GOAL)} of clean is unsafe",
            more=f"drawn at random from its {count(clean)}, at {plain_percent(LEVEL)} confidence, if none is found",
        )
    else:
        yield Headline(
            number=count(clean), text="samples are in clean: looking at all of them is the surest review", more=""
        )
    yield Prose(
        text="Nobody has reviewed this run yet, so nothing can be said of what its clean split still holds. The "
        "safeguard's own probabilities do not tell: they are as wrong as it is. A review is blind where whoever "
        "looks is not shown what the model said, and random where every sample could have been drawn."
    )
    if facts.run.settings.passes != (BY_ROW,):  # no sample is drawn of such a run
        folder = facts.run.settings.output.dir
        line = f"python -m curate review export output.dir={folder} to=NEW"
        yield Command(does="Draw a random sample for people to look at", line=line)


def _expected(facts: Facts, clean: int) -> Iterator[Block]:
    if facts.expected.scored:
        mean = facts.expected.unsafe / facts.expected.scored
        yield Prose(
            text=f"How many a review would find: if p_unsafe were exact, {percent(mean)} of clean would be unsafe, "
            f"about {count(mean * clean)} samples. It is not calibrated unless evaluate says so; take it for the "
            "order of magnitude when you choose a column above."
        )


def _table(clean: int) -> Table:
    header = ("at most this share unsafe", *(f"{found or 'none'} found" for found in FOUND), "hours")
    rows = []
    for goal in SHARES:
        needed = [reviews_needed(goal, found) for found in FOUND]
        hours = min(needed[0], clean) * SECONDS_EACH / 3600
        told = f"{hours:.1f}" if hours < 10 else f"{hours:.0f}"
        rows.append((plain_percent(goal), *(count(n) if n < clean else f"all {count(clean)}" for n in needed), told))
    return Table(
        caption=f"Blind reviews after which a share holds at {plain_percent(LEVEL)} confidence, by how many of them "
        "turn out unsafe (exact binomial bound, Clopper and Pearson 1934), and hours "
        f"where none does, at {SECONDS_EACH:.0f} seconds a picture",
        header=header,
        rows=tuple(rows),
    )
