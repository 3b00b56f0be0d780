"""Samples without a label: why, and what would help."""

from __future__ import annotations

from collections.abc import Mapping

from curate.core.types import Status

RETRIED = (Status.ENGINE_FAILURE, Status.INVALID_OUTPUT, Status.REJECTED_BY_ENGINE)
"""What may go better another time: the data are not to blame."""

_REMEDIES: Mapping[str, str] = {
    Status.TOO_MANY_BYTES.value: "raise dataset.max_bytes",
    Status.TOO_MANY_PIXELS.value: "raise dataset.max_pixels",
    **{status.value: f"retry=[{status}]" for status in RETRIED},
}
"""A limit is part of what a label depends on, so that raising one takes another output.dir."""


def reasons(statuses: Mapping[str, int]) -> list[str]:
    """Each status of samples without a label with its number, and what helps, the most frequent first."""
    unjudged = {status: count for status, count in statuses.items() if status != Status.LABELLED and count}
    ordered = sorted(unjudged.items(), key=lambda item: (-item[1], item[0]))
    return [f"{count} {status}{_remedy(status)}" for status, count in ordered]


def to_retry(statuses: Mapping[str, int]) -> list[str]:
    """Those of the statuses there are that `retry` may help."""
    return [status.value for status in RETRIED if statuses.get(status)]


def _remedy(status: str) -> str:
    return f" ({_REMEDIES[status]})" if status in _REMEDIES else ""
