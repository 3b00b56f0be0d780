"""Counts of what a worker has done, and the failure budget that is held against them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from curate.core.errors import BudgetExceeded
from curate.core.types import Annotation, Rating, Status
from curate.settings.run import Budget

TOLD_DETAILS = 5

ENGINE_FAILURES = frozenset({Status.REJECTED_BY_ENGINE, Status.INVALID_OUTPUT, Status.ENGINE_FAILURE})


@dataclass(slots=True)
class Tally:
    """Running counts over all rows a worker produced (rows taken from an earlier attempt are not counted).

    Attributes:
        statuses, ratings: number of rows by status, by rating.
        details: number of failed rows by status and detail, to name the most common reason.
        tokens: prompt, cached and output tokens.
        started: monotonic time from which rates count.
        ended: monotonic time of the last row.
    """

    budget: Budget
    statuses: Counter[str] = field(default_factory=Counter)
    ratings: Counter[str] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    ended: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Number of rows without a label."""
        return self.rows - self.statuses[Status.LABELLED]

    @property
    def share_unsafe(self) -> float:
        """Unsafe rows as a share of labelled rows; 0 before the first."""
        return self.ratings[Rating.UNSAFE] / max(1, self.statuses[Status.LABELLED])

    @property
    def seconds(self) -> float:
        """From `started` to the last row."""
        return self.ended - self.started

    @property
    def rate(self) -> float:
        """Rows a second from `started` to the last row."""
        return self.rows / max(1e-9, self.seconds)

    def snapshot(self) -> dict[str, Any]:
        """The counts as JSON, for a heartbeat."""
        return {
            "rows": self.rows,
            "statuses": dict(self.statuses),
            "ratings": dict(self.ratings),
            "tokens": dict(self.tokens),
            "seconds": self.seconds,
        }

    def brief(self) -> Tally:
        """The same counts, with the most common details only: small enough to be sent every second."""
        return replace(self, details=Counter(dict(self.details.most_common(TOLD_DETAILS))))

    def gather(self, parts: Collection[Tally]) -> None:
        """Become the sum of what several workers on this machine have counted."""
        self.statuses = sum((p.statuses for p in parts), Counter())
        self.ratings = sum((p.ratings for p in parts), Counter())
        self.details = sum((p.details for p in parts), Counter())
        self.tokens = sum((p.tokens for p in parts), Counter())
        self.started = min((p.started for p in parts), default=self.started)
        self.ended = max((p.ended for p in parts), default=self.ended)

    def add(self, row: Annotation) -> None:
        """Count one row.

        Raises:
            BudgetExceeded: see `check`.
        """
        self.ended = time.monotonic()
        self.statuses[row.status] += 1
        if row.rating:
            self.ratings[row.rating] += 1
        self.tokens["prompt"] += row.prompt_tokens or 0
        self.tokens["cached"] += row.cached_tokens or 0
        self.tokens["output"] += row.output_tokens or 0
        if row.status is not Status.LABELLED:
            self.details[row.status, row.detail or ""] += 1
            self.check()

    def check(self) -> None:
        """Hold the counts against the budget.

        Raises:
            BudgetExceeded: the failures so far are implausible for a sound run.
        """
        engine = sum(self.statuses[s] for s in ENGINE_FAILURES)
        self._hold(engine, self.budget.engine, "engine", "the model or the engine")
        self._hold(self.failed - engine, self.budget.data, "data", "the data")

    def _hold(self, failures: int, allowed: float, name: str, culprit: str) -> None:
        share = allowed < 1
        if share and self.rows < self.budget.grace:
            return
        if failures > (allowed * self.rows if share else allowed):
            (status, detail), count = self.details.most_common(1)[0]
            raise BudgetExceeded(
                f"{failures} of {self.rows} samples failed through {culprit}, budget.{name}={allowed:g} allows less; "
                f"most often ({count}) {status}: {detail}; mend that, or raise budget.{name}, and run again to go on"
            )
