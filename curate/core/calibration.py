"""A calibration: a monotone map of p_unsafe, fitted on a gold set by `evaluate` and applied by `filter`."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curate.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["isotonic", "platt"]

_EDGE = 1e-6
_Probability = Annotated[float, Field(ge=0, le=1)]


class Calibration(BaseModel):
    """A monotone map of p_unsafe.

    Attributes:
        method: "isotonic" interpolates between (x, y); "platt" is sigmoid(slope * logit(p) + intercept).
        fitted_on: number of gold rows it was fitted on.
        x, y: knots, ascending; empty for "platt".
        judge: whose probabilities these were (`curate.runs.fingerprint.Fingerprint.judge`); None where nobody knows.
        policies: what was asked (`Fingerprint.asked`), by the name of the policy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method
    fitted_on: Annotated[int, Field(gt=0)]
    x: tuple[_Probability, ...] = ()
    y: tuple[_Probability, ...] = ()
    slope: Annotated[float, Field(ge=0)] = 1.0
    intercept: float = 0.0
    judge: str | None = None
    policies: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_monotone(self) -> Self:
        if self.method == "isotonic" and (not self.x or len(self.x) != len(self.y)):
            raise ValueError("x and y of an isotonic calibration are lists of one length, at least 1")
        if any(b < a for knots in (self.x, self.y) for a, b in pairwise(knots)):
            raise ValueError("x and y must not fall")
        return self

    def __call__(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities, same shape; NaN stays NaN."""
        import numpy as np

        if self.method == "isotonic":
            return np.where(np.isnan(p), np.nan, np.interp(p, self.x, self.y))
        return 1 / (1 + np.exp(-(self.slope * logit(p) + self.intercept)))


def calibrated_score(score: float, p: float, p_calibrated: float) -> float:
    """A category's score where its p_unsafe was calibrated: it keeps its share; in float32, as rules compare it.

    Of a p_unsafe of 0 nobody can tell the categories' shares: each then has all that it became.
    """
    import numpy as np

    before, after = np.float32(p), np.float32(p_calibrated)
    return float(np.float32(score) * (after / before) if before else after)


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds, finite at 0 and 1 too."""
    import numpy as np

    inside = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write it as JSON."""
    path.write_text(json.dumps(calibration.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        InputError: there is no such file, or it is not a calibration.
    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: no readable calibration; `evaluate` writes calibration.json") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: not a calibration as `evaluate` writes it ({where} {first['msg']})") from error
