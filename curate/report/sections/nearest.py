"""The rows nearest to the threshold: where the safeguard is least sure, and a look is worth most."""

from __future__ import annotations

from curate.report.facts import Facts
from curate.report.sections.cards import card_of
from curate.report.shapes import Block, Cards, Prose, Section
from curate.report.words import SHORT, line


def nearest(facts: Facts) -> Section | None:
    """Of each policy; None where no row is scored."""
    shown = [one for one in facts.passes if one.nearest]
    if not shown:
        return None
    what = "the threshold" if facts.rules.thresholds.unsafe is not None else "one half, where the rating changes"
    blocks: list[Block] = [
        Prose(
            text=f"Labelled rows whose p_unsafe is nearest to {facts.threshold:g}, {what}. They are no random sample: "
            "errors are more frequent here than anywhere, and say nothing of the rest."
        )
    ]
    for one in shown:
        title = f"Nearest to {facts.threshold:g}" + (
            f", under {line(one.name, SHORT)}" if len(facts.passes) > 1 else ""
        )
        blocks.append(Cards(title=title, cards=tuple(card_of(example) for example in one.nearest)))
    return Section(name="nearest", title="Nearest to the threshold", blocks=tuple(blocks))
