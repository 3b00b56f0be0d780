"""A dry run: judge the first samples of a data set in a folder that goes away, and extrapolate."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

from curate.filtering.estimate import split_disk_estimate
from curate.ledger import read_commits
from curate.places import places_of
from curate.planning import Plan
from curate.running import annotate, open_settings
from curate.settings import DatasetSettings, Settings
from curate.sources import source_for
from curate.types import Status

COUNTED_SHARDS = 8
"""How many shards of unknown length are counted, to know how many bytes a sample takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will take, extrapolated from a probe.

    Attributes:
        probed: samples that were judged.
        failed: share of them without a label, by status.
        samples: of the whole data set; measured where `exact`, else extrapolated from bytes.
        engines: that a worker on this machine starts, each with GPUs of its own; 1 where they would share the cores.
        rate: samples a second by one of them, once it runs.
        startup: seconds until the first.
        prompt_tokens, output_tokens: a sample, on average.
        seconds: wall time of one worker.
        gpu_hours: of all GPUs of one worker.
        disk: bytes of the annotations and, by `filter.write`, of the splits.
    """

    probed: int
    failed: Mapping[str, float]
    samples: int
    exact: bool
    engines: int
    rate: float
    startup: float
    prompt_tokens: float
    output_tokens: float
    seconds: float
    gpu_hours: float
    disk: Mapping[str, int]


def probe(settings: Settings, plan: Plan, count: int) -> Estimate:
    """Judge the first `count` samples and extrapolate to `plan`; the run's own folder is not touched."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="curate-plan-") as folder:
        dataset = settings.dataset.model_copy(update={"limit": count})
        output = settings.output.model_copy(update={"dir": folder})
        engine = settings.engine.model_copy(update={"processes": 1})
        run = open_settings(settings.model_copy(update={"dataset": dataset, "output": output, "engine": engine}))
        tally = annotate(run).tally
        files = sum(c.file_bytes for policy in settings.passes for c in read_commits(run.store, policy))
    startup = time.monotonic() - started - tally.seconds
    judged = max(1, tally.rows // len(settings.passes))
    samples, exact = count_samples(plan, settings.dataset)
    engines = sum(1 for place in places_of(settings.engine) if place.gpus) or 1
    seconds = startup + samples * tally.seconds / judged / engines
    return Estimate(
        probed=judged,
        failed={s: n / tally.rows for s, n in sorted(tally.statuses.items()) if s != Status.LABELLED},
        samples=samples,
        exact=exact,
        engines=engines,
        rate=judged / max(1e-9, tally.seconds),
        startup=startup,
        prompt_tokens=tally.tokens["prompt"] / max(1, tally.rows),
        output_tokens=tally.tokens["output"] / max(1, tally.rows),
        seconds=seconds,
        gpu_hours=seconds / 3600 * settings.engine.tensor_parallel * engines,
        disk={"annotations": samples * files // judged, **split_disk_estimate(plan.shards, samples)},
    )


def count_samples(plan: Plan, dataset: DatasetSettings) -> tuple[int, bool]:
    """Number of samples of a plan, and whether that is exact.

    Shards of unknown length are counted (headers only) where they are few; else some of them are, spread over the plan,
    and the bytes a sample takes in them are held against the bytes of the rest.
    """
    lengths = {s.id: s.samples if s.take is None else s.take for s in plan.shards}
    unknown = [s for s in plan.shards if lengths[s.id] is None]
    counted = unknown[:: max(1, len(unknown) // COUNTED_SHARDS)]
    lengths |= {s.id: source_for(s.format).count(s, dataset, sys.maxsize) for s in counted}
    rest = sum(s.bytes or 0 for s in plan.shards if lengths[s.id] is None)
    known = sum(n for n in lengths.values() if n is not None)
    if not rest:
        return known, True
    counted_samples = sum(lengths[s.id] or 0 for s in counted)
    counted_bytes = sum(s.bytes or 0 for s in counted)
    return known + rest * counted_samples // max(1, counted_bytes), False
