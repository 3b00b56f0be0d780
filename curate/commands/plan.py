"""List the shards, and estimate time, GPU-hours and disk of the next run. Nothing is written.

Where workers with the same settings ran in output.dir before, what they measured is taken. Else, or with `probe=N`, the
first N samples are judged (default 64) in a folder that goes away. `probe=0` starts no engine: the listing only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from curate.config import compose_settings
from curate.console import say
from curate.engines.dtype import remarks
from curate.errors import ExitCode, InputError
from curate.filtering.estimate import split_disk_estimate
from curate.open_store import open_store
from curate.planning import Plan, make_plan
from curate.probing import Estimate, count_samples, earlier, estimate, probe
from curate.run_folder import read_record
from curate.running import settle_dtype
from curate.settings import EngineSettings

SUMMARY = "list the shards and estimate time, GPU-hours and disk, without writing anything"
EXAMPLE = "plan +dataset=laion_subset"

PROBE = 64
LISTED = 5


def main(argv: list[str]) -> ExitCode:
    """Print the plan and the estimate.

    Raises:
        InputError: as `run` would.
    """
    count = _count(argv)
    settings = compose_settings([a for a in argv if not a.startswith("probe=")])
    plan = make_plan(settings.dataset)
    say(*_listing(plan))
    if count == 0:
        samples, exact = count_samples(plan, settings.dataset)
        say(f"{'' if exact else 'about '}{samples} samples", *_disk(split_disk_estimate(plan.shards, samples)))
        return ExitCode.DONE
    settings = settle_dtype(settings, read_record(open_store(settings.output.dir)))
    found = earlier(settings) if count is None else None
    say(f"measured    by earlier workers in {settings.output.dir}" if found else "measured    by a probe")
    say(*_estimate(estimate(settings, plan, found or probe(settings, count or PROBE)), settings.engine))
    say(*remarks(settings.model, settings.engine))
    return ExitCode.DONE


def _count(argv: list[str]) -> int | None:
    given = [a.partition("=")[2] for a in argv if a.startswith("probe=")]
    if not given:
        return None
    if not given[-1].isdecimal():
        raise InputError(f"probe={given[-1]}: not a number of samples; give 0 or more")
    return int(given[-1])


def _listing(plan: Plan) -> Iterator[str]:
    size = sum(s.bytes or 0 for s in plan.shards)
    yield f"{len(plan.shards)} shards, {_bytes(size)}"
    for shard in plan.shards[:LISTED]:
        yield f"  {shard.id}  {shard.format}  {_bytes(shard.bytes or 0)}  {shard.url}"
    if len(plan.shards) > LISTED:
        yield f"  ... and {len(plan.shards) - LISTED} more"


def _estimate(estimate: Estimate, engine: EngineSettings) -> Iterator[str]:
    found = estimate.measured
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
    yield f"time        {_duration(estimate.seconds)} to judge by {engines}, {hours}"
    yield from _disk(estimate.disk)


def _disk(disk: Mapping[str, int]) -> Iterator[str]:
    for name, size in disk.items():
        label = name if name == "annotations" else f"splits with filter.write={name}"
        yield f"disk        {_bytes(size)} for {label}"


def _bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
