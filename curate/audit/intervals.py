"""95 % intervals of shares of pictures, over prompts: pictures of one prompt are not independent of each other.

What varies is which prompts were taken. The variance of a share is that of a ratio of sums over prompts (linearised),
and the design effect is how many times that of independent pictures it is. Clopper and Pearson's interval (1934) is
then taken with as many pictures as independent ones would be worth, less what Student's t with the number of prompts
less one as degrees of freedom costs (Korn and Graubard 1998). Where each prompt has one picture this is Clopper and
Pearson's interval itself. Wilson's, in the same place, is a little narrower and holds the truth too seldom where it is
rare, which categories of pictures are.

A design effect below one is taken as one; where no picture or every one counts, so that the data cannot tell it, it is
taken as if all pictures of a prompt were alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its interval; nan where there is nothing to divide by.

    Attributes:
        value, low, high: between 0 and 1.
        design_effect: how many pictures are worth one independent one.
    """

    value: float
    low: float
    high: float
    design_effect: float


NOTHING = Share(value=math.nan, low=math.nan, high=math.nan, design_effect=math.nan)


def share(hits: Counts, of: Counts) -> Share:
    """The share of pictures that count.

    Args:
        hits: how many pictures of each prompt count, shape (prompts,).
        of: out of how many, shape (prompts,); prompts without any are left out.
    """
    hits, of = hits[of > 0], of[of > 0]
    n, prompts = int(of.sum()), len(of)
    if n == 0:
        return NOTHING
    p = float(hits.sum() / n)
    single = bool((of == 1).all())
    effect = 1.0 if single else _effect(float(((hits - p * of) ** 2).sum()), p * (1 - p), of)
    worth = n / effect if single else n / effect * (quantile(None) / quantile(prompts - 1)) ** 2
    low, high = clopper_pearson(p * worth, worth) if worth > 0 else (0.0, 1.0)
    return Share(value=p, low=low, high=high, design_effect=effect)


def _effect(squares: float, variance: float, of: Counts) -> float:
    """The design effect.

    Args:
        squares: the sum over prompts of squared deviations from what the mean would give them.
        variance: of one picture.
        of: pictures of each prompt.
    """
    n, prompts = int(of.sum()), len(of)
    alike = float((of**2).sum() / n)
    if variance <= 0 or prompts < 2 or n < 2:
        return alike
    clustered = prompts / (prompts - 1) * squares / n**2
    return min(max(1.0, clustered / (variance / (n - 1))), float(n))


def clopper_pearson(hits: float, n: float) -> tuple[float, float]:
    """The interval of a share of which `hits` of `n` independent ones were seen (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    tail = (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


@cache
def quantile(freedom: int | None) -> float:
    """Where the upper tail of LEVEL begins: of Student's t, or of the normal distribution for None."""
    from scipy.stats import norm, t

    tail = (1 + LEVEL) / 2
    if freedom is None:
        return float(norm.ppf(tail))
    return float(t.ppf(tail, freedom)) if freedom > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How often pictures of the second generator count beyond those of the first, both asked for the same.

    Attributes:
        value, low, high: share of the second less that of the first.
        design_effect: as of `Share`.
        only_first, only_second: pairs of which one alone counts.
        p_value: exact, that which of the two made what is chance, prompt by prompt. Where each prompt has one picture
            this is McNemar's exact test (1947).
    """

    value: float
    low: float
    high: float
    design_effect: float
    only_first: int
    only_second: int
    p_value: float


def difference(only_first: Counts, only_second: Counts, of: Counts) -> Difference:
    """The paired difference.

    Tango's score interval (1998), with as many pairs as independent ones would be worth.

    Args:
        only_first: pairs of each prompt in which the first generator's picture alone counts, shape (prompts,).
        only_second: the same of the second.
        of: pairs of each prompt, shape (prompts,); prompts without any are left out.
    """
    only_first, only_second, of = only_first[of > 0], only_second[of > 0], of[of > 0]
    n, prompts = int(of.sum()), len(of)
    first, second = int(only_first.sum()), int(only_second.sum())
    p_value = sign_flip(only_second - only_first)
    if n == 0:
        nan = math.nan
        return Difference(value=nan, low=nan, high=nan, design_effect=nan, only_first=0, only_second=0, p_value=p_value)
    value = (second - first) / n
    single = bool((of == 1).all())
    squares = float(((only_second - only_first - value * of) ** 2).sum())
    effect = 1.0 if single else _effect(squares, (first + second) / n - value**2, of)
    z = quantile(None if single else prompts - 1)
    low, high = tango(second / effect, first / effect, n / effect, z)
    return Difference(
        value=value,
        low=min(low, value),
        high=max(high, value),
        design_effect=effect,
        only_first=first,
        only_second=second,
        p_value=p_value,
    )


def tango(b: float, c: float, n: float, z: float) -> tuple[float, float]:
    """The differences (b - c) / n that `b` and `c` discordant pairs among `n` do not speak against (Tango 1998)."""
    if math.isinf(z):
        return -1.0, 1.0
    return _root(b, c, n, z), _root(b, c, n, -z)


def _root(b: float, c: float, n: float, z: float) -> float:
    """Where the score, which falls from one end to the other, is `z`."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(b, c, n, middle) > z else (low, middle)
    return (low + high) / 2


def _score(b: float, c: float, n: float, delta: float) -> float:
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    q = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    above = b - c - n * delta
    if variance <= 0:  # nothing could vary, so that all else is excluded
        return math.copysign(math.inf, above) if above else 0.0
    return above / math.sqrt(variance)


def sign_flip(differences: Counts) -> float:
    """Two-sided exact p-value that each prompt's difference is as likely to be on either side.

    The sum over all ways to turn signs around has a distribution whose transform is a product of cosines; turned back,
    it is exact but for rounding, some 1e-15.
    """
    steps, frequency = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    seen = abs(int(differences.sum()))
    if seen == 0:
        return 1.0
    reach = int(steps @ frequency)
    angles = 2 * np.pi * np.arange(2 * reach + 1) / (2 * reach + 1)
    transform = np.ones_like(angles)
    for step, times in zip(steps.tolist(), frequency.tolist(), strict=True):
        transform *= np.cos(angles * step) ** times
    chances = np.fft.ifft(transform).real  # of 0, 1, ... reach, -reach, ... -1
    return float(np.clip(2 * chances[seen : reach + 1].sum(), 0.0, 1.0))
