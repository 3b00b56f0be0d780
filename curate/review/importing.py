"""Verdicts on their way back into a run: who said what, how wrong its splits are, a gold set, and overrides.

RUN/reviews/NAME/verdicts.parquet   every verdict, one for each task and reviewer
RUN/reviews/NAME/estimates.json     of an audit: leakage of `clean`, false removals, agreement
RUN/reviews/NAME/gold.csv           of an audit: a gold set for `evaluate`
RUN/reviews/NAME/overrides.parquet  one verdict for each picture, for `filter.overrides`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.core.errors import InputError
from curate.core.types import Rating
from curate.filtering.overrides import REVIEWS, SCHEMA
from curate.filtering.rules import CLEAN
from curate.filtering.table_files import to_parquet
from curate.review.agreement import Agreement, agreement
from curate.review.estimates import Rate, ReviewerErrors, Stratum, estimate
from curate.review.verdicts import Settled, Verdict, pairs, read_verdicts, settle
from curate.runs.run_folder import Run
from curate.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What one sample's verdicts come to.

    Attributes:
        name: of the sample.
        tasks: how many were drawn.
        settled: what was said of each task that was looked at.
        rows: of the sample, by task.
        leakage: share of `clean` that is unsafe; None without an audit of it.
        false_removals: share of what was removed that is safe; None without an audit of it.
        agreement: None where no two have looked at the same picture.
    """

    name: str
    tasks: int
    settled: Mapping[str, Settled]
    rows: Mapping[str, Mapping[str, Any]]
    leakage: Rate | None
    false_removals: Rate | None
    agreement: Agreement | None

    @property
    def against(self) -> int:
        """Tasks whose verdict is not the safeguard's."""
        return sum(one.rating != self.rows[task]["rating"] for task, one in self.settled.items())


def import_verdicts(run: Run, files: Sequence[Path], errors: ReviewerErrors) -> list[Imported]:
    """Take in `files`, beside what was taken in before; of a reviewer's words on a task the last counts.

    Raises:
        InputError: a file cannot be read, or a task is none of this run's.
    """
    given = [verdict for file in files for verdict in read_verdicts(file)]
    if not given:
        raise InputError(f"{', '.join(map(str, files))}: no task has a rating yet")
    names = run.store.folders(REVIEWS)
    by_name: dict[str, list[Verdict]] = {}
    for verdict in given:
        name = next((name for name in names if verdict.task.startswith(f"{name}-")), None)
        if name is None:
            raise InputError(
                f"task {verdict.task!r:.80} is of no sample of {run.store.uri('')}; name the run that it was drawn from"
            )
        by_name.setdefault(name, []).append(verdict)
    return [_import(run, name, verdicts, errors) for name, verdicts in by_name.items()]


def _import(run: Run, name: str, given: Iterable[Verdict], errors: ReviewerErrors) -> Imported:
    store, place = run.store, f"{REVIEWS}/{name}"
    rows = {row["task"]: row for row in _read(store, f"{place}/sample.parquet").iter_rows(named=True)}
    before = [Verdict(rating=Rating(row.pop("rating")), **row) for row in _earlier(store, place)]
    settled = settle([*before, *given])
    unknown = next((task for task in settled if task not in rows), None)
    if unknown is not None:
        raise InputError(f"task {unknown!r:.80} is not in the sample {name}; was the file changed by hand?")
    strata = _read(store, f"{place}/strata.parquet")
    imported = Imported(
        name=name,
        tasks=len(rows),
        settled=settled,
        rows=rows,
        leakage=_rate(strata.filter(pl.col("split") == CLEAN), rows, settled, errors, Rating.UNSAFE),
        false_removals=_rate(strata.filter(pl.col("split") != CLEAN), rows, settled, errors, Rating.SAFE),
        agreement=agreement(pairs(settled.values())),
    )
    verdicts = [asdict(one) for task in settled.values() for one in task.verdicts]
    store.replace(f"{place}/verdicts.parquet", to_parquet(pl.DataFrame(verdicts, schema=_VERDICTS)))
    store.replace(f"{place}/overrides.parquet", to_parquet(_overrides(imported)))
    if len(strata):
        store.replace(f"{place}/gold.csv", _gold(imported).write_csv().encode())
        store.replace(f"{place}/estimates.json", _estimates(imported, errors))
    return imported


_VERDICTS = dict.fromkeys(Verdict.__slots__, pl.String)


def _rate(
    strata: pl.DataFrame,
    rows: Mapping[str, Mapping[str, Any]],
    settled: Mapping[str, Settled],
    errors: ReviewerErrors,
    wrong: Rating,
) -> Rate | None:
    """Share of the strata that is `wrong`."""
    looked_at: dict[str, list[bool]] = {name: [] for name in strata["name"]}
    for task, one in settled.items():
        if rows[task]["stratum"] in looked_at:
            looked_at[rows[task]["stratum"]].append(one.rating is wrong)
    drawn = [
        Stratum(population=population, reviewed=len(looked_at[name]), unsafe=sum(looked_at[name]))
        for name, population in strata.select("name", "population").iter_rows()
    ]
    if wrong is Rating.SAFE:
        errors = ReviewerErrors(sensitivity=errors.specificity, specificity=errors.sensitivity)
    return estimate(drawn, errors)


def _overrides(imported: Imported) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "sha256": imported.rows[task]["sha256"],
                "policy": imported.rows[task]["policy"],
                "rating": one.rating.value,
                "category": one.cited.category or None,
                "reviewer": one.cited.reviewer or None,
                "time": one.cited.time or None,
                "reason": one.cited.reason or None,
                "review": task,
            }
            for task, one in imported.settled.items()
        ],
        schema=SCHEMA,
    )


def _gold(imported: Imported) -> pl.DataFrame:
    """Keys, ratings, and categories where reviewers named them."""
    rows = [
        {
            "key": imported.rows[task]["key"],
            "policy": imported.rows[task]["policy"],
            "rating": one.rating.value,
            "category": one.cited.category or None,
            "inclusion_probability": imported.rows[task]["inclusion_probability"],
        }
        for task, one in imported.settled.items()
    ]
    return pl.DataFrame(rows).unique(["key", "policy"], keep="none", maintain_order=True)


def _estimates(imported: Imported, errors: ReviewerErrors) -> bytes:
    record = {
        "sample": imported.name,
        "rule_set": next(iter(imported.rows.values()))["digest"],
        "tasks": imported.tasks,
        "reviewed": len(imported.settled),
        "reviewers": len({one.reviewer for task in imported.settled.values() for one in task.verdicts}),
        "ties": sum(one.is_tie for one in imported.settled.values()),
        "reviewer_errors": asdict(errors),
        "leakage_of_clean": imported.leakage and asdict(imported.leakage),
        "false_removals": imported.false_removals and asdict(imported.false_removals),
        "agreement": imported.agreement and asdict(imported.agreement),
    }
    return (json.dumps(record, indent=1) + "\n").encode()


def _earlier(store: Store, place: str) -> list[dict[str, str]]:
    name = f"{place}/verdicts.parquet"
    return _read(store, name).to_dicts() if store.exists(name) else []


def _read(store: Store, name: str) -> pl.DataFrame:
    return pl.read_parquet(store.read(name))
