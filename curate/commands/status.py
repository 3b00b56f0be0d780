"""Progress of all workers on a run's folder, from the files alone: nothing is started, nobody is asked."""

from __future__ import annotations

from collections import Counter

from curate.config import split_run
from curate.console import say
from curate.errors import ExitCode, InputError
from curate.status import Status, read_status

SUMMARY = "progress of all workers on a run's folder"
EXAMPLE = "status output.dir=runs/laion_subset"


def main(argv: list[str]) -> ExitCode:
    """Print how far the run is.

    Raises:
        InputError: there is no run in the folder.
    """
    folder, rest = split_run(argv)
    if rest:
        raise InputError(f"{rest[0]}: `status` takes output.dir=DIR and nothing else")
    say(*_lines(read_status(folder)))
    return ExitCode.DONE


def _lines(status: Status) -> list[str]:
    lines = [
        f"{policy}: {done} of {status.shards} shards done, {status.shards - done} left"
        for policy, done in status.done.items()
    ]
    lines.append(
        f"claims: {status.running} held by {len(status.workers)} live workers, {status.stale} stale; "
        f"failed shards: {len(status.failures)}"
    )
    counts = Counter[str]()
    for worker in status.workers:
        counts.update(worker.statuses)
    if status.workers:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines.append(f"live workers: {counts.total()} images at {status.rate:.1f}/s ({listed or 'none yet'})")
    if status.eta is not None:
        lines.append(f"about {status.eta / 60:.0f} min left at this rate")
    lines += [f"failed {f.shard} ({f.url}): {f.reason}" for f in status.failures]
    return lines
