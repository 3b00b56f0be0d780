"""From rows to decisions, by the very rules that split a data set: the same file, the same decision."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from curate.core.calibration import calibrated_score
from curate.core.errors import InputError
from curate.core.types import Annotation
from curate.filtering.decide import decide
from curate.filtering.rules import compile_rules
from curate.guard.decision import Decision
from curate.policies.policy import Policy
from curate.runs.annotation_table import to_table
from curate.settings.filter import FilterSettings

_RULE = "rule "
"""How a reason begins that is a rule's; the others are for want of one, or of what it needs."""

_CUTS = ("unsafe", "review")

_NOT_ALL = "not all of it was judged"


class Decider:
    """Decides by a filter's rules, thresholds and calibration. What no rule lets pass is blocked.

    Args:
        settings: the filter, as `evaluate` writes it.
        policies: under which pictures are judged.
        passes: splits that pass.

    Raises:
        InputError: the rules do not fit the policies, need a sidecar, or no split of theirs passes.
    """

    def __init__(self, settings: FilterSettings, policies: Iterable[Policy], passes: Sequence[str]) -> None:
        if settings.fields:
            raise InputError(f"filter.fields.{next(iter(settings.fields))}: pictures that are served have no sidecar")
        if settings.overrides:
            raise InputError("filter.overrides: are of a data set's pictures; leave them out where pictures are served")
        self._rules = compile_rules(settings, [code for policy in policies for code in policy.categories])
        strange = next((name for name in passes if name not in self._rules.splits or name == "failed"), None)
        if strange is not None:
            raise InputError(f"serve.passes: {strange!r} is no split that can pass; the filter has {self._named()}")
        self._settings = settings
        self._passes = frozenset(passes)
        self._waiting: list[tuple[Annotation, str, asyncio.Future[Decision]]] = []
        self._deciding: asyncio.Task[None] | None = None

    def decide(self, rows: Sequence[Annotation], hashes: Sequence[str]) -> list[Decision]:
        """A decision for each row, in their order; `hashes` are those of the policies."""
        numbered = [replace(row, index=index) for index, row in enumerate(rows)]
        table = pl.from_arrow(to_table(numbered))
        assert isinstance(table, pl.DataFrame)
        decided = decide({"": table.lazy()}, self._rules, self._settings)
        found = decided.select("split", "reason", "p_calibrated").collect().to_dicts()
        return [self._decision(row, policy, said) for row, policy, said in zip(rows, hashes, found, strict=True)]

    async def decided(self, row: Annotation, policy_hash: str) -> Decision:
        """`decide` for one of many callers: rows that come together are decided together, in a thread."""
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, policy_hash, future))
        if self._deciding is None:
            self._deciding = asyncio.create_task(self._decide_waiting())
        return await future

    async def _decide_waiting(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                try:
                    rows, hashes = [row for row, _, _ in waiting], [policy for _, policy, _ in waiting]
                    decisions = await asyncio.to_thread(self.decide, rows, hashes)
                except Exception as error:  # noqa: BLE001 - nothing is swallowed: all who wait raise it
                    for _, _, future in waiting:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, _, future), decision in zip(waiting, decisions, strict=True):
                    if not future.done():
                        future.set_result(decision)
        finally:
            self._deciding = None

    def _decision(self, row: Annotation, policy_hash: str, said: Mapping[str, object]) -> Decision:
        split, reason = str(said["split"]), str(said["reason"])
        p_calibrated = said["p_calibrated"]
        judged = row.rating is not None and row.detail is None
        ruled = reason.startswith(_RULE)
        scores = _scores(row, p_calibrated if isinstance(p_calibrated, float) else None)
        reached = {which: self._reached(scores, which) for which in _CUTS}
        return Decision(
            blocked=not (judged and ruled and split in self._passes),
            status=row.status.value,
            policy=row.policy,
            policy_hash=policy_hash,
            split=split,
            decided_by=f"{reason}, {self._went_by(row, reached)}" if ruled and judged else self._unruled(row, reason),
            rating=row.rating and row.rating.value,
            category=row.category,
            category_name=row.category_name,
            rationale=row.rationale,
            p_unsafe=row.p_unsafe,
            p_calibrated=p_calibrated if isinstance(p_calibrated, float) else None,
            category_scores=scores,
            reached=tuple(dict.fromkeys(code for codes in reached.values() for code in codes)),
            detail=row.detail,
            sha256=row.sha256,
        )

    def _unruled(self, row: Annotation, reason: str) -> str:
        return _NOT_ALL if row.rating is not None and row.detail is not None else reason

    def _reached(self, scores: Mapping[str, float] | None, which: str) -> list[str]:
        """The categories whose score reaches their own threshold, as the rules compare them."""
        cuts = {code: getattr(own, which) for code, own in self._settings.by_category.items()}
        known = scores or {}
        return [
            code for code, cut in cuts.items() if cut is not None and known.get(code, -1.0) >= float(np.float32(cut))
        ]

    def _went_by(self, row: Annotation, reached: Mapping[str, Sequence[str]]) -> str:
        """The settings that the rules' columns come from, for this row's category and those that its scores reach."""
        said = []
        for which in _CUTS:
            own = self._settings.by_category.get(row.category or "")
            value = own and getattr(own, which)
            name = f"filter.by_category.{row.category}.{which}"
            if value is None:
                value, name = getattr(self._settings.thresholds, which), f"filter.thresholds.{which}"
            if value is not None:
                said.append(f"{name}={value:g}")
            said += [
                f"filter.by_category.{code}.{which}={getattr(self._settings.by_category[code], which):g} "
                f"by the score of {code}"
                for code in reached[which]
                if code != row.category
            ]
        return ", ".join(said) or "the safeguard's own rating"

    def _named(self) -> str:
        return ", ".join(name for name in self._rules.splits if name != "failed")


def _scores(row: Annotation, p_calibrated: float | None) -> dict[str, float] | None:
    """The row's scores in float32, as the rules see them (`curate.filtering.thresholds`)."""
    if row.category_scores is None:
        return None
    scores = {code: float(np.float32(score)) for code, score in row.category_scores.items()}
    if p_calibrated is None:
        return scores
    return {code: calibrated_score(score, row.p_unsafe or 0.0, p_calibrated) for code, score in scores.items()}
