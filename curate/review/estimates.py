"""How much of a population is unsafe, from a stratified sample that people looked at: rates with exact-style bounds.

The weighted rate T = sum of W_h x_h / n_h is held against what it would be at a true rate P. Where several strata make
up P, how P is shared out among them is not known: it is taken as the data have it most probably, given P (constrained
maximum likelihood). P lies in the interval unless T would then be as low, or as high, in fewer than alpha/2 of samples.
In one stratum this is Clopper and Pearson's interval (1934); for several without a single hit it is Wendell and
Schmee's (J. Am. Stat. Assoc. 91, 1996), whose least favourable case is then the most probable one. Of a stratum that
was looked at as a whole nothing is left to chance.

Reviewers err. With a sensitivity se and a specificity sp a share q = (1 - sp) + (se + sp - 1) p of a stratum is called
Unsafe (Rogan and Gladen, Am. J. Epidemiol. 107, 1978); the bounds are found for q, and given for p. Where by chance
fewer are called Unsafe than reviewers' errors alone lead to expect, the upper bound is CLs (Read, J. Phys. G 28, 2002),
how probable so few are at P over how probable they are at 0: it claims no more than the sample would without that luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import InputError

Floats = NDArray[np.float64]

LEVEL = 0.95
_DRAWS = 10_000
_STEPS = 16
_HALVINGS = 48
_SEED = 0
_SLACK = 1e-12
_DEVIATIONS = 6
"""Standard deviations below what is to be expected that are no chance any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Samples that were drawn from alike.

    Attributes:
        population: how many there are.
        reviewed: how many of them were looked at, drawn at random.
        unsafe: how many of those were called Unsafe.
    """

    population: int
    reviewed: int
    unsafe: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerErrors:
    """What is known of reviewers: P(called Unsafe | unsafe), and P(called Safe | safe)."""

    sensitivity: float = 1.0
    specificity: float = 1.0

    @property
    def span(self) -> float:
        """How far apart reviewers keep the two, between 0 (they guess) and 1."""
        return self.sensitivity + self.specificity - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of a population.

    Attributes:
        population, reviewed, unsafe: over all strata.
        rate: the estimate, corrected for reviewers' errors.
        low, high: its 95 % interval.
        at_most: its upper bound where nothing is said of a lower one (95 %, one-sided).
        unreviewed: samples in strata that nobody has looked into yet; the bounds count on the worst.
    """

    population: int
    reviewed: int
    unsafe: int
    rate: float
    low: float
    high: float
    at_most: float
    unreviewed: int


def estimate(
    strata: Sequence[Stratum], errors: ReviewerErrors | None = None, *, draws: int = _DRAWS, seed: int = _SEED
) -> Rate | None:
    """The rate over all strata; None where nobody has looked at anything.

    Args:
        strata: of the whole population.
        errors: of reviewers; none where it is left out.
        draws: samples that are simulated for each step to a bound.
        seed: of these.

    Raises:
        InputError: reviewers cannot err as often as is said, for so few are called Unsafe.
    """
    errors = errors or ReviewerErrors()
    looked_at = [one for one in strata if one.reviewed]
    if not looked_at:
        return None
    drawn = [one for one in looked_at if one.reviewed < one.population or errors != ReviewerErrors()]
    sampling = _Sampling(drawn or looked_at, errors, draws, seed)
    if not sampling.is_possible:
        raise InputError(
            f"specificity={errors.specificity:g}: by this error alone more pictures would be called Unsafe than the "
            f"{sum(one.unsafe for one in strata)} that are; give a higher one"
        )
    population, unreviewed = _population(strata), _population(strata) - _population(looked_at)
    sure = sum(one.unsafe for one in looked_at if one not in drawn)
    share, least = _population(drawn) / population, sure / population
    most = least + unreviewed / population
    alpha = 1 - LEVEL
    return Rate(
        population=population,
        reviewed=sum(one.reviewed for one in looked_at),
        unsafe=sum(one.unsafe for one in looked_at),
        rate=least + sampling.rate * share,
        low=least + sampling.bound(alpha / 2, upper=False) * share,
        high=most + sampling.bound(alpha / 2, upper=True) * share,
        at_most=most + sampling.bound(alpha, upper=True) * share,
        unreviewed=unreviewed,
    )


def _population(strata: Sequence[Stratum]) -> int:
    return sum(one.population for one in strata)


class _Sampling:
    """What a sample from these strata comes to at a true rate."""

    def __init__(self, strata: Sequence[Stratum], errors: ReviewerErrors, draws: int, seed: int) -> None:
        self._n = np.array([one.reviewed for one in strata], dtype=np.float64)
        self._x = np.array([one.unsafe for one in strata], dtype=np.float64)
        populations = np.array([one.population for one in strata], dtype=np.float64)
        self._weights = populations / populations.sum()
        self._called = float(self._weights @ (self._x / self._n))
        self._least, self._span = 1 - errors.specificity, errors.span
        self._draws, self._seed = draws, seed

    @property
    def rate(self) -> float:
        return float(np.clip((self._called - self._least) / self._span, 0.0, 1.0))

    @property
    def is_possible(self) -> bool:
        """Whether so few are called Unsafe by any chance, given how reviewers err."""
        deviation = np.sqrt((self._weights**2 * self._least * (1 - self._least) / self._n).sum())
        return bool(self._called >= self._least - _DEVIATIONS * deviation)

    def bound(self, alpha: float, *, upper: bool) -> float:
        """Where a true rate becomes implausible; by bisection, since the tail falls, or rises, with the rate."""
        inside, outside = (self.rate, 1.0) if upper else (self.rate, 0.0)
        alpha *= max(self._tail(0.0, upper=True), 1 / self._draws) if upper else 1.0
        if self._tail(outside, upper=upper) > alpha:
            return outside
        for _ in range(_STEPS):
            middle = _between(inside, outside)
            if self._tail(middle, upper=upper) > alpha:
                inside = middle
            else:
                outside = middle
        return outside

    def _tail(self, rate: float, *, upper: bool) -> float:
        """How probable it is at `rate` that so few (`upper`), or so many, are called Unsafe."""
        shares = self._shared_out(self._least + self._span * rate)
        hits = np.random.default_rng(self._seed).binomial(self._n.astype(np.int64), shares, (self._draws, len(shares)))
        called = hits @ (self._weights / self._n)
        as_far = called <= self._called + _SLACK if upper else called >= self._called - _SLACK
        return float(as_far.mean())

    def _shared_out(self, rate: float) -> Floats:
        """Most probable share of each stratum that is called Unsafe, where over all strata it is `rate`; shape (h,)."""
        low, high = -45.0, 45.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self._weights @ self._at(middle) > rate:
                low = middle
            else:
                high = middle
        return self._at((low + high) / 2)

    def _at(self, steepness: float) -> Floats:
        """Shares at which the log-likelihoods have slope lambda W_h; lambda on a logarithmic scale of either sign.

        x / q - (n - x) / (1 - q) = lambda W is a quadratic in q; the root between 0 and 1 is computed in the form that
        does not cancel.
        """
        pull = np.sign(steepness) * np.expm1(abs(steepness)) * self._weights
        total = self._n + pull
        root = np.sqrt(np.maximum(total**2 - 4 * pull * self._x, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            stable = 2 * self._x / (total + root)
            other = (total - root) / (2 * pull)
        shares = np.where(total + root > self._n * 1e-9, stable, other)
        inside: Floats = np.clip(np.nan_to_num(shares, nan=0.0), self._least, self._least + self._span)
        return inside


def _between(inside: float, outside: float) -> float:
    """On a scale on which small rates are as far apart as large ones, as long as neither is 0."""
    if min(inside, outside) > 0:
        return float(np.sqrt(inside * outside))
    return (inside + outside) / 2 if max(inside, outside) < 1e-6 else max(inside, outside) / 10
