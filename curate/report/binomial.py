"""How many blind reviews it takes to say "at most so much of clean is unsafe"; exact, without a normal approximation.

Of n samples drawn at random, k are found unsafe. The one-sided upper bound of the unsafe share at confidence c is the p
at which k or fewer would be found with probability 1 - c (Clopper and Pearson, Biometrika 26, 1934, pages 404-413):

    sum over i = 0..k of C(n, i) p^i (1 - p)^(n - i) = 1 - c

For k = 0 this is 1 - (1 - c)^(1/n), close to 3/n at 95 % (Hanley and Lippman-Hand, JAMA 249, 1983: the rule of three).
Drawing without replacement from a finite set needs no more than this.
"""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p

LEVEL = 0.95


def chance_of_at_most(found: int, reviews: int, share: float) -> float:
    """The probability that of `reviews` samples at most `found` are unsafe where `share` of all are.

    Args:
        found: k, from 0 on.
        reviews: n, from 0 on.
        share: p, between 0 and 1.
    """
    if found >= reviews or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    return min(1.0, sum(exp(_log_chance(i, reviews, share)) for i in range(found + 1)))


def upper_bound(found: int, reviews: int, level: float = LEVEL) -> float:
    """The share that is not exceeded at `level`, with `found` unsafe of `reviews`; 1 without reviews."""
    if found >= reviews:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_of_at_most(found, reviews, middle) > 1 - level else (low, middle)
    return high


def reviews_needed(share: float, found: int = 0, level: float = LEVEL) -> int:
    """The least number of reviews after which "at most `share`" holds at `level`, although `found` were unsafe.

    Args:
        share: above 0, below 1.
        found: unsafe samples among them.
        level: between 0 and 1.
    """
    low, high = found, max(found + 1, 1)
    while chance_of_at_most(found, high, share) > 1 - level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance_of_at_most(found, middle, share) > 1 - level else (low, middle)
    return high


def _log_chance(i: int, n: int, p: float) -> float:
    ways = lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1)
    return ways + (i * log(p) if i else 0.0) + ((n - i) * log1p(-p) if p < 1 else -inf)
