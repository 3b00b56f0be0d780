"""What decides: how much that is unsafe `clean` may still hold, and what it takes to say so.

Until people have looked at a random sample of it, nobody knows. So far this says how many blind reviews that would be;
estimates from reviews stand here, first of all, as soon as a run has any.
"""

from __future__ import annotations

from curate.filtering.rules import CLEAN
from curate.report.binomial import LEVEL, reviews_needed
from curate.report.facts import Facts
from curate.report.shapes import Block, Figure, Headline, Prose, Section, Table
from curate.report.words import count, percent, plain_percent

SHARES = (0.05, 0.02, 0.01, 0.005, 0.001, 0.0005)
FOUND = (0, 1, 3, 10)
GOAL = 0.01
SECONDS_EACH = 4.0
"""What a person needs for a picture, roughly, for hours to think about."""


def decides(facts: Facts) -> Section:
    """How many blind reviews a statement about `clean` would take."""
    clean = facts.splitting.result.splits[CLEAN] if facts.splitting else 0
    blocks: list[Block] = []
    if not clean:
        nothing = "Nothing is in clean." if facts.splitting else "Nothing is split yet: `filter` does that."
        blocks.append(Prose(text=f"{nothing} What it holds can be told once there is something in it."))
        return Section(name="what-decides", title="What clean still holds", blocks=tuple(blocks))
    needed = reviews_needed(GOAL)
    if needed < clean:
        headline = Headline(
            number=count(needed),
            text=f"blind reviews would show that at most {plain_percent(GOAL)} of clean is unsafe",
            more=f"drawn at random from its {count(clean)}, at {plain_percent(LEVEL)} confidence, if none is found",
        )
    else:
        headline = Headline(
            number=count(clean), text="samples are in clean: looking at all of them is the surest review", more=""
        )
    blocks.append(headline)
    blocks.append(
        Prose(
            text="Nobody has reviewed this run yet, so nothing can be said of what its clean split still holds. The "
            "safeguard's own probabilities do not tell: they are as wrong as it is. A review is blind where whoever "
            "looks is not shown what the model said, and random where every sample could have been drawn."
        )
    )
    blocks.append(Figure(table=_table(clean)))
    if facts.expected.scored:
        mean = facts.expected.unsafe / facts.expected.scored
        blocks.append(
            Prose(
                text=f"How many a review would find: if p_unsafe were exact, {percent(mean)} of clean would be unsafe, "
                f"about {count(mean * clean)} samples. It is not calibrated unless evaluate says so; take it for the "
                "order of magnitude when you choose a column above."
            )
        )
    return Section(name="what-decides", title="What clean still holds", blocks=tuple(blocks))


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
