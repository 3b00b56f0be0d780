"""What people said of a run: the newest audit that `review import` took in (curate/review/, docs/review.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.filtering.overrides import REVIEWS
from curate.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A share that people's verdicts tell, at 95 %; see `curate.review.estimates.Rate`."""

    population: int
    reviewed: int
    wrong: int
    rate: float
    low: float
    high: float
    at_most: float
    unreviewed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An audit's estimates.

    Attributes:
        sample: its name.
        is_current: whether it was drawn from the splits as they are now.
        leakage: of what is in `clean`, unsafe.
        false_removals: of what was removed, safe.
        ac1, twice: agreement of two reviewers (Gwet's AC1), and on how many pictures.
        reviewers, ties: people, and pictures on which they are divided, which count as unsafe.
    """

    sample: str
    is_current: bool
    leakage: Bound | None
    false_removals: Bound | None
    ac1: float | None
    twice: int
    reviewers: int
    ties: int


def read_audit(store: Store, digest: str | None) -> Audit | None:
    """The audit with the most reviews, of the splits named `digest` if there is one; None where there is none."""
    audits = [_read(store, name, digest) for name in store.folders(REVIEWS)]
    known = [one for one in audits if one is not None and one.leakage is not None]
    return max(known, key=lambda one: (one.is_current, one.leakage.reviewed if one.leakage else 0), default=None)


def _read(store: Store, name: str, digest: str | None) -> Audit | None:
    place = f"{REVIEWS}/{name}/estimates.json"
    if not store.exists(place):
        return None
    record = json.loads(store.read(place))
    agreement = record["agreement"] or {}
    return Audit(
        sample=name,
        is_current=record["rule_set"] == digest,
        leakage=_bound(record["leakage_of_clean"]),
        false_removals=_bound(record["false_removals"]),
        ac1=agreement.get("ac1"),
        twice=agreement.get("n", 0),
        reviewers=record["reviewers"],
        ties=record["ties"],
    )


def _bound(record: Mapping[str, Any] | None) -> Bound | None:
    if record is None:
        return None
    fields = {name: value for name, value in record.items() if name != "unsafe"}
    return Bound(wrong=record["unsafe"], **fields)
