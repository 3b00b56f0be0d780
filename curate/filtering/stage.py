"""What one run of the filter stage works with, checked before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import polars as pl

from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.filtering.decide import SCHEMA, decide_windows
from curate.filtering.formats import FORMATS
from curate.filtering.manifest import Manifest, digest_of
from curate.filtering.overrides import check_overrides, keep_overrides, kept_overrides
from curate.filtering.rules import CLEAN, Rules, compile_rules
from curate.filtering.subdivide import check_shares
from curate.filtering.thresholds import check_thresholds
from curate.filtering.writer import Format
from curate.judges.row_policies import codes_of, read_policies
from curate.policies.policy import Policy
from curate.runs.annotation_table import scanned
from curate.runs.commits import Commit, commits_by_shard
from curate.runs.compaction.reading import AnnotationFiles
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.settings.run import passes_of
from curate.storage.store import Store

Progress = Callable[[int], object]
"""Called with a number of samples whenever so many more are in their splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A rule set on its way over a run's folder.

    Attributes:
        shards: of the plan, those that every deciding policy has a commit for.
        commits: of these shards, by policy and shard id.
        manifest: names every file.
        files: where the rows stand.
    """

    store: Store
    settings: FilterSettings
    dataset: DatasetSettings
    rules: Rules
    shards: tuple[ShardRef, ...]
    commits: Mapping[str, Mapping[str, Commit]]
    manifest: Manifest
    files: AnnotationFiles

    @property
    def form(self) -> Format:
        """The format of the split files."""
        return FORMATS[self.settings.write]

    @contextmanager
    def annotations(self, shard: str) -> Iterator[dict[str, pl.LazyFrame]]:
        """A shard's annotation rows by policy, to be read inside the context."""
        with ExitStack() as files:
            paths = {policy: files.enter_context(self.files.local(of[shard])) for policy, of in self.commits.items()}
            yield {policy: scanned(path) for policy, path in paths.items()}

    @property
    def short_columns(self) -> list[str]:
        """Columns of a decision without the long texts: what is counted, indexed, and kept of a removed sample."""
        long = {"rationale"} if self.dataset.label else {"rationale", "meta"}
        return [name for name in SCHEMA.names() if name not in long]

    def decisions(self, shard: str, columns: Sequence[str]) -> Generator[pl.DataFrame, None, None]:
        """What becomes of a shard's samples, in order, a window of rows at a time; see `decide_windows`."""
        of = [commits[shard] for commits in self.commits.values()]
        samples = max(commit.sample_count for commit in of)
        single = all(commit.rows == commit.sample_count for commit in of)
        with self.annotations(shard) as annotations:
            yield from decide_windows(annotations, samples, self.rules, self.settings, columns, single=single)

    def digests(self, shard: str) -> Generator[tuple[int, str | None], None, None]:
        """Index and SHA-256 of every picture of a shard that was judged, in order."""
        with self.annotations(shard) as annotations:
            rows = next(iter(annotations.values())).select("index", "sha256")
            for batch in rows.collect_batches(maintain_order=True):
                yield from batch.iter_rows()

    def file(self, part: str, shard: str) -> str:
        """Name of a shard's file in `part`."""
        return self.manifest.file(part, shard, self.form.suffix)

    def present(self) -> set[str]:
        """Names of the files of this rule set that are there already."""
        return {name for part in self.manifest.parts for name in self.present_in(part)}

    def present_in(self, part: str) -> list[str]:
        """Of these the ones in one part."""
        ending = f"-{self.manifest.digest}.{self.form.suffix}"
        return [f"splits/{part}/{name}" for name in self.store.names(f"splits/{part}") if name.endswith(ending)]


def prepare(
    store: Store,
    settings: FilterSettings,
    dataset: DatasetSettings,
    plan: Sequence[ShardRef],
    policies: Mapping[str, Policy],
) -> Stage:
    """Check every setting against what is there, before anything is written.

    Raises:
        InputError: names the setting.
    """
    rules = check_settings(settings, dataset, policies)
    settings = keep_overrides(store, settings)
    if dataset.policy_column is not None:
        check_thresholds(settings, codes_of(read_policies(store)))
    deciding = deciding_passes(settings, passes_of(dataset, policies))
    found = {policy: commits_by_shard(store, policy) for policy in deciding}
    shards = tuple(shard for shard in plan if all(shard.id in commits for commits in found.values()))
    if not shards:
        raise InputError(
            f"{store.uri('')}: no shard is judged yet under {', '.join(deciding)}; start `curate run` before `filter`"
        )
    commits = {policy: {shard.id: of[shard.id] for shard in shards} for policy, of in found.items()}
    digest = digest_of(settings, dataset, [c for of in commits.values() for c in of.values()])
    stage = Stage(
        store=store,
        settings=settings,
        dataset=dataset,
        rules=rules.with_overrides(kept_overrides(store, settings)),
        shards=shards,
        commits=commits,
        manifest=Manifest(digest=digest, parts=_parts(rules, settings), rules=settings.model_dump(mode="json")),
        files=AnnotationFiles(store, pin=True),
    )
    _check_fields(stage)
    return stage


def check_settings(settings: FilterSettings, dataset: DatasetSettings, policies: Mapping[str, Policy]) -> Rules:
    """Everything about `settings` that can be checked before anything is judged: no run should end on a typing error.

    Which categories the rows' own policies have is known only afterwards.

    Raises:
        InputError: names the setting.
    """
    deciding = deciding_passes(settings, passes_of(dataset, policies))
    codes = codes_of(policies[name] for name in deciding) if dataset.policy_column is None else None
    check_shares(settings.subdivide)
    check_overrides(settings)
    return compile_rules(settings, codes)


def deciding_passes(settings: FilterSettings, passes: Sequence[str]) -> Sequence[str]:
    """The passes whose rows decide.

    Raises:
        InputError: `filter.policy` names none of `passes`.
    """
    if settings.policy is None:
        return passes
    if settings.policy not in passes:
        raise InputError(f"filter.policy={settings.policy}: this run has {', '.join(passes)}; name one of them")
    return [settings.policy]


def _parts(rules: Rules, settings: FilterSettings) -> tuple[str, ...]:
    subsets = [f"{CLEAN}/{name}" for name in settings.subdivide] or [CLEAN]
    return tuple(part for split in rules.splits for part in (subsets if split == CLEAN else [split]))


def _check_fields(stage: Stage) -> None:
    """A declared field that no sidecar has is a typing error that would send everything to review."""
    missing = list(stage.settings.fields)
    for shard in stage.shards:
        missing = [name for name in missing if not _holds_field(stage, shard.id, name)]
    if missing:
        raise InputError(f"filter.fields.{missing[0]}: no sidecar of this run has it; its fields are {_fields(stage)}")


def _holds_field(stage: Stage, shard: str, name: str) -> bool:
    there = pl.col("meta").str.contains(json.dumps(name, ensure_ascii=False), literal=True)
    return bool(_meta(stage, shard, lambda rows: rows.select(there.any())).item())


def _meta(stage: Stage, shard: str, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """What `query` finds in the rows under the first policy: `meta` is the same under all."""
    with stage.annotations(shard) as annotations:
        return query(next(iter(annotations.values()))).collect(engine="streaming")


def _fields(stage: Stage) -> str:
    rows = _meta(stage, stage.shards[0].id, lambda rows: rows.select("meta").head(100))
    return ", ".join(dict.fromkeys(name for meta in rows["meta"] if meta for name in json.loads(meta))) or "none"
