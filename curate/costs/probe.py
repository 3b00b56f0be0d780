"""What the next run will take: extrapolated from an earlier run in its folder, else from a probe that goes away."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from curate.costs.cost_model import ObservedCost, file_bytes, observed_cost
from curate.filtering.estimate import split_disk_estimate
from curate.launch.device_placement import placements
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import fingerprints_of, open_settings
from curate.runs.commits import finished
from curate.runs.plan import Plan, plan_of
from curate.settings.dataset import DatasetSettings
from curate.settings.run import Settings
from curate.sources.folder import FolderSource
from curate.sources.passed_over import Note, ignored
from curate.sources.registry import source_for
from curate.storage.factory import open_store
from curate.telemetry.metrics_files import read_metrics, setup_of

COUNTED_SHARDS = 8
"""How many shards of unknown length are counted, to know how many bytes a sample takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the next run will take.

    Attributes:
        observed: what it is extrapolated from.
        samples: of the whole data set; counted where `exact`, else extrapolated from bytes.
        left: those in shards that are not finished yet.
        engines: that share them, over all of `job.tasks`; each with GPUs of its own, where there are GPUs.
        seconds: wall time of judging those that are left, start-up included; splitting and the card are not.
        gpu_hours: of all GPUs of all engines.
        disk: bytes of the annotations and, by `filter.write`, of the splits, when all is finished.
    """

    observed: ObservedCost
    samples: int
    exact: bool
    left: int
    engines: int
    seconds: float
    gpu_hours: float
    disk: Mapping[str, int]


def earlier(settings: Settings) -> ObservedCost | None:
    """What workers with the same model, policies and engine settings measured in the run's folder; None without any."""
    store = open_store(settings.output.dir)
    metrics = read_metrics(store, setup_of(settings, fingerprints_of(settings)))
    if not metrics.workers:
        return None
    return replace(observed_cost(store, settings, metrics), engines=len(placements(settings.engine)))


def probe(settings: Settings, count: int) -> ObservedCost:
    """Judge the first `count` samples in a folder that goes away; the run's own folder is not touched."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="curate-plan-") as folder:
        dataset = settings.dataset.model_copy(update={"limit": count})
        output = settings.output.model_copy(update={"dir": folder})
        engine = settings.engine.model_copy(update={"processes": 1})
        run = open_settings(settings.model_copy(update={"dataset": dataset, "output": output, "engine": engine}))
        before = time.monotonic() - started
        annotate(run)
        found = observed_cost(run.store, settings, read_metrics(run.store))
    engines = sum(1 for placed in placements(settings.engine) if placed.gpus) or 1
    return replace(found, startup=before + found.startup, engines=engines)


def estimate(settings: Settings, plan: Plan, found: ObservedCost, note: Note = ignored) -> Estimate:
    """Extrapolate `found` to what is left of `plan`; `note` as in `count_samples`."""
    samples, exact = count_samples(plan, settings.dataset, note)
    unfinished = _unfinished(settings, plan)
    left = samples if len(unfinished.shards) == len(plan.shards) else count_samples(unfinished, settings.dataset)[0]
    engines = max(1, min(settings.job.tasks * found.engines, len(unfinished.shards)))
    seconds = found.startup + left / max(1e-9, found.rate) / engines if left else 0.0
    passes = len(settings.passes)
    annotations = passes * (samples * found.row_bytes + len(plan.shards) * file_bytes())
    return Estimate(
        observed=found,
        samples=samples,
        exact=exact,
        left=left,
        engines=engines,
        seconds=seconds,
        gpu_hours=seconds / 3600 * engines * settings.engine.tensor_parallel,
        disk={"annotations": round(annotations), **split_disk_estimate(plan.shards, samples)},
    )


def _unfinished(settings: Settings, plan: Plan) -> Plan:
    done = finished(open_store(settings.output.dir), settings.passes)
    return plan_of([shard for shard in plan.shards if shard.id not in done], plan.limit)


def count_samples(plan: Plan, dataset: DatasetSettings, note: Note = ignored) -> tuple[int, bool]:
    """Number of samples of a plan, and whether that is exact.

    Shards of unknown length are counted (headers only) where they are few; else some of them are, spread over the plan,
    and the bytes a sample takes in them are held against the bytes of the rest. What is no part of any sample is noted,
    as far as shards are counted; of folders, all of it.
    """
    lengths = {s.id: s.samples if s.take is None else s.take for s in plan.shards}
    unknown = [s for s in plan.shards if lengths[s.id] is None]
    counted = unknown[:: max(1, len(unknown) // COUNTED_SHARDS)]
    lengths |= {s.id: source_for(s.format).count(s, dataset, sys.maxsize, note) for s in counted}
    for shard in plan.shards:
        if shard.format == FolderSource.format:  # listed already
            source_for(shard.format).count(shard, dataset, 0, note)
    rest = sum(s.bytes or 0 for s in plan.shards if lengths[s.id] is None)
    known = sum(n for n in lengths.values() if n is not None)
    if not rest:
        return known, True
    counted_samples = sum(lengths[s.id] or 0 for s in counted)
    counted_bytes = sum(s.bytes or 0 for s in counted)
    return known + rest * counted_samples // max(1, counted_bytes), False
