"""How far two reviewers agree beyond chance, on what both have looked at.

Cohen's kappa (Educ. Psychol. Meas. 20, 1960) falls to nothing where nearly all is Safe, however well reviewers agree;
Gwet's AC1 (Br. J. Math. Stat. Psychol. 61, 2008) does not. Both are stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Between two verdicts each.

    Attributes:
        n: pictures that two have looked at.
        observed: share on which they agree.
        kappa, ac1: agreement beyond chance, 1 at most; None where chance alone would agree on everything.
    """

    n: int
    observed: float
    kappa: float | None
    ac1: float | None


def agreement(pairs: Sequence[tuple[bool, bool]]) -> Agreement | None:
    """Of two verdicts on each picture, true for Unsafe; None where there are none."""
    if not pairs:
        return None
    verdicts = np.array(pairs, dtype=bool)
    observed = float((verdicts[:, 0] == verdicts[:, 1]).mean())
    first, second = verdicts.mean(axis=0).tolist()
    both = (first + second) / 2
    by_chance = first * second + (1 - first) * (1 - second)
    return Agreement(
        n=len(pairs),
        observed=observed,
        kappa=_beyond(observed, by_chance),
        ac1=_beyond(observed, 2 * both * (1 - both)),
    )


def _beyond(observed: float, by_chance: float) -> float | None:
    return None if by_chance >= 1 else (observed - by_chance) / (1 - by_chance)
