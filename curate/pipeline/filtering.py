"""The filter stage as a whole: decide, count, copy, publish the card, forget what came before.

Nothing is written before every setting was checked. Files are published one by one under names that carry the digest
of the rule set, so an interrupted stage goes on where it stopped; the card comes last and points to whole splits only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from curate.cards.card import publish_cards
from curate.console.phases import phase
from curate.core.types import ShardRef
from curate.filtering.manifest import forget_others, move_tables, read_manifests, register, replace_if_changed
from curate.filtering.result import FilterResult
from curate.filtering.splitting import split_samples
from curate.filtering.stage import Progress, Stage, prepare
from curate.pipeline.compacting import drop_stale_rows
from curate.policies.policy import Policy
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.settings.model import ModelSettings
from curate.sources.base import Source
from curate.storage.store import Store


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
    total: Progress = lambda samples: None,
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
        total: told before the first how many there are.

    Raises:
        InputError: a setting is wrong, nothing was judged yet, a source is not the one that was judged, or a
            compaction is at work on rows of shards that were judged again.
        ShardUnreadable: a source cannot be read as far as it was judged.
    """
    stage = prepare(store, settings, dataset, plan, policies)
    result = _finished(stage)
    if result is None:
        register(store, stage.manifest)
        total(_samples(stage))
        result = split_samples(stage, sources, pending=len(plan) - len(stage.shards), progress=progress)
    with phase("writing the card"):
        drop_stale_rows(store, stage.commits)
        move_tables(store, stage.manifest)
        cards = publish_cards(store, settings, dataset, model, policies, stage.commits, result)
        done = replace(stage.manifest, result=result.to_record())
        replace_if_changed(store, done.name, done.to_json())
        forget_others(store, done, cards)
    return result


def _samples(stage: Stage) -> int:
    return sum(commit.rows for commit in next(iter(stage.commits.values())).values())


def _finished(stage: Stage) -> FilterResult | None:
    """The result of the same stage, if it was completed and all its files are still there."""
    same = (m.result for m in read_manifests(stage.store) if m.digest == stage.manifest.digest)
    found = next((result for result in same if result is not None), None)
    if found is None:
        return None
    result = FilterResult(**found)
    there = {part: len(stage.present_in(part)) for part in result.files}
    return result if there == dict(result.files) else None
