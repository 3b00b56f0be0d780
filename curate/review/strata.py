"""Which samples are alike, and how many of each kind a person should look at.

In `clean` what is alike has about the same p_unsafe, elsewhere the same category: there a category may be wrong as a
whole. A budget is shared out by Neyman's rule (J. R. Stat. Soc. 97, 1934): N_h sqrt(p_h (1 - p_h)), where p_h is what
the safeguard itself says of how often it is wrong there. It is surer of itself than it should be, so p_h is no less
than `LEAST`, and each kind has a minimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from curate.filtering.rules import CLEAN

EDGES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
"""Of p_unsafe, between the strata of `clean`."""
LEAST = 0.005
FLOOR = 10
"""Reviews of a stratum at least, or all of it."""
CLEAN_SHARE = 0.75
"""Of the budget: a leak does more harm than a false removal, and is rarer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Samples that are alike: a stratum before anybody has looked.

    Attributes:
        name: split and range of p_unsafe, or split and category.
        split: which they are in.
        population: how many there are.
        p_unsafe: their mean; 1/2 where the engine tells none.
    """

    name: str
    split: str
    population: int
    p_unsafe: float

    @property
    def spread(self) -> float:
        """What the stratum adds to the standard error of a whole, for each root of a review."""
        wrong = self.p_unsafe if self.split == CLEAN else 1 - self.p_unsafe
        wrong = min(max(wrong, LEAST), 1 - LEAST)
        return self.population * math.sqrt(wrong * (1 - wrong))


def stratum() -> pl.Expr:
    """Name of the stratum of a decision, over `split`, `p_unsafe` and `category`."""
    p = pl.col("p_unsafe").fill_nan(None)
    within = pl.lit("p_unsafe unknown")
    for low, high in pairwise((0.0, *EDGES, math.inf)):
        label = f"p_unsafe from {low:g}" + (f" to {high:g}" if high < 1 else "")
        within = pl.when((p >= low) & (p < high)).then(pl.lit(label)).otherwise(within)
    category = pl.col("category").fill_null("no category")
    kind = pl.when(pl.col("split") == CLEAN).then(within).otherwise(category)
    return pl.format("{}, {}", pl.col("split"), kind).alias("stratum")


def merged(kinds: Sequence[Kind], reviews: int) -> dict[str, str]:
    """For each kind the name of the stratum it is in: small ones go together where there are fewer than `FLOOR` reviews
    for each, since nothing can be said of what nobody has looked into.
    """
    groups = [[kind] for kind in kinds]
    for side in (True, False):
        while (smallest := _to_merge(groups, side, reviews)) is not None:
            first, second = smallest
            groups = [group for group in groups if group not in (first, second)] + [first + second]
    return {kind.name: _name(group) for group in groups for kind in group}


def _to_merge(groups: list[list[Kind]], is_clean: bool, reviews: int) -> tuple[list[Kind], list[Kind]] | None:
    """The two smallest strata of `clean`, or of the rest, while there are too many."""
    ours = [group for group in groups if (group[0].split == CLEAN) == is_clean]
    both = len(ours) < len(groups)
    budget = reviews * (CLEAN_SHARE if is_clean else 1 - CLEAN_SHARE) if both else reviews
    if len(ours) < 2 or FLOOR * len(ours) <= budget:
        return None
    first, second, *_ = sorted(ours, key=lambda group: (_population(group), group[0].name))
    return first, second


def _name(group: Sequence[Kind]) -> str:
    if len(group) == 1:
        return group[0].name
    splits = " and ".join(sorted({kind.split for kind in group}))
    return f"{splits}, {len(group)} small ones ({min(kind.name.partition(', ')[2] for kind in group)}, ...)"


def allocate(kinds: Sequence[Kind], reviews: int) -> dict[str, int]:
    """How many of each kind to look at; at most `reviews` in all, and never more than there are.

    Where there are both, `CLEAN_SHARE` goes to `clean`, and what one side cannot use to the other.
    """
    clean = [kind for kind in kinds if kind.split == CLEAN]
    others = [kind for kind in kinds if kind.split != CLEAN]
    for_clean = round(reviews * CLEAN_SHARE) if clean and others else reviews if clean else 0
    for_clean = min(for_clean, _population(clean))
    for_others = min(reviews - for_clean, _population(others))
    for_clean = min(reviews - for_others, _population(clean))
    return {**_by_spread(clean, for_clean), **_by_spread(others, for_others)}


def _population(kinds: Sequence[Kind]) -> int:
    return sum(kind.population for kind in kinds)


def _by_spread(kinds: Sequence[Kind], reviews: int) -> dict[str, int]:
    """The minimum of each first; what is left one review at a time to whoever is furthest below its due."""
    given = {kind.name: 0 for kind in kinds}
    left = reviews
    for kind in sorted(kinds, key=lambda kind: -kind.spread):
        given[kind.name] = min(FLOOR, kind.population, left)
        left -= given[kind.name]
    while left > 0:
        open_ones = [kind for kind in kinds if given[kind.name] < kind.population]
        total = sum(kind.spread for kind in open_ones)
        dues = {k.name: reviews * k.spread / total for k in open_ones}
        neediest = sorted(open_ones, key=lambda kind: given[kind.name] - dues[kind.name])
        below = [kind for kind in neediest if given[kind.name] < dues[kind.name]] or neediest[:1]
        for kind in below[:left]:
            short = max(1, math.floor(dues[kind.name]) - given[kind.name])
            more = min(short, kind.population - given[kind.name], left)
            given[kind.name] += more
            left -= more
    return given
