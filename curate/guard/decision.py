"""What a guard says of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from curate.core.types import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One picture under one policy. It is true where the picture is blocked: `if decision: ...`.

    Attributes:
        blocked: it must not be shown. True whenever it was not judged, or not all of it.
        status: `labelled`, or why there is no label (`curate.core.types.Status`).
        rating, category, category_name, rationale: the safeguard's; None without a label, the rationale also where none
            was asked for.
        p_unsafe: as the safeguard gave it; None where its engine cannot tell.
        p_calibrated: what the rules saw in its place; None without a calibration.
        category_scores: p_unsafe x P(category | Unsafe) by code, calibrated where p_unsafe is; None unless asked for.
        reached: codes of the categories whose own threshold their score reaches.
        policy, policy_hash: what it was judged under, and SHA-256 of that policy's prompt.
        split: where `filter` would put it by the same rules.
        decided_by: why: the rule, and the setting it went by.
        detail: what went wrong, or what of the picture was not judged; None where nothing did.
        sha256: of the encoded picture.
    """

    blocked: bool
    status: str
    policy: str
    policy_hash: str
    split: str
    decided_by: str
    rating: str | None = None
    category: str | None = None
    category_name: str | None = None
    rationale: str | None = None
    p_unsafe: float | None = None
    p_calibrated: float | None = None
    category_scores: Mapping[str, float] | None = None
    reached: tuple[str, ...] = ()
    detail: str | None = None
    sha256: str | None = None

    def __bool__(self) -> bool:
        return self.blocked

    @property
    def judged(self) -> bool:
        """Whether there is a label, and it speaks of all of the picture."""
        return self.status == Status.LABELLED and self.detail is None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"reached": list(self.reached)}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Self:
        """What `as_json` gave; keys of a later version are passed over.

        Raises:
            ValueError: it is none. What is not surely a decision to let pass is not one.
        """
        try:
            decision = cls(**{field.name: said[field.name] for field in fields(cls)} | {"reached": (*said["reached"],)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no decision: {error!r}") from error
        if not isinstance(decision.blocked, bool) or not (decision.blocked or decision.judged):
            raise ValueError("no decision: it would let a picture pass that nobody judged")
        return decision
