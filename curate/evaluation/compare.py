"""Two safeguards on the same gold rows: paired differences of every score, and McNemar's test of their ratings.

Pairing matters: both err on the same hard images, so their difference is known far better than either score.
Sources: McNemar 1947, in its exact binomial form; Efron 1979 for the bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.evaluation.intervals import Interval, percentiles, resampled_counts
from curate.evaluation.metrics import COUNTS, SCORES, indicators, none_if_nan, scores
from curate.evaluation.outcomes import Outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How `other` differs from `reference`.

    Attributes:
        scores: other minus reference by score, None where either is undefined.
        intervals: the paired bootstrap interval of each.
        only_reference_right, only_other_right: gold rows whose rating one of the two alone has right.
        p_value: of McNemar's exact test that both are right equally often.
    """

    reference: str
    other: str
    scores: Mapping[str, float | None]
    intervals: Mapping[str, Interval]
    only_reference_right: int
    only_other_right: int
    p_value: float


def compare(reference: tuple[str, Outcomes], other: tuple[str, Outcomes]) -> Difference:
    """Compare two named sets of outcomes of one gold set, row by row."""
    (reference_name, first), (other_name, second) = reference, other
    assert first.rows["key"].equals(second.rows["key"])
    both = np.hstack([indicators(first), indicators(second)])
    resampled = resampled_counts(both)
    half = len(COUNTS)
    differences = scores(resampled[:, half:]) - scores(resampled[:, :half])
    observed = scores(both[:, half:].sum(axis=0)) - scores(both[:, :half].sum(axis=0))
    only_first = int((first.right & ~second.right).sum())
    only_second = int((second.right & ~first.right).sum())
    return Difference(
        reference=reference_name,
        other=other_name,
        scores={name: none_if_nan(value) for name, value in zip(SCORES, observed.tolist(), strict=True)},
        intervals=dict(zip(SCORES, percentiles(differences), strict=True)),
        only_reference_right=only_first,
        only_other_right=only_second,
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value that the discordant pairs fall on either side alike; 1 where there are none."""
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
