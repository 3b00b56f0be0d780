"""How often the bounds of `curate.review.estimates` hold a known truth: `python -m tests.support.review_coverage`."""

from __future__ import annotations

import numpy as np

from curate.review.estimates import ReviewerErrors, Stratum, estimate

RATES = (0.0005, 0.005, 0.05)
"""True shares of a population of a million that is unsafe."""
ERRORS = (0.0, 0.1)
"""Of reviewers, either way."""
TRIALS = 1000


def coverage(rate: float, error: float, trials: int, *, reviews: int = 3000) -> tuple[float, float]:
    """Shares of trials in which the interval, and the one-sided bound, hold the true rate of a population."""
    chance = np.random.default_rng(7)
    population = np.array([900_000, 60_000, 25_000, 10_000, 5_000])
    shares = np.array([0.02, 0.2, 1.0, 4.0, 8.0]) if rate < 0.02 else np.array([0.5, 1.5, 5.0, 10.0, 12.0])
    shares = shares * rate * population.sum() / (shares @ population)
    thought = np.clip(shares * chance.uniform(0.3, 3, len(shares)), 0.005, 0.5)  # the safeguard is wrong about itself
    spread = population * np.sqrt(thought * (1 - thought))
    reviewed = np.maximum(30, np.round(reviews * spread / spread.sum())).astype(int)
    errors = ReviewerErrors(sensitivity=1 - error, specificity=1 - error)
    held = bounded = 0
    for trial in range(trials):
        unsafe = chance.binomial(population, shares)
        truth = unsafe.sum() / population.sum()
        seen = chance.hypergeometric(unsafe, population - unsafe, reviewed)
        called = chance.binomial(seen, 1 - error) + chance.binomial(reviewed - seen, error)
        drawn = zip(population, reviewed, called, strict=True)
        strata = [Stratum(population=int(p), reviewed=int(n), unsafe=int(x)) for p, n, x in drawn]
        found = estimate(strata, errors, draws=1000, seed=trial)
        held += found.low <= truth <= found.high
        bounded += truth <= found.at_most
    return held / trials, bounded / trials


if __name__ == "__main__":
    for error in ERRORS:
        for rate in RATES:
            held, bounded = coverage(rate, error, TRIALS)
            print(f"| {100 * rate:g} % | {100 * error:g} % | {100 * held:.1f} % | {100 * bounded:.1f} % |", flush=True)
