"""Whose probabilities predictions are: what a calibration fitted on them must say of itself to be applied elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curate.core.calibration import Calibration
from curate.engines.dtype import AUTO
from curate.evaluation.predictions import is_run
from curate.runs.run_folder import RUN, load_run
from curate.storage.factory import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose predictions these are.

    Attributes:
        judge: who judged (`Fingerprint.judge`).
        dtype: the number format the model was computed in; "auto" where nobody knows.
        policies: what was asked (`Fingerprint.asked`), by the name of the policy.
    """

    judge: str
    dtype: str
    policies: Mapping[str, str]

    def stamp(self, calibration: Calibration) -> Calibration:
        """`calibration` with its origin."""
        return calibration.model_copy(update={"judge": self.judge, "policies": dict(self.policies)})


def read_origin(place: str, policy: str | None = None) -> Origin | None:
    """The origin of the predictions in `place`; None for a table, which does not say, and for rows of several judges.

    Args:
        place: as for `read_predictions`.
        policy: the one whose rows were taken, if one was chosen.
    """
    if not is_run(place) or not open_store(place).exists(RUN):
        return None
    known = load_run(place).fingerprints
    taken = {policy: known[policy]} if policy in known and policy is not None else known
    judges = {fingerprint.judge: str(fingerprint.parts.get("model.dtype", AUTO)) for fingerprint in taken.values()}
    if len(judges) != 1:
        return None
    ((judge, dtype),) = judges.items()
    policies = {name: fingerprint.asked for name, fingerprint in taken.items()}
    return Origin(judge=judge, dtype=dtype, policies=policies)
