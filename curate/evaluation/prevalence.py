"""How much of an unlabelled set is truly unsafe: the flagged share, corrected for the safeguard's errors.

At 1 % unsafe, a specificity of 0.98 flags three times what is there; the gold set says how much to take back.
Assumes that recall and specificity carry over from the gold set to the unlabelled one, which is for the user to judge.

Sources: Rogan and Gladen, "Estimating prevalence from the results of a screening test", Am J Epidemiol 107 (1978);
interval: Lang and Reiczigel, "Confidence limits for prevalence of disease adjusted for estimated sensitivity and
specificity", Prev Vet Med 113 (2014), equations 2 to 17.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import polars as pl

from curate.evaluation.intervals import LEVEL, Interval
from curate.evaluation.outcomes import Outcomes

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `n`."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The observed share; needs n > 0."""
        return self.hits / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """Shares between 0 and 1.

    Attributes:
        n: labelled rows of the unlabelled set.
        n_invalid: its rows without a label, left out.
        flagged: the share answered Unsafe.
        unsafe: the share that is unsafe, corrected and clipped; None where the safeguard is no better than chance.
        interval: its 95 % interval, clipped.
    """

    n: int
    n_invalid: int
    flagged: float
    unsafe: float | None
    interval: Interval


def estimate_prevalence(outcomes: Outcomes, unlabelled: pl.DataFrame) -> Prevalence | None:
    """Prevalence among `unlabelled` predictions, with the error rates of `outcomes`.

    Error rates are those of labelled rows, as the unlabelled set's are: the convention that an invalid answer is
    wrong says nothing about what labelled rows mean. Policy exceptions are left out, since they stand under policies
    of their own. None where the gold set lacks a class or nothing is labelled.
    """
    plain = outcomes.where(pl.col("invalid").is_null() & ~pl.col("exception"))
    unsafe, flagged = plain.unsafe, plain.flagged
    recall = Share(hits=int((unsafe & flagged).sum()), n=int(unsafe.sum()))
    specificity = Share(hits=int((~unsafe & ~flagged).sum()), n=int((~unsafe).sum()))
    labelled = unlabelled.filter(pl.col("invalid").is_null())
    apparent = Share(hits=int((labelled["rating"] == "Unsafe").sum()), n=len(labelled))
    if not (recall.n and specificity.n and apparent.n):
        return None
    return Prevalence(
        n=apparent.n,
        n_invalid=len(unlabelled) - apparent.n,
        flagged=apparent.value,
        unsafe=rogan_gladen(apparent.value, recall.value, specificity.value),
        interval=lang_reiczigel(apparent, recall, specificity),
    )


def rogan_gladen(flagged: float, recall: float, specificity: float) -> float | None:
    """The corrected share, clipped to [0, 1]; None where recall + specificity is not above 1."""
    youden = recall + specificity - 1
    return _clipped((flagged + specificity - 1) / youden) if youden > 0 else None


def lang_reiczigel(flagged: Share, recall: Share, specificity: Share) -> Interval:
    """The 95 % interval of the corrected share, clipped; (None, None) where the safeguard is no better than chance.

    Accounts for the sampling error of all three shares: adds two rows to each error rate and z squared to the flagged
    share, and shifts the centre for the skew that the error rates bring in.
    """
    if rogan_gladen(flagged.value, recall.value, specificity.value) is None:
        return (None, None)
    n_se, n_sp, n = recall.n + 2, specificity.n + 2, flagged.n + _Z**2
    se, sp = (recall.hits + 1) / n_se, (specificity.hits + 1) / n_sp
    share = (flagged.hits + _Z**2 / 2) / n
    youden = se + sp - 1
    if youden <= 0:
        return (None, None)
    centre = (share + sp - 1) / youden
    from_se, from_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * _Z**2 * (centre * from_se - (1 - centre) * from_sp)
    variance = (share * (1 - share) / n + centre**2 * from_se + (1 - centre) ** 2 * from_sp) / youden**2
    width = _Z * sqrt(variance)
    return (_clipped(centre + shift - width), _clipped(centre + shift + width))


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)
