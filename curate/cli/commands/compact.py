"""Merge a run's small annotation files into parts of some hundred megabytes, which the card then points to.

Nothing else changes: filter, verify, evaluate, status, `retry` and `extend=true` work as before; shards that are judged
later have files of their own until the next `compact`. It can be killed at any moment and started again, and readers
need not wait for it. What is not finished yet is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from curate.cli.run_argument import split_run
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.pipeline.annotating import unfinished
from curate.pipeline.compacting import compact
from curate.runs.commits import any_committed
from curate.runs.compaction.rewriting import TARGET
from curate.runs.run_folder import load_run

SUMMARY = "merge a run's small annotation files into parts of some hundred megabytes"
EXAMPLE = "compact output.dir=runs/laion_subset"
ARGUMENTS = """
output.dir=DIR            the run's folder
part_mb=256               megabytes of annotation files that make a part
"""


def main(argv: list[str]) -> ExitCode:
    """Compact one run.

    Raises:
        InputError: an argument is wrong, there is no run or nothing finished in it, or another compaction is at work.
    """
    folder, rest = split_run(argv)
    target = _target(rest)
    run = load_run(folder)
    if not any_committed(run.store, run.fingerprints):
        raise InputError(f"output.dir={folder}: no shard is finished yet; `run` first")
    shards = run.plan.shards
    with tqdm(unit="shard", dynamic_ncols=True, disable=None, leave=False, desc="compact") as bar:
        done = compact(
            run.store, shards, list(run.fingerprints), target=target, lease=run.settings.job.lease, progress=bar.update
        )
    say(
        *(
            f"{one.policy}: {one.shards} shards in {one.parts} parts of {one.bytes / 2**20:.1f} MB together; "
            f"{one.deleted} small files deleted"
            for one in done
        )
    )
    if left := unfinished(run):
        say(f"{left} of {len(shards)} shards are not finished; compact again when they are")
    return ExitCode.DONE


def _target(arguments: Sequence[str]) -> int:
    target = TARGET
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name != "part_mb" or not value.isdecimal() or int(value) == 0:
            raise InputError(f"{argument}: `compact` takes output.dir=DIR and part_mb=N, a whole number from 1 on")
        target = int(value) * 2**20
    return target
