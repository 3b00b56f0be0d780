"""What the checks look at: a run's folder, and one shard of it under one policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.core.yaml_files import load_yaml
from curate.judges.prompts import question_for
from curate.judges.row_policies import FOLDER as POLICIES
from curate.judges.row_policies import file_of, read_policy
from curate.policies.policy import Policy
from curate.runs.annotation_table import ADDED, SCHEMA, completed
from curate.runs.commits import Commit, annotation_name, commit_name, committed, read_commit
from curate.runs.compaction.index import Index, Span, read_indexes
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.run_folder import RUN, Run
from curate.storage.store import Store
from curate.verification.evidence import Finding, Law

COLUMNS = [
    *("key", "shard", "index", "image_name", "sha256", "status", "rating", "category", "category_name", "rationale"),
    *("p_unsafe", "detail", "policy", "reused_from"),
]
"""Columns that some check looks at, but for `rationale`, of which only its presence is kept."""


Categories = tuple[tuple[str, ...], tuple[str, ...]]
"""Every category string that an answer could name, and those that an Unsafe one could."""


@dataclass(frozen=True)
class Folder:
    """An opened run and the names in it that many checks need; each is listed once."""

    run: Run
    kept: dict[tuple[str, str], Commit] = field(default_factory=dict, repr=False)
    """Commits by policy and shard that were read before their shard's turn, which takes them out."""

    @property
    def store(self) -> Store:
        """Where it is."""
        return self.run.store

    @cached_property
    def planned(self) -> Mapping[str, ShardRef]:
        """The plan's shards by id."""
        return {shard.id: shard for shard in self.run.plan.shards}

    @cached_property
    def plan_hashes(self) -> Sequence[str]:
        """Hashes of the plans that the run had, the current one last: rows keep that of their time."""
        hashes: list[str] = load_yaml(self.store.read(RUN))["plan_hashes"]
        return hashes

    @cached_property
    def row_policies(self) -> Mapping[str, Policy]:
        """The policies that rows brought, by the names of their files; what is not what its name says is left out."""
        found = {name: _policy_in(self.store, name) for name in self.store.names(POLICIES)}
        return {name: policy for name, policy in found.items() if policy is not None and file_of(policy) == name}

    @cached_property
    def row_questions(self) -> Mapping[str, Categories]:
        """What an answer could name under each policy that rows brought, by the policy's name."""
        questions = [question_for(policy, "none", None, 1) for policy in self.row_policies.values()]
        return {question.policy: (question.categories, question.violable) for question in questions}

    @cached_property
    def committed(self) -> Mapping[str, frozenset[str]]:
        """Ids of committed shards by policy, for every policy that the run has a fingerprint of."""
        return {policy: frozenset(committed(self.store, policy)) for policy in self.run.fingerprints}

    @cached_property
    def files(self) -> AnnotationFiles:
        """Where the rows stand."""
        return AnnotationFiles(self.store)

    @cached_property
    def indexes(self) -> Mapping[str, Sequence[Index]]:
        """What of each policy was compacted."""
        return {policy: read_indexes(self.store, policy) for policy in self.run.fingerprints}

    @cached_property
    def part_spans(self) -> Mapping[str, Sequence[Span]]:
        """What stands in each part that counts."""
        indexes = [index for of in self.indexes.values() for index in of]
        return {part.name: spans for index in indexes for part, spans in index.by_part()}

    @cached_property
    def finished(self) -> bool:
        """Whether every planned shard is finished."""
        return all(self.is_finished(shard) for shard in self.planned)

    def judged(self, shard: str) -> list[str]:
        """Policies that a shard is committed under."""
        return [policy for policy, shards in self.committed.items() if shard in shards]

    def is_finished(self, shard: str) -> bool:
        """Whether a shard is committed in every pass that the run has now."""
        return all(shard in self.committed[policy] for policy in self.run.settings.passes)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One committed shard under one policy.

    Attributes:
        sha256, file_bytes: of the annotation file as it is now, or as it was when its rows went into a part.
        metadata: its Parquet key-value metadata.
        table: `COLUMNS` of it, in the order of the file.
    """

    shard: ShardRef
    policy: str
    commit: Commit
    sha256: str
    file_bytes: int
    metadata: Mapping[str, str]
    table: pa.Table

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The table for polars, which takes longer for a small one than reading it did: only where it is needed."""
        return frame_of(self.table)

    @cached_property
    def samples(self) -> int:
        """How many samples the rows are of."""
        return int(pc.count_distinct(self.table["index"]).as_py())

    @property
    def name(self) -> str:
        """Name of the annotation file."""
        return annotation_name(self.policy, self.shard.id)

    @property
    def commit_name(self) -> str:
        """Name of the commit."""
        return commit_name(self.policy, self.shard.id)

    @property
    def placed(self) -> Commit:
        """The commit, speaking of what its place says; its rows are found by it."""
        return _placed(self.commit, self.policy, self.shard.id)

    def at(self, index: int) -> str:
        """The place of a row."""
        return f"{self.name}, index {index}"


def read_commit_of(folder: Folder, policy: str, shard: str, *, keep: bool = False) -> Commit | Finding:
    """The commit of a shard; what cannot be read is a finding.

    Args:
        folder: the run.
        policy: the pass.
        shard: its id.
        keep: hold it for whoever asks next, so that it is read once: on an object store requests take the time.
    """
    commit = folder.kept.pop((policy, shard), None)
    if commit is None:
        try:
            commit = read_commit(folder.store, policy, shard)
        except (ValueError, TypeError, KeyError) as error:
            return Finding(Law.ONE_FATE, commit_name(policy, shard), f"is no commit ({_kind(error)})")
    if keep:
        folder.kept[policy, shard] = commit
    return commit


def read_judged(folder: Folder, shard: ShardRef, policy: str) -> Judged | Finding:
    """Read commit and annotation file; what cannot be read is a finding."""
    commit = read_commit_of(folder, policy, shard.id)
    if isinstance(commit, Finding):
        return commit
    name = annotation_name(policy, shard.id)
    placed = _placed(commit, policy, shard.id)
    try:
        table, sha256, file_bytes = _read(folder, placed)
    except FileNotFoundError:
        return Finding(Law.ONE_FATE, name, "is not there, but its commit is")
    except (pa.ArrowException, OSError, ValueError) as error:
        return Finding(Law.ONE_FATE, name, f"cannot be read ({_kind(error)})")
    return Judged(
        shard=shard,
        policy=policy,
        commit=commit,
        sha256=sha256,
        file_bytes=file_bytes,
        metadata={k.decode(): v.decode("utf-8", "replace") for k, v in (table.schema.metadata or {}).items()},
        table=table,
    )


def _placed(commit: Commit, policy: str, shard: str) -> Commit:
    """Where a commit lies says what it must speak of; whether it does is for `check_commit` to say."""
    return replace(commit, policy=policy, shard=shard)


def _policy_in(store: Store, name: str) -> Policy | None:
    try:
        return read_policy(store, name)
    except InputError:
        return None


def _read(folder: Folder, commit: Commit) -> tuple[pa.Table, str, int]:
    """`COLUMNS` of a shard's rows, and digest and bytes of their file as it is, or was when they went into a part."""
    table, span = folder.files.in_part(commit), folder.files.span(commit)
    if span is not None and table is not None:
        _require_schema(table.schema)
        return _without_rationales(table.select(COLUMNS)), span.sha256, span.bytes
    with folder.files.local(commit) as path:
        data = path.read_bytes()
    return _without_rationales(_read_file(data)), hashlib.sha256(data).hexdigest(), len(data)


def _read_file(data: bytes) -> pa.Table:
    """The rows of a file that was read at once: piece by piece, pyarrow takes twice the time for a small one."""
    with pq.ParquetFile(pa.BufferReader(data)) as parquet:
        _require_schema(parquet.schema_arrow)
        names = [name for name in COLUMNS if name in parquet.schema_arrow.names]
        table = parquet.read(names, use_threads=False)  # Most files are small, and threads take turns to wake up.
        return table if len(names) == len(COLUMNS) else completed(table, COLUMNS)


def _require_schema(schema: pa.Schema) -> None:
    known = pa.schema([field for field in SCHEMA if field.name in schema.names or field.name not in ADDED])
    if not schema.equals(known):
        raise ValueError("not the annotation schema")


def _without_rationales(table: pa.Table) -> pa.Table:
    """With a column that says whether there is one in place of each."""
    there = table.column("rationale").is_valid()
    return table.set_column(table.column_names.index("rationale"), "has_rationale", there)


def frame_of(table: pa.Table) -> pl.DataFrame:
    """Column by column: polars takes a table with threads that take turns to wake up."""
    columns = zip(table.column_names, table.columns, strict=True)
    return pl.DataFrame([pl.Series(name, column) for name, column in columns])


def _kind(error: Exception) -> str:
    text = str(error) if not isinstance(error, json.JSONDecodeError) else "not JSON"
    return f"{type(error).__name__}: {' '.join(text.split())}"[:120]
