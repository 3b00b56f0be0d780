"""List the shards, judge a few samples, and estimate time, GPU-hours and disk. Nothing is written.

`probe=N` is the number of samples to judge (default 64); `probe=0` starts no engine and tells what the listing tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from curate.config import compose_settings
from curate.console import say
from curate.errors import ExitCode, InputError
from curate.filtering.estimate import split_disk_estimate
from curate.planning import Plan, make_plan
from curate.probing import Estimate, count_samples, probe

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
    if count:
        say(*_estimate(probe(settings, plan, count)))
        return ExitCode.DONE
    samples, exact = count_samples(plan, settings.dataset)
    say(f"{'' if exact else 'about '}{samples} samples", *_disk(split_disk_estimate(plan.shards, samples)))
    return ExitCode.DONE


def _count(argv: list[str]) -> int:
    given = [a.partition("=")[2] for a in argv if a.startswith("probe=")]
    if not given:
        return PROBE
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


def _estimate(estimate: Estimate) -> Iterator[str]:
    failed = ", ".join(f"{status} {share:.1%}" for status, share in estimate.failed.items())
    yield f"probe       {estimate.probed} samples judged; without a label: {failed or 'none'}"
    yield f"samples     {'' if estimate.exact else 'about '}{estimate.samples}"
    yield f"tokens      {estimate.prompt_tokens:.0f} prompt, {estimate.output_tokens:.0f} output for each"
    yield f"rate        {estimate.rate:.1f} images/s by one engine, after {estimate.startup:.0f} s of start-up"
    hours = f"{estimate.gpu_hours:.2f} GPU-hours"
    worker = "one worker" if estimate.engines == 1 else f"one worker with {estimate.engines} engines"
    yield f"time        {_duration(estimate.seconds)} by {worker}, {hours} where it is one of GPUs like this"
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
