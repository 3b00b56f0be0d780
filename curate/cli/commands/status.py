"""Progress of all workers on a run's folder, from the files alone: nothing is started, nobody is asked.

Finished shards are those that workers report with their heartbeats, every `job.lease` / 4 seconds, so that a run of
100,000 shards is as quick to look at as a small one. exact=true counts the commits instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from curate.cli.run_argument import split_run
from curate.console.output import say
from curate.console.terminal import duration
from curate.core.errors import ExitCode, InputError
from curate.telemetry.status import Status, read_status

SUMMARY = "progress of all workers on a run's folder"
EXAMPLE = "status output.dir=runs/laion_subset"
ARGUMENTS = """
output.dir=DIR            the run's folder
exact=true|false          whether the commits are counted
"""


def main(argv: list[str]) -> ExitCode:
    """Print how far the run is.

    Raises:
        InputError: there is no run in the folder.
    """
    folder, rest = split_run(argv)
    wrong = next((argument for argument in rest if argument not in ("exact=true", "exact=false")), None)
    if wrong:
        raise InputError(f"{wrong}: `status` takes output.dir=DIR and exact=true or exact=false")
    say(*_lines(read_status(folder, exact="exact=true" in rest)))
    return ExitCode.DONE


def _lines(status: Status) -> list[str]:
    lines = [
        f"{policy}: {done} of {status.shards} shards done, {status.shards - done} left"
        for policy, done in status.done.items()
    ]
    lines.append(
        f"claims: {status.running} held by {len(status.workers)} live workers, {status.stale} stale; "
        f"failed shards: {status.failed}"
    )
    counts = Counter[str]()
    for worker in status.workers:
        counts.update(worker.statuses)
    lines += _of_workers(status, counts)
    if status.eta is not None:
        lines.append(f"about {status.eta / 60:.0f} min left at this rate")
    lines += [f"failed {f.shard} ({f.url}): {f.reason}" for f in status.failures]
    if status.failed > len(status.failures):
        lines.append(f"and {status.failed - len(status.failures)} more in failures/")
    if not status.exact:
        lines.append("as the workers last said; exact=true counts the commits")
    return lines


def _of_workers(status: Status, counts: Mapping[str, int]) -> Iterator[str]:
    """What live workers have done so far, and what those do that have done nothing yet."""
    listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    loading = [worker.loading for worker in status.workers if worker.loading is not None]
    if listed:
        yield f"live workers: {sum(counts.values())} images at {status.rate:.1f}/s ({listed})"
    elif len(status.workers) > len(loading):
        yield "live workers: judging their first images"
    if loading:
        of = f"{len(loading)} of {len(status.workers)} live workers"
        yield f"{of} load the model, for {duration(max(loading))} so far"
