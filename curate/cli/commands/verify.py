"""Hold a run's folder, finished or not, against the laws that curate promises; nothing is written.

The sources are read again, which takes as long as reading every image; `sources=false` checks the folder by itself.
Exit code 4 where a law is broken. See docs/verification.md for what is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from tqdm import tqdm

from curate.cli.data_access import reached, split_access
from curate.cli.run_argument import only_flag, split_run
from curate.console.output import say
from curate.core.errors import ExitCode, LawViolation, ShardUnreadable
from curate.core.types import ShardRef
from curate.verification.audit import audit
from curate.verification.report import Report

SUMMARY = "audit of a run: one fate for each sample, nothing lost, nothing unjudged in clean"
EXAMPLE = "verify output.dir=runs/laion_subset"
ARGUMENTS = """
output.dir=DIR            the run's folder
sources=true|false        whether the sources are read again
dataset.moved={OLD: NEW}  where the data lie now, by where they lay
dataset.storage_options.KEY=VALUE
                          credentials, which a run's folder does not keep
dataset.shards=URL        URLs with their signatures, where they were given with such
"""


def main(argv: list[str]) -> ExitCode:
    """Audit one folder.

    Raises:
        LawViolation: at least one law is broken.
        ShardUnreadable: no law is seen broken, but sources could not be read.
        InputError: an argument is wrong, or there is no run.
    """
    folder, others = split_run(argv)
    access, rest = split_access(others)
    against_sources = only_flag(rest, "verify", "sources", default=True)
    load = partial(reached, access=access)
    report = audit(folder, against_sources=against_sources, watch=_watched, load=load)
    say(*report.lines())
    if not against_sources:
        say("", "the sources were not read (sources=false)")
    _conclude(report)
    return ExitCode.DONE


def _watched(shards: Sequence[ShardRef]) -> Iterable[ShardRef]:
    return tqdm(shards, unit="shard", disable=None, leave=False)


def _conclude(report: Report) -> None:
    if report.found:
        laws = ", ".join(f"{law} ({report.found[law]})" for law in sorted(report.found))
        raise LawViolation(f"{sum(report.found.values())} violations: {laws}; see above for the places")
    if report.unreadable:
        first = next(iter(report.unreadable.values()))
        raise ShardUnreadable(
            f"no violation seen, but {len(report.unreadable)} sources could not be read: {first}; "
            "bring them back, or check the folder by itself with sources=false"
        )
    say("", "no violation")
