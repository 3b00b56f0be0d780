"""A few samples of each category, drawn by a hash, with what the model said of them."""

from __future__ import annotations

from curate.core.types import Rating
from curate.report.examples import PLAIN_BELOW, by_kind
from curate.report.facts import Facts, PassFacts
from curate.report.pictures import MOSAIC
from curate.report.sections.cards import card_of
from curate.report.sections.categories import named
from curate.report.shapes import Block, Cards, Prose, Section
from curate.report.tallies import EARLY
from curate.report.words import SHORT, count, line


def samples(facts: Facts) -> Section | None:
    """Unsafe categories, the most frequent first, then what is Safe; None where nothing is labelled."""
    blocks: list[Block] = [Prose(text=_lede())]
    for one in facts.passes:
        kinds = by_kind(one.examples)
        ordered = sorted((_order(one, kind), kind) for kind in kinds)
        blocks += [
            Cards(title=_title(facts, one, kind), cards=tuple(card_of(e) for e in kinds[kind])) for _, kind in ordered
        ]
    return Section(name="samples", title="Samples of each category", blocks=tuple(blocks)) if len(blocks) > 1 else None


def _lede() -> str:
    return (
        f"Drawn at random by a hash of their place, among the first {count(EARLY)} of each shard where these have "
        f"enough. Pictures that are in clean with a p_unsafe below {PLAIN_BELOW} are shown; every other is a mosaic of "
        f"{MOSAIC} pixels, and no more of it is in report.html."
    )


def _order(one: PassFacts, kind: str) -> tuple[bool, int, str]:
    rating, _, code = kind.partition("\n")
    return rating == Rating.SAFE.value, -one.categories.get(code, 0), code


def _title(facts: Facts, one: PassFacts, kind: str) -> str:
    rating, _, code = kind.partition("\n")
    under = f", under {line(one.name, SHORT)}" if len(facts.passes) > 1 else ""
    if rating == Rating.UNSAFE.value:
        return f"{named(one, code)} ({count(one.categories.get(code, 0))}{under})"
    return f"Safe ({count(one.ratings[Rating.SAFE.value])}{under})"
