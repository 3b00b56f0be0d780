"""Finished runs for the tests of `verify`, made in this process by the real parts with the fake engine; and edits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.types import ShardRef
from curate.judges.questions import questions_of
from curate.pipeline.annotating import annotate
from curate.pipeline.filtering import run_filter
from curate.runs.commits import Commit
from curate.runs.fingerprint import fingerprint
from curate.runs.plan import make_plan
from curate.runs.run_folder import Run, open_run, read_record
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.filter import FilterSettings
from curate.settings.run import OutputSettings, Settings
from curate.sources.registry import SOURCES
from curate.storage.local_store import LocalStore
from tests.support.filtering_cases import DEFAULT_RULES, MODEL, policy

Row = dict[str, Any]
Rows = list[Row]


def make_run(
    folder: Path,
    shards: Sequence[Path],
    *,
    policies: Sequence[str] = ("p",),
    write: str = "parquet",
    limit: int | None = None,
    **more: Any,
) -> Run:
    """A run that is planned and fingerprinted; `more` goes into its filter's settings."""
    settings = Settings(
        dataset=DatasetSettings(name="data", shards=[str(path) for path in shards], limit=limit),
        model=MODEL,
        policies={name: policy(name) for name in policies},
        engine=EngineSettings(name="fake", workers=0),
        filter=FilterSettings(splits=DEFAULT_RULES, write=write, **more),
        output=OutputSettings(dir=str(folder)),
    )
    fingerprints = {
        question.policy: fingerprint(question, MODEL, {"name": "fake"}, settings.engine, settings.dataset)
        for question in questions_of(settings)
    }
    store = LocalStore(folder)
    return open_run(store, settings, make_plan(settings.dataset), fingerprints, read_record(store))


def judge(run: Run, shards: Sequence[ShardRef] | None = None) -> None:
    """Judge the plan's shards, or only some of them."""
    annotate(run if shards is None else replace(run, plan=replace(run.plan, shards=tuple(shards))))


def split(run: Run) -> None:
    """The filter stage."""
    settings = run.settings
    run_filter(
        run.store, settings.filter, settings.dataset, run.plan.shards, settings.policies, SOURCES, model=settings.model
    )


def finished_run(folder: Path, shards: Sequence[Path], **more: Any) -> Path:
    """A whole run; its folder."""
    run = make_run(folder, shards, **more)
    judge(run)
    split(run)
    return folder


def edit_rows(
    path: Path, edit: Callable[[Rows], Rows], *, recommit: bool = True, metadata: dict[str, str] | None = None
) -> None:
    """Rewrite an annotation file; with `recommit` its commit agrees again, so that only the edit itself is wrong."""
    table = pq.read_table(path)
    schema = table.schema.with_metadata(
        table.schema.metadata | {k.encode(): v.encode() for k, v in (metadata or {}).items()}
    )
    pq.write_table(pa.Table.from_pylist(edit(table.to_pylist()), schema=schema), path)
    if recommit:
        commit_as_it_is(path)


def commit_as_it_is(path: Path) -> None:
    """Make the commit of an annotation file say what is in it now."""
    rows = pq.read_table(path).to_pylist()
    unsafe = [row["category"] for row in rows if row["rating"] == "Unsafe" and row["category"]]
    edit_commit(
        path,
        rows=len(rows),
        statuses=_counts(row["status"] for row in rows),
        ratings=_counts(row["rating"] for row in rows if row["rating"]),
        categories=_counts(unsafe),
        reused=sum(row["reused_from"] is not None for row in rows),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        file_bytes=path.stat().st_size,
    )


def edit_commit(annotations: Path, **fields: Any) -> None:
    """Change fields of the commit that belongs to an annotation file."""
    path = commit_of(annotations)
    path.write_bytes(replace(Commit.from_json(path.read_bytes()), **fields).to_json())


def commit_of(annotations: Path) -> Path:
    """The commit of an annotation file."""
    run = annotations.parents[2]
    return run / "commits" / annotations.parent.name / f"{annotations.stem}.json"


def edit_split(path: Path, edit: Callable[[Rows], Rows]) -> None:
    """Rewrite a Parquet split file."""
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(edit(table.to_pylist()), schema=table.schema), path)


def claim(folder: Path, shard: str) -> None:
    """The claim of a worker that is no more."""
    path = folder / "work" / "claims" / f"{shard}.000000.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"worker": "gone"}))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _counts(values: Any) -> dict[str, int]:
    listed = list(values)
    return {value: listed.count(value) for value in sorted(set(listed))}
