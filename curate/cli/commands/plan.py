"""List the shards, and estimate time, GPU-hours and disk of the next run. Nothing is written.

Where workers with the same settings ran in output.dir before, what they measured is taken. Else, or with `probe=N`, the
first N samples are judged (default 64) in a folder that goes away. `probe=0` starts no engine: the listing only.

A model of the hub that is not on this machine yet is not fetched for this: its cost is computed from its size and from
the sizes of some pictures, and said to be. `probe=N` fetches it and measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from curate.cli.hydra_config import compose_settings
from curate.cli.remarks import remarks
from curate.console.output import say
from curate.console.phases import phase
from curate.console.terminal import duration, size
from curate.core.errors import ExitCode, InputError
from curate.costs.computed import ROW_BYTES, Computed, computed
from curate.costs.gpu_bound import PEAK_SHARE
from curate.costs.probe import Estimate, count_samples, earlier, estimate, probe
from curate.filtering.estimate import split_disk_estimate
from curate.pipeline.opening import settle_dtype
from curate.runs.plan import Plan, make_plan
from curate.runs.run_folder import read_record
from curate.settings.engine import EngineSettings
from curate.settings.run import Settings
from curate.sources.passed_over import PassedOverLedger, in_words
from curate.storage.factory import open_store

SUMMARY = "list the shards and estimate time, GPU-hours and disk, without writing anything"
EXAMPLE = "plan +dataset=laion_subset"
ARGUMENTS = """
probe=N                   samples that are judged to measure; 0 lists the shards and starts no engine
"""
SETTINGS = "all"

PROBE = 64
LISTED = 5


def main(argv: list[str]) -> ExitCode:
    """Print the plan and the estimate.

    Raises:
        InputError: as `run` would.
    """
    count = _count(argv)
    settings = compose_settings([a for a in argv if not a.startswith("probe=")])
    with phase("listing the shards"):
        plan = make_plan(settings.dataset)
    say(*_listing(plan))
    ledger = PassedOverLedger()
    if count == 0:
        samples, exact = count_samples(plan, settings.dataset, ledger.add)
        say(f"{'' if exact else 'about '}{samples} samples", *_disk(split_disk_estimate(plan.shards, samples)))
        say(*_passed_over(ledger))
        return ExitCode.DONE
    bound = computed(settings, plan) if count is None else None
    if bound is not None:
        say(*_computed(bound, settings, plan, ledger))
        return ExitCode.DONE
    settings = settle_dtype(settings, read_record(open_store(settings.output.dir)))
    found = earlier(settings) if count is None else None
    say(f"measured    by earlier workers in {settings.output.dir}" if found else "measured    by a probe")
    expected = estimate(settings, plan, found or probe(settings, count or PROBE), ledger.add)
    say(*_estimate(expected, settings.engine), *_passed_over(ledger))
    say(*remarks(settings))
    return ExitCode.DONE


def _count(argv: list[str]) -> int | None:
    given = [a.partition("=")[2] for a in argv if a.startswith("probe=")]
    if not given:
        return None
    if not given[-1].isdecimal():
        raise InputError(f"probe={given[-1]}: not a number of samples; give 0 or more")
    return int(given[-1])


def _listing(plan: Plan) -> Iterator[str]:
    yield f"{len(plan.shards)} shards, {size(sum(s.bytes or 0 for s in plan.shards))}"
    for shard in plan.shards[:LISTED]:
        yield f"  {shard.id}  {shard.format}  {size(shard.bytes or 0)}  {shard.url}"
    if len(plan.shards) > LISTED:
        yield f"  ... and {len(plan.shards) - LISTED} more"


def _estimate(estimate: Estimate, engine: EngineSettings) -> Iterator[str]:
    found = estimate.observed
    failed = ", ".join(f"{status} {share:.1%}" for status, share in found.failed.items())
    few = found.samples < engine.max_requests
    hint = f"; fewer than engine.max_requests={engine.max_requests}: a larger probe=N is nearer" if few else ""
    yield f"            {found.samples} samples judged{hint}; without a label: {failed or 'none'}"
    left = "" if estimate.left == estimate.samples else f", {estimate.left} of them left to judge"
    yield f"samples     {'' if estimate.exact else 'about '}{estimate.samples}{left}"
    yield f"tokens      {found.prompt_tokens:.0f} prompt, {found.output_tokens:.0f} output for each"
    yield f"rate        {found.rate:.1f} images/s by one engine, after {found.startup:.0f} s of start-up"
    engines = f"{estimate.engines} engine{'s' if estimate.engines > 1 else ''}"
    hours = f"{estimate.gpu_hours:.2f} GPU-hours where it is one of GPUs like this"
    yield f"time        {duration(estimate.seconds)} to judge by {engines}, {hours}"
    yield from _disk(estimate.disk)


def _passed_over(ledger: PassedOverLedger) -> Iterator[str]:
    for reason, one in ledger.found.items():
        yield f"noticed     {in_words(reason, one)}"


def _computed(bound: Computed, settings: Settings, plan: Plan, ledger: PassedOverLedger) -> Iterator[str]:
    samples, exact = count_samples(plan, settings.dataset, ledger.add)
    cards = f"one {bound.gpu.name}" if bound.gpus == 1 else f"{bound.gpus} {bound.gpu.name}, which hold it together"
    yield f"computed    not measured: {settings.model.name} is not on this machine, and was not fetched for this"
    yield f"            for {cards}, at {PEAK_SHARE:.0%} of its peak; start-up and image processing are left out"
    looked = f"{bound.width:.0f} x {bound.height:.0f} is the median of {bound.pictures} that were looked at"
    yield f"samples     {'' if exact else 'about '}{samples}; {looked}"
    yield f"tokens      about {bound.prompt_tokens:.0f} prompt, {bound.output_tokens:.0f} output for each"
    million = 1e6 * bound.gpu_seconds / 3600
    yield f"rate        up to {bound.rate:.1f} images/s; {million:.0f} GPU-hours for a million pictures"
    hours, tasks = samples * bound.gpu_seconds / 3600, min(settings.job.tasks, len(plan.shards))
    tasks_said = "one task" if tasks == 1 else f"{tasks} tasks"
    yield f"time        {duration(samples / bound.rate / tasks)} by {tasks_said} at least, {hours:.2f} GPU-hours"
    annotations = round(samples * ROW_BYTES * len(settings.passes))
    yield from _disk({"annotations": annotations, **split_disk_estimate(plan.shards, samples)})
    yield from _passed_over(ledger)
    yield f"to measure  the same with probe={PROBE}, on a GPU; it fetches {size(bound.download)} of weights first"


def _disk(disk: Mapping[str, int]) -> Iterator[str]:
    for name, taken in disk.items():
        label = name if name == "annotations" else f"splits with filter.write={name}"
        yield f"disk        {size(taken)} for {label}"
