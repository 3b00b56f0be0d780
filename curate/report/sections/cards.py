"""Rows as cards: what was found, what is known of the sample, and what may be seen of its picture."""

from __future__ import annotations

from curate.core.types import Rating
from curate.report.examples import Example
from curate.report.shapes import Card, Role
from curate.report.words import LINE, TEXT, line

MOST = {"key": 80, "caption": 160, "link": 100}
"""Characters of each."""
_ROLES = {Rating.SAFE.value: Role.KEPT, Rating.UNSAFE.value: Role.UNSAFE}


def card_of(example: Example) -> Card:
    """One row."""
    named = f"{example.category}: {example.category_name}" if example.category_name else example.category
    what = example.rating or example.status
    title = line(f"{what}, {named}" if example.rating == Rating.UNSAFE.value else what, LINE)
    return Card(
        title=title,
        role=_ROLES.get(what, Role.FAILED),
        badges=tuple(_badges(example)),
        lines={name: line(text, MOST[name]) for name, text in _lines(example).items() if text},
        text=line(example.rationale or example.detail or "", TEXT),
        picture=example.picture,
        instead=example.instead,
        alt=_alt(example),
    )


def _badges(example: Example) -> list[str]:
    badges = [] if example.p_unsafe is None else [f"p_unsafe {example.p_unsafe:.3f}"]
    badges += [f"in {line(example.split)}"] if example.split else []
    return badges + ([f"{example.width} × {example.height}"] if example.width and example.height else [])


def _lines(example: Example) -> dict[str, str]:
    """By their names; a link is text, since a click would go where data lead."""
    return {"key": example.key, "caption": example.caption, "link": example.url}


def _alt(example: Example) -> str:
    """Rating and key, and nothing of what is to be seen."""
    if example.picture is None:
        return ""
    form = "Mosaic of 16 pixels" if example.picture.mosaic else "Picture"
    return f"{form}: {example.rating or example.status}, key {line(example.key, 80)}"
