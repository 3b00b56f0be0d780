"""The augmentations of the LlavaGuard paper: the same image under policies that declare categories non-violating.

Every draw is a function of seed, key, policy and its own number, so that it depends neither on other rows nor on order.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Literal

from curate.core.types import Rating
from curate.policies.policy import Policy

OTHERS_DRAWS = 3
"""Draws for each unsafe image in which other categories than the violated one are declared non-violating."""

MOST_OTHERS = 3
"""How many other categories a draw declares non-violating at most; at least one."""

Augmentation = Literal["none", "others", "violated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to learn: what to answer about one image under one policy.

    Attributes:
        key: of the image.
        split: "train" or "dev".
        policy: as it stands in the prompt.
        category: code, "NA" for none.
        exception: Safe only because the policy declares the category non-violating.
        augmentation: which categories were declared non-violating in addition to those of the gold set.
        rationale: text of the answer; None for an answer without one.
        copies: how often it stands in the data set.
    """

    key: str
    split: str
    policy: Policy
    rating: Rating
    category: str
    exception: bool = False
    augmentation: Augmentation = "none"
    rationale: str | None = None
    copies: int = 1


def relax(policy: Policy, codes: Collection[str]) -> Policy:
    """`policy` with these categories declared non-violating."""
    categories = {
        code: c.model_copy(update={"enforced": c.enforced and code not in codes})
        for code, c in policy.categories.items()
    }
    return policy.model_copy(update={"categories": categories})


def augmented(case: Case, seed: int, safe_draws: int = 0, exception_draws: int = 1) -> list[Case]:
    """`case` itself; for an unsafe one also the draws that keep its label and those that turn it to Safe.

    A policy of one enforced category has neither: nothing else can be relaxed, and relaxing it leaves no policy.
    A safe case is the same under any policy that relaxes something, and is drawn `safe_draws` times.
    """
    if case.rating is Rating.SAFE:
        return [case, *_relaxed(case, _enforced(case), seed, safe_draws)]
    others = [code for code in _enforced(case) if code != case.category]
    if not others:
        return [case]
    kept = _relaxed(case, others, seed, OTHERS_DRAWS)
    turned = replace(case, rating=Rating.SAFE, exception=True, augmentation="violated")
    return [case, *kept, *_exceptions(turned, others, seed, exception_draws)]


def balanced(cases: Sequence[Case], seed: int) -> list[Case]:
    """`cases` with copies of the rarer rating, so that both ratings are equally frequent; no case is lost.

    Where copies do not come out even, a hash decides which cases get one more.
    """
    by_rating = {rating: [c for c in cases if c.rating is rating] for rating in Rating}
    rare, frequent = sorted(by_rating.values(), key=len)
    if not rare:
        return list(cases)
    copies, rest = divmod(len(frequent), len(rare))
    ranked = sorted(rare, key=lambda case: _digest(case, seed))
    more = {id(case) for case in ranked[:rest]}
    counts = {id(case): copies + (id(case) in more) for case in rare}
    return [replace(case, copies=counts.get(id(case), 1)) for case in cases]


def _enforced(case: Case) -> list[str]:
    return [code for code, category in case.policy.categories.items() if category.enforced]


def _relaxed(case: Case, codes: Sequence[str], seed: int, count: int) -> list[Case]:
    """`case` under `count` policies that relax some of `codes` and leave something enforced, with its label."""
    most = min(MOST_OTHERS, len(_enforced(case)) - 1)
    return [
        replace(case, policy=relax(case.policy, drawn), augmentation="others")
        for drawn in _draws(codes, most, count, _generator(case, seed))
    ]


def _exceptions(turned: Case, others: Sequence[str], seed: int, count: int) -> list[Case]:
    """`turned` under policies that relax its own category: first that alone, then some of `others` with it."""
    most = min(MOST_OTHERS, len(others)) - 1
    with_others = _draws(others, most, count - 1, _generator(turned, seed)) if count > 1 else []
    return [replace(turned, policy=relax(turned.policy, {turned.category, *codes})) for codes in (set(), *with_others)]


def _draws(codes: Sequence[str], most: int, count: int, generator: random.Random) -> list[frozenset[str]]:
    """Different sets of 1 to `most` categories, every size equally likely; fewer where there are not so many sets."""
    possible = sum(comb(len(codes), size) for size in range(1, most + 1))
    drawn: dict[frozenset[str], None] = {}
    while len(drawn) < min(count, possible):
        drawn[frozenset(generator.sample(codes, generator.randint(1, most)))] = None
    return list(drawn)


def _generator(case: Case, seed: int) -> random.Random:
    return random.Random(_digest(case, seed))


def _digest(case: Case, seed: int) -> bytes:
    relaxed = ",".join(code for code, c in case.policy.categories.items() if not c.enforced)
    return hashlib.sha256(f"{seed}\n{case.key}\n{case.policy.name}\n{relaxed}".encode()).digest()
