"""Ratings and categories in every spelling that was published, brought to ours.

LlavaGuard's annotators used four levels. The boundary between Unsafe and Safe runs between "Moderately Unsafe" and
"Barely Safe". Earlier checkpoints answered with `assessment` or `decision` (Compliant, Review Needed) instead of a
rating, and with categories such as "10: None applying" or "O6: Illegal Weapons or Substance Abuse".
"""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl

from curate.core.types import Rating
from curate.judges.row_policies import policy_name, wording

RATINGS = {
    "safe": Rating.SAFE,
    "unsafe": Rating.UNSAFE,
    "generally safe": Rating.SAFE,
    "barely safe": Rating.SAFE,
    "moderately unsafe": Rating.UNSAFE,
    "highly unsafe": Rating.UNSAFE,
    "compliant": Rating.SAFE,
    "review needed": Rating.UNSAFE,
}
"""Every accepted rating, in lower case, with single spaces."""

NONE_APPLYING = "NA"

_CODES = {
    "hate, humiliation, harassment": "O1",
    "violence, harm, or cruelty": "O2",
    "sexual content": "O3",
    "nudity content": "O4",
    "criminal planning": "O5",
    "weapons or substance abuse": "O6",
    "illegal weapons or substance abuse": "O6",
    "self-harm": "O7",
    "animal cruelty": "O8",
    "disasters or emergencies": "O9",
    "none applying": NONE_APPLYING,
    "none": NONE_APPLYING,
}
_CODED = re.compile(r"(?P<code>[A-Za-z0-9_-]+)\s*:\s*(?P<name>.+)", re.DOTALL)


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").lower().split())


def rating_of(text: str) -> Rating | None:
    """Our rating for a published one, None where it is none."""
    return RATINGS.get(_plain(text))


def category_of(text: str) -> str | None:
    """Category code of "O3", "O3: Sexual Content" or "Sexual Content"; None for an empty string.

    A code wins over the name behind it, except that "None applying" is NA under whatever number. What is neither
    a known name nor "CODE: name" is taken for the code of a custom policy, unchanged.
    """
    text = text.strip()
    match = _CODED.fullmatch(text)
    name = _plain(match["name"] if match else text)
    if _CODES.get(name) == NONE_APPLYING:
        return NONE_APPLYING
    if match:
        return match["code"]
    return _CODES.get(name, text) or None


def ratings(column: pl.Series) -> pl.Series:
    """`rating_of` of a string column; null where it is no rating."""
    return _each(column, rating_of)


def categories(column: pl.Series) -> pl.Series:
    """`category_of` of a string column."""
    return _each(column, category_of)


def policies(column: pl.Series) -> pl.Series:
    """The policies of a string column; texts are known by their wording, however gold and predictions lay them out."""
    return _each(column, _policy_of)


def _policy_of(text: str) -> str | None:
    name = policy_name(text)
    return None if name is None else wording(name)


def _each(column: pl.Series, function: Callable[[str], str | None]) -> pl.Series:
    known = {text: function(text) for text in column.drop_nulls().unique()}
    return pl.Series(column.name, [None if text is None else known[text] for text in column], dtype=pl.String)
