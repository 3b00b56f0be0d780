"""The filter stage as a whole: decide, count, copy, publish the card, forget what came before.

Nothing is written before every setting was checked. Files are published one by one under names that carry the digest
of the rule set, so an interrupted stage goes on where it stopped; the card comes last and points to whole splits only.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from curate.card import publish_cards
from curate.filtering.copying import joined, write_files
from curate.filtering.decide import write_decisions
from curate.filtering.manifest import Manifest, forget_others, read_manifests, register, replace_if_changed
from curate.filtering.removals import write_by_label, write_removed
from curate.filtering.result import FilterResult, tally
from curate.filtering.rows import Row, read_decisions
from curate.filtering.stage import Stage, prepare
from curate.policy import Policy
from curate.retrying_store import scratch_file
from curate.settings import DatasetSettings, FilterSettings, ModelSettings
from curate.sources.base import Source
from curate.store import Store
from curate.types import ShardRef

Progress = Callable[[int], object]
"""Called with a number of samples whenever so many more are in their splits."""


def run_filter(
    store: Store,
    settings: FilterSettings,
    dataset: DatasetSettings,
    plan: Sequence[ShardRef],
    policies: Mapping[str, Policy],
    sources: Mapping[str, Source],
    *,
    model: ModelSettings,
    progress: Progress = lambda samples: None,
) -> FilterResult:
    """Split the judged samples of a run; a stage that was finished before is only looked at.

    Args:
        store: the run's folder, with annotations and commits.
        settings: the rules.
        dataset: names of the sidecar fields, and how the sources are read.
        plan: every shard of the run; those without a commit under each deciding policy are left for later.
        policies: the run's policies by name, in order.
        sources: readers by `ShardRef.format`.
        model: who judged, for the card.
        progress: told about samples as they are written.

    Raises:
        InputError: a setting is wrong, nothing was judged yet, or a source is not the one that was judged.
        ShardUnreadable: a source cannot be read as far as it was judged.
    """
    stage = prepare(store, settings, dataset, plan, policies)
    result = _finished(stage)
    if result is None:
        register(store, stage.manifest)
        result = _split(stage, sources, pending=len(plan) - len(stage.shards), progress=progress)
    cards = publish_cards(store, settings, dataset, model, policies, stage.commits, result)
    done = Manifest(digest=stage.manifest.digest, parts=stage.manifest.parts, result=result.to_record())
    replace_if_changed(store, done.name, done.to_json())
    forget_others(store, done, cards)
    return result


def _finished(stage: Stage) -> FilterResult | None:
    """The result of the same stage, if it was completed and all its files are still there."""
    same = [m for m in read_manifests(stage.store) if m.digest == stage.manifest.digest]
    if not same or same[0].result is None:
        return None
    result = FilterResult(**same[0].result)
    there = {part: len(_present(stage, part)) for part in result.files}
    return result if there == dict(result.files) else None


def _present(stage: Stage, part: str) -> set[str]:
    """Full names of the files of this rule set that are already in `part`."""
    ending = f"-{stage.manifest.digest}.{stage.form.suffix}"
    return {f"splits/{part}/{name}" for name in stage.store.names(f"splits/{part}") if name.endswith(ending)}


def _split(stage: Stage, sources: Mapping[str, Source], *, pending: int, progress: Progress) -> FilterResult:
    with _scratch_folder(stage.store) as folder:
        for shard in stage.shards:
            _decide_shard(stage, shard.id, folder / shard.id)
        decisions = pl.scan_parquet([path for shard in stage.shards for path in sorted((folder / shard.id).iterdir())])
        result = tally(stage, decisions, pending=pending)
        _copy_all(stage, sources, folder, progress)
        _publish_table(stage, "removed", lambda path: write_removed(decisions, stage.dataset, path))
        if stage.dataset.label:
            _publish_table(stage, "labels", lambda path: write_by_label(decisions, stage.dataset, path))
    return result


def _decide_shard(stage: Stage, shard: str, folder: Path) -> None:
    rows = max(commits[shard].rows for commits in stage.commits.values())
    with stage.annotations(shard) as annotations:
        write_decisions(annotations, rows, stage.rules, stage.settings, folder)


def _copy_all(stage: Stage, sources: Mapping[str, Source], folder: Path, progress: Progress) -> None:
    present = {name for part in stage.manifest.parts for name in _present(stage, part)}
    for shard in stage.shards:
        own = folder / shard.id
        parts = (
            pl.scan_parquet(own / "*.parquet")
            .select(pl.col("part").unique().sort())
            .collect(engine="streaming")["part"]
        )
        names = {part: stage.manifest.file(part, shard.id, stage.form.suffix) for part in parts}
        missing = {part: name for part, name in names.items() if name not in present}
        rows = _counted(_rows(stage, shard, sources, own), progress)
        if missing:
            write_files(rows, missing, stage.form, stage.store, stage.settings, stage.dataset)


def _rows(stage: Stage, shard: ShardRef, sources: Mapping[str, Source], folder: Path) -> Iterator[Row]:
    decisions = read_decisions(folder)
    if stage.form.copies:
        return joined(shard, sources[shard.format], stage.dataset, decisions)
    return (Row(decision=decision) for decision in decisions)


def _counted(rows: Iterable[Row], progress: Progress) -> Iterator[Row]:
    for row in rows:
        yield row
        progress(1)


def _publish_table(stage: Stage, what: str, write: Callable[[Path], None]) -> None:
    name = stage.manifest.side_file(what)
    if not stage.store.exists(name):
        with scratch_file(stage.store) as scratch:
            write(scratch)
            stage.store.publish(scratch, name)


@contextmanager
def _scratch_folder(store: Store) -> Iterator[Path]:
    """A local folder that goes with the stage, whatever ends it."""
    with scratch_file(store) as folder:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
