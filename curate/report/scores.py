"""The evaluation that lies in a run's folder, as far as a report shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.storage.store import Store

METRICS = "metrics.json"
SHOWN: Mapping[str, str] = {
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall: of what is unsafe, found",
    "specificity": "specificity: of what is safe, let through",
    "precision": "precision: of what was flagged, unsafe",
    "f1": "F1",
    "category_accuracy": "category accuracy",
    "per": "policy exception rate",
}
COUNTS = ("n", "tp", "fp", "tn", "fn", "n_invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score with its 95 % interval; fractions."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `evaluate` wrote beside these predictions.

    Attributes:
        gold: where the gold set was.
        counts: rows, by what became of them.
        scores: those of all rows that are defined.
        by_category: the recall of each category of the gold set, as far as it is defined.
    """

    gold: str
    counts: Mapping[str, int]
    scores: tuple[Score, ...]
    by_category: tuple[Score, ...]


def read_evaluation(store: Store) -> Evaluation | None:
    """None where nothing was evaluated, or the file of that name is another program's."""
    if not store.exists(METRICS):
        return None
    try:
        fields = json.loads(store.read(METRICS))
        counts = {name: int(fields[name]) for name in COUNTS}
        groups = fields.get("by_category") or {}
        return Evaluation(
            gold=str(fields["gold"]["source"]),
            counts=counts,
            scores=tuple(score for key, name in SHOWN.items() if (score := _score(name, fields, key))),
            by_category=tuple(score for name, of in groups.items() if (score := _score(str(name), of, "recall"))),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _score(name: str, fields: Mapping[str, Any], key: str) -> Score | None:
    value = fields.get(key)
    if value is None:
        return None
    low, high = (fields.get("intervals") or {}).get(key) or (None, None)
    return Score(name=name, value=float(value), low=low, high=high)
